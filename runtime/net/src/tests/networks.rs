//! Networks beside each other, closed ones, those with IPv6, and containers in several of them.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::OwnedFd;

use super::world::*;
use crate::netlink::Socket;
use crate::netlink::route;
use crate::nft::{self, Family, Table};
use crate::{Attached, Network, Port, V6, Wish, attach, recover, remove};

/// Another network of the same host.
fn network(world: &World, number: u8) -> Network {
    let subnet = format!("10.7.{number}.0/24").parse().unwrap();
    Network::new(&format!("net{number}"), subnet, &world.network.state.with_file_name(format!("net{number}")))
}

fn with_v6(mut network: Network, number: u8) -> Network {
    let subnet: ipnet::Ipv6Net = format!("fd00:7:{number}::/64").parse().unwrap();
    network.v6 = Some(V6 { subnet, gateway: Ipv6Addr::from_bits(subnet.addr().to_bits() + 1), range: None });
    network
}

fn join(networks: &[&Network], id: &str, ports: &[Port]) -> Attached {
    let names = ["eth0", "eth1", "eth2"];
    let wishes: Vec<_> =
        networks.iter().zip(names).map(|(network, interface)| Wish { interface, ..Wish::plain(network) }).collect();
    attach(&wishes, id, ports).unwrap_or_else(|error| panic!("{}", chain(&error)))
}

/// A connection comes about.
fn reaches(from: Option<&OwnedFd>, to: impl Into<IpAddr>, port: u16, wait: std::time::Duration) -> bool {
    let to = SocketAddr::new(to.into(), port);
    let connect = move || TcpStream::connect_timeout(&to, wait).is_ok();
    from.map_or_else(connect, |netns| inside(netns, connect))
}

fn listen_any(netns: &OwnedFd, port: u16) -> TcpListener {
    inside(netns, || TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).unwrap())
}

fn v6(attached: &Attached) -> Ipv6Addr {
    attached.ends[0].address6.unwrap().addr()
}

/// What happens to a network that is not in use any more.
fn clean(networks: &[&Network]) {
    for network in networks {
        remove(network).unwrap();
        remove(network).unwrap();
        assert!(!network.state.exists());
    }
}

#[test]
fn networks_are_apart_in_both_directions() {
    host(|world| {
        let (one, two) = (with_v6(network(world, 1), 1), with_v6(network(world, 2), 2));
        let a = join(&[&one], "a", &[tcp(8080, 80)]);
        let b = join(&[&two], "b", &[tcp(8081, 80)]);
        let (server, other) = (listen_any(&a.netns, 80), listen_any(&b.netns, 80));
        // Also a port that is published, by the container's own address.
        let paths: [(&OwnedFd, IpAddr); 4] =
            [(&a.netns, b.v4().into()), (&b.netns, a.v4().into()), (&a.netns, v6(&b).into()), (&b.netns, v6(&a).into())];
        for (from, to) in paths {
            assert!(!reaches(Some(from), to, 80, SILENCE), "{to}");
        }
        // By the host's address it is as public as for everybody.
        assert!(reaches(Some(&a.netns), HOST, 8081, PATIENCE) && reaches(Some(&b.netns), HOST, 8080, PATIENCE));
        for family in [Family::V4, Family::V6] {
            nft::flush_chain(&world.netfilter, Table { family, name: "net2" }, "forward");
        }
        assert!(reaches(Some(&a.netns), b.v4(), 80, PATIENCE), "this test proves nothing");
        assert!(reaches(Some(&a.netns), v6(&b), 80, PATIENCE), "this test proves nothing");
        drop((a, b, server, other));
        clean(&[&one, &two]);
        assert_eq!(route::get_link(&world.route, "net1").unwrap(), None);
        world.assert_clean();
    });
}

/// Also for a container that gives itself a route.
#[test]
fn an_internal_network_has_no_way_out() {
    host(|world| {
        let mut network = network(world, 1);
        network.policy.internal = true;
        let a = join(&[&network], "a", &[]);
        let b = join(&[&network], "b", &[tcp(8080, 80)]);
        assert_eq!((a.ends[0].gateway, b.ports.len()), (None, 0));
        let (server, outside) = (listen(&b.netns, 80), listen(&world.outside, 443));
        assert!(reaches(Some(&a.netns), b.v4(), 80, PATIENCE) && reaches(None, b.v4(), 80, PATIENCE));
        let unreachable = inside(&a.netns, || TcpStream::connect((NEIGHBOUR, 443)).unwrap_err());
        assert_eq!(unreachable.kind(), std::io::ErrorKind::NetworkUnreachable);
        inside(&a.netns, || {
            let socket = Socket::route().unwrap();
            let eth0 = route::get_link(&socket, "eth0").unwrap().unwrap().index;
            let mut batch = crate::netlink::Batch::new();
            route::default_route(&mut batch, eth0, network.gateway.into());
            socket.transact(batch.acknowledge()).unwrap();
        });
        assert!(!reaches(Some(&a.netns), NEIGHBOUR, 443, SILENCE), "it found a way out");
        assert!(!reaches(Some(&world.outside), b.v4(), 80, SILENCE), "it found a way in");
        nft::flush_chain(&world.netfilter, Table { family: Family::V4, name: "net1" }, "forward");
        // The neighbour has a route back, so no masquerading is needed.
        assert!(reaches(Some(&a.netns), NEIGHBOUR, 443, PATIENCE), "this test proves nothing");
        drop((a, b, server, outside));
        clean(&[&network]);
    });
}

