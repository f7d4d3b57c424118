//! Against a manager that says what a test wants it to.

use std::io::{Read, Write};
use std::thread::{JoinHandle, spawn};

use super::*;
use crate::dbus::wire::{Kind, Outgoing, decode};

/// What the manager does with one call: it is told the method, and answers with messages.
type Answer = (&'static str, fn(serial: u32) -> Vec<Vec<u8>>);

fn answer(kind: Kind, reply: Option<u32>, member: &str, body: &[Value]) -> Vec<u8> {
    let (destination, path, interface) = ("", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
    Outgoing { kind, serial: 1, reply, destination, path, interface, member, body }.encode()
}

fn removed(job: &str, result: &str) -> Vec<u8> {
    let job = Value::ObjectPath(job.into());
    answer(Kind::Signal, None, "JobRemoved", &[Value::Uint32(1), job, Value::string("x.scope"), Value::string(result)])
}

fn returned(serial: u32, job: &str) -> Vec<u8> {
    answer(Kind::Return, Some(serial), "", &[Value::ObjectPath(job.into())])
}

fn manager(greeting: &'static str, answers: Vec<Answer>) -> (UnixStream, JoinHandle<()>) {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    let thread = spawn(move || {
        let mut input = Vec::new();
        let mut bytes = [0; 4096];
        let mut more = |input: &mut Vec<u8>, socket: &mut UnixStream| {
            let length = socket.read(&mut bytes).unwrap();
            input.extend(&bytes[..length]);
        };
        let end = b"BEGIN\r\n";
        while !input.windows(end.len()).any(|part| part == end) {
            more(&mut input, &mut theirs);
        }
        assert!(input.starts_with(b"\0AUTH EXTERNAL\r\nDATA\r\n"));
        let begin = input.windows(end.len()).position(|part| part == end).unwrap();
        input.drain(..begin + end.len());
        theirs.write_all(greeting.as_bytes()).unwrap();
        for (serial, (method, messages)) in (1..).zip(answers) {
            let call = loop {
                match decode(&mut input).unwrap() {
                    Some(call) => break call,
                    None => more(&mut input, &mut theirs),
                }
            };
            assert_eq!(call.name, method);
            messages(serial).iter().for_each(|message| theirs.write_all(message).unwrap());
        }
    });
    (ours, thread)
}

#[test]
fn a_job_is_waited_for() {
    // The signal may come before the answer that names the job, and others come in between.
    let early: Answer =
        ("StartTransientUnit", |serial| vec![removed("/other", "failed"), removed("/job/1", "done"), returned(serial, "/job/1")]);
    let late: Answer = ("StopUnit", |serial| vec![returned(serial, "/job/2"), removed("/job/2", "timeout")]);
    let (socket, thread) = manager("DATA\r\nOK 1234\r\nAGREE_UNIX_FD\r\n", vec![early, late]);
    let mut bus = Manager::on(socket).unwrap();
    let job = bus.call("StartTransientUnit", &[Value::string("x.scope")]).unwrap();
    bus.done(&job).unwrap();
    let job = bus.call("StopUnit", &[]).unwrap();
    assert_eq!(bus.done(&job).unwrap_err().to_string(), "the job ended as \"timeout\"");
    thread.join().unwrap();
}

#[test]
fn a_refusal_has_a_name() {
    let refuse: Answer = ("StopUnit", |serial| {
        vec![answer(Kind::Error, Some(serial), "org.freedesktop.systemd1.NoSuchUnit", &[Value::string("Unit x.scope not loaded.")])]
    });
    let (socket, thread) = manager("DATA\r\nOK 1234\r\nAGREE_UNIX_FD\r\n", vec![refuse]);
    let mut bus = Manager::on(socket).unwrap();
    let failure = bus.call("StopUnit", &[]).unwrap_err();
    assert!(failure.is("NoSuchUnit") && !failure.is("UnitExists"));
    assert_eq!(failure.to_string(), "Unit x.scope not loaded. (org.freedesktop.systemd1.NoSuchUnit)");
    thread.join().unwrap();
    // It hangs up now.
    assert!(matches!(bus.call("StopUnit", &[]), Err(Failure::Broken(_) | Failure::Nonsense(_))));
}

#[test]
fn a_stranger_is_not_talked_to() {
    let (socket, thread) = manager("REJECTED EXTERNAL\r\n", vec![]);
    assert_eq!(Manager::on(socket).unwrap_err().to_string(), "the D-Bus connection: it does not accept this user");
    thread.join().unwrap();
    let nonsense: Answer = ("Do", |_| vec![b"HTTP/1.1 400 Bad Request\r\n\r\n".to_vec()]);
    let (socket, thread) = manager("DATA\r\nOK 1\r\nERROR\r\n", vec![nonsense]);
    assert!(matches!(Manager::on(socket).unwrap().call("Do", &[]), Err(Failure::Nonsense(_))));
    thread.join().unwrap();
}

#[test]
fn where_there_is_no_systemd_it_is_said_where_it_was_looked_for() {
    let dir = tempfile::tempdir().unwrap();
    let failure = Manager::connect(Some(dir.path())).unwrap_err();
    let text = failure.to_string();
    assert!(text.starts_with("nobody answers at ") && text.ends_with("/bus") && text.contains("/systemd/private or "), "{text}");
}
