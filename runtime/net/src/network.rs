//! A network: a bridge and its addresses.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::netlink::route::{self, Route};
use crate::netlink::{NetlinkError, Socket};

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

/// Candidates for the default network: apart from Docker's first choices (172.17 and up) and Podman's (10.88 and up).
const POOLS: [Ipv4Net; 12] = [
    pool(172, 29, 0, 16),
    pool(172, 30, 0, 16),
    pool(172, 31, 0, 16),
    pool(172, 28, 0, 16),
    pool(172, 27, 0, 16),
    pool(10, 201, 0, 16),
    pool(10, 202, 0, 16),
    pool(10, 203, 0, 16),
    pool(10, 204, 0, 16),
    pool(10, 205, 0, 16),
    pool(192, 168, 201, 24),
    pool(192, 168, 202, 24),
];

const fn pool(a: u8, b: u8, c: u8, prefix: u8) -> Ipv4Net {
    Ipv4Net::new_assert(Ipv4Addr::new(a, b, c, 0), prefix)
}

/// What the network's file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    subnet: Ipv4Net,
}

impl Network {
    /// The bridge's address, which containers use as their gateway.
    pub fn gateway(&self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.subnet.network().to_bits() + 1)
    }

    /// Refuses what would be something else to the kernel or to a file system.
    pub(crate) fn check(&self) -> Result<()> {
        interface_name(&self.bridge)?;
        let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
        if self.table.is_empty() || self.table.len() > 64 || !self.table.chars().all(fine) {
            return Err(Error::Name(self.table.clone(), "an nf_tables table"));
        }
        if self.subnet.prefix_len() > 30 { Err(Error::TooSmall(self.subnet)) } else { Ok(()) }
    }
}

/// A name for an interface that is also one path component of /proc/sys: 1 to 15 characters (`IFNAMSIZ`).
fn interface_name(name: &str) -> Result<()> {
    let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if (1..16).contains(&name.len()) && name.chars().all(fine) && name != "all" && name != "default" && name != "lo" {
        return Ok(());
    }
    Err(Error::Name(name.to_owned(), "a bridge"))
}

/// The network on `bridge`: as `config_file` says, or chosen now and remembered there. `state` is its folder of volatile state. The
/// table has the bridge's name.
///
/// Two first users agree: the file is made by link(2), which only one of them can, and the other reads it. A bridge that has its
/// address already is adopted, so losing the file does not strand running containers.
pub fn default_network(bridge: &str, config_file: &Path, state: &Path) -> Result<Network> {
    interface_name(bridge)?;
    let config = match read(config_file)? {
        Some(config) => config,
        None => remember(config_file, &Config { subnet: choose(bridge, config_file)? })?,
    };
    let subnet = config.subnet.trunc();
    let network = Network { bridge: bridge.to_owned(), subnet, state: state.to_owned(), table: bridge.to_owned() };
    network.check()?;
    Ok(network)
}

fn read(file: &Path) -> Result<Option<Config>> {
    let config = |source| Error::Config { path: file.to_owned(), source };
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| config(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(config(error)),
    }
}

/// Writes the file unless another has; returns what is in it then.
fn remember(file: &Path, config: &Config) -> Result<Config> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let suffix = format!("{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    let temporary = file.with_extension(suffix);
    let linked = write(&temporary, config).and_then(|()| match fs::hard_link(&temporary, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let _ = fs::remove_file(&temporary);
    let config = |source| Error::Config { path: file.to_owned(), source };
    linked.map_err(config)?;
    read(file)?.ok_or_else(|| config(io::ErrorKind::NotFound.into()))
}

fn write(file: &Path, config: &Config) -> io::Result<()> {
    let open = || OpenOptions::new().write(true).create_new(true).mode(0o600).open(file);
    let mut opened: File = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(file.parent().unwrap_or(Path::new("/")))?;
            open()?
        }
        other => other?,
    };
    opened.write_all(&serde_json::to_vec(config)?)?;
    // Once in the host's life: an empty file after a power cut would stop every container.
    opened.sync_data()
}

