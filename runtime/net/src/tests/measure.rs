//! How long it takes.

use std::io::Write;
use std::time::{Duration, Instant};

use super::world::*;

/// Prints medians; `cargo test -p net --release -- --nocapture measure`. The limit is wide: other tests run beside this one.
#[test]
fn attach_is_quick() {
    host(|world| {
        drop(world.attach("warm", &[]));
        let row = |name: &str, ports: &[crate::Port]| {
            let mut attach: Vec<Duration> = Vec::new();
            let mut undo: Vec<Duration> = Vec::new();
            for n in 0..50 {
                let start = Instant::now();
                let attached = world.attach(&format!("{name}{n}"), ports);
                attach.push(start.elapsed());
                let start = Instant::now();
                drop(attached);
                undo.push(start.elapsed());
            }
            attach.sort();
            undo.sort();
            let _ = writeln!(std::io::stderr(), "{name:9} attach {:?} (p90 {:?})  drop {:?}", attach[25], attach[45], undo[25]);
            attach[25]
        };
        assert!(row("no-ports", &[]) < Duration::from_millis(100));
        assert!(row("one-port", &[tcp(8080, 80)]) < Duration::from_millis(100));
    });
}
