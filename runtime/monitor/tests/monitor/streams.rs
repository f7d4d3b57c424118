//! Bytes in, bytes out, slow readers, full disks.

use std::time::{Duration, Instant};

use monitor::log::Lines;
use monitor::{Event, LogLimits, MAX_CHUNK, Request, Stream};
use rustix::mount::{MountAttrFlags, MoveMountFlags, UnmountFlags, move_mount, unmount};

use crate::fixture::{Fixture, able};

#[test]
fn input_goes_in_and_ends() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("wc -c").change(|launch| launch.stdin = true);
    let mut client = fixture.start(Some(true));
    for _ in 0..64 {
        client.send(&Request::Stdin(vec![b'x'; MAX_CHUNK]));
    }
    client.send(&Request::StdinEnd);
    assert_eq!(client.exit().code, 0);
    assert_eq!(client.text(), format!("{}\n", 64 * MAX_CHUNK));
}

#[test]
fn input_that_nobody_reads_holds_the_client_back() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("sleep 3; exec wc -c").change(|launch| launch.stdin = true);
    let mut client = fixture.start(Some(true));
    client.started();
    let chunk = postcard::to_stdvec(&Request::Stdin(vec![b'x'; MAX_CHUNK])).unwrap();
    rustix::io::ioctl_fionbio(&client.socket, true).unwrap();
    let mut sent = 0;
    let until = Instant::now() + Duration::from_millis(250);
    while Instant::now() < until {
        match sys::socket::send(&client.socket, &chunk, &[]) {
            Ok(()) => sent += 1,
            Err(_) => std::thread::sleep(Duration::from_millis(1)),
        }
    }
    // The pipe, the queue and the socket: about 64 KiB, 96 KiB and 208 KiB.
    assert!((4..16).contains(&sent), "{sent} chunks were taken");
    rustix::io::ioctl_fionbio(&client.socket, false).unwrap();
    client.send(&Request::StdinEnd);
    assert_eq!(client.exit().code, 0);
    assert_eq!(client.text(), format!("{}\n", sent * MAX_CHUNK));
}

#[test]
fn the_input_of_a_foreground_client_ends_with_it() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("cat; echo over").change(|launch| launch.stdin = true);
    let mut client = fixture.start(Some(true));
    client.started().send(&Request::Stdin(b"text\n".to_vec()));
    client.says("text");
    let mut waiter = fixture.connect();
    waiter.send(&Request::Wait);
    rustix::net::shutdown(&client.socket, rustix::net::Shutdown::Both).unwrap();
    assert_eq!(waiter.exit().code, 0);
    assert_eq!(fixture.log(Stream::Stdout), "text\nover\n");
}

#[test]
fn the_input_stays_open_when_a_later_client_leaves() {
    if !able() {
        return;
    }
    let fixture = Fixture::new("cat").change(|launch| launch.stdin = true);
    let mut client = fixture.start(None);
    client.started();
    for line in ["one\n", "two\n"] {
        let mut visitor = fixture.connect();
        visitor.send(&Request::Attach { stdin: true });
        visitor.send(&Request::Stdin(line.into()));
        visitor.says(line);
    }
    let mut last = fixture.connect();
    last.send(&Request::Attach { stdin: true });
    last.send(&Request::StdinEnd);
    assert_eq!(last.exit().code, 0);
    assert_eq!(fixture.log(Stream::Stdout), "one\ntwo\n");
}

/// Lines of 8 bytes, so many of them: numbers from [`FIRST`] on.
const LINES: usize = 1 << 19;

const FIRST: usize = 1_000_000;

fn numbers() -> String {
    format!("seq {FIRST} {}; echo done > /shared/done", FIRST + LINES - 1)
}

#[track_caller]
fn complete(text: &str) {
    assert_eq!(text.len(), LINES * 8);
    assert!(text.lines().enumerate().all(|(index, line)| line.parse() == Ok(FIRST + index)));
}

#[test]
fn a_slow_foreground_client_slows_the_container_and_loses_nothing() {
    if !able() {
        return;
    }
    let fixture =
        Fixture::new(&numbers()).change(|launch| launch.log = Some(LogLimits { max_size: 1 << 30, ..LogLimits::default() }));
    let mut client = fixture.start(Some(false));
    client.started();
    std::thread::sleep(Duration::from_millis(500));
    let logged = fixture.log(Stream::Stdout).len();
    assert!(logged < 1 << 20, "{logged} bytes were taken from a container whose client takes none");
    assert!(!fixture.path("shared/done").exists());
    assert_eq!(client.exit().code, 0);
    complete(&client.text());
    complete(&fixture.log(Stream::Stdout));
}

#[test]
fn a_slow_later_client_slows_nobody_and_is_told() {
    if !able() {
        return;
    }
    let script = format!("read line; {}", numbers());
    let fixture = Fixture::new(&script).change(|launch| {
        launch.log = Some(LogLimits { max_size: 1 << 30, ..LogLimits::default() });
        launch.stdin = true;
    });
    let mut client = fixture.start(None);
    client.started();
    client.send(&Request::Wait);
    let mut late = fixture.connect();
    late.send(&Request::Attach { stdin: true });
    late.send(&Request::Stdin(b"\n".to_vec()));
    assert_eq!(client.exit().code, 0);
    complete(&fixture.log(Stream::Stdout));
    assert_eq!(late.exit().code, 0);
    let told = String::from_utf8_lossy(&late.stderr).into_owned();
    let missed = LINES * 8 - late.stdout.len();
    assert!(missed > 1 << 20 && told.contains(&format!("rctr: {missed} bytes")), "{missed}: {told}");
}

