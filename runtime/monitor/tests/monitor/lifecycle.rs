//! Starts, ends, and ends before the start.

use std::process::Command;
use std::time::Instant;

use launch::{Kind, Status};
use monitor::{Event, Request, Stream};
use rustix::io::Errno;
use rustix::process::Signal;

use crate::fixture::{Fixture, PATIENCE, able, program, spawning};

#[test]
fn by_hand_it_explains_itself() {
    let run = |args: &[&str]| {
        let _spawning = spawning();
        // Whatever cargo has open must not be taken for the socket.
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "exec 3>&-; exec \"$0\" \"$@\""]).arg(program()).args(args).output().unwrap()
    };
    let output = run(&["some-id"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("started by rctr"));
    let output = run(&["--version"]);
    assert!(output.status.success() && output.stdout.starts_with(b"rctr-monitor 0."));
}

#[test]
fn output_from_the_first_byte_and_the_log() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("echo out; echo err >&2; printf part; exit 7");
    let mut client = fixture.start(Some(false));
    let exit = client.exit();
    assert_eq!((exit.code, exit.oom, exit.error.as_deref()), (7, false, None));
    assert!(0 < exit.started && exit.started <= exit.finished);
    assert_eq!((client.text().as_str(), &client.stderr[..]), ("out\npart", &b"err\n"[..]));
    assert_eq!((fixture.log(Stream::Stdout).as_str(), fixture.log(Stream::Stderr).as_str()), ("out\npart", "err\n"));
    assert_eq!(fixture.status(), Some(Status::Exited(exit)));
    assert_eq!((client.next(), client.monitor_ended()), (None, Some(7)));
    assert!(!fixture.path("run").exists());
}

#[test]
fn events_come_in_order() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("echo hello; sleep 0.2");
    let mut client = fixture.start(Some(false));
    let events: Vec<Event> = std::iter::from_fn(|| client.next()).collect();
    // That it is made is told unless the wish to start it is there already.
    let names = events.iter().filter(|event| !matches!(event, Event::Created { .. })).map(|event| format!("{event:?}"));
    let names: Vec<String> = names.map(|text| text.split([' ', '(']).next().unwrap().to_owned()).collect();
    assert_eq!(names, ["Started", "Output", "Exited"]);
}

#[test]
fn who_waits_with_the_start_is_told_that_it_can_be() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("exit 4");
    let mut client = fixture.spawn();
    let Some(Event::Created { pid, start_time }) = client.next() else { panic!() };
    client.send(&Request::Wait);
    client.send(&Request::Start);
    assert_eq!(client.next(), Some(Event::Started { pid, start_time }));
    assert_eq!(client.exit().code, 4);
}

#[test]
fn a_command_that_is_not_there() {
    if !able() {
        return;
    }
    for (program, kind, code) in [("/bin/nothing", Kind::NotFound, 127), ("/shared", Kind::NotExecutable, 126)] {
        let fixture = Fixture::program(&[program]);
        let mut client = fixture.start(Some(false));
        let failed = loop {
            match client.next() {
                Some(Event::Failed { kind, message }) => break (kind, message),
                Some(Event::Created { .. } | Event::Done) => {}
                other => panic!("{program}: {other:?}"),
            }
        };
        assert_eq!(failed.0, kind, "{}", failed.1);
        let Some(Status::Exited(exit)) = fixture.status() else { panic!("no record") };
        assert_eq!((exit.code, exit.error, exit.started), (code, Some(failed.1), 0));
        assert!(!fixture.path("run").exists(), "not undone");
        assert_eq!((client.next(), client.monitor_ended()), (None, Some(0)));
    }
}

#[test]
fn a_client_killed_before_the_start_leaves_nothing() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("touch /shared/ran");
    let mut client = fixture.spawn();
    let Some(Event::Created { pid, start_time }) = client.next() else { panic!() };
    let init = sys::process::open(pid, start_time).unwrap();
    rustix::net::shutdown(&client.socket, rustix::net::Shutdown::Both).unwrap();
    assert_eq!(client.monitor_ended(), Some(0));
    assert!(sys::process::signal(init, 9).is_err(), "init still runs");
    assert_eq!(fixture.status(), None);
    assert!(!fixture.path("run").exists() && !fixture.path("shared/ran").exists());
}

#[test]
fn a_start_that_is_not_asked_for_leaves_the_record_of_the_last_run() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("touch /shared/ran");
    let last = Status::Exited(launch::Exit { code: 3, ..Default::default() });
    std::fs::write(fixture.path("container/status.json"), serde_json::to_vec(&last).unwrap()).unwrap();
    let mut client = fixture.spawn();
    assert!(matches!(client.next(), Some(Event::Created { .. })));
    assert!(matches!(fixture.status(), Some(Status::Running { .. })), "it is not written down before it can run");
    rustix::net::shutdown(&client.socket, rustix::net::Shutdown::Both).unwrap();
    assert_eq!(client.monitor_ended(), Some(0));
    assert_eq!(fixture.status(), Some(last));
    assert!(!fixture.path("shared/ran").exists());
}

