//! Pods, and the host, ask a node's resolver.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::world::*;
use crate::dns::message::tests::ask;
use crate::dns::message::{A, AAAA, CNAME};
use crate::dns::{Config, Names, Record, Resolver, Said, open_node, serve};
use crate::services::{Place, RuleSet, Services};

#[derive(Debug)]
struct Cluster;

impl Names for Cluster {
    fn zone(&self) -> &str {
        "cluster.local"
    }

    fn say(&self, name: &str, kind: u16) -> Option<Said> {
        let label = name.strip_suffix("cluster.local")?.trim_end_matches('.');
        Some(match label {
            "web" if kind == A => Said::Records(vec![Record::address(IpAddr::from([10, 96, 0, 9]))]),
            "web" => Said::Records(Vec::new()),
            "many" => Said::Records((0..100).map(|n| Record::address(IpAddr::from([10, 1, 0, n]))).collect()),
            "near" => Said::Alias("web.cluster.local".to_owned()),
            "far" => Said::Alias("Example.ORG".to_owned()),
            "round" => Said::Alias("round.cluster.local".to_owned()),
            _ => Said::NoName,
        })
    }
}

/// What was said: the code, whether it was cut, kinds of the answers, how many authorities, and all of it.
type Told = (u8, bool, Vec<u16>, u8, Vec<u8>);

fn told(bytes: &[u8], name: &str) -> Told {
    let mut at = 12 + name.len() + 2 + 4;
    let mut kinds = Vec::new();
    for _ in 0..bytes[7] {
        at += if bytes[at] >= 192 { 2 } else { bytes[at..].iter().position(|byte| *byte == 0).unwrap() + 1 };
        kinds.push(u16::from_be_bytes([bytes[at], bytes[at + 1]]));
        at += 10 + usize::from(u16::from_be_bytes([bytes[at + 8], bytes[at + 9]]));
    }
    (bytes[3] & 15, bytes[2] & 2 != 0, kinds, bytes[9], bytes.to_vec())
}

fn udp(netns: Option<&OwnedFd>, server: Ipv4Addr, name: &str, kind: u16) -> Told {
    let open = || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
    let socket = netns.map_or_else(open, |netns| inside(netns, open));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket.connect((server, 53)).unwrap();
    socket.send(&ask(name, kind, None)).unwrap();
    let mut answer = [0; 4096];
    let length = socket.recv(&mut answer).unwrap();
    told(&answer[..length], name)
}

fn tcp(netns: Option<&OwnedFd>, server: Ipv4Addr, name: &str, kind: u16) -> Told {
    let connect = move || TcpStream::connect_timeout(&SocketAddrV4::new(server, 53).into(), PATIENCE).unwrap();
    let mut socket = netns.map_or_else(connect, |netns| inside(netns, connect));
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let message = ask(name, kind, None);
    socket.write_all(&[&(message.len() as u16).to_be_bytes()[..], &message].concat()).unwrap();
    let mut length = [0; 2];
    socket.read_exact(&mut length).unwrap();
    let mut answer = vec![0; usize::from(u16::from_be_bytes(length))];
    socket.read_exact(&mut answer).unwrap();
    told(&answer, name)
}

#[test]
fn names_of_a_cluster_are_known_on_each_node() {
    host(|world| {
        let pod = world.attach("a", &[]);
        let gateway = world.network.gateway;
        // A name server of the host's own has the port on all addresses.
        let _own = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
        let place = Place { table: "rctr0-services".into(), bridge: "rctr0".into(), subnet: world.network.subnet, gateway };
        Services::open(place).unwrap().apply(RuleSet::default()).unwrap();
        let upstream = inside(&world.outside, || UdpSocket::bind((NEIGHBOUR, 53)).unwrap());
        let sockets = open_node(gateway).unwrap();
        let config = Config { forward: true, servers: vec![NEIGHBOUR.into()], ..Config::default() };
        let resolver = Resolver::of_node(sockets.datagrams, sockets.connections, config, Arc::new(Cluster));
        let (stop, end) = std::io::pipe().unwrap();
        std::thread::scope(|scope| {
            let served = scope.spawn(|| serve(resolver, stop.as_fd()));
            let others = scope.spawn(move || {
                // It knows 192.0.2.80 for every name, and is asked once.
                let mut buffer = [0; 512];
                let (length, client) = upstream.recv_from(&mut buffer).unwrap();
                let mut reply = buffer[..length].to_vec();
                (reply[2], reply[7]) = (0x81, 1);
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 80]);
                upstream.send_to(&reply, client).unwrap();
                buffer[12..length].to_vec()
            });
            for netns in [Some(&pod.netns), None] {
                let (code, cut, kinds, authorities, bytes) = udp(netns, gateway, "web.cluster.local", A);
                assert_eq!((code, cut, kinds, authorities), (0, false, vec![A], 0));
                assert_eq!(bytes[bytes.len() - 10..], [0, 0, 0, 5, 0, 4, 10, 96, 0, 9]);
                assert_eq!(tcp(netns, gateway, "web.cluster.local", A).2, [A]);
            }
            let of = |name: &str, kind| {
                let (code, _, kinds, authorities, _) = udp(Some(&pod.netns), gateway, name, kind);
                (code, kinds, authorities)
            };
            assert_eq!(of("web.cluster.local", AAAA), (0, vec![], 1), "it is there, without such an address");
            assert_eq!(of("no.cluster.local", A), (3, vec![], 1));
            assert_eq!(of("near.cluster.local", A), (0, vec![CNAME, A], 0));
            assert_eq!(of("near.cluster.local", CNAME), (0, vec![CNAME], 0));
            assert_eq!(of("round.cluster.local", A).0, 2);
            let (_, cut, kinds, ..) = udp(Some(&pod.netns), gateway, "many.cluster.local", A);
            assert!(cut && kinds.len() < 100);
            assert_eq!(tcp(Some(&pod.netns), gateway, "many.cluster.local", A).2.len(), 100);
            // others know what the name stands for
            let (code, _, kinds, _, bytes) = udp(Some(&pod.netns), gateway, "far.cluster.local", A);
            assert_eq!((code, kinds, &bytes[bytes.len() - 4..]), (0, vec![CNAME, A], &[192, 0, 2, 80][..]));
            assert_eq!(others.join().unwrap(), ask("example.org", A, None)[12..]);
            drop(end);
            served.join().unwrap().unwrap();
        });
    });
}
