//! The containers' network as crate `net` makes it, and as readers of the state see it.

use crate::config::Config;
use crate::request::{Port, Protocol};
use crate::{Error, NetworkState, Record};

/// The default network, its subnet chosen at the first use.
pub(crate) fn default(config: &Config) -> Result<net::Network, Error> {
    let file = config.root.join("networks").join(format!("{}.json", config.bridge));
    net::default_network(&config.bridge, &file, &config.run.join("net").join(&config.bridge)).map_err(Error::Network)
}

pub(crate) fn attach(config: &Config, record: &Record) -> Result<net::Attached, Error> {
    let ports: Vec<net::Port> = record.ports.iter().copied().map(port).collect();
    net::attach(&default(config)?, &record.id, &ports).map_err(Error::Network)
}

fn port(port: Port) -> net::Port {
    let protocol = match port.protocol {
        Protocol::Tcp => net::Protocol::Tcp,
        Protocol::Udp => net::Protocol::Udp,
    };
    net::Port { host_ip: port.host_ip, host_port: port.host_port, container_port: port.container_port, protocol }
}

pub(crate) fn described(attached: &net::Attached) -> NetworkState {
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
