//! `--relay` where ids are few: in a user namespace, as a container has one.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use net::relay::Relay;
use net::{Port, Protocol};

use crate::fixture::{PATIENCE, able, program, spawning};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// A user namespace with this range of ids.
fn namespace(range: &str) -> OwnedFd {
    let (ours, theirs) = sys::socket::pair().unwrap();
    let args = ["rctr-monitor", "--users", range, range].map(|arg| std::ffi::CString::new(arg).unwrap());
    let file = rustix::io::fcntl_dupfd_cloexec(fs::File::open(program()).unwrap(), 10).unwrap();
    let _spawning = spawning();
    let pid = sys::spawn::spawn(file, &args, theirs, sys::spawn::Home::default()).unwrap();
    let (_, mut made) = sys::socket::receive_whole(&ours, 4096).unwrap();
    rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty()).unwrap();
    made.swap_remove(0)
}

/// What `/proc/PID/status` says of a relay that runs in a user namespace with these ids, and has passed something on.
fn relayed(range: &str) -> String {
    let server = TcpListener::bind((HERE, 0)).unwrap();
    let door = TcpListener::bind((HERE, 0)).unwrap();
    door.set_nonblocking(true).unwrap();
    let at = door.local_addr().unwrap();
    let port = Port {
        host_ip: Some(HERE),
        host_port: at.port(),
        container_port: server.local_addr().unwrap().port(),
        protocol: Protocol::Tcp,
    };
    let namespace = namespace(range);
    let (control, theirs) = sys::socket::pair().unwrap();
    let work = postcard::to_stdvec(&(None::<i32>, vec![Relay { port, to: HERE }], false)).unwrap();
    sys::socket::send(&control, &work, &[door.as_fd()]).unwrap();
    // Both programs that are executed on the way keep their process. Its folder may be closed to others.
    let place = format!("/proc/{}/fd/{}", std::process::id(), namespace.as_raw_fd());
    let line = format!("exec 3<&0 4<{:?} </dev/null; exec nsenter --user={place} /proc/self/fd/4 --relay", program());
    let spawning = spawning();
    let mut relay = Command::new("sh").args(["-c", &line]).stdin(Stdio::from(theirs)).spawn().unwrap();
    drop(spawning);
    let mut client = TcpStream::connect(at).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"ping").unwrap();
    let mut answering = accepted(&server);
    // What nobody reads makes an end a reset (RFC 9293, section 3.10.4).
    answering.read_exact(&mut [0; 4]).unwrap();
    answering.write_all(b"pong").unwrap();
    drop(answering);
    let mut answer = Vec::new();
    client.read_to_end(&mut answer).unwrap();
    assert_eq!(answer, b"pong");
    let status = fs::read_to_string(format!("/proc/{}/status", relay.id())).unwrap();
    drop(control);
    assert!(relay.wait().unwrap().success());
    status
}

/// The next client of a server, which comes in time or not at all.
fn accepted(server: &TcpListener) -> TcpStream {
    server.set_nonblocking(true).unwrap();
    let late = Instant::now() + PATIENCE;
    loop {
        match server.accept() {
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < late => sleep(Duration::from_millis(10)),
            accepted => {
                let (client, _) = accepted.unwrap();
                client.set_nonblocking(false).unwrap();
                return client;
            }
        }
    }
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.split_whitespace().next().unwrap_or_default()
}

#[test]
fn a_relay_has_no_rights_whatever_ids_there_are() {
    if !able() {
        return;
    }
    for (range, user) in [("0:100000:65536", "165534"), ("0:100000:1024", "101023"), ("0:100000:1", "100000")] {
        let status = relayed(range);
        assert_eq!((field(&status, "Uid:"), field(&status, "Gid:")), (user, user), "{range}: {status}");
        for set in ["CapInh:", "CapPrm:", "CapEff:", "CapAmb:"] {
            assert_eq!(field(&status, set), "0000000000000000", "{range}: {status}");
        }
        assert_eq!(field(&status, "NoNewPrivs:"), "1", "{range}: {status}");
    }
}