#[test]
fn neighbours_are_kept_apart_on_demand() {
    host(|world| {
        let mut network = network(world, 1);
        network.policy.neighbours = false;
        let (a, b) = (join(&[&network], "a", &[]), join(&[&network], "b", &[tcp(8080, 80)]));
        let server = listen(&b.netns, 80);
        assert!(reaches(None, b.v4(), 80, PATIENCE));
        // With br_netfilter it is translated on the bridge, and is a neighbour's again.
        let _ = std::fs::write("/proc/sys/net/bridge/bridge-nf-call-iptables", "0");
        assert!(reaches(Some(&a.netns), HOST, 8080, PATIENCE), "a published port is for everybody");
        assert!(!reaches(Some(&a.netns), b.v4(), 80, SILENCE));
        drop((a, b, server));
        network.policy.neighbours = true;
        let (a, b) = (join(&[&network], "c", &[]), join(&[&network], "d", &[]));
        let server = listen(&b.netns, 80);
        assert!(reaches(Some(&a.netns), b.v4(), 80, PATIENCE), "this test proves nothing");
        drop((a, b, server));
        clean(&[&network]);
    });
}

#[test]
fn a_container_is_in_several_networks() {
    host(|world| {
        let (mut closed, one, two) = (network(world, 1), network(world, 2), network(world, 3));
        closed.policy.internal = true;
        let all = join(&[&closed, &one, &two], "all", &[tcp(8080, 80)]);
        let server = listen(&all.netns, 80);
        for (network, end) in [&closed, &one, &two].into_iter().zip(&all.ends) {
            let other = join(&[network], "other", &[]);
            assert!(reaches(Some(&other.netns), end.address.addr(), 80, PATIENCE), "{}", network.bridge);
        }
        // The ports and the way out are those of the first that leads out.
        assert!(reaches(Some(&world.outside), HOST, 8080, PATIENCE));
        let outside = listen(&world.outside, 443);
        assert_eq!(talk(Some(&all.netns), (NEIGHBOUR, 443), &outside), HOST);
        inside(&all.netns, || {
            let socket = Socket::route().unwrap();
            let links = route::links(&socket).unwrap();
            let found: Vec<_> = links.iter().skip(1).map(|link| (link.name.as_str(), link.index)).collect();
            assert_eq!(found, [("eth0", 2), ("eth1", 3), ("eth2", 4)]);
            let ways: Vec<_> = route::routes(&socket).unwrap().into_iter().filter(|route| route.to.prefix_len() == 0).collect();
            assert_eq!(ways.iter().map(|route| route.link).collect::<Vec<_>>(), [Some(3)]);
        });
        let kept = all.keep();
        drop((kept.netns, kept.reserved, server));
        for network in [&closed, &one, &two] {
            assert_eq!(crate::leases(network).unwrap().len(), 1);
            recover(network, "all").unwrap();
            assert_eq!(crate::leases(network).unwrap(), []);
        }
        clean(&[&closed, &one, &two]);
    });
}

