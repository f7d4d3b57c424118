//! Nothing stays behind.

use rustix::net::{SendFlags, send};

use super::world::*;
use crate::netlink::route;
use crate::netlink::{Batch, Socket};
use crate::{Network, Wish, default_network, leases, nft, recover};

#[test]
fn dropping_undoes_all() {
    host(|world| {
        let a = world.attach("a", &[tcp(80, 80), udp(53, 53)]);
        assert_eq!((world.veths().len(), world.published().len(), leases(&world.network).unwrap().len()), (1, 2, 1));
        drop(a);
        world.assert_clean();
    });
}

#[test]
fn undo_as_data_does_the_same() {
    host(|world| {
        let a = world.attach("a", &[tcp(80, 80), udp(53, 53)]);
        let one = crate::Port { host_ip: Some(HOST.into()), ..tcp(81, 80) };
        let b = world.attach("b", &[one]);
        for kept in [a.keep(), b.keep()] {
            assert!(!world.published().is_empty() && !kept.reserved.is_empty());
            // As the monitor does: a plain socket, whole datagrams, nothing read.
            let socket = sys::netlink::socket(Some(rustix::net::netlink::NETFILTER)).unwrap();
            for batch in &kept.undo.nftables {
                send(&socket, batch, SendFlags::empty()).unwrap();
            }
            for path in &kept.undo.unlink {
                std::fs::remove_file(path).unwrap();
            }
        }
        world.assert_clean();
    });
}

#[test]
fn recovery_takes_what_a_dead_owner_left_and_nothing_else() {
    host(|world| {
        let other = world.attach("b", &[tcp(81, 80)]);
        drop(world.attach("a", &[tcp(80, 80), udp(0, 53), tcp(0, 1)]).keep().netns);
        assert_eq!((world.published().len(), leases(&world.network).unwrap().len()), (4, 2));
        recover(&world.network, "a").unwrap();
        recover(&world.network, "a").unwrap();
        recover(&world.network, "never was").unwrap();
        assert_eq!(world.published(), other.ports);
        assert_eq!(leases(&world.network).unwrap(), [(other.v4().into(), "b".to_owned())]);
        drop(other);
        world.assert_clean();
    });
}

#[test]
fn a_full_network_says_so_and_leaves_nothing() {
    host(|world| {
        let network = Network::new("small0", "10.77.0.0/30".parse().unwrap(), &world.network.state);
        let only = crate::attach(&[Wish::plain(&network)], "a", &[]).unwrap();
        assert_eq!(only.ends[0].address.to_string(), "10.77.0.2/30");
        let error = crate::attach(&[Wish::plain(&network)], "b", &[tcp(80, 80)]).unwrap_err();
        assert_eq!(error.to_string(), "network 10.77.0.0/30 has no free address: 1 are leased");
        assert_eq!(leases(&network).unwrap().len(), 1);
        drop(only);
        world.assert_clean();
    });
}

/// Gives the first `count` names that `id` would try to others.
fn take_names(world: &World, id: &str, count: u32) {
    for attempt in 0..count {
        let mut batch = Batch::new();
        route::bridge(&mut batch, &crate::sandbox::host_name(id, attempt), [2, 0, 0, 0, 1, attempt as u8], 1500);
        world.route.transact(batch.acknowledge()).unwrap();
    }
}

#[test]
fn a_failure_at_the_last_step_leaves_nothing() {
    host(|world| {
        take_names(world, "a", 17);
        let error = world.refuse("a", &[tcp(80, 80)]);
        assert_eq!(error, "connect container a to rctr0: RTM_NEWLINK veth = EEXIST (File exists)");
        world.assert_clean();
    });
}

#[test]
fn names_in_use_are_avoided() {
    host(|world| {
        take_names(world, "a", 3);
        let a = world.attach("a", &[]);
        assert_eq!(world.veths(), [crate::sandbox::host_name("a", 3)]);
        talk(None, (a.v4(), 80), &listen(&a.netns, 80));
    });
}

#[test]
fn a_lost_file_adopts_the_bridge() {
    host(|world| {
        let state = tempfile::tempdir().unwrap();
        let file = state.path().join("networks/bridge.json");
        // The neighbour's route is in the way of the first choice.
        let mut batch = Batch::new();
        route::add_address(&mut batch, 1, "172.29.9.9/24".parse().unwrap());
        world.route.transact(batch.acknowledge()).unwrap();
        let network = default_network("rctr0", &file, state.path()).unwrap();
        assert_eq!(network.subnet.to_string(), "172.30.0.0/16");
        let a = crate::attach(&[Wish::plain(&network)], "a", &[]).unwrap();
        std::fs::remove_file(&file).unwrap();
        assert_eq!(default_network("rctr0", &file, state.path()).unwrap(), network);
        assert_eq!(default_network("rctr0", &file, state.path()).unwrap(), network);
        assert_ne!(default_network("rctr1", &state.path().join("other.json"), state.path()).unwrap().subnet, network.subnet);
        drop(a);
    });
}

#[test]
fn a_flushed_table_is_made_again() {
    host(|world| {
        let a = world.attach("a", &[]);
        nft::drop_tables(&world.netfilter, &world.network).unwrap();
        let b = world.attach("b", &[tcp(8080, 80)]);
        talk(Some(&world.outside), (HOST, 8080), &listen(&b.netns, 80));
        drop((a, b));
        world.assert_clean();
    });
}

/// As after an edit of the network's file.
#[test]
fn another_subnet_works_at_once() {
    host(|world| {
        drop(world.attach("a", &[]));
        let network = Network::new("rctr0", "10.5.0.0/24".parse().unwrap(), &world.network.state);
        let b = crate::attach(&[Wish::plain(&network)], "b", &[tcp(8080, 80)]).unwrap();
        talk(Some(&world.outside), (HOST, 8080), &listen(&b.netns, 80));
        let neighbour = listen(&world.outside, 443);
        assert_eq!(talk(Some(&b.netns), (NEIGHBOUR, 443), &neighbour), HOST);
    });
}

#[test]
fn without_privileges_the_error_says_so() {
    host(|world| {
        use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
        let network = &world.network;
        let error = std::thread::scope(|scope| {
            let unprivileged = scope.spawn(|| {
                let mut sets = capabilities(None).unwrap();
                sets.effective -= CapabilitySet::NET_ADMIN | CapabilitySet::SYS_ADMIN;
                set_capabilities(None, sets).unwrap();
                crate::attach(&[Wish::plain(network)], "a", &[]).map(|_| ()).unwrap_err().to_string()
            });
            unprivileged.join().unwrap()
        });
        assert!(error.ends_with("needs root (CAP_NET_ADMIN and CAP_SYS_ADMIN)"), "{error}");
        world.assert_clean();
        drop(Socket::route());
    });
}
