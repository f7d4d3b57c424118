//! What must not work, and that it is our rule which stops it.

use std::net::{Ipv4Addr, SocketAddrV4, TcpStream, UdpSocket};

use super::world::*;
use crate::Wish;
use crate::netlink::route;
use crate::netlink::{Batch, CREATE, Socket};
use crate::nft::{self, Family};

/// In a container with CAP_NET_ADMIN: loopback addresses lead to the host.
fn route_loopback_out(gateway: Ipv4Addr) {
    std::fs::write("/proc/sys/net/ipv4/conf/eth0/route_localnet", "1").unwrap();
    let socket = Socket::route().unwrap();
    let eth0 = route::get_link(&socket, "eth0").unwrap().unwrap().index;
    let mut batch = Batch::new();
    // RTM_DELADDR of 127.0.0.1/8, for its routes come first.
    batch.message("RTM_DELADDR", 21, 0, &[2, 8, 0, 0, 1, 0, 0, 0], |m| m.attr(2, &[127, 0, 0, 1]));
    batch.message("RTM_NEWROUTE", 24, CREATE, &[2, 8, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0], |m| {
        m.attr(1, &[127, 0, 0, 0]).attr(5, &gateway.octets()).number(4, eth0)
    });
    socket.transact(batch.acknowledge()).unwrap();
}

/// CVE-2020-8558.
#[test]
fn loopback_services_of_the_host_are_out_of_reach() {
    host(|world| {
        let a = world.attach("a", &[tcp(8080, 80)]);
        let victim = UdpSocket::bind((Ipv4Addr::LOCALHOST, 7777)).unwrap();
        let attack = |wait| {
            victim.set_read_timeout(Some(wait)).unwrap();
            inside(&a.netns, || {
                let socket = UdpSocket::bind((a.v4(), 0)).unwrap();
                socket.send_to(b"evil", (Ipv4Addr::LOCALHOST, 7777)).unwrap();
            });
            victim.recv(&mut [0; 4]).is_ok()
        };
        inside(&a.netns, || route_loopback_out(a.ends[0].gateway.unwrap()));
        assert!(!attack(SILENCE), "the attack came through");
        nft::flush_chain(&world.netfilter, world.table(Family::V4), "guard");
        assert!(attack(PATIENCE), "this test proves nothing");
    });
}

#[test]
fn container_addresses_are_out_of_reach_from_outside() {
    host(|world| {
        let a = world.attach("a", &[tcp(8080, 80)]);
        let (published, hidden) = (listen(&a.netns, 80), listen(&a.netns, 81));
        let attack = |port, wait| {
            let to = SocketAddrV4::new(a.v4(), port).into();
            inside(&world.outside, || TcpStream::connect_timeout(&to, wait)).is_ok()
        };
        assert!(!attack(80, SILENCE), "a published port, but not by its container's address");
        assert!(!attack(81, SILENCE));
        talk(Some(&world.outside), (HOST, 8080), &published);
        nft::flush_chain(&world.netfilter, world.table(Family::V4), "forward");
        assert!(attack(81, PATIENCE), "this test proves nothing");
        drop(hidden);
    });
}

/// An interface of another kind that has the bridge's name is left alone.
#[test]
fn a_strangers_interface_is_not_used() {
    host(|world| {
        let mut network = world.network.clone();
        network.bridge = "uplink".into();
        let error = crate::attach(&[Wish::plain(&network)], "a", &[]).unwrap_err();
        assert_eq!(error.to_string(), "interface uplink is a veth, not a bridge");
        network.bridge = "../rctr0".into();
        assert_eq!(
            crate::attach(&[Wish::plain(&network)], "a", &[]).unwrap_err().to_string(),
            "\"../rctr0\" is not a usable name for a bridge"
        );
        let error = crate::attach(&[Wish::plain(&world.network)], "../a", &[]).unwrap_err();
        assert_eq!(error.to_string(), "\"../a\" is not a usable name for a container");
        world.assert_clean();
    });
}
