//! The bridge, made at first use.
//!
//! It is brought up last. A caller that finds it up needs to look at nothing else; one that finds it down, because its maker is
//! still at work or was killed, does the same steps, each of which may be done twice.

use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use rustix::io::Errno;

use crate::error::{Error, Result};
use crate::netlink::route::{self, Link};
use crate::netlink::{Batch, NetlinkError, Socket};
use crate::network::Network;
use crate::nft::{self, Family};

/// A locally administered hardware address that tells the IP address, so a reused address has the neighbour entry it had.
pub(crate) fn mac(address: Ipv4Addr) -> [u8; 6] {
    let [a, b, c, d] = address.octets();
    [0x02, 0x52, a, b, c, d]
}

/// The bridge of `network`, up. The nf_tables table must be there before: it holds the rule that makes `route_localnet` safe. If that
/// is `fresh`, the subnet may be another than yesterday's, so that the bridge is set up whatever its state. Answers whether it was.
pub(crate) fn ensure(socket: &Socket, network: &Network, mut fresh: bool) -> Result<(Link, bool)> {
    let failed = |source: NetlinkError| match source.errno() {
        Errno::PERM => Error::NotRoot { what: "making a bridge" },
        Errno::OPNOTSUPP => Error::Unsupported { what: format!("bridge {}", network.bridge), options: "BRIDGE", source },
        _ => Error::Netlink { what: format!("make bridge {}", network.bridge), source },
    };
    let mut made = false;
    for _ in 0..8 {
        match route::get_link(socket, &network.bridge).map_err(failed)? {
            Some(link) if link.kind != "bridge" => return Err(Error::NotABridge { name: link.name, kind: link.kind }),
            Some(link) if link.up && !fresh => return Ok((link, made)),
            Some(link) => {
                configure(socket, network, link.index, failed)?;
                (fresh, made) = (false, true);
            }
            None => {
                let mut batch = Batch::new();
                let mtu = network.mtu.map_or_else(|| mtu(socket), Ok).map_err(failed)?;
                route::bridge(&mut batch, &network.bridge, mac(network.gateway), mtu);
                done_before(socket.transact(batch.acknowledge())).map_err(failed)?;
            }
        }
    }
    Err(failed(NetlinkError::new(sys::Error::new("RTM_GETLINK", Errno::AGAIN))))
}

/// Makes the bridge of `network` and its table before a container needs them: for what listens on its address. Answers whether it was set
/// up now: a firewall of somebody else's may have to be told of it.
///
/// # Errors
/// The kernel refuses, or something else has the bridge's name.
pub fn make(network: &Network) -> Result<bool> {
    network.check()?;
    let failed = |source| Error::Netlink { what: format!("make bridge {}", network.bridge), source };
    let socket = Socket::route().map_err(failed)?;
    let fresh = nft::ensure(&nft::open(&network.table)?, network)?;
    ensure(&socket, network, fresh).map(|(_, made)| made)
}

/// Whether the bridge of `network` is there.
///
/// # Errors
/// The kernel refuses.
pub fn is_made(network: &Network) -> Result<bool> {
    let failed = |source| Error::Netlink { what: format!("find bridge {}", network.bridge), source };
    let link = route::get_link(&Socket::route().map_err(failed)?, &network.bridge).map_err(failed)?;
    Ok(link.is_some_and(|link| link.kind == "bridge"))
}

/// Another caller having done it is as good.
pub(crate) fn done_before(outcome: std::result::Result<(), NetlinkError>) -> std::result::Result<(), NetlinkError> {
    match outcome {
        Err(error) if error.errno() == Errno::EXIST => Ok(()),
        other => other,
    }
}

fn configure(socket: &Socket, network: &Network, index: u32, failed: impl Fn(NetlinkError) -> Error) -> Result<()> {
    let name = &network.bridge;
    // Never a router that a container announces (CVE-2020-13401).
    sysctl(&format!("ipv6/conf/{name}/accept_ra"), "0", true)?;
    let mut addresses = vec![IpNet::new_assert(network.gateway.into(), network.subnet.prefix_len())];
    match &network.v6 {
        None => sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "1", true)?,
        Some(v6) => {
            sysctl(&format!("ipv6/conf/{name}/disable_ipv6"), "0", false)?;
            forward_v6()?;
            addresses.push(IpNet::new_assert(IpAddr::V6(v6.gateway), v6.subnet.prefix_len()));
        }
    }
    // Lets the answer to a connection from 127.0.0.1 in. The chain `guard` keeps all else from such addresses (CVE-2020-8558).
    sysctl(&format!("ipv4/conf/{name}/route_localnet"), "1", false)?;
    sysctl("ipv4/ip_forward", "1", false)?;
    admit(network, &failed)?;
    for address in addresses {
        let mut batch = Batch::new();
        route::add_address(&mut batch, index, address);
        done_before(socket.transact(batch.acknowledge())).map_err(&failed)?;
    }
    let mut batch = Batch::new();
    route::up(&mut batch, "RTM_NEWLINK bridge up", index);
    socket.transact(batch.acknowledge()).map_err(&failed)
}

