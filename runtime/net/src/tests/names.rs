//! A container asks its resolver.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::world::*;
use crate::dns::message::tests::ask;
use crate::dns::{Config, Resolver, Zone};
use crate::{Attached, Network, Wish, attach};

const A: u16 = 1;
/// The stub of systemd-resolved, which only the host itself can reach.
const STUB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

fn named(network: &Network, id: &str, names: &[&str]) -> Attached {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    attach(&[Wish { names: &names, ..Wish::plain(network) }], id, &[]).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

fn config(network: &Network, forward: bool) -> Config {
    let zones = vec![Zone { name: "web".into(), state: network.state.clone() }];
    Config { zones, forward, servers: vec![STUB.into()], resolv_conf: PathBuf::from("/nonexistent") }
}

fn resolver(attached: &mut Attached, config: Config) -> Resolver {
    let sockets = attached.resolver.take().unwrap();
    Resolver::new(sockets.datagrams, sockets.connections, config)
}

/// Serves, as a monitor does, until `client`, in the namespace of the container, is done.
fn serving<T: Send>(resolver: &mut Resolver, netns: &OwnedFd, client: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| inside(netns, client));
        while !asking.is_finished() {
            let (mut tokens, mut fds) = (Vec::new(), Vec::new());
            resolver.watch(|token, fd, writes| {
                tokens.push(token);
                fds.push(PollFd::from_borrowed_fd(fd, if writes { PollFlags::OUT } else { PollFlags::IN }));
            });
            let _ = poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 20_000_000 }));
            let ready: Vec<_> =
                tokens.into_iter().zip(&fds).filter(|(_, fd)| !fd.revents().is_empty()).map(|(token, _)| token).collect();
            ready.into_iter().for_each(|token| resolver.ready(token, Instant::now()));
            resolver.sweep(Instant::now());
        }
        asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Sends a query to port 53, as every client does, and returns the answer, which must come from there.
fn query(message: &[u8]) -> Vec<u8> {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((crate::dns::ADDRESS, 53)).unwrap();
    socket.send(message).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    answer[..length].to_vec()
}

fn query_by_tcp(messages: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut socket = TcpStream::connect((crate::dns::ADDRESS, 53)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    for message in messages {
        socket.write_all(&[&(message.len() as u16).to_be_bytes()[..], message].concat()).unwrap();
    }
    let answers = messages.iter().map(|_| {
        let mut length = [0; 2];
        socket.read_exact(&mut length).unwrap();
        let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
        socket.read_exact(&mut answer).unwrap();
        answer
    });
    answers.collect()
}

/// Code, number of answers, and whether it is cut.
fn told(answer: &[u8]) -> (u8, u8, bool) {
    (answer[3] & 15, answer[7], answer[2] & 2 != 0)
}

/// A name server of the host: it knows that every name has `records` addresses, and shows from where it was asked.
fn upstream(records: u8) -> std::thread::JoinHandle<SocketAddr> {
    let (socket, listener) = (UdpSocket::bind((STUB, 53)).unwrap(), TcpListener::bind((STUB, 53)).unwrap());
    let reply = move |message: &[u8]| {
        let mut bytes = message.to_vec();
        bytes[2] |= 0x80;
        bytes[7] = records;
        for n in 0..records {
            bytes.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, n]);
        }
        bytes
    };
    std::thread::spawn(move || {
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut message = [0; 1500];
        let (length, client) = socket.recv_from(&mut message).unwrap();
        // What others send in between is not the answer.
        socket.send_to(&[0; 40], client).unwrap();
        socket.send_to(&reply(&message[..length]), client).unwrap();
        if records > 30 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
            stream.read_exact(&mut message).unwrap();
            let answer = reply(&message);
            stream.write_all(&[&(answer.len() as u16).to_be_bytes()[..], &answer].concat()).unwrap();
        }
        client
    })
}

