//! The default network, whose subnet is chosen at the first use.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use ipnet::Ipv4Net;
use serde::{Deserialize, Serialize};

use super::{Network, choose, interface_name};
use crate::error::{Error, Result};
use crate::lease;
use crate::netlink::route;
use crate::netlink::{NetlinkError, Socket};

/// What the network's file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chosen {
    /// The addresses of its containers.
    pub subnet: Ipv4Net,
    /// Those of all pods of a cluster that this host is a node of; see [`Network::cluster`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cluster: Option<Ipv4Net>,
    /// Bytes of a packet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
}

impl Chosen {
    /// A subnet, and nothing that is not usual.
    pub fn plain(subnet: Ipv4Net) -> Chosen {
        Chosen { subnet: subnet.trunc(), cluster: None, mtu: None }
    }
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
        None => remember(config_file, &Chosen::plain(adopt(bridge, config_file)?))?,
    };
    network(bridge, &config, state)
}

fn network(bridge: &str, config: &Chosen, state: &Path) -> Result<Network> {
    let mut network = Network::new(bridge, config.subnet, state);
    (network.cluster, network.mtu) = (config.cluster, config.mtu);
    network.check()?;
    Ok(network)
}

/// Chooses the subnet of the default network, unless that was done before. Answers the one that counts.
pub fn choose_default(subnet: Ipv4Net, config_file: &Path) -> Result<Ipv4Net> {
    let config = match read(config_file)? {
        Some(config) => config,
        None => remember(config_file, &Chosen::plain(subnet))?,
    };
    Ok(config.subnet)
}

/// Makes the network on `bridge` what a cluster wants it to be, whatever was chosen before. A bridge with other addresses goes, unless
/// containers have some of them.
///
/// # Errors
/// [`Error::Taken`]; the file or the bridge cannot be changed.
pub fn replace_default(bridge: &str, wanted: &Chosen, config_file: &Path, state: &Path) -> Result<Network> {
    interface_name(bridge)?;
    let new = network(bridge, wanted, state)?;
    let found = match read(config_file)? {
        Some(found) => found,
        None => remember(config_file, wanted)?,
    };
    if found == *wanted {
        return Ok(new);
    }
    if found.subnet != wanted.subnet {
        let old = network(bridge, &found, state)?;
        let leased = lease::leases(&old)?.len();
        if leased > 0 {
            return Err(Error::Taken { subnet: found.subnet, wanted: wanted.subnet, leased });
        }
        crate::remove(&old)?;
    }
    overwrite(config_file, wanted).map_err(|source| Error::Config { path: config_file.to_owned(), source })?;
    Ok(new)
}

fn read(file: &Path) -> Result<Option<Chosen>> {
    let config = |source| Error::Config { path: file.to_owned(), source };
    match fs::read(file) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|error| config(error.into())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(config(error)),
    }
}

/// Writes the file unless another has; returns what is in it then.
fn remember(file: &Path, config: &Chosen) -> Result<Chosen> {
    let temporary = beside(file);
    let linked = write(&temporary, config).and_then(|()| match fs::hard_link(&temporary, file) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other,
    });
    let _ = fs::remove_file(&temporary);
    let config = |source| Error::Config { path: file.to_owned(), source };
    linked.map_err(config)?;
    read(file)?.ok_or_else(|| config(io::ErrorKind::NotFound.into()))
}

/// Writes the file whatever is in it.
fn overwrite(file: &Path, config: &Chosen) -> io::Result<()> {
    let temporary = beside(file);
    let renamed = write(&temporary, config).and_then(|()| fs::rename(&temporary, file));
    if renamed.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    renamed
}

/// A name that nobody else takes.
fn beside(file: &Path) -> std::path::PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    file.with_extension(format!("{}.{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed)))
}

fn write(file: &Path, config: &Chosen) -> io::Result<()> {
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

/// Adopts the bridge's network, or takes the first candidate without a route.
fn adopt(bridge: &str, file: &Path) -> Result<Ipv4Net> {
    let failed = |source: NetlinkError| Error::Netlink { what: "list this host's routes".into(), source };
    let socket = Socket::route().map_err(failed)?;
    if let Some(link) = route::get_link(&socket, bridge).map_err(failed)? {
        let addresses = route::addresses(&socket).map_err(failed)?;
        if let Some((_, address)) = addresses.into_iter().find(|&(index, _)| index == link.index) {
            let first = address.network().to_bits().wrapping_add(1) == address.addr().to_bits();
            return if first { Ok(address.trunc()) } else { Err(Error::ForeignBridge { name: link.name, address }) };
        }
    }
    choose::first(&route::routes(&socket).map_err(failed)?, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_users_agree() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("networks/bridge.json");
        let agreed: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..16)
                .map(|n| {
                    let file = &file;
                    let subnet = format!("10.{n}.0.0/16").parse().unwrap();
                    scope.spawn(move || remember(file, &Chosen::plain(subnet)).unwrap().subnet)
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
}
