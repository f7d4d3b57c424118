//! Who reaches whom.

use std::net::Ipv4Addr;

use rustix::net::{AddressFamily, SendFlags, SocketType, ipproto, socket};

use super::world::*;
use crate::netlink::Socket;
use crate::netlink::route;

const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// Sends an echo request from the calling thread's namespace and awaits the answer (RFC 792).
fn ping(to: Ipv4Addr) -> bool {
    let socket = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP)).unwrap();
    rustix::net::sockopt::set_socket_timeout(&socket, rustix::net::sockopt::Timeout::Recv, Some(PATIENCE)).unwrap();
    rustix::net::connect(&socket, &std::net::SocketAddrV4::new(to, 0)).unwrap();
    // Type 8, code 0, checksum of just that, id and sequence 0.
    rustix::net::send(&socket, &[8, 0, 0xf7, 0xff, 0, 0, 0, 0], SendFlags::empty()).unwrap();
    let mut answer = [0; 64];
    // A raw socket also sees the request where sender and receiver are one.
    (0..2)
        .any(|_| matches!(rustix::net::recv(&socket, &mut answer, rustix::net::RecvFlags::empty()), Ok((28, _)) if answer[20] == 0))
}

#[test]
fn containers_reach_each_other_the_host_and_outside() {
    host(|world| {
        let (a, b) = (world.attach("a", &[]), world.attach("b", &[]));
        assert_ne!(a.ends[0].address, b.ends[0].address);
        let server = listen(&b.netns, 80);
        assert_eq!(talk(Some(&a.netns), (b.v4(), 80), &server), a.v4());
        assert_eq!(talk(None, (b.v4(), 80), &server), world.network.gateway);
        for to in [a.v4(), b.v4(), a.ends[0].gateway.unwrap(), HOST, NEIGHBOUR, LOCALHOST] {
            assert!(inside(&a.netns, || ping(to)), "{to}");
        }
        let neighbour = listen(&world.outside, 443);
        assert_eq!(talk(Some(&a.netns), (NEIGHBOUR, 443), &neighbour), HOST, "not masqueraded");
    });
}

#[test]
fn the_interface_is_as_described() {
    host(|world| {
        let a = world.attach("a", &[]);
        inside(&a.netns, || {
            let socket = Socket::route().unwrap();
            let links = route::links(&socket).unwrap();
            let names: Vec<_> = links.iter().map(|link| (link.name.as_str(), link.up, link.mtu)).collect();
            assert_eq!(names, [("lo", true, 65536), ("eth0", true, 1500)]);
            let index = links[1].index;
            let addresses: Vec<_> = route::addresses(&socket).unwrap().into_iter().filter(|(link, _)| *link == index).collect();
            assert_eq!(addresses, [(index, a.ends[0].address)]);
            assert!(route::routes(&socket).unwrap().iter().any(|route| route.to.prefix_len() == 0 && route.link == Some(index)));
        });
        let bridge = route::get_link(&world.route, "rctr0").unwrap().unwrap();
        assert!(bridge.up && bridge.kind == "bridge");
        assert_eq!(&a.ends[0].mac[2..], a.v4().octets());
        let read = |key: &str| std::fs::read_to_string(format!("/proc/sys/net/{key}")).unwrap().trim().to_owned();
        assert_eq!((read("ipv4/ip_forward"), read("ipv4/conf/rctr0/route_localnet")), ("1".into(), "1".into()));
        assert_eq!((read("ipv4/conf/all/route_localnet"), read("ipv6/conf/rctr0/accept_ra")), ("0".into(), "0".into()));
    });
}

#[test]
fn published_ports_are_reached_from_everywhere() {
    host(|world| {
        let a = world.attach("a", &[tcp(8080, 80), udp(8080, 53)]);
        let (server, datagrams) = (listen(&a.netns, 80), receive(&a.netns, 53));
        let other = world.attach("b", &[]);
        let gateway = world.network.gateway;
        // From, to, and whom the container sees.
        let paths = [
            (Some(&world.outside), HOST, NEIGHBOUR),
            (None, HOST, HOST),
            (None, LOCALHOST, gateway),
            (None, gateway, gateway),
            (Some(&other.netns), HOST, gateway),
            (Some(&other.netns), gateway, gateway),
        ];
        for (from, to, seen) in paths {
            assert_eq!(talk(from, (to, 8080), &server), seen, "{to} tcp");
            assert_eq!(send(from, (to, 8080), &datagrams), seen, "{to} udp");
        }
    });
}

#[test]
fn a_container_reaches_itself_by_the_hosts_address() {
    host(|world| {
        let a = world.attach("a", &[tcp(8080, 80), udp(8080, 53)]);
        let (server, datagrams) = (listen(&a.netns, 80), receive(&a.netns, 53));
        for bridge_netfilter in ["0", "1"] {
            // Absent without br_netfilter: then there is only one way.
            let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", bridge_netfilter);
            for to in [HOST, world.network.gateway] {
                talk(Some(&a.netns), (to, 8080), &server);
                send(Some(&a.netns), (to, 8080), &datagrams);
            }
        }
    });
}

#[test]
fn one_address_publishes_on_that_only() {
    host(|world| {
        let one = crate::Port { host_ip: Some(HOST.into()), ..tcp(8080, 80) };
        let a = world.attach("a", &[one]);
        let server = listen(&a.netns, 80);
        assert_eq!(talk(Some(&world.outside), (HOST, 8080), &server), NEIGHBOUR);
        let refused = std::net::TcpStream::connect((LOCALHOST, 8080)).unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
        // The same port on another address is free for another container.
        let local = crate::Port { host_ip: Some(LOCALHOST.into()), ..one };
        let b = world.attach("b", &[local]);
        talk(None, (LOCALHOST, 8080), &listen(&b.netns, 80));
        talk(None, (HOST, 8080), &server);
    });
}
