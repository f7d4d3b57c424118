//! What a monitor costs while its container does nothing.

use std::time::Duration;

use monitor::{Exec, Request};

use crate::fixture::{Client, Fixture, able, process};

/// conmon's private memory, in KiB.
const BUDGET: u64 = 250;

/// Private_Clean and Private_Dirty, in KiB.
fn private(client: &Client) -> u64 {
    let path = format!("/proc/{}/smaps_rollup", client.monitor.unwrap().as_raw_nonzero());
    let text = std::fs::read_to_string(path).unwrap();
    let values = text.lines().filter(|line| line.starts_with("Private_"));
    values.filter_map(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

#[test]
fn an_idle_monitor_is_small() {
    if !able() {
        return;
    }
    // More than one: what they share is not private.
    let mut all: Vec<(Fixture, Client)> = (0..3)
        .map(|_| {
            let fixture = Fixture::new("echo ready; exec sleep 300");
            let client = fixture.start(None);
            (fixture, client)
        })
        .collect();
    for (_, client) in &mut all {
        client.started();
    }
    std::thread::sleep(Duration::from_millis(1500));
    let fresh = private(&all[0].1);
    // One that has worked gives back what it took.
    let mut worker = all[0].0.connect();
    let seq = process(&["/bin/busybox", "seq", "1", "200000"]);
    worker.send(&Request::Exec(Box::new(Exec { process: seq, stdin: false, detach: false, id: String::new() })));
    assert_eq!(worker.exit().code, 0);
    drop(worker);
    std::thread::sleep(Duration::from_millis(1500));
    let used = private(&all[0].1);
    println!("private memory of an idle monitor: {fresh} KiB, after work {used} KiB");
    if std::env::var_os("MAPS").is_some() {
        println!("{}", std::fs::read_to_string(format!("/proc/{}/smaps", all[0].1.monitor.unwrap().as_raw_nonzero())).unwrap());
    }
    if cfg!(debug_assertions) {
        println!("skipped: the budget is that of a release build");
    } else {
        assert!(fresh <= BUDGET && used <= BUDGET, "more than {BUDGET} KiB");
    }
}
