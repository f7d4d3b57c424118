//! A running container's place in its networks, for readers: `network.json` in its runtime folder.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use net::Port;
use net::relay::Relay;
use serde::{Deserialize, Serialize};

use super::record::{Driver, NetworkRecord};

/// A running container's place in its networks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkState {
    /// Each network, in the order of its interfaces.
    pub networks: Vec<EndpointState>,
    /// Published ports, with the host's real ones.
    pub ports: Vec<Port>,
}

impl NetworkState {
    /// One of its networks has names.
    pub(crate) fn has_names(&self) -> bool {
        self.networks.iter().any(|end| !end.names.is_empty())
    }
}

/// A running container's place in one network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndpointState {
    /// The network's name.
    pub network: String,
    /// The interface's name in the container.
    pub interface: String,
    /// Its address.
    pub address: Ipv4Addr,
    /// Length of the network's prefix.
    pub prefix: u8,
    /// The host's address on the bridge, where that leads out.
    pub gateway: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub address6: Option<Ipv6Addr>,
    /// Length of the network's IPv6 prefix.
    pub prefix6: u8,
    /// The host's IPv6 address on the bridge, where that leads out.
    pub gateway6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: [u8; 6],
    /// The names that mean it in this network.
    pub names: Vec<String>,
    /// The network's id; empty for the default one.
    #[serde(default)]
    pub id: String,
    /// How it connects containers.
    #[serde(default)]
    pub driver: Driver,
}

impl EndpointState {
    /// Its addresses, IPv4 first.
    pub fn addresses(&self) -> Vec<IpAddr> {
        // Plugins may give one of IPv6 only.
        let v4 = Some(self.address).filter(|address| !address.is_unspecified()).map(IpAddr::V4);
        v4.into_iter().chain(self.address6.map(IpAddr::V6)).collect()
    }

    /// Which of these ports are relayed to it, and how, if it is by this network that they are published. Where nothing else leads to
    /// containers they `always` are.
    pub(crate) fn relays(&self, ports: &[Port], always: bool) -> Vec<Relay> {
        let (v4, v6) = (self.address.into(), self.address6.map(IpAddr::V6));
        let of = |port| if always { Some(Relay::always(port, v4, v6)) } else { Relay::of(port, v4, v6) };
        ports.iter().filter_map(of).collect()
    }

    /// What `net` has made, in words of ours.
    pub(crate) fn new(network: &str, names: &[String], end: &net::End) -> EndpointState {
        EndpointState {
            network: network.to_owned(),
            interface: end.interface.clone(),
            address: end.address.addr(),
            prefix: end.address.prefix_len(),
            gateway: end.gateway,
            address6: end.address6.map(|net| net.addr()),
            prefix6: end.address6.map_or(0, |net| net.prefix_len()),
            gateway6: end.gateway6,
            mac: end.mac,
            names: names.to_vec(),
            id: String::new(),
            driver: Driver::Bridge,
        }
    }

    /// It is one of this network, which is not the default one.
    pub(crate) fn of(self, network: &NetworkRecord) -> EndpointState {
        EndpointState { id: network.id.clone(), driver: network.driver, ..self }
    }
}
