//! How long it takes.

use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use super::world::*;
use crate::{Attached, Port};

/// Times of fifty starts and of what `end` does with each.
fn fifty(world: &World, name: &str, ports: &dyn Fn(u16) -> Vec<Port>, mut end: impl FnMut(Attached)) -> Duration {
    let (mut starts, mut ends) = (Vec::new(), Vec::new());
    for n in 0..50 {
        let ports = ports(n);
        let start = Instant::now();
        let attached = world.attach(&format!("{name}{n}"), &ports);
        starts.push(start.elapsed());
        let start = Instant::now();
        end(attached);
        ends.push(start.elapsed());
    }
    starts.sort();
    ends.sort();
    let (start, tail) = (starts[25], starts[45]);
    let _ = writeln!(std::io::stderr(), "{name:20} attach {start:8.2?} (p90 {tail:8.2?})  then {:8.2?}", ends[25]);
    start
}

/// Prints medians: `cargo test -p net --release measure -- --nocapture`. The limit is wide, for other tests run beside this one.
#[test]
fn attaching_is_quick() {
    host(|world| {
        drop(world.attach("warm", &[]));
        let one = |_| vec![tcp(8080, 80)];
        let mut kept = Vec::new();
        let medians = [
            fifty(world, "no-ports-kept", &|_| Vec::new(), |attached| kept.push(attached.keep())),
            fifty(world, "one-port-kept", &|n| vec![tcp(1000 + n, 80)], |attached| kept.push(attached.keep())),
            fifty(world, "no-ports-dropped", &|_| Vec::new(), drop),
            fifty(world, "one-port-dropped", &one, drop),
        ];
        assert!(medians.into_iter().max().unwrap() < Duration::from_millis(100));
    });
}

/// A container may connect as soon as it runs. Linux before 6.8 has no way to wait for the carrier.
#[test]
fn the_first_packet_arrives() {
    host(|world| {
        drop(world.attach("warm", &[]));
        let _server = TcpListener::bind((world.network.gateway, 99)).unwrap();
        let connect = |n| {
            let attached = world.attach(&format!("c{n}"), &[]);
            let start = Instant::now();
            inside(&attached.netns, || TcpStream::connect((attached.ends[0].gateway.unwrap(), 99)).unwrap());
            (start.elapsed(), attached)
        };
        let waits: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..32).map(|n| scope.spawn(move || connect(n))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap().0).collect()
        });
        // The first retransmission comes after a second.
        let lost = waits.iter().filter(|wait| **wait > Duration::from_millis(900)).count();
        assert_eq!(lost, 0, "{waits:?}");
    });
}