#[test]
fn containers_find_each_other() {
    host(|world| {
        let mut a = named(&world.network, "a", &["web", "www", "aaaaaaaaaaaa"]);
        let b = named(&world.network, "b", &["db", "www"]);
        let mut served = resolver(&mut a, config(&world.network, false));
        let netns = a.netns.try_clone().unwrap();
        serving(&mut served, &netns, || {
            for (name, count) in [("db", 1), ("DB.web", 1), ("www", 2), ("aaaaaaaaaaaa", 1)] {
                let answer = query(&ask(name, A, None));
                assert_eq!(told(&answer), (0, count, false), "{name}");
            }
            assert_eq!(query(&ask("db", A, None))[..].last_chunk::<4>().unwrap(), &b.v4().octets());
            assert_eq!(told(&query(&ask("nobody", A, None))), (3, 0, false));
            assert_eq!(told(&query(&ask("example.org", A, None))), (3, 0, false), "an internal network asks nobody");
            let answers = query_by_tcp(&[ask("db", A, None), ask("nobody", A, None), ask("www", A, Some(1232))]);
            assert_eq!(answers.iter().map(|answer| told(answer).1).collect::<Vec<_>>(), [1, 0, 2]);
            // Port 53 is left to the container.
            UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
        });
        // At once, without anybody being told.
        drop(b);
        serving(&mut served, &netns, || {
            assert_eq!(told(&query(&ask("db", A, None))).0, 3);
            assert_eq!(told(&query(&ask("www", A, None))), (0, 1, false));
        });
        drop((served, a, netns));
        world.assert_clean();
        assert_eq!(std::fs::read_dir(world.network.state.join("names")).unwrap().count(), 0);
    });
}

#[test]
fn others_are_asked_from_the_hosts_namespace() {
    host(|world| {
        let mut a = named(&world.network, "a", &["web"]);
        let asked = upstream(2);
        let mut served = resolver(&mut a, config(&world.network, true));
        let netns = a.netns.try_clone().unwrap();
        let answer = serving(&mut served, &netns, || query(&ask("example.org", A, None)));
        assert_eq!((told(&answer), &answer[..2]), ((0, 2, false), &[0x12, 0x34][..]));
        assert_eq!(asked.join().unwrap().ip(), IpAddr::V4(Ipv4Addr::LOCALHOST), "not by the host's loopback");
        assert_eq!(served.due(), None, "something is kept");
    });
}

#[test]
fn a_long_answer_is_cut_and_then_got_by_tcp() {
    host(|world| {
        let mut a = named(&world.network, "a", &["web"]);
        let asked = upstream(60);
        let mut served = resolver(&mut a, config(&world.network, true));
        let netns = a.netns.try_clone().unwrap();
        let (cut, whole) = serving(&mut served, &netns, || {
            let message = ask("example.org", A, None);
            (query(&message), query_by_tcp(&[message]).remove(0))
        });
        assert_eq!((told(&cut), told(&whole)), ((0, 0, true), (0, 60, false)));
        asked.join().unwrap();
    });
}

#[test]
fn nobody_who_answers_is_a_failure_and_not_a_wait_for_ever() {
    host(|world| {
        let mut a = named(&world.network, "a", &["web"]);
        let mut served = resolver(&mut a, config(&world.network, true));
        let netns = a.netns.try_clone().unwrap();
        // Nobody listens on the stub: refused, not silent.
        let (udp, tcp) = serving(&mut served, &netns, || (query(&ask("x.org", A, None)), query_by_tcp(&[ask("x.org", A, None)])));
        assert_eq!((told(&udp).0, told(&tcp[0]).0), (2, 2));
    });
}

/// A flood of queries and of half connections: what is kept has an end, and others are answered meanwhile.
#[test]
fn a_flood_is_bounded() {
    host(|world| {
        let mut a = named(&world.network, "a", &["web"]);
        // It takes queries and says nothing.
        let _silent = UdpSocket::bind((STUB, 53)).unwrap();
        let mut served = resolver(&mut a, config(&world.network, true));
        let netns = a.netns.try_clone().unwrap();
        serving(&mut served, &netns, || {
            let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let streams: Vec<_> = (0..40).map(|_| TcpStream::connect((crate::dns::ADDRESS, 53)).unwrap()).collect();
            for mut stream in &streams {
                let _ = stream.write_all(&[0xff; 100]);
            }
            for n in 0..80 {
                socket.send_to(&ask(&format!("n{n}.org"), A, None), (crate::dns::ADDRESS, 53)).unwrap();
                std::thread::sleep(Duration::from_micros(200));
            }
            assert_eq!(told(&query(&ask("web", A, None))).1, 1);
            let mut answer = [0; 512];
            let (length, _) = socket.recv_from(&mut answer).unwrap();
            assert_eq!(told(&answer[..length]).0, 2, "those for whom there is no room are refused");
        });
        let mut waits = 0;
        served.watch(|_, _, _| waits += 1);
        assert!(waits <= 2 + 64 + 2 * 8, "{waits}");
    });
}
