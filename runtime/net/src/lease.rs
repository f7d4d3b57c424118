//! Addresses: one symbolic link per address in use, `leases/172.29.3.4 -> CONTAINER` or `-> CONTAINER/NAME`.
//!
//! symlink(2) fails if the name is there and otherwise makes it with its content in one step, so two callers never get one address and
//! no lease is ever without its owner, wherever a process is killed.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::unix::fs::{DirBuilderExt, symlink};
use std::path::{Path, PathBuf};

use ipnet::{IpNet, Ipv4Net};
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::network::{Network, V6};

/// How many addresses are tried: all of an IPv4 network down to /12. Nobody has that many containers.
const TRIES: u32 = 1 << 20;

/// The folder of leases in a network's state.
const FOLDER: &str = "leases";

/// An address in use. Dropping it gives it back.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) address: IpAddr,
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

/// Who leases.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Holder<'a> {
    /// The container's id.
    pub(crate) id: &'a str,
    /// By what name its address is known, in a network that has names.
    pub(crate) name: Option<&'a str>,
}

impl Holder<'_> {
    fn text(&self) -> String {
        self.name.map_or_else(|| self.id.to_owned(), |name| format!("{}/{name}", self.id))
    }
}

fn folder(network: &Network) -> PathBuf {
    network.state.join(FOLDER)
}

fn failed(folder: &Path, call: String, error: &io::Error) -> Error {
    let errno = Errno::from_raw_os_error(error.raw_os_error().unwrap_or(5));
    Error::Leases { path: folder.to_owned(), source: sys::Error::new(call, errno) }
}

/// Leases an IPv4 address: `asked`, or any free one.
pub(crate) fn take(network: &Network, holder: Holder<'_>, asked: Option<Ipv4Addr>) -> Result<Lease> {
    if let Some(address) = asked {
        return one(network, holder, address.into());
    }
    let first = |address: &Ipv4Addr| *address != network.gateway && !network.reserved.contains(&IpAddr::V4(*address));
    let candidates = candidates(network.subnet, network.range, holder.id).filter(first);
    any(network, holder, network.subnet.into(), candidates.map(IpAddr::V4))
}

/// Leases an IPv6 address: `asked`, or any free one.
pub(crate) fn take_v6(network: &Network, v6: &V6, holder: Holder<'_>, asked: Option<Ipv6Addr>) -> Result<Lease> {
    if let Some(address) = asked {
        return one(network, holder, address.into());
    }
    let range = v6.range.unwrap_or(v6.subnet);
    let (base, count) = (range.network().to_bits(), 1_u128.checked_shl(128 - u32::from(range.prefix_len())).unwrap_or(u128::MAX));
    let (start, count) = (u128::from(hash(holder.id.as_bytes())), count.min(1 << 64));
    let fine = |address: &Ipv6Addr| {
        // The first is that of all routers (RFC 4291, 2.6.1).
        *address != v6.gateway && *address != v6.subnet.network() && !network.reserved.contains(&IpAddr::V6(*address))
    };
    let candidates = (0..count.min(u128::from(TRIES))).map(|n| Ipv6Addr::from_bits(base + (start + n) % count)).filter(fine);
    any(network, holder, v6.subnet.into(), candidates.map(IpAddr::V6))
}

/// Leases one address of the network, in its range or not.
fn one(network: &Network, holder: Holder<'_>, address: IpAddr) -> Result<Lease> {
    let subnet = network.subnets().find(|subnet| subnet.contains(&address));
    let why = match subnet {
        None => Some("it is not within the network"),
        Some(_) if network.is_gateway(address) => Some("it is the gateway's"),
        Some(_) if network.reserved.contains(&address) => Some("it is reserved"),
        // An IPv6 network has no broadcast address.
        Some(subnet) if address == subnet.network() || (address.is_ipv4() && address == subnet.broadcast()) => {
            Some("it stands for the network as a whole")
        }
        Some(_) => None,
    };
    let subnets = || network.subnets().map(|subnet| subnet.to_string()).collect::<Vec<_>>().join(" and ");
    if let Some(why) = why {
        return Err(Error::BadAddress { address, network: subnets(), why });
    }
    link(network, holder, address)?.ok_or_else(|| {
        let held = fs::read_link(folder(network).join(address.to_string())).unwrap_or_default();
        Error::AddressInUse { address, by: held.iter().next().unwrap_or_default().to_string_lossy().chars().take(12).collect() }
    })
}

