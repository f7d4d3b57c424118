//! Terminals, descriptors and signals.

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Command, Stdio};

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, ioctl_tiocgptpeer, openpt, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use serde_json::json;

use crate::fixture::{Bundle, eventually, runtime, text};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("a_console_socket_gets_the_terminal", Of::Every, a_console_socket_gets_the_terminal),
    ("exec_sends_its_terminal_too", Of::Every, exec_sends_its_terminal_too),
    ("a_pidfd_socket_gets_the_process", Of::Ours, a_pidfd_socket_gets_the_process),
    ("a_terminal_needs_a_taker", Of::Every, a_terminal_needs_a_taker),
    ("a_foreground_terminal_is_relayed", Of::Every, a_foreground_terminal_is_relayed),
    ("standard_input_is_passed_on", Of::Every, standard_input_is_passed_on),
    ("signals_are_passed_on", Of::Every, signals_are_passed_on),
    ("a_killed_init_is_128_and_its_signal", Of::Every, a_killed_init_is_128_and_its_signal),
    ("descriptors_are_preserved_when_asked", Of::Every, descriptors_are_preserved_when_asked),
];

fn with_terminal(words: &[&str]) -> Bundle {
    Bundle::new(words).with(|spec| {
        spec["process"]["terminal"] = json!(true);
        spec["process"]["consoleSize"] = json!({"height": 33, "width": 77});
    })
}

/// What comes with one descriptor.
pub fn accept(listener: &UnixListener) -> std::fs::File {
    let (socket, _) = listener.accept().unwrap();
    let (length, mut fds) = sys::socket::receive(&socket, &mut [0; 4096]).unwrap();
    assert!(length > 0 && fds.len() == 1);
    fds.remove(0).into()
}

/// Reads a terminal to its end, which is EIO.
pub fn read(mut master: impl Read) -> String {
    let (mut all, mut buffer) = (Vec::new(), [0; 1024]);
    while let Ok(length @ 1..) = master.read(&mut buffer) {
        all.extend(&buffer[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn a_console_socket_gets_the_terminal() {
    let bundle = with_terminal(&["tty"]);
    let listener = UnixListener::bind(bundle.path("console")).unwrap();
    bundle.ok(&["create", "--console-socket", "BUNDLE/console", "ID"]);
    let master = accept(&listener);
    bundle.ok(&["start", "ID"]);
    assert_eq!(read(master), "33 77\r\n");
}

fn exec_sends_its_terminal_too() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let listener = UnixListener::bind(bundle.path("console")).unwrap();
    bundle.ok(&["exec", "-t", "-d", "--console-socket", "BUNDLE/console", "ID", "/probe", "say", "hello"]);
    assert_eq!(read(accept(&listener)), "hello\r\n");
}

/// runc 1.3 and newer.
fn a_pidfd_socket_gets_the_process() {
    let bundle = Bundle::new(&["wait"]);
    let listener = UnixListener::bind(bundle.path("pidfd")).unwrap();
    let number = |fd: std::fs::File| {
        let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{}", fd.as_raw_fd())).unwrap();
        info.lines().find_map(|line| line.strip_prefix("Pid:")?.trim().parse::<u32>().ok()).unwrap()
    };
    bundle.ok(&["create", "--pidfd-socket", "BUNDLE/pidfd", "ID"]);
    assert_eq!(number(accept(&listener)), bundle.pid());
    bundle.ok(&["start", "ID"]);
    bundle.ok(&["exec", "-d", "--pid-file", "BUNDLE/pid", "--pidfd-socket", "BUNDLE/pidfd", "ID", "/probe", "wait"]);
    assert_eq!(number(accept(&listener)).to_string(), std::fs::read_to_string(bundle.path("pid")).unwrap());
    bundle.ok(&["delete", "--force", "ID"]);
    // Nobody listens: whoever asked for it would wait for ever, so there is no container.
    drop(listener);
    bundle.fails(&["run", "-d", "--pidfd-socket", "BUNDLE/pidfd", "ID"], "ECONNREFUSED");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn a_terminal_needs_a_taker() {
    with_terminal(&["tty"]).fails(&["create", "ID"], "cannot allocate tty");
    Bundle::new(&["tty"]).fails(&["create", "--console-socket", "/x", "ID"], "cannot use console socket");
}

fn pair() -> (std::fs::File, OwnedFd) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let peer = ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
    (master.into(), peer)
}

fn a_foreground_terminal_is_relayed() {
    let bundle = with_terminal(&["cat"]);
    let (mut master, peer) = pair();
    tcsetwinsize(&master, Winsize { ws_row: 20, ws_col: 50, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let own = || Stdio::from(peer.try_clone().unwrap());
    let mut command = bundle.command(&["run", "ID"]);
    let mut child = command.stdin(own()).stdout(own()).stderr(own()).spawn().unwrap();
    drop((command, peer));
    eventually("running", || bundle.call(&["state", "ID"]).out.contains("\"running\""));
    // Raw here, and cooked there: the echo is the container's.
    master.write_all(b"hello\n\x04").unwrap();
    let said = read(&master);
    assert!(said.contains("hello\r\nhello\r\n"), "{said:?}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

fn standard_input_is_passed_on() {
    let bundle = Bundle::new(&["cat"]);
    let mut child = bundle.command(&["run", "ID"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"some text").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), text(&output).as_str()), (Some(0), "some text"));
}

fn signals_are_passed_on() {
    for verb in [&["run", "ID"][..], &["exec", "ID", "/probe", "term"]] {
        let bundle = Bundle::new(&[if verb[0] == "run" { "term" } else { "wait" }]);
        if verb[0] == "exec" {
            bundle.ok(&["run", "-d", "ID"]);
        }
        let mut child = bundle.command(verb).stdout(std::fs::File::create(bundle.path("out")).unwrap()).spawn().unwrap();
        eventually("ready", || std::fs::read_to_string(bundle.path("out")).unwrap() == "ready\n");
        let process = sys::process::open(child.id(), sys::process::start_time(child.id()).unwrap()).unwrap();
        sys::process::signal(process.as_fd(), 15).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(42), "{verb:?}");
    }
}

fn a_killed_init_is_128_and_its_signal() {
    let bundle = Bundle::new(&["wait"]);
    let mut child = bundle.command(&["run", "ID"]).spawn().unwrap();
    eventually("running", || bundle.call(&["state", "ID"]).out.contains("\"running\""));
    bundle.ok(&["kill", "ID", "KILL"]);
    assert_eq!(child.wait().unwrap().code(), Some(137));
}

fn descriptors_are_preserved_when_asked() {
    let open = |file: &std::path::Path| rustix::fs::open(file, OFlags::RDONLY, rustix::fs::Mode::empty()).is_ok();
    let bundle = Bundle::new(&["fd", "3"]);
    let file = bundle.path("file");
    std::fs::write(&file, "").unwrap();
    assert!(open(&file));
    let call = |flags: &str| {
        bundle.command(&["list"]);
        let script = format!("exec \"$0\" --root {} run {flags} {} 3<{}", bundle.path("root").display(), bundle.id, file.display());
        let mut command = Command::new("/bin/sh");
        text(&command.args(["-c", &script]).arg(runtime()).current_dir(bundle.dir.path()).output().unwrap())
    };
    assert!(call("--preserve-fds 1").contains("/file"));
    assert!(call("").contains("NotFound"));
}
