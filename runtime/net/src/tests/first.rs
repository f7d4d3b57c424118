//! The first packet of a container.

use std::net::{TcpListener, TcpStream};

use super::world::*;

/// A container may connect as soon as it runs. Linux before 6.8 has no way to wait for the carrier.
#[test]
fn the_first_packet_arrives() {
    host(|world| {
        drop(world.attach("warm", &[]));
        let _server = TcpListener::bind((world.network.gateway, 99)).unwrap();
        let connect = |n| {
            let attached = world.attach(&format!("c{n}"), &[]);
            inside(&attached.netns, || {
                TcpStream::connect((attached.ends[0].gateway.unwrap(), 99)).unwrap();
                let counters = std::fs::read_to_string("/proc/thread-self/net/snmp").unwrap();
                let mut tcp = counters.lines().filter(|line| line.starts_with("Tcp:"));
                let at = tcp.next().unwrap().split(' ').position(|name| name == "RetransSegs").unwrap();
                (tcp.next().unwrap().split(' ').nth(at).unwrap().parse::<u32>().unwrap(), attached.ends[0].address)
            })
        };
        let sent_again: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..32).map(|n| scope.spawn(move || connect(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|(count, _)| *count > 0).collect()
        });
        assert!(sent_again.is_empty(), "{sent_again:?}");
    });
}