/// Leases the first candidate that is free.
fn any(network: &Network, holder: Holder<'_>, subnet: IpNet, candidates: impl Iterator<Item = IpAddr>) -> Result<Lease> {
    let mut leased = 0;
    for address in candidates {
        match link(network, holder, address)? {
            Some(lease) => return Ok(lease),
            None => leased += 1,
        }
    }
    Err(Error::Exhausted { subnet, leased })
}

/// Makes the lease; `None` when another has the address.
fn link(network: &Network, holder: Holder<'_>, address: IpAddr) -> Result<Option<Lease>> {
    let folder = folder(network);
    let (path, text) = (folder.join(address.to_string()), holder.text());
    let mut outcome = symlink(&text, &path);
    if matches!(&outcome, Err(error) if error.kind() == io::ErrorKind::NotFound) {
        let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        made.map_err(|error| failed(&folder, format!("mkdir({folder:?})"), &error))?;
        outcome = symlink(&text, &path);
    }
    match outcome {
        Ok(()) => Ok(Some(Lease { address, path })),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
        Err(error) => Err(failed(&folder, format!("symlink({text:?}, {path:?})"), &error)),
    }
}

/// Every address of `range` that a container can have, each once, from a place that depends on the id: parallel starts do not meet, and an
/// address just given back is not the next one given out. Without the network's own address and the broadcast address.
fn candidates(subnet: Ipv4Net, range: Option<Ipv4Net>, id: &str) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let range = range.unwrap_or(subnet);
    let first = range.network().to_bits().max(subnet.network().to_bits() + 1);
    let count = (range.broadcast().to_bits().min(subnet.broadcast().to_bits() - 1) + 1).saturating_sub(first);
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
pub fn leases(network: &Network) -> Result<Vec<(IpAddr, String)>> {
    let folder = folder(network);
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(|error| failed(&folder, format!("open({folder:?})"), &error))?,
    };
    let lease = |name: &OsStr| {
        let address = name.to_str()?.parse().ok()?;
        // Given back meanwhile: not a lease any more.
        let id = fs::read_link(folder.join(name)).ok()?;
        Some((address, id.iter().next()?.to_str()?.to_owned()))
    };
    Ok(entries.filter_map(|entry| lease(&entry.ok()?.file_name())).collect())
}

/// The name by which the holder of `address` is known in the network with this state.
pub(crate) fn name(state: &Path, address: IpAddr) -> Option<String> {
    let target = fs::read_link(state.join(FOLDER).join(address.to_string())).ok()?;
    target.iter().nth(1)?.to_str().map(str::to_owned)
}

