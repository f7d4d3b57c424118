//! A network as it was made: `networks/NAME.json`.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use launch::Nanos;
use serde::{Deserialize, Serialize};

use super::options::Options;
use crate::Error;
use crate::config::Config;

/// How containers are connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Driver {
    /// By a bridge of this host.
    #[default]
    Bridge,
    /// As neighbours of the hosts on one of this host's links.
    Macvlan,
    /// The host's own network; only the network `host`.
    Host,
    /// Not at all; only the network `none`.
    Null,
}

impl Driver {
    /// Docker's word for it.
    pub fn word(self) -> &'static str {
        match self {
            Driver::Bridge => "bridge",
            Driver::Macvlan => "macvlan",
            Driver::Host => "host",
            Driver::Null => "null",
        }
    }
}

/// Addresses of one family.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet<Net, Address> {
    /// All of them.
    pub subnet: Net,
    /// This host's.
    pub gateway: Address,
    /// The part that containers get theirs from.
    pub range: Option<Net>,
}

/// A network of this host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkRecord {
    /// Its name.
    pub name: String,
    /// 64 hexadecimal digits.
    pub id: String,
    /// When it was made; 0 for those that are always there.
    pub created: Nanos,
    /// How containers are connected.
    pub driver: Driver,
    /// The bridge's interface name.
    pub interface: String,
    /// Its IPv4 addresses. None on the networks `host` and `none`.
    pub v4: Option<Subnet<Ipv4Net, Ipv4Addr>>,
    /// Its IPv6 addresses, where it has them.
    pub v6: Option<Subnet<Ipv6Net, Ipv6Addr>>,
    /// Addresses that no container gets, each with what it is for.
    pub reserved: BTreeMap<String, IpAddr>,
    /// Nothing leaves it.
    pub internal: bool,
    /// As asked for; it means nothing on one host.
    pub attachable: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options, as they were given.
    pub options: BTreeMap<String, String>,
}

impl NetworkRecord {
    /// One of the three that are always there.
    pub(crate) fn given(config: &Config, name: &str, driver: Driver) -> NetworkRecord {
        NetworkRecord {
            name: name.to_owned(),
            id: super::given_id(config, name),
            created: 0,
            driver,
            interface: String::new(),
            v4: None,
            v6: None,
            reserved: BTreeMap::new(),
            internal: false,
            attachable: false,
            labels: BTreeMap::new(),
            options: BTreeMap::new(),
        }
    }

    /// It is there without being made, and cannot be removed.
    pub fn is_predefined(&self) -> bool {
        self.created == 0
    }

    /// Its subnets, IPv4 first.
    pub fn subnets(&self) -> Vec<IpNet> {
        let v4 = self.v4.iter().map(|v4| IpNet::V4(v4.subnet));
        v4.chain(self.v6.iter().map(|v6| IpNet::V6(v6.subnet))).collect()
    }

    /// What crate `net` makes of it.
    ///
    /// # Errors
    /// It has no addresses, or options that nobody knows: its file was written by hand.
    pub(crate) fn network(&self, config: &Config) -> Result<net::Network, Error> {
        let bad = |why: &str| Error::Invalid { what: format!("network {}", self.name), why: why.to_owned() };
        let v4 = self.v4.as_ref().ok_or_else(|| bad("containers are not connected to it by addresses"))?;
        let options = Options::read(self.driver, &self.options)?;
        let mut network = net::Network::new(&self.interface, v4.subnet, &config.run.join("net").join(&self.interface));
        network.gateway = v4.gateway;
        network.range = v4.range;
        network.v6 = self.v6.as_ref().map(|v6| net::V6 { subnet: v6.subnet, gateway: v6.gateway, range: v6.range });
        network.macvlan = options.parent.map(|parent| net::Macvlan { parent, mode: options.mode });
        network.reserved = self.reserved.values().copied().collect();
        network.mtu = options.mtu;
        network.policy = net::Policy { internal: self.internal, neighbours: options.neighbours, masquerade: options.masquerade };
        Ok(network)
    }
}
