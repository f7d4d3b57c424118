//! The containers' network as crate `net` makes it, and as readers of the state see it.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use crate::config::Config;
use crate::request::{NetworkMode, Port, Protocol};
use crate::{Error, NetworkState, Record};

/// The default network, its subnet chosen at the first use.
pub(crate) fn default(config: &Config) -> Result<net::Network, Error> {
    let file = config.root.join("networks").join(format!("{}.json", config.bridge));
    net::default_network(&config.bridge, &file, &config.run.join("net").join(&config.bridge)).map_err(Error::Network)
}

/// What a container's processes see of networks.
#[derive(Debug)]
pub(crate) enum Network {
    /// The host's own.
    Host,
    /// Loopback.
    Alone(OwnedFd),
    /// An address on a bridge.
    Bridge(net::Attached),
}

impl Network {
    /// Makes one that needs nothing but its mode. The calling thread may end up in it, so it must be one made for this.
    pub(crate) fn alone(mode: NetworkMode) -> Option<Result<Network, Error>> {
        match mode {
            NetworkMode::Host => Some(Ok(Network::Host)),
            NetworkMode::None => Some(net::isolated().map(Network::Alone).map_err(Error::Network)),
            NetworkMode::Bridge => None,
        }
    }

    /// Connects a container to a bridge.
    pub(crate) fn attach(config: &Config, record: &Record) -> Result<Network, Error> {
        let ports: Vec<net::Port> = record.ports.iter().copied().map(port).collect();
        net::attach(&default(config)?, &record.id, &ports).map(Network::Bridge).map_err(Error::Network)
    }

    /// The namespace, for as long as this lives.
    pub(crate) fn namespace(&self) -> Option<PathBuf> {
        let netns = match self {
            Network::Host => return None,
            Network::Alone(netns) => netns,
            Network::Bridge(attached) => &attached.netns,
        };
        Some(PathBuf::from(format!("/proc/self/fd/{}", netns.as_raw_fd())))
    }

    /// Its place on a bridge, for readers.
    pub(crate) fn state(&self) -> Option<NetworkState> {
        match self {
            Network::Bridge(attached) => Some(described(attached)),
            _ => None,
        }
    }
}

fn port(port: Port) -> net::Port {
    let protocol = match port.protocol {
        Protocol::Tcp => net::Protocol::Tcp,
        Protocol::Udp => net::Protocol::Udp,
    };
    net::Port { host_ip: port.host_ip, host_port: port.host_port, container_port: port.container_port, protocol }
}

fn described(attached: &net::Attached) -> NetworkState {
    let ports = attached.ports.iter().map(|port| Port {
        host_ip: port.host_ip,
        host_port: port.host_port,
        container_port: port.container_port,
        protocol: match port.protocol {
            net::Protocol::Tcp => Protocol::Tcp,
            net::Protocol::Udp => Protocol::Udp,
        },
    });
    NetworkState {
        address: attached.address.addr(),
        prefix: attached.address.prefix_len(),
        gateway: attached.gateway,
        mac: attached.mac,
        ports: ports.collect(),
    }
}
