//! Addresses: one symbolic link per address in use, `leases/172.29.3.4 -> CONTAINER`.
//!
//! symlink(2) fails if the name is there and otherwise makes it with its content in one step, so two callers never get one address and
//! no lease is ever without its owner, wherever a process is killed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use ipnet::Ipv4Net;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::network::Network;

/// An address in use. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) address: Ipv4Addr,
    path: PathBuf,
}

impl Lease {
    /// Leaves the lease in place: its file is now someone else's to unlink.
    pub(crate) fn keep(mut self) -> PathBuf {
        std::mem::take(&mut self.path)
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if !self.path.as_os_str().is_empty() {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn folder(network: &Network) -> PathBuf {
    network.state.join("leases")
}

fn failed(folder: &Path, call: String, error: &io::Error) -> Error {
    let errno = Errno::from_raw_os_error(error.raw_os_error().unwrap_or(5));
    Error::Leases { path: folder.to_owned(), source: sys::Error::new(call, errno) }
}

/// Leases a free address to `id`.
pub(crate) fn take(network: &Network, id: &str) -> Result<Lease> {
    let folder = folder(network);
    let mut made = false;
    let mut leased = 0;
    for address in candidates(network.subnet, id) {
        let path = folder.join(address.to_string());
        let mut outcome = symlink(id, &path);
        if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::NotFound) && !made {
            made = true;
            fs::DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&folder)
                .map_err(|error| failed(&folder, format!("mkdir({folder:?})"), &error))?;
            outcome = symlink(id, &path);
        }
        match outcome {
            Ok(()) => return Ok(Lease { address, path }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => leased += 1,
            Err(error) => return Err(failed(&folder, format!("symlink({id:?}, {path:?})"), &error)),
        }
    }
    Err(Error::Exhausted { subnet: network.subnet, leased })
}

/// Every address a container can have, each once, from a place that depends on the id: parallel starts do not meet, and an address just
/// given back is not the next one given out. Without the network's own address, the gateway's, and the broadcast address.
fn candidates(subnet: Ipv4Net, id: &str) -> impl Iterator<Item = Ipv4Addr> {
    let first = subnet.network().to_bits() + 2;
    let count = (subnet.broadcast().to_bits() - 1).saturating_sub(subnet.network().to_bits() + 1);
    let start = if count == 0 { 0 } else { (hash(id.as_bytes()) % u64::from(count)) as u32 };
    (0..count).map(move |n| Ipv4Addr::from_bits(first + ((u64::from(start) + u64::from(n)) % u64::from(count)) as u32))
}

/// FNV-1a, with a final mix so that every bit counts. Not for secrets: it spreads.
pub(crate) fn hash(bytes: &[u8]) -> u64 {
    let mixed = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3));
    (mixed ^ (mixed >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 16
}

/// All addresses in use, each with the id of the container that holds it.
///
/// This crate cannot know which containers still live; who does calls [`recover`](crate::recover) for the others.
pub fn leases(network: &Network) -> Result<Vec<(Ipv4Addr, String)>> {
    let folder = folder(network);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| failed(&folder, format!("open({folder:?})"), &error))?,
    };
    let lease = |name: &OsStr| {
        let address = name.to_str()?.parse().ok()?;
        // Given back meanwhile: not a lease any more.
        let id = fs::read_link(folder.join(name)).ok()?;
        Some((address, id.to_str()?.to_owned()))
    };
    Ok(entries.filter_map(|entry| lease(&entry.ok()?.file_name())).collect())
}

/// Gives an address back.
pub(crate) fn release(network: &Network, address: Ipv4Addr) -> Result<()> {
    let folder = folder(network);
    let path = folder.join(address.to_string());
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(&folder, format!("unlink({path:?})"), &error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn network(state: &Path, subnet: &str) -> Network {
        Network { bridge: "b".into(), subnet: subnet.parse().unwrap(), state: state.into(), table: "b".into() }
    }

    #[test]
    fn reserved_addresses_are_never_given_and_the_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path(), "10.9.8.0/29");
        let taken: Vec<_> = (0..5).map(|n| take(&network, &format!("c{n}")).unwrap()).collect();
        let given: BTreeSet<_> = taken.iter().map(|lease| lease.address.octets()[3]).collect();
        assert_eq!(given, BTreeSet::from([2, 3, 4, 5, 6]));
        let error = take(&network, "one more").unwrap_err();
        assert_eq!(error.to_string(), "network 10.9.8.0/29 has no free address: 5 are leased");
        assert_eq!(leases(&network).unwrap().len(), 5);
        drop(taken);
        assert_eq!(leases(&network).unwrap(), []);
        take(&network, "again").unwrap();
    }

    #[test]
    fn thirty_two_at_once_get_thirty_two_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path(), "10.9.8.0/26");
        let taken: Vec<Lease> = std::thread::scope(|scope| {
            let start = |n| {
                let network = &network;
                scope.spawn(move || take(network, &format!("container {n}")).unwrap())
            };
            let threads: Vec<_> = (0..32).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().map(|lease| lease.address).collect::<BTreeSet<_>>().len(), 32);
        let ids: BTreeSet<_> = leases(&network).unwrap().into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), 32);
    }

    #[test]
    fn starts_are_spread_over_the_network() {
        let subnet = "172.29.0.0/16".parse().unwrap();
        let starts: BTreeSet<_> = (0..64).map(|n| candidates(subnet, &format!("id{n}")).next().unwrap()).collect();
        assert!(starts.len() > 60, "{}", starts.len());
        let all: BTreeSet<_> = candidates("10.0.0.0/24".parse().unwrap(), "x").collect();
        assert_eq!((all.len(), all.first().unwrap().octets()[3], all.last().unwrap().octets()[3]), (253, 2, 254));
    }
}
