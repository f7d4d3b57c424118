//! Services, with packets.

use std::collections::BTreeSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;

use super::world::*;
use crate::services::{Back, Endpoint, Front, Place, RuleSet, Services, Watch};
use crate::{Attached, Protocol, Wish};

const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 7);
const SERVICE: Front = Front::Cluster(ADDRESS, Protocol::Tcp, 80);
const NODE: Front = Front::Node(Protocol::Tcp, 30080);

fn open(world: &World) -> Services {
    let place = Place {
        table: "rctr0-services".into(),
        bridge: "rctr0".into(),
        subnet: world.network.subnet,
        gateway: world.network.gateway,
    };
    Services::open(place).unwrap()
}

fn pod(world: &World, id: &str) -> Attached {
    let wish = Wish { reaches_itself: true, ..Wish::plain(&world.network) };
    crate::attach(&[wish], id, &[]).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

fn to(pods: &[&Attached]) -> Back {
    Back::To(pods.iter().map(|pod| (pod.v4(), 8080)).collect(), None)
}

fn rules(fronts: &[(Front, Back)]) -> RuleSet {
    RuleSet { fronts: fronts.iter().cloned().collect(), addresses: [ADDRESS].into() }
}

/// A server that says who it is and whom it sees, for as long as its thread is needed.
fn serve(pod: &Attached, name: u8) {
    let listener = listen(&pod.netns, 8080);
    std::thread::spawn(move || {
        while let Ok((mut stream, peer)) = listener.accept() {
            let std::net::IpAddr::V4(peer) = peer.ip() else { return };
            let _ = stream.write_all(&[&[name], &peer.octets()[..]].concat());
        }
    });
}

/// Who answers, and whom it sees.
fn ask(netns: Option<&OwnedFd>, to: (Ipv4Addr, u16)) -> std::io::Result<(u8, Ipv4Addr)> {
    let connect = move || TcpStream::connect_timeout(&SocketAddrV4::new(to.0, to.1).into(), PATIENCE);
    let mut stream = netns.map_or_else(connect, |netns| inside(netns, connect))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut answer = [0; 5];
    stream.read_exact(&mut answer)?;
    Ok((answer[0], Ipv4Addr::new(answer[1], answer[2], answer[3], answer[4])))
}

fn who(netns: Option<&OwnedFd>, to: (Ipv4Addr, u16)) -> u8 {
    ask(netns, to).unwrap_or_else(|error| panic!("{to:?}: {error}")).0
}

fn refused(netns: Option<&OwnedFd>, to: (Ipv4Addr, u16)) {
    assert_eq!(ask(netns, to).unwrap_err().kind(), ErrorKind::ConnectionRefused, "{to:?}");
}

/// All that answer, out of so many questions that none is missed.
fn all(netns: Option<&OwnedFd>, to: (Ipv4Addr, u16)) -> BTreeSet<u8> {
    (0..60).map(|_| who(netns, to)).collect()
}

/// A host with a default route, as the way to addresses that nobody has.
fn routed(world: &World) {
    let link = crate::netlink::route::get_link(&world.route, "uplink").unwrap().unwrap();
    let mut batch = crate::netlink::Batch::new();
    crate::netlink::route::default_route(&mut batch, link.index, NEIGHBOUR.into());
    world.route.transact(batch.acknowledge()).unwrap();
}

#[test]
fn every_client_gets_every_endpoint() {
    host(|world| {
        routed(world);
        let pods = [pod(world, "a"), pod(world, "b"), pod(world, "c")];
        (0_u8..).zip(&pods).for_each(|(name, pod)| serve(pod, name));
        let three = to(&[&pods[0], &pods[1], &pods[2]]);
        let external = Front::External(Ipv4Addr::new(203, 0, 113, 9), Protocol::Tcp, 80);
        let mut services = open(world);
        services.apply(rules(&[(SERVICE, three.clone()), (NODE, three.clone()), (external, three.clone())])).unwrap();
        let everybody: BTreeSet<u8> = [0, 1, 2].into();
        // a pod, which reaches itself, too; the host; somebody outside by the node's port and by the external address
        assert_eq!(all(Some(&pods[0].netns), (ADDRESS, 80)), everybody);
        assert_eq!(all(None, (ADDRESS, 80)), everybody);
        assert_eq!(all(None, (HOST, 30080)), everybody);
        assert_eq!(all(Some(&world.outside), (HOST, 30080)), everybody);
        assert_eq!(all(Some(&world.outside), (Ipv4Addr::new(203, 0, 113, 9), 80)), everybody);
        assert_eq!(all(Some(&pods[1].netns), (world.network.gateway, 30080)), everybody);
        // pods see who asks from outside; loopback addresses are no node's
        assert_eq!(ask(Some(&world.outside), (HOST, 30080)).unwrap().1, NEIGHBOUR);
        refused(None, (Ipv4Addr::LOCALHOST, 30080));
        // a port that the service has not, and an endpoint that has gone
        refused(Some(&pods[0].netns), (ADDRESS, 81));
        refused(None, (ADDRESS, 81));
        let two = services.apply(rules(&[(SERVICE, to(&[&pods[0], &pods[2]])), (NODE, three.clone()), (external, three)])).unwrap();
        assert_eq!(two.elements, 5);
        assert_eq!(all(Some(&pods[0].netns), (ADDRESS, 80)), [0, 2].into());
        crate::services::remove("rctr0-services").unwrap();
        refused(None, (HOST, 30080));
    });
}

#[test]
fn nobody_there_is_said_at_once() {
    host(|world| {
        routed(world);
        let pod = pod(world, "a");
        serve(&pod, 1);
        let mut services = open(world);
        let udp = Front::Cluster(ADDRESS, Protocol::Udp, 53);
        services.apply(rules(&[(SERVICE, Back::Refuse), (NODE, Back::Refuse), (udp, Back::Refuse)])).unwrap();
        refused(Some(&pod.netns), (ADDRESS, 80));
        refused(None, (ADDRESS, 80));
        refused(None, (HOST, 30080));
        refused(Some(&world.outside), (HOST, 30080));
        let socket = inside(&pod.netns, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.connect((ADDRESS, 53)).unwrap();
        socket.send(b"?").unwrap();
        assert_eq!(socket.recv(&mut [0; 4]).unwrap_err().kind(), ErrorKind::ConnectionRefused);
        // nobody here, but perhaps elsewhere
        services.apply(rules(&[(NODE, Back::Discard), (SERVICE, to(&[&pod]))])).unwrap();
        let connect = || TcpStream::connect_timeout(&SocketAddrV4::new(HOST, 30080).into(), SILENCE);
        assert_eq!(inside(&world.outside, connect).unwrap_err().kind(), ErrorKind::TimedOut);
        assert_eq!(who(Some(&pod.netns), (ADDRESS, 80)), 1);
    });
}

#[test]
fn clients_stay_with_their_endpoint() {
    host(|world| {
        routed(world);
        let pods = [pod(world, "a"), pod(world, "b"), pod(world, "c")];
        (0_u8..).zip(&pods).for_each(|(name, pod)| serve(pod, name));
        let stay = |pods: &[&Attached], seconds| match to(pods) {
            Back::To(endpoints, _) => Back::To(endpoints, Some(seconds)),
            other => other,
        };
        let three =
            |seconds| rules(&[(SERVICE, stay(&[&pods[0], &pods[1], &pods[2]], seconds)), (NODE, stay(&[&pods[0]], seconds))]);
        let mut services = open(world);
        services.apply(three(600)).unwrap();
        let of_pod = all(Some(&pods[0].netns), (ADDRESS, 80));
        assert_eq!((of_pod.len(), all(None, (HOST, 30080)).len()), (1, 1));
        // a new table, as after a restart, knows them still
        let mut again = open(world);
        again.apply(three(600)).unwrap();
        assert_eq!(all(Some(&pods[0].netns), (ADDRESS, 80)), of_pod);
        // its endpoint goes: it gets another one, and stays there when the first one is back
        let gone = usize::from(*of_pod.first().unwrap());
        let rest: Vec<&Attached> = pods.iter().enumerate().filter(|(at, _)| *at != gone).map(|(_, pod)| pod).collect();
        again.apply(rules(&[(SERVICE, stay(&rest, 600))])).unwrap();
        let other = all(Some(&pods[0].netns), (ADDRESS, 80));
        assert!(other.len() == 1 && other != of_pod, "{other:?} {of_pod:?}");
        again.apply(three(600)).unwrap();
        assert_eq!(all(Some(&pods[0].netns), (ADDRESS, 80)), other);
    });
}

#[test]
fn datagrams_of_a_lost_endpoint_go_elsewhere() {
    host(|world| {
        let pods = [pod(world, "a"), pod(world, "b"), pod(world, "c")];
        let servers = [receive(&pods[0].netns, 8080), receive(&pods[1].netns, 8080)];
        let front = Front::Cluster(ADDRESS, Protocol::Udp, 53);
        let mut services = open(world);
        services.apply(rules(&[(front, to(&[&pods[0]]))])).unwrap();
        let client = inside(&pods[2].netns, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap());
        client.connect((ADDRESS, 53)).unwrap();
        for (server, next) in servers.iter().zip([Some(&pods[1]), None]) {
            client.send(b"ping").unwrap();
            assert_eq!(server.recv(&mut [0; 8]).unwrap(), 4);
            if let Some(next) = next {
                services.apply(rules(&[(front, to(&[next]))])).unwrap();
            }
        }
    });
}

#[test]
fn a_flush_is_heard_and_mended() {
    host(|world| {
        routed(world);
        let pod = pod(world, "a");
        serve(&pod, 1);
        let wanted = rules(&[(SERVICE, to(&[&pod]))]);
        let (mut services, mut watch) = (open(world), Watch::open("rctr0-services").unwrap());
        services.apply(wanted.clone()).unwrap();
        let own = services.port().unwrap();
        assert!(!watch.changed(own), "only we have changed it");
        crate::services::remove("rctr0-services").unwrap();
        assert!(watch.changed(own));
        services.distrust();
        services.apply(wanted.clone()).unwrap();
        assert_eq!(who(Some(&pod.netns), (ADDRESS, 80)), 1);
        assert_eq!(services.apply(wanted).unwrap(), Default::default());
    });
}

#[test]
fn a_thousand_services_are_one_step() {
    host(|world| {
        let endpoint = |n: u32| -> Endpoint { (Ipv4Addr::from(0x0a01_0000 + n), 8080) };
        let three = |n: u32| Back::To((0..3).map(|at| endpoint(n * 3 + at)).collect(), None);
        let front = |n: u32| Front::Cluster(Ipv4Addr::from(0x0a60_0001 + n), Protocol::Tcp, 80);
        let mut wanted = RuleSet {
            fronts: (0..1000).map(|n| (front(n), three(n))).collect(),
            addresses: (0..1000).map(|n| Ipv4Addr::from(0x0a60_0001 + n)).collect(),
        };
        let mut services = open(world);
        let begin = std::time::Instant::now();
        let whole = services.apply(wanted.clone()).unwrap();
        let took = begin.elapsed();
        assert_eq!(whole.elements, 5000);
        wanted.fronts.insert(front(500), Back::To(vec![endpoint(1500), endpoint(9999), endpoint(1502)], None));
        let begin = std::time::Instant::now();
        let one = services.apply(wanted).unwrap();
        assert_eq!(one.elements, 2);
        assert!(one.bytes < 512, "{one:?}");
        let _ = writeln!(std::io::stderr(), "whole: {whole:?} in {took:?}; one endpoint: {one:?} in {:?}", begin.elapsed());
    });
}
