//! A network: a bridge and its addresses.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;

use crate::error::{Error, Result};

/// A bridge network of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge's interface name.
    pub bridge: String,
    /// Its addresses; the first is the bridge's own, the gateway.
    pub subnet: Ipv4Net,
    /// Folder for address leases. On tmpfs, so that a reboot forgets them.
    pub state: PathBuf,
    /// Name of the nf_tables table, family `ip`. One per network.
    pub table: String,
}

impl Network {
    /// The bridge's address, which containers use as their gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.subnet.network().to_bits() + 1)
    }
}

/// The default network, chosen once.
pub fn default_network(bridge: &str, _config_file: &Path, _state: &Path) -> Result<Network> {
    Err(Error::Name(bridge.into(), "a bridge"))
}
