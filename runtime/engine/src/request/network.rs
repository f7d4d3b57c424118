//! How a container is reached.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::PathBuf;

pub use net::{Port, Protocol};
use serde::{Deserialize, Serialize};

/// What network a container sees.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NetworkMode {
    /// Addresses of its own, on the default bridge or in other networks.
    #[default]
    Bridge,
    /// The host's network.
    Host,
    /// Only a loopback interface.
    None,
    /// That of another container, by its id.
    Container(String),
    /// That of the pod that the container is in, by its id.
    Pod(String),
}

/// How a container finds others by name. Empty means: as the host does.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dns {
    /// Whom it asks.
    pub servers: Vec<IpAddr>,
    /// Domains in which it looks for short names; one dot alone stands for none.
    pub search: Vec<String>,
    /// Options of resolv.conf(5).
    pub options: Vec<String>,
    /// Lines of its `/etc/hosts`.
    pub hosts: Vec<HostEntry>,
    /// What they are added to.
    #[serde(default)]
    pub hosts_base: HostsBase,
}

/// What a container's `/etc/hosts` begins with.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum HostsBase {
    /// The usual lines; the host's file where the network is the host's.
    #[default]
    Usual,
    /// The usual lines, whatever the network.
    None,
    /// The image's file.
    Image,
    /// This file of the host.
    File(PathBuf),
    /// The image's file is all that there is.
    Kept,
}

/// A name that is given by hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The name.
    pub name: String,
    /// What it means; this host, as the container reaches it, when there is none.
    pub address: Option<IpAddr>,
}

/// A network that a container is to be connected to. `None` and empty mean: as it comes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// The network's name.
    pub network: String,
    /// Names within the network, on top of the container's own.
    pub aliases: Vec<String>,
    /// Its IPv4 address.
    pub ip: Option<Ipv4Addr>,
    /// Its IPv6 address.
    pub ip6: Option<Ipv6Addr>,
    /// Its hardware address.
    pub mac: Option<[u8; 6]>,
    /// The interface's name in the container.
    pub interface: Option<String>,
}
