//! A host, a neighbour outside, and ways to talk.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::time::Duration;

use ipnet::IpNet;
use rustix::net::netlink::SocketAddrNetlink;

use crate::netlink::route::{self, End};
use crate::netlink::{Batch, Socket};
use crate::nft::{Family, Table};
use crate::{Attached, Network, Port, Protocol, Wish, attach, leases, nft};

pub(super) const NEWNET: i32 = 0x4000_0000;
/// Long enough for a loaded machine, when an answer must come.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Long enough to believe that none will.
pub(super) const SILENCE: Duration = Duration::from_millis(300);

/// The host's address on the link to the neighbour, and the neighbour's.
pub(super) const HOST: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
pub(super) const NEIGHBOUR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// A host of our own. The test's thread is in its namespace.
pub(super) struct World {
    pub(super) network: Network,
    pub(super) outside: OwnedFd,
    pub(super) route: Socket,
    pub(super) netfilter: Socket,
    _state: tempfile::TempDir,
}

/// Runs `test` in a thread that is a host of its own.
pub(super) fn host(test: impl FnOnce(&World) + Send) {
    if !rustix::process::geteuid().is_root() {
        use std::io::stderr;
        let _ = writeln!(stderr(), "skipped: needs root");
        return;
    }
    std::thread::scope(|scope| scope.spawn(|| test(&World::new())).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// Runs `body` in a thread of the namespace. Sockets made there stay there, whoever uses them.
pub(super) fn inside<T: Send>(netns: &OwnedFd, body: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            sys::ns::setns(netns, NEWNET).unwrap();
            body()
        });
        thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

fn own_netns() -> OwnedFd {
    std::fs::File::open("/proc/thread-self/ns/net").unwrap().into()
}

impl World {
    fn new() -> Self {
        sys::ns::unshare(NEWNET).unwrap();
        let outside = std::thread::scope(|scope| {
            let made = scope.spawn(|| {
                sys::ns::unshare(NEWNET).unwrap();
                own_netns()
            });
            made.join().unwrap()
        });
        let state = tempfile::tempdir().unwrap();
        let network = Network::new("rctr0", "172.29.0.0/16".parse().unwrap(), &state.path().join("net"));
        let (route, netfilter) = (Socket::route().unwrap(), Socket::netfilter().unwrap());
        connect(&route, &outside);
        World { network, outside, route, netfilter, _state: state }
    }

    pub(super) fn attach(&self, id: &str, ports: &[Port]) -> Attached {
        attach(&[Wish::plain(&self.network)], id, ports).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    pub(super) fn refuse(&self, id: &str, ports: &[Port]) -> String {
        chain(&attach(&[Wish::plain(&self.network)], id, ports).map(|attached| attached.ports).unwrap_err())
    }

    /// A table of the network.
    pub(super) fn table(&self, family: Family) -> Table<'_> {
        Table { family, name: &self.network.table }
    }

    /// Host ends of containers.
    pub(super) fn veths(&self) -> Vec<String> {
        let links = route::links(&self.route).unwrap();
        links.into_iter().filter(|link| link.kind == "veth" && link.master.is_some()).map(|link| link.name).collect()
    }

    pub(super) fn published(&self) -> Vec<Port> {
        nft::elements(&self.netfilter, &self.network.table).unwrap().into_iter().map(|published| published.port).collect()
    }

    /// Nothing of any container is left. Interfaces go when the kernel has taken their namespace apart, which it announces.
    pub(super) fn assert_clean(&self) {
        assert_eq!(leases(&self.network).unwrap(), []);
        assert_eq!(self.published(), []);
        let announcements = sys::netlink::socket(None).unwrap();
        rustix::net::bind(&announcements, &SocketAddrNetlink::new(0, 1)).unwrap();
        let timeout = rustix::net::sockopt::Timeout::Recv;
        rustix::net::sockopt::set_socket_timeout(&announcements, timeout, Some(PATIENCE)).unwrap();
        while !self.veths().is_empty() {
            let mut buffer = [0; 8192];
            match rustix::net::recv(&announcements, &mut buffer, rustix::net::RecvFlags::empty()) {
                // More was announced than fits: that counts as an announcement.
                Ok(_) | Err(rustix::io::Errno::NOBUFS) => {}
                Err(errno) => panic!("interfaces are left: {errno}"),
            }
        }
    }
}

impl Attached {
    /// The container's address in its only network.
    pub(super) fn v4(&self) -> Ipv4Addr {
        self.ends[0].address.addr()
    }
}

/// An error with its causes, as the programs print it.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// The neighbour: a link to the host, and a route to the containers through it, as an attacker would add.
fn connect(route: &Socket, outside: &OwnedFd) {
    let host = rustix::thread::gettid().as_raw_nonzero().get() as u32;
    inside(outside, || {
        let mut batch = Batch::new();
        let (here, there) = (End { name: "uplink", mac: [2, 0, 0, 0, 0, 2] }, End { name: "uplink", mac: [2, 0, 0, 0, 0, 1] });
        route::up(&mut batch, "lo", 1);
        route::veth(&mut batch, &here, 7, &there, host, 1500);
        route::add_address(&mut batch, 7, IpNet::new_assert(NEIGHBOUR.into(), 24));
        route::default_route(&mut batch, 7, HOST.into());
        Socket::route().unwrap().transact(batch.acknowledge()).unwrap();
    });
    let link = route::get_link(route, "uplink").unwrap().unwrap();
    let mut batch = Batch::new();
    route::up(&mut batch, "lo", 1);
    route::up(&mut batch, "uplink", link.index);
    route::add_address(&mut batch, link.index, IpNet::new_assert(HOST.into(), 24));
    route.transact(batch.acknowledge()).unwrap();
}

pub(super) fn tcp(host_port: u16, container_port: u16) -> Port {
    Port { host_ip: None, host_port, container_port, protocol: Protocol::Tcp }
}

pub(super) fn udp(host_port: u16, container_port: u16) -> Port {
    Port { protocol: Protocol::Udp, ..tcp(host_port, container_port) }
}

pub(super) fn listen(netns: &OwnedFd, port: u16) -> TcpListener {
    inside(netns, || TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap())
}

pub(super) fn receive(netns: &OwnedFd, port: u16) -> UdpSocket {
    let socket = inside(netns, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).unwrap());
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn v4(address: SocketAddr) -> Ipv4Addr {
    match address.ip() {
        IpAddr::V4(ip) => ip,
        IpAddr::V6(ip) => panic!("{ip}"),
    }
}

/// Connects from `netns` (or the host), exchanges bytes with `listener`, and returns whom it saw.
pub(super) fn talk(netns: Option<&OwnedFd>, to: (Ipv4Addr, u16), listener: &TcpListener) -> Ipv4Addr {
    let connect = move || TcpStream::connect_timeout(&SocketAddrV4::new(to.0, to.1).into(), PATIENCE);
    let connected = netns.map_or_else(connect, |netns| inside(netns, connect));
    let mut client = connected.unwrap_or_else(|error| panic!("connect {}:{}: {error}", to.0, to.1));
    let (mut server, peer) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
    }
    let mut word = [0; 4];
    client.write_all(b"ping").unwrap();
    server.read_exact(&mut word).unwrap();
    server.write_all(b"pong").unwrap();
    client.read_exact(&mut word).unwrap();
    assert_eq!(&word, b"pong");
    v4(peer)
}

/// The same with datagrams.
pub(super) fn send(netns: Option<&OwnedFd>, to: (Ipv4Addr, u16), server: &UdpSocket) -> Ipv4Addr {
    let open = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let client = netns.map_or_else(open, |netns| inside(netns, open));
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.connect(to).unwrap();
    client.send(b"ping").unwrap();
    let mut word = [0; 4];
    let (_, peer) = server.recv_from(&mut word).unwrap_or_else(|error| panic!("{}:{}: {error}", to.0, to.1));
    server.send_to(b"pong", peer).unwrap();
    client.recv(&mut word).unwrap();
    assert_eq!(&word, b"pong");
    v4(peer)
}
