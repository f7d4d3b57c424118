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
use crate::netlink::route;
use crate::netlink::{NetlinkError, Socket};

/// What the network's file holds.
#[derive(Debug, Serialize, Deserialize)]
struct Config {
    subnet: Ipv4Net,
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
        None => remember(config_file, &Config { subnet: adopt(bridge, config_file)? })?,
    };
    let network = Network::new(bridge, config.subnet, state);
    network.check()?;
    Ok(network)
}

/// Chooses the subnet of the default network, unless that was done before. Answers the one that counts.
pub fn choose_default(subnet: Ipv4Net, config_file: &Path) -> Result<Ipv4Net> {
    let config = match read(config_file)? {
        Some(config) => config,
        None => remember(config_file, &Config { subnet: subnet.trunc() })?,
    };
    Ok(config.subnet)
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
                    scope.spawn(move || remember(file, &Config { subnet }).unwrap().subnet)
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
