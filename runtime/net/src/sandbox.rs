//! The container's side: a namespace, its loopback, and `eth0`.

use std::net::IpAddr;
use std::os::fd::{AsRawFd, OwnedFd};

use ipnet::IpNet;
use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use sys::Call;

use crate::bridge::sysctl;
use crate::dns;
use crate::error::{Error, Result};
use crate::lease::hash;
use crate::netlink::route::{self, End, Link};
use crate::netlink::{Batch, NetlinkError, Socket};

/// Loopback is always the first interface.
const LOOPBACK: u32 = 1;

/// A network namespace and a socket in it, which works from any thread.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) netns: OwnedFd,
    socket: Socket,
    /// Where its processes ask for names, if they can.
    pub(crate) resolver: Option<dns::Sockets>,
}

/// Makes a namespace for bridges, of which one has IPv6 or none, and one has names or none. The calling thread ends up in it, so it must
/// be one made for this.
pub(crate) fn make(v6: bool, names: bool) -> Result<Sandbox> {
    let mut sandbox = namespace()?;
    addresses_of_its_own(v6)?;
    if names {
        sandbox.resolver = Some(dns::open(&sandbox.socket)?);
    }
    Ok(sandbox)
}

/// Enters the namespace of a running container, which has no resolver yet or keeps the one it has. The calling thread stays in it, so it
/// must be one made for this.
pub(crate) fn enter(netns: OwnedFd, v6: bool, resolver: bool) -> Result<Sandbox> {
    let mut sandbox = join(netns)?;
    addresses_of_its_own(v6)?;
    if resolver {
        sandbox.resolver = Some(dns::open(&sandbox.socket)?);
    }
    Ok(sandbox)
}

fn join(netns: OwnedFd) -> Result<Sandbox> {
    const NEWNET: i32 = 0x4000_0000;
    let failed = |source| Error::System { what: "enter the network namespace".into(), source };
    sys::ns::setns(&netns, NEWNET).map_err(failed)?;
    let socket = Socket::route().map_err(|source| Error::Netlink { what: "enter the network namespace".into(), source })?;
    Ok(Sandbox { netns, socket, resolver: None })
}

/// Interfaces made from now on have no IPv6 address of their own accord where the network is IPv4 (`::1` on lo stays), and take no route
/// from a neighbour that says it is a router.
fn addresses_of_its_own(v6: bool) -> Result<()> {
    if v6 {
        sysctl("ipv6/conf/default/accept_ra", "0", false)?;
        sysctl("ipv6/conf/default/disable_ipv6", "0", false)
    } else {
        sysctl("ipv6/conf/default/disable_ipv6", "1", true)
    }
}

/// Makes a namespace with a loopback interface that is up, and no way out. The calling thread ends up in it.
pub(crate) fn alone() -> Result<OwnedFd> {
    with_loopback(namespace()?)
}

/// The same with a namespace that is there. The calling thread ends up in it.
pub(crate) fn alone_in(netns: OwnedFd) -> Result<OwnedFd> {
    with_loopback(join(netns)?)
}

fn with_loopback(sandbox: Sandbox) -> Result<OwnedFd> {
    let mut batch = Batch::new();
    route::up(&mut batch, "RTM_NEWLINK lo up", LOOPBACK);
    let up = sandbox.socket.transact(batch.acknowledge());
    up.map_err(|source| Error::Netlink { what: "bring loopback up".into(), source })?;
    Ok(sandbox.netns)
}

fn namespace() -> Result<Sandbox> {
    const NEWNET: i32 = 0x4000_0000;
    sys::ns::unshare(NEWNET).map_err(|source| match source.errno() {
        Errno::PERM => Error::NotRoot { what: "making a network namespace" },
        Errno::INVAL => Error::System { what: "make a network namespace (the kernel lacks NET_NS)".into(), source },
        _ => Error::System { what: "make a network namespace".into(), source },
    })?;
    let path = "/proc/thread-self/ns/net";
    let netns = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("open({path:?})"))
        .map_err(|source| Error::System { what: "open the network namespace".into(), source })?;
    let socket = Socket::route().map_err(|source| Error::Netlink { what: "open the network namespace".into(), source })?;
    Ok(Sandbox { netns, socket, resolver: None })
}