/// Gets past a firewall that drops what is forwarded unless it is told otherwise. Not for a network that leads nowhere.
pub(crate) fn admit(network: &Network, failed: impl Fn(NetlinkError) -> Error) -> Result<()> {
    if network.policy.internal {
        return Ok(());
    }
    let netfilter = nft::open(&network.table)?;
    let mut subnets = network.subnets();
    subnets.try_for_each(|subnet| nft::admit(&netfilter, Family::of(subnet.addr()), &network.bridge)).map_err(failed)
}

/// Makes this host a router for IPv6. A router takes no routes from others by itself, so a host that has its own from its router
/// (`accept_ra` 1) would lose them when they expire: 2 keeps them (ip-sysctl.rst).
fn forward_v6() -> Result<()> {
    const CONF: &str = "/proc/sys/net/ipv6/conf";
    let on = fs::read(format!("{CONF}/all/forwarding")).is_ok_and(|text| text.starts_with(b"1"));
    if on {
        return Ok(());
    }
    for link in fs::read_dir(CONF).into_iter().flatten().flatten() {
        let name = link.file_name();
        if let Some(name) = name.to_str().filter(|name| !matches!(*name, "all" | "default" | "lo"))
            && fs::read(link.path().join("accept_ra")).is_ok_and(|text| text.starts_with(b"1"))
        {
            // A link may be going away just now.
            sysctl(&format!("ipv6/conf/{name}/accept_ra"), "2", true)?;
        }
    }
    sysctl("ipv6/conf/all/forwarding", "1", false)
}

/// The link that a macvlan network shares.
pub(crate) fn parent(socket: &Socket, name: &str) -> Result<Link> {
    let failed = |source| Error::Netlink { what: format!("find the link {name}"), source };
    route::get_link(socket, name).map_err(failed)?.ok_or_else(|| Error::NoSuchLink(name.to_owned()))
}

/// Removes the bridge of `network`, if it is there.
pub(crate) fn remove(socket: &Socket, network: &Network) -> std::result::Result<(), NetlinkError> {
    match route::get_link(socket, &network.bridge)? {
        Some(link) if link.kind == "bridge" => {
            let mut batch = Batch::new();
            route::delete(&mut batch, link.index);
            match socket.transact(batch.acknowledge()) {
                Err(error) if error.errno() == Errno::NODEV => Ok(()),
                other => other,
            }
        }
        // Not ours, or gone.
        _ => Ok(()),
    }
}

/// Writes below /proc/sys/net, which shows the namespace of the calling thread. `optional`: the kernel may lack it.
pub(crate) fn sysctl(key: &str, value: &str, optional: bool) -> Result<()> {
    let path = format!("/proc/sys/net/{key}");
    match fs::OpenOptions::new().write(true).open(&path).and_then(|mut file| io::Write::write_all(&mut file, value.as_bytes())) {
        Err(error) if optional && error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => {
            let errno = Errno::from_raw_os_error(error.raw_os_error().unwrap_or(5));
            Err(Error::System {
                what: format!("set net.{}", key.replace('/', ".")),
                source: sys::Error::new(format!("write({path:?})"), errno),
            })
        }
        Ok(()) => Ok(()),
    }
}

/// The MTU of the link that leads outside: a larger one inside costs fragments or, where ICMP is filtered, connections.
fn mtu(socket: &Socket) -> std::result::Result<u32, NetlinkError> {
    let default = route::routes(socket)?.into_iter().find(|route| route.to.prefix_len() == 0).and_then(|route| route.link);
    let Some(index) = default else { return Ok(1500) };
    let link = route::links(socket)?.into_iter().find(|link| link.index == index);
    Ok(link.map_or(1500, |link| link.mtu.clamp(576, 65535)))
}