#[test]
fn ipv6_reaches_neighbours_outside_and_published_ports() {
    host(|world| {
        let network = with_v6(network(world, 1), 1);
        let (host_v6, far): (Ipv6Addr, Ipv6Addr) = ("fd00:9::1".parse().unwrap(), "fd00:9::2".parse().unwrap());
        give(&world.route, host_v6);
        inside(&world.outside, || give(&Socket::route().unwrap(), far));
        let a = join(&[&network], "a", &[tcp(8080, 80), tcp(0, 80)]);
        let b = join(&[&network], "b", &[]);
        let (server, outside) = (listen_any(&a.netns, 80), listen_any(&world.outside, 443));
        for (from, to) in [(Some(&b.netns), v6(&a)), (None, v6(&a))] {
            assert!(reaches(from, to, 80, PATIENCE), "{to}");
        }
        // The way out is masqueraded: nobody outside has a route to a private prefix.
        assert!(reaches(Some(&a.netns), far, 443, PATIENCE));
        let seen = outside.accept().unwrap().1.ip();
        assert_eq!(seen, IpAddr::V6(host_v6));
        let any = a.ports.iter().filter(|port| port.host_ip.is_some_and(|ip| ip.is_ipv6()));
        let numbers: Vec<_> = any.map(|port| port.host_port).collect();
        assert_eq!((numbers.len(), a.ports.len()), (2, 4));
        for number in numbers {
            for from in [Some(&world.outside), Some(&b.netns), Some(&a.netns), None] {
                assert!(reaches(from, host_v6, number, PATIENCE), "{number}");
                assert!(reaches(from, HOST, number, PATIENCE), "{number}");
            }
        }
        // From outside not by the container's own address.
        assert!(!reaches(Some(&world.outside), v6(&a), 80, SILENCE));
        assert_eq!(TcpListener::bind((Ipv6Addr::UNSPECIFIED, 8080)).unwrap_err().kind(), std::io::ErrorKind::AddrInUse);
        let read = |key: &str| std::fs::read_to_string(format!("/proc/sys/net/ipv6/conf/{key}")).unwrap().trim().to_owned();
        assert_eq!(
            (read("all/forwarding"), read("net1/accept_ra"), read("uplink/accept_ra")),
            ("1".into(), "0".into(), "2".into())
        );
        drop((a, b, server));
        clean(&[&network]);
        world.assert_clean();
    });
}

/// Gives the link to the other side an address, and outside a route to the containers as an attacker would have it.
fn give(socket: &Socket, address: Ipv6Addr) {
    let link = route::get_link(socket, "uplink").unwrap().unwrap();
    let mut batch = crate::netlink::Batch::new();
    route::add_address(&mut batch, link.index, ipnet::IpNet::new_assert(address.into(), 64));
    if address.octets()[15] == 2 {
        route::default_route(&mut batch, link.index, "fd00:9::1".parse().unwrap());
    }
    socket.transact(batch.acknowledge()).unwrap();
}

#[test]
fn what_cannot_be_is_refused_and_leaves_nothing() {
    host(|world| {
        let network = network(world, 1);
        let plain = Wish::plain(&network);
        let refuse = |wish: Wish<'_>, ports: &[Port]| chain(&attach(&[wish], "a", ports).map(|_| ()).unwrap_err());
        let v6 = Port { host_ip: Some("::".parse().unwrap()), ..tcp(8080, 80) };
        assert_eq!(refuse(plain, &[v6]), "port 80/tcp cannot be published on ::: the container has no IPv6 address");
        let ip6 = Some("fd00::9".parse().unwrap());
        let no_v6 = "address fd00::9 cannot be had in network 10.7.1.0/24: the network has no IPv6";
        assert_eq!(refuse(Wish { ip6, ..plain }, &[]), no_v6);
        let group = "03:00:00:00:00:01 cannot be the hardware address of an interface: it is that of a group";
        assert_eq!(refuse(Wish { mac: Some([3, 0, 0, 0, 0, 1]), ..plain }, &[]), group);
        assert_eq!(refuse(Wish { interface: "a/b", ..plain }, &[]), "\"a/b\" is not a usable name for an interface");
        let name = ["x/y".to_owned()];
        assert_eq!(refuse(Wish { names: &name, ..plain }, &[]), "\"x/y\" is not a usable name for an address in a network");
        assert_eq!(crate::leases(&network).unwrap(), []);
        let mac = [2, 1, 2, 3, 4, 5];
        let wish = Wish { ip: Some("10.7.1.77".parse().unwrap()), mac: Some(mac), ..plain };
        let a = attach(&[wish], "a", &[]).unwrap();
        assert_eq!((a.ends[0].address.to_string(), a.ends[0].mac), ("10.7.1.77/24".into(), mac));
        drop(a);
        clean(&[&network]);
    });
}