/// Adopts the bridge's network, or takes the first pool without a route.
fn choose(bridge: &str, file: &Path) -> Result<Ipv4Net> {
    let failed = |source: NetlinkError| Error::Netlink { what: "list this host's routes".into(), source };
    let socket = Socket::route().map_err(failed)?;
    if let Some(link) = route::get_link(&socket, bridge).map_err(failed)? {
        let addresses = route::addresses(&socket).map_err(failed)?;
        if let Some((_, address)) = addresses.into_iter().find(|&(index, _)| index == link.index) {
            let first = address.network().to_bits().wrapping_add(1) == address.addr().to_bits();
            return if first { Ok(address.trunc()) } else { Err(Error::ForeignBridge { name: link.name, address }) };
        }
    }
    let routes = route::routes(&socket).map_err(failed)?;
    free(&POOLS, &routes)
        .ok_or_else(|| Error::NoFreeSubnet { tried: POOLS.map(|pool| pool.to_string()).join(", "), file: file.to_owned() })
}

/// The first pool that overlaps no route. Default routes do not count, nor do the halves and quarters of the internet that
/// VPN clients use in their place (`0.0.0.0/1`).
fn free(pools: &[Ipv4Net], routes: &[Route]) -> Option<Ipv4Net> {
    let overlap = |pool: &Ipv4Net, to: &Ipv4Net| pool.contains(to) || to.contains(pool);
    let taken = |pool: &Ipv4Net| routes.iter().any(|route| route.to.prefix_len() >= 8 && overlap(pool, &route.to));
    pools.iter().copied().find(|pool| !taken(pool))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn routes(list: &[&str]) -> Vec<Route> {
        list.iter().map(|to| Route { to: to.parse().unwrap(), link: None }).collect()
    }

    #[test]
    fn a_pool_overlaps_no_route() {
        let choose = |list: &[&str]| free(&POOLS, &routes(list)).map(|net| net.to_string());
        assert_eq!(choose(&[]).unwrap(), "172.29.0.0/16");
        assert_eq!(choose(&["0.0.0.0/0", "0.0.0.0/1", "128.0.0.0/1", "192.168.1.0/24"]).unwrap(), "172.29.0.0/16");
        assert_eq!(choose(&["172.29.7.4/32"]).unwrap(), "172.30.0.0/16");
        assert_eq!(choose(&["172.16.0.0/12"]).unwrap(), "10.201.0.0/16");
        assert_eq!(choose(&["172.16.0.0/12", "10.0.0.0/8"]).unwrap(), "192.168.201.0/24");
        assert_eq!(choose(&["172.16.0.0/12", "10.0.0.0/8", "192.168.0.0/16"]), None);
    }

    #[test]
    fn first_users_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("networks/bridge.json");
        let agreed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|n| {
                    let file = &file;
                    scope.spawn(move || remember(file, &Config { subnet: pool(10, n, 0, 16) }).unwrap().subnet)
                })
                .collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(agreed.iter().all(|subnet| *subnet == agreed[0]), "{agreed:?}");
        assert_eq!(fs::read_dir(file.parent().unwrap()).unwrap().count(), 1, "a temporary file is left");
    }

    #[test]
    fn a_broken_file_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("bridge.json");
        fs::write(&file, "{").unwrap();
        let error = default_network("rctr0", &file, folder.path()).unwrap_err();
        assert_eq!(error.to_string(), format!("network file {}", file.display()));
        fs::write(&file, r#"{"subnet":"10.0.0.0/31"}"#).unwrap();
        let error = default_network("rctr0", &file, folder.path()).unwrap_err();
        assert_eq!(error.to_string(), "network 10.0.0.0/31 is too small: /30 is the smallest that works");
    }

    #[test]
    fn names_are_one_path_component() {
        for name in ["", "a/b", "..", "averyveryverylongname", "all", "default", "lo", "a b"] {
            assert!(interface_name(name).is_err(), "{name}");
        }
        interface_name("rctr0").unwrap();
    }
}