/// Runs `work` in a thread of its own, which may stay behind in another namespace, and `meanwhile` in this one.
pub(crate) fn apart<T: Send, U>(work: impl FnOnce() -> Result<T> + Send, meanwhile: impl FnOnce() -> U) -> (Result<T>, U) {
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("netns".into()).stack_size(64 << 10).spawn_scoped(scope, work);
        let other = meanwhile();
        let made = match thread.map(|thread| thread.join()) {
            Ok(Ok(made)) => made,
            Ok(Err(panic)) => std::panic::resume_unwind(panic),
            Err(error) => Err(Error::System {
                what: "start a thread for the network namespace".into(),
                source: sys::Error::new("clone3(CLONE_THREAD)", Errno::from_io_error(&error).unwrap_or(Errno::AGAIN)),
            }),
        };
        (made, other)
    })
}

/// The name of the host's end: `veth` and seven characters that depend on the id and on how often a name was taken.
pub(crate) fn host_name(id: &str, attempt: u32) -> String {
    const DIGITS: &[u8; 32] = b"0123456789abcdefghijklmnopqrstuv";
    let hash = hash(format!("{attempt}{id}").as_bytes());
    let digits = (0..7).map(|n| char::from(DIGITS[(hash >> (n * 5)) as usize & 31]));
    "veth".chars().chain(digits).collect()
}

/// A container's side of one network.
pub(crate) struct Side<'a> {
    /// The interface's name.
    pub(crate) name: &'a str,
    /// Its place among the container's interfaces.
    pub(crate) number: u32,
    /// Its hardware address.
    pub(crate) mac: [u8; 6],
    /// Its addresses.
    pub(crate) addresses: Vec<IpNet>,
    /// The ways out, if it has them.
    pub(crate) gateways: Vec<IpAddr>,
    /// What it sends may be led back to it.
    pub(crate) hairpin: bool,
    /// It is kept from its neighbours.
    pub(crate) isolated: bool,
}

impl Sandbox {
    /// Connects the namespace to `bridge`: its own side in one datagram, the host's in another.
    pub(crate) fn connect(&self, host: &Socket, bridge: &Link, id: &str, side: &Side<'_>) -> Result<()> {
        let failed = |source: NetlinkError| match source.errno() {
            Errno::OPNOTSUPP => Error::Unsupported { what: "a pair of interfaces".into(), options: "VETH", source },
            Errno::PERM => Error::NotRoot { what: "making an interface" },
            _ => Error::Netlink { what: format!("connect container {id} to {}", bridge.name), source },
        };
        let name = self.container_side(id, bridge.mtu, side).map_err(failed)?;
        let mut batch = Batch::new();
        route::enslave(&mut batch, &name, bridge.index);
        if side.hairpin {
            route::hairpin(&mut batch, &name);
        }
        if side.isolated {
            route::isolate(&mut batch, &name);
        }
        // Both ends get their carrier now, and so does the bridge with its first port. Asking makes it count: otherwise a container that
        // connects at once loses its first packet or the answer, and sends it again after a second.
        route::ask_link(&mut batch, &name);
        if !bridge.carrier {
            route::ask_link(&mut batch, &bridge.name);
        }
        host.transact(batch.acknowledge()).map_err(|error| {
            let _ = self.disconnect(side.name);
            failed(error)
        })?;
        route::get_link(&self.socket, side.name).map_err(failed)?;
        Ok(())
    }

