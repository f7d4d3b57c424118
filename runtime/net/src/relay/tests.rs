//! Real servers and clients, with the loop in a thread.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::thread::JoinHandle;
use std::time::Duration;

use super::serve::serve_within;
use super::*;

/// Long enough for a loaded machine, when something must come.
const PATIENCE: Duration = Duration::from_secs(60);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A relay to a port of this host. It ends with `control`.
struct Running {
    control: Option<OwnedFd>,
    thread: Option<JoinHandle<sys::Result<()>>>,
    door: SocketAddr,
}

impl Running {
    fn start(protocol: Protocol, to: u16, room: (usize, usize)) -> Running {
        let (door, socket): (SocketAddr, OwnedFd) = match protocol {
            Protocol::Tcp => {
                let socket = TcpListener::bind((HERE, 0)).unwrap();
                socket.set_nonblocking(true).unwrap();
                (socket.local_addr().unwrap(), socket.into())
            }
            _ => {
                let socket = UdpSocket::bind((HERE, 0)).unwrap();
                socket.set_nonblocking(true).unwrap();
                (socket.local_addr().unwrap(), socket.into())
            }
        };
        Running::over(protocol, (door, socket), to, room)
    }

    fn over(protocol: Protocol, (door, socket): (SocketAddr, OwnedFd), to: u16, room: (usize, usize)) -> Running {
        let port = Port { host_ip: Some(HERE), host_port: door.port(), container_port: to, protocol };
        let (control, theirs) = sys::socket::pair().unwrap();
        let doors = vec![(socket, Relay { port, to: HERE })];
        let thread = std::thread::spawn(move || serve_within(theirs, doors, room));
        Running { control: Some(control), thread: Some(thread), door }
    }

    fn connect(&self) -> TcpStream {
        let client = TcpStream::connect(self.door).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.set_write_timeout(Some(PATIENCE)).unwrap();
        client
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.control.take());
        let ended = self.thread.take().map(|thread| thread.join());
        if !std::thread::panicking() {
            ended.unwrap().unwrap().unwrap();
        }
    }
}

/// Answers with what it has read, when the client has said all.
fn echo_whole() -> u16 {
    let server = TcpListener::bind((HERE, 0)).unwrap();
    let port = server.local_addr().unwrap().port();
    std::thread::spawn(move || {
        while let Ok((mut stream, _)) = server.accept() {
            std::thread::spawn(move || {
                let mut all = Vec::new();
                stream.read_to_end(&mut all).and_then(|_| stream.write_all(&all))
            });
        }
    });
    port
}

#[test]
fn a_hundred_connections_each_with_its_ends() {
    let relay = Running::start(Protocol::Tcp, echo_whole(), (1024, 1));
    let clients: Vec<_> = (0..100).map(|_| relay.connect()).collect();
    std::thread::scope(|scope| {
        for (number, mut client) in clients.into_iter().enumerate() {
            scope.spawn(move || {
                let text: Vec<u8> = (0..200_000).map(|at| (at * (number + 1)) as u8).collect();
                client.write_all(&text).unwrap();
                client.shutdown(Shutdown::Write).unwrap();
                let mut answer = Vec::new();
                client.read_to_end(&mut answer).unwrap();
                assert!(answer == text, "{number}: {} bytes", answer.len());
            });
        }
    });
}

#[test]
fn a_side_that_does_not_read_makes_the_other_wait() {
    const WHOLE: usize = 64 << 20;
    let server = TcpListener::bind((HERE, 0)).unwrap();
    let relay = Running::start(Protocol::Tcp, server.local_addr().unwrap().port(), (8, 1));
    let mut client = relay.connect();
    let (mut stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    client.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let piece = vec![7; 1 << 20];
    let mut sent = 0;
    while sent < WHOLE {
        match client.write(&piece) {
            Ok(length) => sent += length,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                break;
            }
        }
    }
    assert!(sent < WHOLE, "all of it was taken, and is somewhere");
    // Another connection does not wait for it.
    let mut other = relay.connect();
    let (mut answering, _) = server.accept().unwrap();
    answering.write_all(b"x").unwrap();
    other.read_exact(&mut [0]).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(std::io::copy(&mut stream, &mut std::io::sink()).unwrap(), sent as u64);
}

