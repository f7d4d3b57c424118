//! Terminals.

use std::os::fd::OwnedFd;

use launch::{Process, Step, create, exec};
use rustix::io::Errno;
use sys::process::wait;

use crate::Check;
use crate::fixture::{Facts, Fixture};

pub const CHECKS: &[Check] = &[
    ("a_terminal_is_the_containers_own", a_terminal_is_the_containers_own),
    ("without_a_console_too", without_a_console_too),
    ("a_user_owns_its_terminal", a_user_owns_its_terminal),
    ("exec_has_a_terminal_of_its_own", exec_has_a_terminal_of_its_own),
];

/// All that comes out of a terminal until its last user has closed it.
pub fn read(master: &OwnedFd) -> String {
    let (mut text, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        match rustix::io::read(master, &mut buffer) {
            Ok(length) if length > 0 => text.extend_from_slice(&buffer[..length]),
            Ok(_) | Err(Errno::IO) => return String::from_utf8(text).unwrap().replace('\r', ""),
            Err(errno) => panic!("{errno}"),
        }
    }
}

fn run(fixture: &Fixture) -> Facts {
    let created = create(&fixture.plan, &fixture.fds, None).unwrap_or_else(|failure| panic!("{failure}"));
    let running = created.start().unwrap();
    let text = read(&running.terminal.unwrap());
    assert_eq!(wait(&running.pidfd).unwrap().code(), 0, "{text}");
    Facts::parse(&text)
}

fn check(facts: &Facts, session: &str) {
    for stream in ["stdin", "stdout", "stderr", "controlling"] {
        assert_eq!(facts.get(stream), "true", "{stream}");
    }
    assert_eq!((facts.get("size"), facts.get("session"), facts.get("done")), ("33x99", session, "yes"));
}

fn a_terminal_is_the_containers_own() {
    let fixture = Fixture::new(&["tty"]).step(Step::Console).process(|process| process.terminal = Some((33, 99)));
    let facts = run(&fixture);
    check(&facts, "1");
    assert_eq!((facts.get("name"), facts.get("console")), ("/dev/pts/0", "true"));
}

fn without_a_console_too() {
    let facts = run(&Fixture::new(&["tty"]).process(|process| process.terminal = Some((33, 99))));
    check(&facts, "1");
    assert_eq!(facts.get("console"), "false");
}

fn a_user_owns_its_terminal() {
    let fixture = Fixture::new(&["tty"]).process(|process| (process.uid, process.terminal) = (1000, Some((33, 99))));
    assert_eq!(run(&fixture).get("owner"), "1000");
}

fn exec_has_a_terminal_of_its_own() {
    let guard = Fixture::new(&["wait"]).started();
    let capabilities = launch::Capabilities::default();
    let process = Process { terminal: Some((33, 99)), ..crate::fixture::process(&["tty"], capabilities) };
    for _ in 0..2 {
        let executed = exec(&process, &guard.running.target, None).unwrap_or_else(|failure| panic!("{failure}"));
        let facts = Facts::parse(&read(&executed.terminal.unwrap()));
        assert_eq!(wait(&executed.pidfd).unwrap().code(), 0);
        check(&facts, facts.get("session"));
        assert_ne!(facts.get("session"), "1");
    }
}