#[test]
fn a_client_killed_later_is_not_missed() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("echo one; read line; echo two; exit 3").change(|launch| launch.stdin = true);
    let mut first = fixture.start(Some(false));
    first.started().says("one");
    let (status, container) = (fixture.status(), first.container.unwrap());
    assert!(matches!(status, Some(Status::Running { pid, start_time, .. }) if (pid, start_time) == container));
    let mut waiter = fixture.connect();
    waiter.send(&Request::Wait);
    rustix::net::shutdown(&first.socket, rustix::net::Shutdown::Both).unwrap();
    let mut second = fixture.connect();
    second.send(&Request::Attach { stdin: true });
    second.send(&Request::Stdin(b"go on\n".to_vec()));
    assert_eq!((waiter.exit().code, second.exit().code), (3, 3));
    assert_eq!(second.text(), "two\n");
    assert_eq!(fixture.log(Stream::Stdout), "one\ntwo\n");
    assert_eq!(first.monitor_ended(), Some(3));
}

#[test]
fn signals_reach_the_first_process() {
    if !able() {
        return;
    }
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    let fixture = Fixture::new(script);
    let mut client = fixture.start(Some(false));
    client.says("ready").send(&Request::Signal(15));
    assert_eq!(client.exit().code, 5);

    let fixture = Fixture::new(script);
    let mut client = fixture.start(Some(false));
    client.says("ready").send(&Request::Signal(9));
    assert_eq!(client.exit().code, 137);

    let fixture = Fixture::new(script);
    let mut client = fixture.start(Some(false));
    client.says("ready");
    for signal in [Signal::HUP, Signal::INT, Signal::QUIT] {
        client.signal_monitor(signal);
    }
    client.signal_monitor(Signal::TERM);
    assert_eq!(client.exit().code, 5);
    assert_eq!(client.monitor_ended(), Some(5));
}

#[test]
fn a_second_start_is_refused() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("sleep 100");
    let mut client = fixture.start(None);
    client.started().send(&Request::Start);
    assert!(matches!(client.next(), Some(Event::Failed { kind: Kind::Runtime, .. })));
    client.send(&Request::Wait);
    client.send(&Request::Signal(9));
    assert_eq!(client.exit().code, 137);
}

#[test]
fn nonsense_ends_the_connection_only() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("sleep 100");
    let mut client = fixture.start(None);
    client.started();
    let mut stranger = fixture.connect();
    sys::socket::send(&stranger.socket, &[0xff; 100], &[]).unwrap();
    assert_eq!(stranger.next(), None);
    client.send(&Request::Wait);
    client.send(&Request::Signal(9));
    assert_eq!(client.exit().code, 137);
}

#[test]
fn a_client_that_still_talks_hears_of_the_end() {
    if !able() {
        return;
    }
    for _ in 0..20 {
        let fixture = Fixture::new("exit 3").change(|launch| launch.stdin = true);
        let mut client = fixture.start(Some(true));
        let packet = postcard::to_stdvec(&Request::Stdin(vec![b'x'; 100])).unwrap();
        rustix::io::ioctl_fionbio(&client.socket, true).unwrap();
        let until = Instant::now() + PATIENCE;
        // Until the monitor has let go of the connection.
        while !sys::socket::send(&client.socket, &packet, &[]).is_err_and(|error| error.errno() == Errno::PIPE) {
            assert!(Instant::now() < until);
        }
        assert_eq!(client.exit().code, 3);
    }
}

#[test]
fn nothing_of_the_start_is_kept() {
    if !able() {
        return;
    }
    let kept = ["anon_inode:[pidfd]", "anon_inode:[pidfd]", "anon_inode:[signalfd]", "container", "log"];
    assert_eq!(kept_open(&Fixture::new("sleep 300")), kept);
    // And the mounts of a container that has none of the host's.
    let open = kept_open(&Fixture::new("sleep 300").change(|launch| launch.own_mounts = true));
    assert!(open[..5] == kept && open[5].starts_with("mnt:["), "{open:?}");
}

/// What the monitor of a running container has open, but for pipes and sockets.
fn kept_open(fixture: &Fixture) -> Vec<String> {
    let mut client = fixture.start(None);
    // An answer from the loop: all before it is done.
    client.started().send(&Request::Attach { stdin: false });
    client.until(|event| *event == Event::Done);
    let path = std::path::PathBuf::from(format!("/proc/{}", client.monitor.unwrap().as_raw_nonzero()));
    assert_eq!(std::fs::read_to_string(path.join("comm")).unwrap(), "rctr-monitor\n");
    assert_eq!(std::fs::read(path.join("cmdline")).unwrap(), b"rctr-monitor\0test\0");
    assert_eq!(std::fs::read_link(path.join("cwd")).unwrap(), std::path::Path::new("/"));
    let mut open: Vec<String> = std::fs::read_dir(path.join("fd"))
        .unwrap()
        .map(|entry| std::fs::read_link(entry.unwrap().path()).unwrap().to_string_lossy().into_owned())
        .filter(|file| !file.starts_with("pipe:") && !file.starts_with("socket:") && file != "/dev/null")
        .map(|file| file.rsplit('/').next().unwrap().to_owned())
        .collect();
    open.sort();
    client.send(&Request::Wait);
    client.send(&Request::Signal(9));
    assert_eq!(client.exit().code, 137);
    assert_eq!(client.monitor_ended(), Some(137));
    open
}
