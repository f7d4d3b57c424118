//! Two hosts of a cluster, each with a container.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream};
use std::path::Path;

use ipnet::Ipv4Net;

use super::world::{HOST, NEIGHBOUR, SILENCE, World, chain, host, inside, listen, talk};
use crate::mesh::{Me, Mode, Peer, Settings, apply, leave, packet};
use crate::netlink::{Socket, mesh, route};
use crate::{Attached, Chosen, Network, Wish, attach, replace_default};

fn cluster() -> Ipv4Net {
    "10.9.0.0/16".parse().unwrap()
}

/// One host's part: its network, itself, and the others.
struct Side {
    network: Network,
    me: Me,
    peers: Vec<Peer>,
}

fn side(number: u8, address: Ipv4Addr, mtu: u32, state: &Path) -> Side {
    let range = Ipv4Net::new_assert(Ipv4Addr::new(10, 9, number, 0), 24);
    let mut network = Network::new("rctr1", range, &state.join(format!("mesh{number}")));
    (network.cluster, network.mtu) = (Some(cluster()), Some(mtu));
    let me = Me { address, range, gateway: network.gateway, cluster: cluster() };
    let (name, other) = ("other".to_owned(), 3 - number);
    let range = Ipv4Net::new_assert(Ipv4Addr::new(10, 9, other, 0), 24);
    let address = if number == 1 { NEIGHBOUR } else { HOST };
    Side { network, me, peers: vec![Peer { name, address, range }] }
}

impl Side {
    fn settings(mode: Mode) -> Settings {
        Settings { mode, device: "rctr1-vx".to_owned(), vni: 82, port: 4789 }
    }

    fn join(&self, mode: Mode) -> Attached {
        apply(&self.network, &Self::settings(mode), &self.me, &self.peers).unwrap_or_else(|error| panic!("{}", chain(&error)));
        let again = apply(&self.network, &Self::settings(mode), &self.me, &self.peers).unwrap();
        assert_eq!(again.changes, 0, "what is right is left alone");
        attach(&[Wish::plain(&self.network)], "c", &[]).unwrap_or_else(|error| panic!("{}", chain(&error)))
    }

    fn leave(&self, mode: Mode) {
        match mode {
            Mode::Auto => leave(&self.network.table, &Self::settings(mode)).unwrap(),
            _ => drop(apply(&self.network, &Self::settings(mode), &self.me, &[]).unwrap()),
        }
        assert_eq!(mesh::hops(&Socket::route().unwrap()).unwrap(), []);
        assert_eq!(route::get_link(&Socket::route().unwrap(), "rctr1-vx").unwrap(), None);
    }
}

fn reach(world: &World, mode: Mode) {
    let state = tempfile::tempdir().unwrap();
    assert_eq!(packet(HOST, mode).unwrap(), if mode == Mode::Routes { 1500 } else { 1450 });
    let mtu = packet(HOST, mode).unwrap();
    let (here, there) = (side(1, HOST, mtu, state.path()), side(2, NEIGHBOUR, mtu, state.path()));
    let (a, b) = (here.join(mode), inside(&world.outside, || there.join(mode)));
    let (at_a, at_b) = (listen(&a.netns, 80), listen(&b.netns, 80));
    assert_eq!(talk(Some(&a.netns), (b.v4(), 80), &at_b), a.v4(), "nobody changes the address of a pod within the cluster");
    assert_eq!(talk(Some(&b.netns), (a.v4(), 80), &at_a), b.v4());
    assert_eq!(talk(None, (b.v4(), 80), &at_b), here.network.gateway);
    // What leaves the cluster has the host's address.
    let outside = listen(&world.outside, 81);
    assert_eq!(talk(Some(&a.netns), (NEIGHBOUR, 81), &outside), HOST);
    here.leave(mode);
    inside(&world.outside, || {
        // Whoever is no member is let in no more than before.
        there.leave(mode);
        let refused = TcpStream::connect_timeout(&SocketAddrV4::new(a.v4(), 80).into(), SILENCE);
        assert!(refused.is_err());
    });
    drop((a, b));
    for (side, netns) in [(&here, None), (&there, Some(&world.outside))] {
        let remove = || crate::remove(&side.network).unwrap();
        netns.map_or_else(remove, |netns| inside(netns, remove));
    }
}

#[test]
fn containers_of_two_hosts_reach_each_other() {
    host(|world| {
        reach(world, Mode::Routes);
        reach(world, Mode::Vxlan);
        reach(world, Mode::Auto);
    });
}

#[test]
fn a_network_is_moved_only_while_nobody_is_in_it() {
    host(|world| {
        let state = tempfile::tempdir().unwrap();
        let (file, folder) = (state.path().join("networks/rctr2.json"), state.path().join("rctr2"));
        let wanted = |text: &str| Chosen { subnet: text.parse().unwrap(), cluster: Some(cluster()), mtu: Some(1400) };
        let set = |text: &str| replace_default("rctr2", &wanted(text), &file, &folder);
        let first = crate::default_network("rctr2", &file, &folder).unwrap();
        let container = attach(&[Wish::plain(&first)], "c", &[]).unwrap();
        let refused = set("10.9.4.0/24").unwrap_err().to_string();
        let expected = format!("containers have 1 addresses of {}, so that the bridge cannot have 10.9.4.0/24", first.subnet);
        assert!(refused.starts_with(&expected), "{refused}");
        drop(container);
        let moved = set("10.9.4.0/24").unwrap();
        assert_eq!(crate::default_network("rctr2", &file, &folder).unwrap(), moved);
        let container = attach(&[Wish::plain(&moved)], "c", &[]).unwrap();
        assert!(moved.subnet.contains(&container.v4()));
        // The same again is nothing new, whoever is in it.
        assert_eq!(set("10.9.4.0/24").unwrap(), moved);
        assert_eq!(route::get_link(&world.route, "rctr2").unwrap().unwrap().mtu, 1400);
    });
}