#[test]
fn a_running_container_joins_and_leaves() {
    host(|world| {
        let (one, two) = (with_v6(network(world, 1), 1), with_v6(network(world, 2), 2));
        let a = join(&[&one], "a", &[]);
        let other = join(&[&two], "other", &[]);
        let (server, outside) = (listen(&other.netns, 80), listen(&world.outside, 443));
        let netns = || a.netns.try_clone().unwrap();
        let names = ["web".to_owned()];
        let wish = Wish { interface: "eth1", names: &names, ..Wish::plain(&two) };
        let joined = crate::join(netns(), &wish, "a", 1, false, true).unwrap();
        assert!(joined.resolver.is_some() && two.state.join("names/web/a").is_symlink());
        assert!(reaches(Some(&a.netns), other.v4(), 80, PATIENCE));
        // Twice is refused, and what was taken for it is given back.
        let error = crate::join(netns(), &wish, "a", 1, false, false).map(|_| ()).unwrap_err();
        assert!(chain(&error).contains("EEXIST"), "{}", chain(&error));
        let held = |network: &Network| crate::leases(network).unwrap().into_iter().filter(|(_, id)| id == "a").count();
        assert_eq!((held(&one), held(&two)), (2, 2));
        // Out of the first: the second leads out from then on.
        crate::leave(netns(), &one, "a", "eth0", Some((two.gateway, two.v6.as_ref().map(|v6| v6.gateway)))).unwrap();
        assert_eq!((held(&one), held(&two)), (0, 2));
        assert_eq!(talk(Some(&a.netns), (NEIGHBOUR, 443), &outside), HOST);
        crate::leave(netns(), &two, "a", "eth1", None).unwrap();
        crate::leave(netns(), &two, "a", "eth1", None).unwrap();
        // Its sockets are closed by then, and can be made again.
        drop(joined);
        let again = crate::join(netns(), &wish, "a", 1, true, true).unwrap();
        assert!(again.resolver.is_some());
        crate::leave(netns(), &two, "a", "eth1", None).unwrap();
        assert_eq!(held(&two), 0);
        assert!(!two.state.join("names/web").exists());
        let unreachable = inside(&a.netns, || TcpStream::connect((NEIGHBOUR, 443)).unwrap_err());
        assert_eq!(unreachable.kind(), std::io::ErrorKind::NetworkUnreachable);
        drop((a, other, server, again));
        clean(&[&one, &two]);
        world.assert_clean();
    });
}

#[test]
fn flushed_rules_are_restored() {
    host(|world| {
        let network = with_v6(network(world, 1), 1);
        let a = join(&[&network], "a", &[tcp(8080, 80), udp(53, 53)]);
        let server = listen(&a.netns, 80);
        let ends = [(a.v4().into(), Some(IpAddr::V6(v6(&a))), a.ports.clone())];
        assert_eq!(crate::restore(&network, &ends).unwrap().len(), 1, "nothing is missing");
        nft::drop_tables(&world.netfilter, &network).unwrap();
        let elements = || nft::elements(&world.netfilter, &network.table).unwrap().len();
        assert_eq!(elements(), 0);
        let undo = crate::restore(&network, &ends).unwrap();
        talk(Some(&world.outside), (HOST, 8080), &server);
        assert_eq!(elements(), 4);
        let socket = sys::netlink::socket(Some(rustix::net::netlink::NETFILTER)).unwrap();
        for batch in &undo[0].nftables {
            rustix::net::send(&socket, batch, rustix::net::SendFlags::empty()).unwrap();
        }
        assert_eq!(elements(), 0);
        drop((a, server));
        clean(&[&network]);
    });
}

#[test]
fn a_macvlan_container_is_on_the_link_itself() {
    host(|world| {
        let mut network = Network::new("net1", "198.51.100.0/24".parse().unwrap(), &world.network.state.with_file_name("net1"));
        network.macvlan = Some(crate::Macvlan { parent: "uplink".into(), mode: 4 });
        network.gateway = NEIGHBOUR;
        network.reserved = vec![HOST.into()];
        let a = match attach(&[Wish::plain(&network)], "a", &[tcp(8080, 80)]) {
            Ok(a) => a,
            Err(crate::Error::Unsupported { options: "MACVLAN", .. }) => {
                let _ = std::io::Write::write_all(&mut std::io::stderr(), b"skipped: needs MACVLAN in the kernel\n");
                return;
            }
            Err(error) => panic!("{}", chain(&error)),
        };
        let b = attach(&[Wish::plain(&network)], "b", &[]).unwrap();
        assert_eq!((a.ports.len(), a.ends[0].gateway), (0, Some(NEIGHBOUR)));
        let server = listen(&a.netns, 80);
        assert_eq!(talk(Some(&world.outside), (a.v4(), 80), &server), NEIGHBOUR, "not by its own address");
        assert_eq!(talk(Some(&b.netns), (a.v4(), 80), &server), b.v4());
        let outside = listen(&world.outside, 443);
        assert_eq!(talk(Some(&a.netns), (NEIGHBOUR, 443), &outside), a.v4(), "masqueraded");
        drop((a, b, server));
        network.macvlan = Some(crate::Macvlan { parent: "nolink".into(), mode: 4 });
        let error = attach(&[Wish::plain(&network)], "a", &[]).map(|_| ()).unwrap_err();
        assert_eq!(chain(&error), "this host has no link \"nolink\"");
        assert_eq!(crate::leases(&network).unwrap(), []);
        clean(&[&network]);
    });
}