#[test]
fn a_foreground_client_that_dies_lets_the_container_go_on() {
    if !able() {
        return;
    }
    let fixture =
        Fixture::new(&numbers()).change(|launch| launch.log = Some(LogLimits { max_size: 1 << 30, ..LogLimits::default() }));
    let mut client = fixture.start(Some(false));
    client.started();
    let mut waiter = fixture.connect();
    waiter.send(&Request::Wait);
    std::thread::sleep(Duration::from_millis(100));
    rustix::net::shutdown(&client.socket, rustix::net::Shutdown::Both).unwrap();
    assert_eq!(waiter.exit().code, 0);
    complete(&fixture.log(Stream::Stdout));
}

#[test]
fn the_log_is_rotated() {
    if !able() {
        return;
    }
    let limits = LogLimits { max_size: 100_000, max_files: 3, ..LogLimits::default() };
    let fixture = Fixture::new("seq 1000000 1019999").change(|launch| launch.log = Some(limits));
    assert_eq!(fixture.start(Some(false)).exit().code, 0);
    let sizes =
        ["current", "current.1", "current.2"].map(|name| fixture.path("container/log").join(name).metadata().unwrap().len());
    assert!(sizes.iter().all(|size| *size <= limits.max_size), "{sizes:?}");
    assert!(!fixture.path("container/log/current.3").exists());
    let log = fixture.log(Stream::Stdout);
    assert!(log.ends_with("1019999\n") && log.lines().count() > 4000);
}

/// Mounts a small tmpfs on a path, until dropped.
struct Small(std::path::PathBuf);

impl Drop for Small {
    fn drop(&mut self) {
        let _ = unmount(&self.0, UnmountFlags::DETACH);
    }
}

/// A container whose folder is on a small disk of its own.
fn on_a_small_disk(script: &str) -> (Fixture, Small) {
    let mut fixture = Fixture::new(script);
    let path = fixture.path("container");
    let small = sys::mount::Filesystem::open("tmpfs").unwrap();
    let small = small.set("size", "256k").unwrap().mount(MountAttrFlags::empty()).unwrap();
    move_mount(&small, "", rustix::fs::CWD, &path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
    fixture.fds[3] = sys::fs::open_dir(&path).unwrap();
    (fixture, Small(path))
}

#[test]
fn a_full_disk_stops_the_log_and_not_the_container() {
    if !able() {
        return;
    }
    // Records of 49 bytes: the disk is never full exactly behind one.
    let (fixture, small) = on_a_small_disk("seq 10000000 10099999; exit 4");
    let mut client = fixture.start(Some(false));
    assert_eq!((client.exit().code, client.stdout.len()), (4, 900_000));
    // Whole records only, though some are missing.
    let text = std::fs::read(small.0.join("log/current")).unwrap();
    let (mut lines, mut records) = (Lines::default(), 0);
    lines.push(&text);
    while let Some(line) = lines.next() {
        assert!(line.bytes.iter().all(u8::is_ascii_digit), "{:?}", String::from_utf8_lossy(line.bytes));
        records += 1;
    }
    assert!(text.ends_with(b"\n") && records > 1000);
    assert_eq!(text.iter().filter(|byte| **byte == b'\n').count(), records);
}

#[test]
fn the_end_is_recorded_on_a_full_disk() {
    if !able() {
        return;
    }
    let (fixture, small) = on_a_small_disk("sleep 300");
    let mut client = fixture.start(Some(false));
    client.started();
    let full = std::fs::write(small.0.join("filler"), vec![0; 1 << 20]).unwrap_err();
    assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    client.send(&Request::Signal(9));
    let exit = client.exit();
    assert_eq!((exit.code, fixture.status()), (137, Some(launch::Status::Exited(exit))));
}

#[test]
fn nothing_runs_without_a_record() {
    if !able() {
        return;
    }
    let (fixture, small) = on_a_small_disk("sleep 300");
    std::fs::write(small.0.join("filler"), vec![0; 1 << 20]).unwrap_err();
    let mut client = fixture.start(Some(false));
    let failed = std::iter::from_fn(|| client.next()).find(|event| matches!(event, Event::Failed { .. } | Event::Started { .. }));
    assert!(matches!(&failed, Some(Event::Failed { message, .. }) if message.contains("ENOSPC")), "{failed:?}");
    assert_eq!(fixture.status(), None);
}

#[test]
fn whoever_holds_the_pipes_is_not_waited_for() {
    if !able() {
        return;
    }
    // Without a pid namespace the sleeper lives on, as it would with a daemon that has left the container's session.
    let fixture = Fixture::new("sleep 300 & echo $!; exit 6");
    let fixture = fixture.change(|launch| launch.plan.unshare &= !sys::ns::kind::PID);
    let begin = Instant::now();
    let mut client = fixture.start(Some(false));
    assert_eq!(client.exit().code, 6);
    assert!(begin.elapsed() < Duration::from_secs(200), "it was waited for");
    let sleeper: u32 = client.text().trim().parse().unwrap();
    let start = sys::process::start_time(sleeper).expect("nothing here says that it must end");
    sys::process::signal(sys::process::open(sleeper, start).unwrap(), 9).unwrap();
    assert!(!matches!(client.next(), Some(Event::Output { .. })));
}
