//! Processes that join a running container.

use std::time::{Duration, Instant};

use launch::{Kind, Process};
use monitor::{Event, Exec, Request, Stream};

use crate::fixture::{Client, Fixture, PATIENCE, able, process};

fn running() -> (Fixture, Client) {
    let fixture = Fixture::new("echo ready; exec sleep 300");
    let mut client = fixture.start(Some(false));
    client.says("ready");
    (fixture, client)
}

fn exec(fixture: &Fixture, script: &str, change: impl FnOnce(&mut Exec)) -> Client {
    let mut exec = Exec { process: process(&["/bin/busybox", "sh", "-c", script]), stdin: false, detach: false, id: String::new() };
    change(&mut exec);
    let mut client = fixture.connect();
    client.send(&Request::Exec(Box::new(exec)));
    client
}

fn wait_for(path: &std::path::Path) {
    let until = Instant::now() + PATIENCE;
    while !path.exists() {
        assert!(Instant::now() < until, "{path:?} has not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn output_and_end_come_on_its_own_connection() {
    if !able() {
        return;
    }
    let (fixture, mut client) = running();
    let mut one = exec(&fixture, "echo one; echo more >&2; exit 3", |_| ());
    let mut two = exec(&fixture, "cat; exit 4", |exec| exec.stdin = true);
    two.started().send(&Request::Stdin(b"two".to_vec()));
    two.send(&Request::StdinEnd);
    assert_eq!((one.started().exit().code, two.exit().code), (3, 4));
    assert_eq!((one.text().as_str(), &one.stderr[..], two.text().as_str()), ("one\n", &b"more\n"[..], "two"));
    client.send(&Request::Signal(9));
    assert_eq!(client.exit().code, 137);
    assert_eq!((client.text().as_str(), fixture.log(Stream::Stdout).as_str()), ("ready\n", "ready\n"));
}

#[test]
fn its_signals_and_sizes_are_its_own() {
    if !able() {
        return;
    }
    let (fixture, _client) = running();
    let script = "trap 'stty size; exit 8' USR1; stty size; while :; do sleep 0.05; done";
    let mut client = exec(&fixture, script, |exec| exec.process.terminal = Some((10, 20)));
    client.says("10 20").send(&Request::Resize { rows: 30, columns: 40 });
    client.send(&Request::Signal(10));
    assert_eq!(client.exit().code, 8);
    assert_eq!(client.text(), "10 20\r\n30 40\r\n");
}

#[test]
fn a_command_that_is_not_there_fails_alone() {
    if !able() {
        return;
    }
    let (fixture, mut client) = running();
    let mut failing = fixture.connect();
    let nothing = Process { args: vec!["nothing".into()], ..process(&[]) };
    failing.send(&Request::Exec(Box::new(Exec { process: nothing, stdin: false, detach: false, id: String::new() })));
    assert!(matches!(failing.next(), Some(Event::Failed { kind: Kind::NotFound, .. })));
    client.send(&Request::Signal(9));
    assert_eq!(client.exit().code, 137);
}

#[test]
fn it_outlives_its_client() {
    if !able() {
        return;
    }
    let (fixture, _client) = running();
    let script = "seq 1 100000; sleep 0.2; seq 1 100000; echo > /shared/after";
    exec(&fixture, script, |_| ()).started();
    wait_for(&fixture.path("shared/after"));
    exec(&fixture, "seq 1 100000 && echo > /shared/detached", |exec| exec.detach = true).started();
    wait_for(&fixture.path("shared/detached"));
}

#[test]
fn a_slow_client_slows_only_its_own_process() {
    if !able() {
        return;
    }
    let (fixture, mut client) = running();
    let mut slow = exec(&fixture, "seq 1000000 1499999; exit 2", |_| ());
    let mut quick = exec(&fixture, "seq 1000000 1499999", |_| ());
    assert_eq!((quick.exit().code, quick.stdout.len()), (0, 4_000_000));
    assert_eq!((slow.exit().code, slow.stdout.len()), (2, 4_000_000));
    client.send(&Request::Signal(9));
    client.exit();
}

#[test]
fn the_containers_end_ends_it() {
    if !able() {
        return;
    }
    for unshare in [0, sys::ns::kind::PID] {
        let fixture = Fixture::new("echo ready; exec sleep 300").change(|launch| launch.plan.unshare &= !unshare);
        let mut client = fixture.start(Some(false));
        client.says("ready");
        let mut joined = exec(&fixture, "echo in; exec sleep 300", |_| ());
        joined.says("in");
        client.send(&Request::Signal(9));
        assert_eq!((client.exit().code, joined.exit().code), (137, 137));
        assert_eq!(client.monitor_ended(), Some(137));
    }
}
