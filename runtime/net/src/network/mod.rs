//! A network: a bridge, its addresses, and what may pass.

mod choose;
mod first;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use crate::error::{Error, Result};

pub use choose::{free_subnet, private_v6, route_within};
pub use first::{Chosen, choose_default, default_network, replace_default};

/// A network of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The bridge's interface name.
    pub bridge: String,
    /// Its IPv4 addresses.
    pub subnet: Ipv4Net,
    /// The bridge's own address, which containers use as their gateway.
    pub gateway: Ipv4Addr,
    /// The part of `subnet` that containers get theirs from, unless they ask for one.
    pub range: Option<Ipv4Net>,
    /// The same for IPv6, where the network has it.
    pub v6: Option<V6>,
    /// Addresses that no container gets.
    pub reserved: Vec<IpAddr>,
    /// Bytes of a packet; those of the link that leads outside when there is none.
    pub mtu: Option<u32>,
    /// What may pass.
    pub policy: Policy,
    /// The pods of all nodes of a cluster have addresses in here: they reach this network's containers, and are reached, without another
    /// address than their own.
    pub cluster: Option<Ipv4Net>,
    /// Not a bridge of this host: its containers are neighbours of the hosts on a link.
    pub macvlan: Option<Macvlan>,
    /// Folder for address leases and names. On tmpfs, so that a reboot forgets them.
    pub state: PathBuf,
    /// Name of the nf_tables tables, families `ip` and `ip6`. One of each per network.
    pub table: String,
}

/// A network's IPv6 addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct V6 {
    /// All of them.
    pub subnet: Ipv6Net,
    /// The bridge's own.
    pub gateway: Ipv6Addr,
    /// The part that containers get theirs from.
    pub range: Option<Ipv6Net>,
}

/// Interfaces that share a link of this host, each with a hardware address of its own. The host itself is not reached by them, nor are
/// ports published: a container has an address that everybody on the link can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Macvlan {
    /// The link.
    pub parent: String,
    /// `MACVLAN_MODE_*` of `linux/if_link.h`.
    pub mode: u32,
}

/// What may pass a network's bridge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Nothing leaves and nothing comes in but between its containers and this host.
    pub internal: bool,
    /// Its containers reach each other.
    pub neighbours: bool,
    /// What leaves carries this host's address.
    pub masquerade: bool,
}

impl Default for Policy {
    fn default() -> Self {
        Policy { internal: false, neighbours: true, masquerade: true }
    }
}

impl Network {
    /// An ordinary network: its gateway is the first address, its table has the bridge's name.
    pub fn new(bridge: &str, subnet: Ipv4Net, state: &Path) -> Network {
        let subnet = subnet.trunc();
        Network {
            bridge: bridge.to_owned(),
            subnet,
            gateway: Ipv4Addr::from_bits(subnet.network().to_bits().wrapping_add(1)),
            range: None,
            v6: None,
            reserved: Vec::new(),
            mtu: None,
            policy: Policy::default(),
            cluster: None,
            macvlan: None,
            state: state.to_owned(),
            table: bridge.to_owned(),
        }
    }

    /// Refuses what would be something else to the kernel or to a file system.
    pub(crate) fn check(&self) -> Result<()> {
        interface_name(&self.bridge)?;
        self.macvlan.iter().try_for_each(|macvlan| interface_name(&macvlan.parent))?;
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.table.is_empty() || self.table.len() > 64 || !self.table.chars().all(fine) {
            return Err(Error::Name(self.table.clone(), "an nf_tables table"));
        }
        if self.subnet.prefix_len() > 30 {
            return Err(Error::TooSmall(self.subnet.into()));
        }
        match &self.v6 {
            Some(v6) if v6.subnet.prefix_len() > 126 => Err(Error::TooSmall(v6.subnet.into())),
            _ => Ok(()),
        }
    }

    /// Ports can be published there.
    pub(crate) fn publishes(&self) -> bool {
        !self.policy.internal && self.macvlan.is_none()
    }

    /// One of the bridge's own addresses.
    pub(crate) fn is_gateway(&self, address: IpAddr) -> bool {
        address == IpAddr::V4(self.gateway) || self.v6.as_ref().is_some_and(|v6| address == IpAddr::V6(v6.gateway))
    }

    /// Its subnets, IPv4 first.
    pub(crate) fn subnets(&self) -> impl Iterator<Item = IpNet> {
        [IpNet::V4(self.subnet)].into_iter().chain(self.v6.as_ref().map(|v6| IpNet::V6(v6.subnet)))
    }
}

/// Refuses what cannot be an interface that is also one path component of /proc/sys: 1 to 15 characters (`IFNAMSIZ`).
///
/// # Errors
/// [`Error::Name`].
pub fn interface_name(name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..16).contains(&name.len()) && name.chars().all(fine) && name != "all" && name != "default" && name != "lo" {
        return Ok(());
    }
    Err(Error::Name(name.to_owned(), "a bridge"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_one_path_component() {
        for name in ["", "a/b", "..", "averyveryverylongname", "all", "default", "lo", "a b"] {
            assert!(interface_name(name).is_err(), "{name}");
        }
        interface_name("rctr0").unwrap();
    }

    #[test]
    fn too_small_networks_are_refused() {
        let mut network = Network::new("b", "10.0.0.0/31".parse().unwrap(), Path::new("/x"));
        assert_eq!(network.check().unwrap_err().to_string(), "network 10.0.0.0/31 is too small: /30 is the smallest that works");
        network.subnet = "10.0.0.0/30".parse().unwrap();
        network.check().unwrap();
        let subnet = "fd00::/127".parse().unwrap();
        network.v6 = Some(V6 { subnet, gateway: subnet.addr(), range: None });
        assert_eq!(network.check().unwrap_err().to_string(), "network fd00::/127 is too small: /126 is the smallest that works");
    }
}