#[test]
fn whoever_cannot_be_served_is_told() {
    let gone = TcpListener::bind((HERE, 0)).unwrap().local_addr().unwrap().port();
    let relay = Running::start(Protocol::Tcp, gone, (8, 1));
    let error = relay.connect().read(&mut [0]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

#[test]
fn a_reset_is_passed_on() {
    let server = TcpListener::bind((HERE, 0)).unwrap();
    let relay = Running::start(Protocol::Tcp, server.local_addr().unwrap().port(), (8, 1));
    let mut client = relay.connect();
    client.write_all(b"unread").unwrap();
    let (stream, _) = server.accept().unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.peek(&mut [0]).unwrap();
    drop(stream);
    assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
}

#[test]
fn one_too_many_waits_for_another_to_end() {
    let server = TcpListener::bind((HERE, 0)).unwrap();
    let relay = Running::start(Protocol::Tcp, server.local_addr().unwrap().port(), (2, 1));
    let (first, _second, mut third) = (relay.connect(), relay.connect(), relay.connect());
    let streams: Vec<_> = (0..2).map(|_| server.accept().unwrap().0).collect();
    server.set_nonblocking(true).unwrap();
    third.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    assert_eq!(third.read(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
    assert_eq!(server.accept().unwrap_err().kind(), ErrorKind::WouldBlock, "a third connection was made");
    server.set_nonblocking(false).unwrap();
    drop((first, streams));
    server.accept().unwrap();
}

#[test]
fn datagrams_find_their_way_back() {
    let server = UdpSocket::bind((HERE, 0)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let relay = Running::start(Protocol::Udp, server.local_addr().unwrap().port(), (1, 2));
    let clients: Vec<_> = (0..3)
        .map(|_| {
            let client = UdpSocket::bind((HERE, 0)).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            client.connect(relay.door).unwrap();
            client
        })
        .collect();
    let mut seen = Vec::new();
    let mut ask = |client: &UdpSocket, word: &[u8]| {
        let mut buffer = [0; 16];
        client.send(word).unwrap();
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        server.send_to(&buffer[..length], from).unwrap();
        let length = client.recv(&mut buffer).unwrap();
        assert_eq!(&buffer[..length], word);
        seen.push(from);
    };
    for (client, word) in [(0, b"a"), (1, b"b"), (0, b"c"), (2, b"d"), (0, b"e"), (1, b"f")] {
        ask(&clients[client], word);
    }
    assert!(seen[0] == seen[2] && seen[0] == seen[4], "one client, one flow: {seen:?}");
    // There is room for two: of those the second had been silent for longest when the third came.
    assert_ne!(seen[1], seen[5]);
}

/// The kernel would choose by route, and whoever has asked 127.0.0.9 hears nobody else.
#[test]
fn the_address_that_was_asked_answers() {
    let server = UdpSocket::bind((HERE, 0)).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    // With both families, so that this host has several addresses.
    let door = UdpSocket::bind("[::]:0").unwrap();
    sys::datagram::tell_here(&door).unwrap();
    let address = door.local_addr().unwrap();
    let _relay = Running::over(Protocol::Udp, (address, door.into()), server.local_addr().unwrap().port(), (1, 8));
    let client = UdpSocket::bind("0.0.0.0:0").unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut seen = Vec::new();
    for asked in ["127.0.0.9", "127.0.0.7", "127.0.0.9"] {
        client.send_to(asked.as_bytes(), (asked, address.port())).unwrap();
        let mut buffer = [0; 16];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        seen.push(from);
        server.send_to(&buffer[..length], from).unwrap();
        let (length, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!((&buffer[..length], from), (asked.as_bytes(), SocketAddr::new(asked.parse().unwrap(), address.port())));
    }
    assert!(seen[0] == seen[2] && seen[0] != seen[1], "an address of its own is a flow of its own: {seen:?}");
}

#[test]
fn those_who_wait_in_vain_are_told() {
    let door = TcpListener::bind((HERE, 0)).unwrap();
    door.set_nonblocking(true).unwrap();
    let mut clients: Vec<_> = (0..3).map(|_| TcpStream::connect(door.local_addr().unwrap()).unwrap()).collect();
    turn_away(&door, Protocol::Tcp);
    for client in &mut clients {
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        assert_eq!(client.read(&mut [0]).unwrap_err().kind(), ErrorKind::ConnectionReset);
    }
    let door = UdpSocket::bind((HERE, 0)).unwrap();
    let client = UdpSocket::bind((HERE, 0)).unwrap();
    for _ in 0..3 {
        client.send_to(b"x", door.local_addr().unwrap()).unwrap();
    }
    turn_away(&door, Protocol::Udp);
    door.set_nonblocking(true).unwrap();
    assert_eq!(door.recv(&mut [0]).unwrap_err().kind(), ErrorKind::WouldBlock);
}

#[test]
fn what_rules_do_is_not_relayed() {
    let port = |ip: &str, protocol| Port { host_ip: ip.parse().ok(), host_port: 1, container_port: 2, protocol };
    let (v4, v6): (IpAddr, IpAddr) = ("10.0.0.2".parse().unwrap(), "fd00::2".parse().unwrap());
    let to = |ip: &str, v6| Relay::of(&port(ip, Protocol::Tcp), v4, v6).map(|relay| relay.to);
    for ip in ["::1", "::", "2001:db8::1"] {
        assert_eq!(to(ip, None), Some(v4), "{ip}");
        assert!(Relay::of(&port(ip, Protocol::Sctp), v4, None).is_none());
    }
    assert_eq!((to("::1", Some(v6)), to("::", Some(v6)), to("2001:db8::1", Some(v6))), (Some(v6), Some(v6), None));
    for ip in ["", "0.0.0.0", "127.0.0.1", "192.0.2.1"] {
        assert_eq!(to(ip, Some(v6)), None, "{ip}");
    }
}