/// Gives an address back.
pub(crate) fn release(network: &Network, address: IpAddr) -> Result<()> {
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
        Network::new("b", subnet.parse().unwrap(), state)
    }

    fn holder(id: &str) -> Holder<'_> {
        Holder { id, name: None }
    }

    fn last(lease: &Lease) -> u8 {
        match lease.address {
            IpAddr::V4(address) => address.octets()[3],
            IpAddr::V6(address) => address.octets()[15],
        }
    }

    #[test]
    fn reserved_addresses_are_never_given_and_the_end_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path(), "10.9.8.0/29");
        let taken: Vec<_> = (0..5).map(|n| take(&network, holder(&format!("c{n}")), None).unwrap()).collect();
        let given: BTreeSet<_> = taken.iter().map(last).collect();
        assert_eq!(given, BTreeSet::from([2, 3, 4, 5, 6]));
        let error = take(&network, holder("one more"), None).unwrap_err();
        assert_eq!(error.to_string(), "network 10.9.8.0/29 has no free address: 5 are leased");
        assert_eq!(leases(&network).unwrap().len(), 5);
        drop(taken);
        assert_eq!(leases(&network).unwrap(), []);
        take(&network, holder("again"), None).unwrap();
    }

    #[test]
    fn thirty_two_at_once_get_thirty_two_addresses() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path(), "10.9.8.0/26");
        let taken: Vec<Lease> = std::thread::scope(|scope| {
            let start = |n| {
                let network = &network;
                scope.spawn(move || take(network, holder(&format!("container {n}")), None).unwrap())
            };
            let threads: Vec<_> = (0..32).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.iter().map(|lease| lease.address).collect::<BTreeSet<_>>().len(), 32);
        let ids: BTreeSet<_> = leases(&network).unwrap().into_iter().map(|(_, id)| id).collect();
        assert_eq!(ids.len(), 32);
    }

    #[test]
    fn an_address_asked_for_is_given_or_refused_by_name() {
        let folder = tempfile::tempdir().unwrap();
        let mut network = network(folder.path(), "10.9.8.0/24");
        network.gateway = Ipv4Addr::new(10, 9, 8, 254);
        network.reserved = vec!["10.9.8.9".parse().unwrap()];
        let ask = |id: &str, address: &str| take(&network, holder(id), Some(address.parse().unwrap()));
        let held = ask("a0123456789abcdef", "10.9.8.7").unwrap();
        for (address, why) in [
            ("10.9.8.7", "address 10.9.8.7 is in use by container a0123456789a"),
            ("10.9.9.7", "address 10.9.9.7 cannot be had in network 10.9.8.0/24: it is not within the network"),
            ("10.9.8.0", "address 10.9.8.0 cannot be had in network 10.9.8.0/24: it stands for the network as a whole"),
            ("10.9.8.255", "address 10.9.8.255 cannot be had in network 10.9.8.0/24: it stands for the network as a whole"),
            ("10.9.8.254", "address 10.9.8.254 cannot be had in network 10.9.8.0/24: it is the gateway's"),
            ("10.9.8.9", "address 10.9.8.9 cannot be had in network 10.9.8.0/24: it is reserved"),
        ] {
            assert_eq!(ask("b", address).unwrap_err().to_string(), why);
        }
        drop(held);
        ask("b", "10.9.8.7").unwrap();
    }

    #[test]
    fn a_range_and_reserved_addresses_are_heeded() {
        let folder = tempfile::tempdir().unwrap();
        let mut network = network(folder.path(), "10.9.8.0/24");
        network.range = Some("10.9.8.8/30".parse().unwrap());
        network.reserved = vec!["10.9.8.9".parse().unwrap()];
        let taken: Vec<_> = (0..3).map(|n| take(&network, holder(&format!("c{n}")), None).unwrap()).collect();
        assert_eq!(taken.iter().map(last).collect::<BTreeSet<_>>(), BTreeSet::from([8, 10, 11]));
        assert!(take(&network, holder("d"), None).is_err());
        // The range is for those that do not ask.
        take(&network, holder("d"), Some("10.9.8.77".parse().unwrap())).unwrap();
        let v6 = V6 {
            subnet: "fd00::/64".parse().unwrap(),
            gateway: "fd00::1".parse().unwrap(),
            range: Some("fd00::/126".parse().unwrap()),
        };
        network.v6 = Some(v6.clone());
        let taken: Vec<_> = (0..2).map(|n| take_v6(&network, &v6, holder(&format!("c{n}")), None).unwrap()).collect();
        assert_eq!(taken.iter().map(last).collect::<BTreeSet<_>>(), BTreeSet::from([2, 3]));
        let error = take_v6(&network, &v6, holder("d"), None).unwrap_err();
        assert_eq!(error.to_string(), "network fd00::/64 has no free address: 2 are leased");
    }

    #[test]
    fn a_named_lease_is_its_containers() {
        let folder = tempfile::tempdir().unwrap();
        let network = network(folder.path(), "10.9.8.0/24");
        let lease = take(&network, Holder { id: "a", name: Some("web") }, None).unwrap();
        assert_eq!(leases(&network).unwrap(), [(lease.address, "a".to_owned())]);
    }

    #[test]
    fn starts_are_spread_over_the_network() {
        let subnet = "172.29.0.0/16".parse().unwrap();
        let starts: BTreeSet<_> = (0..64).map(|n| candidates(subnet, None, &format!("id{n}")).next().unwrap()).collect();
        assert!(starts.len() > 60, "{}", starts.len());
        let all: BTreeSet<_> = candidates("10.0.0.0/24".parse().unwrap(), None, "x").collect();
        assert_eq!((all.len(), all.first().unwrap().octets()[3], all.last().unwrap().octets()[3]), (254, 1, 254));
    }
}