    /// Makes an interface that shares the host's link `parent`.
    pub(crate) fn share(&self, host: &Socket, parent: &Link, mode: u32, id: &str, side: &Side<'_>) -> Result<()> {
        let failed = |source: NetlinkError| match source.errno() {
            Errno::OPNOTSUPP => Error::Unsupported { what: "an interface on another".into(), options: "MACVLAN", source },
            Errno::PERM => Error::NotRoot { what: "making an interface" },
            _ => Error::Netlink { what: format!("connect container {id} to {}", parent.name), source },
        };
        let mut batch = Batch::new();
        route::macvlan(&mut batch, side.name, side.mac, parent.index, mode, self.netns.as_raw_fd() as u32);
        host.transact(batch.acknowledge()).map_err(failed)?;
        let link = route::get_link(&self.socket, side.name).map_err(failed)?;
        let index = link.map_or(0, |link| link.index);
        let mut batch = Batch::new();
        route::up(&mut batch, "RTM_NEWLINK lo up", LOOPBACK);
        route::up(&mut batch, "RTM_NEWLINK macvlan up", index);
        self.addresses(&mut batch, index, side);
        self.socket.transact(batch.acknowledge()).map_err(|error| {
            let _ = self.disconnect(side.name);
            failed(error)
        })
    }

    fn addresses(&self, batch: &mut Batch, index: u32, side: &Side<'_>) {
        for address in &side.addresses {
            route::add_address(batch, index, *address);
        }
        for gateway in &side.gateways {
            route::default_route(batch, index, *gateway);
        }
    }

    /// Removes an interface, if it is there; the host's end goes with it.
    pub(crate) fn disconnect(&self, interface: &str) -> std::result::Result<(), NetlinkError> {
        let Some(link) = route::get_link(&self.socket, interface)? else { return Ok(()) };
        let mut batch = Batch::new();
        route::delete(&mut batch, link.index);
        self.socket.transact(batch.acknowledge())
    }

    /// Lets default routes lead to `gateways`, of which the links know the way. One that is there stays.
    pub(crate) fn route_by(&self, gateways: impl Iterator<Item = IpAddr>) -> std::result::Result<(), NetlinkError> {
        for gateway in gateways {
            let mut batch = Batch::new();
            route::default_route_by(&mut batch, gateway);
            match self.socket.transact(batch.acknowledge()) {
                Err(error) if error.errno() != Errno::EXIST => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Loopback up, the veth pair, addresses and default routes. Returns the name of the host's end, which is unused by then.
    ///
    /// Made from the container's side, because there the index can be chosen, so what follows in the datagram can name it.
    fn container_side(&self, id: &str, mtu: u32, side: &Side<'_>) -> std::result::Result<String, NetlinkError> {
        // The host's end differs in the first byte only. It is the higher one: a bridge without an address of its own takes the lowest.
        let mut outer_mac = side.mac;
        outer_mac[0] = 0xfe;
        let host = rustix::thread::gettid().as_raw_nonzero().get() as u32;
        let mut attempt = 0;
        loop {
            let name = match side.number {
                0 => host_name(id, attempt),
                number => host_name(&format!("{id}/{number}"), attempt),
            };
            // Some kernels put tunnels into every new namespace, so 2 may be taken.
            let index = 2 + side.number + 98 * attempt;
            let mut batch = Batch::new();
            route::up(&mut batch, "RTM_NEWLINK lo up", LOOPBACK);
            let (here, there) = (End { name: side.name, mac: side.mac }, End { name: &name, mac: outer_mac });
            route::veth(&mut batch, &here, index, &there, host, mtu);
            self.addresses(&mut batch, index, side);
            match self.socket.transact(batch.acknowledge()) {
                Err(error) if error.sequence <= 2 && matches!(error.errno(), Errno::EXIST | Errno::BUSY) && attempt < 16 => {
                    attempt += 1
                }
                Err(error) => {
                    // Of what was refused after the pair was made, the second message, the pair is left.
                    if error.sequence > 2 {
                        let _ = self.disconnect(side.name);
                    }
                    return Err(error);
                }
                Ok(()) => return Ok(name),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_depend_on_id_and_attempt() {
        let names = [host_name("abc", 0), host_name("abc", 1), host_name("abd", 0)];
        assert!(names.iter().all(|name| name.len() == 11 && name.starts_with("veth")));
        assert!(names[0] != names[1] && names[0] != names[2], "{names:?}");
        assert_eq!(names[0], host_name("abc", 0));
    }
}
