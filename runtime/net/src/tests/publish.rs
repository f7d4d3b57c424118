//! Ports that are taken, chosen, or many.

use std::collections::BTreeSet;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};

use super::world::*;
use crate::{Port, Protocol, Wish};

#[test]
fn a_port_in_use_is_named() {
    host(|world| {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 80)).unwrap();
        assert_eq!(world.refuse("a", &[tcp(80, 8080)]), "port 80/tcp on 0.0.0.0 is in use");
        drop(server);
        let server = TcpListener::bind("[::]:80").unwrap();
        assert_eq!(world.refuse("a", &[tcp(80, 8080)]), "port 80/tcp on 0.0.0.0 is in use");
        drop(server);
        let server = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 53)).unwrap();
        let one = Port { host_ip: Some(HOST.into()), ..udp(53, 53) };
        assert_eq!(world.refuse("a", &[tcp(53, 53), one]), format!("port 53/udp on {HOST} is in use"));
        drop(server);
        assert_eq!(world.refuse("a", &[tcp(80, 1), tcp(80, 2)]), "port 80/tcp on 0.0.0.0 is in use");
        world.assert_clean();

        let first = world.attach("a", &[tcp(80, 8080), udp(53, 53)]);
        assert_eq!(world.refuse("b", &[tcp(81, 80), tcp(80, 8080)]), "port 80/tcp on 0.0.0.0 is in use");
        assert_eq!(world.published().len(), 2);
        TcpListener::bind((Ipv4Addr::UNSPECIFIED, 80)).unwrap_err();
        drop(first);
        world.assert_clean();
        world.attach("b", &[tcp(80, 8080)]);
    });
}

#[test]
fn a_port_of_a_container_whose_sockets_are_gone_is_in_use() {
    host(|world| {
        let kept = world.attach("a", &[tcp(80, 8080), tcp(81, 8080)]).keep();
        drop(kept.reserved);
        let many: Vec<_> = (1000..1600).map(|port| tcp(port, 1)).collect();
        assert_eq!(world.refuse("b", &[&many[..], &[tcp(81, 80)]].concat()), "port 81/tcp on 0.0.0.0 is in use");
        assert_eq!(world.published().len(), 2, "all or nothing");
    });
}

#[test]
fn an_address_that_is_not_the_hosts_is_named() {
    host(|world| {
        let wrong = Port { host_ip: Some(NEIGHBOUR.into()), ..tcp(80, 80) };
        let error = world.refuse("a", &[wrong]);
        assert_eq!(error, format!("port 80/tcp cannot be published on {NEIGHBOUR}: this host has no such address"));
        world.assert_clean();
    });
}

#[test]
fn lingering_connections_do_not_block_a_port() {
    host(|world| {
        let server = TcpListener::bind((Ipv4Addr::LOCALHOST, 8080)).unwrap();
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, 8080)).unwrap();
        // The side that closes first is the one in TIME_WAIT.
        drop(server.accept().unwrap());
        drop((client, server));
        world.attach("a", &[tcp(8080, 80)]);
    });
}

#[test]
fn zero_is_any_free_port() {
    host(|world| {
        let a = world.attach("a", &[tcp(0, 80), tcp(0, 80), udp(0, 80)]);
        assert!(a.ports.iter().all(|port| port.host_port >= 1024), "{:?}", a.ports);
        assert_eq!(a.ports.iter().map(|port| (port.protocol, port.host_port)).collect::<BTreeSet<_>>().len(), 3);
        talk(Some(&world.outside), (HOST, a.ports[0].host_port), &listen(&a.netns, 80));
    });
}

#[test]
fn a_chosen_port_avoids_elements_of_the_dead() {
    host(|world| {
        // Of three ports the first two lead to a container whose sockets are gone.
        std::fs::write("/proc/sys/net/ipv4/ip_local_port_range", "40000 40002").unwrap();
        let kept = world.attach("a", &[udp(40000, 1), udp(40001, 1)]).keep();
        drop(kept.reserved);
        let b = world.attach("b", &[udp(0, 1)]);
        assert_eq!(b.ports[0].host_port, 40002);
        let error = world.refuse("c", &[udp(0, 1)]);
        assert!(error.starts_with("port ") && error.ends_with("/udp on 0.0.0.0 is in use"), "{error}");
    });
}

#[test]
fn a_range_of_thousands_is_published_at_once() {
    host(|world| {
        // As many sockets as the usual limit on descriptors leaves room for.
        let ports: Vec<_> = (2000..2900).map(|port| tcp(port, port)).collect();
        let a = world.attach("a", &ports);
        assert_eq!(world.published().len(), 900);
        talk(Some(&world.outside), (HOST, 2899), &listen(&a.netns, 2899));
        drop(a);
        world.assert_clean();
    });
}

#[test]
fn a_udp_flow_follows_the_port_to_the_next_container() {
    host(|world| {
        let client = inside(&world.outside, || UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5000)).unwrap());
        let first = world.attach("a", &[udp(53, 53)]);
        let server = receive(&first.netns, 53);
        let mut word = [0; 4];
        client.send_to(b"ping", (HOST, 53)).unwrap();
        server.recv_from(&mut word).unwrap();
        drop(first);
        client.send_to(b"lost", (HOST, 53)).unwrap();
        let second = world.attach("b", &[udp(53, 53)]);
        let server = receive(&second.netns, 53);
        client.send_to(b"ping", (HOST, 53)).unwrap();
        assert_eq!(server.recv_from(&mut word).unwrap().0, 4);
        assert_eq!(second.ports[0].protocol, Protocol::Udp);
    });
}

#[test]
fn thirty_two_at_once() {
    host(|world| {
        let network = &world.network;
        // Also the bridge and the table are made by one of them.
        let attached: Vec<_> = std::thread::scope(|scope| {
            let start =
                |n: u16| scope.spawn(move || crate::attach(&[Wish::plain(network)], &format!("c{n}"), &[tcp(3000 + n, 80)]));
            let threads: Vec<_> = (0..32).map(start).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().unwrap_or_else(|error| panic!("{}", chain(&error)))).collect()
        });
        assert_eq!(attached.iter().map(|attached| attached.ends[0].address).collect::<BTreeSet<_>>().len(), 32);
        assert_eq!((world.veths().len(), world.published().len()), (32, 32));
        for (n, attached) in (0..).zip(&attached) {
            talk(Some(&world.outside), (HOST, 3000 + n), &listen(&attached.netns, 80));
        }
        drop(attached);
        world.assert_clean();
    });
}
