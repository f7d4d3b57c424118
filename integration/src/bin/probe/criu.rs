//! `criu swrk 3` without what criu does: it speaks as that one does, writes down what it was asked for, and dumps nothing. A process whose
//! command line has the word `undumpable` it refuses.

use std::fmt::Write as _;
use std::fs;
use std::os::fd::OwnedFd;

use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::process::{PidfdFlags, PidfdGetfdFlags, getpid, getppid, pidfd_getfd, pidfd_open};

const VERSION: u64 = 10;

/// Serves until its caller has heard enough.
pub(crate) fn main() {
    let own = pidfd_open(getpid(), PidfdFlags::empty()).expect("a descriptor of this process");
    let socket = pidfd_getfd(own, 3, PidfdGetfdFlags::empty()).expect("a socket");
    loop {
        let mut bytes = [0; 1 << 16];
        let (length, _) = recv(&socket, &mut bytes, RecvFlags::empty()).expect("a request");
        if length == 0 {
            return;
        }
        let asked = fields(&bytes[..length]);
        match number(&asked, 1) {
            // 4.2
            Some(VERSION) => answer(&socket, b"\x08\x0a\x10\x01\x52\x04\x08\x04\x10\x02"),
            _ if dump(&fields(bytes_of(&asked, 2))) => answer(&socket, b"\x08\x01\x10\x01"),
            _ => answer(&socket, b"\x08\x01\x10\x00"),
        }
    }
}

fn answer(socket: &OwnedFd, bytes: &[u8]) {
    send(socket, bytes, SendFlags::NOSIGNAL).expect("it listens");
}

/// Writes down what is asked for, where the images and the log would be; false for what cannot be dumped.
fn dump(options: &[(u64, Field<'_>)]) -> bool {
    let caller = getppid().expect("a caller").as_raw_nonzero();
    let place = |field: u64| format!("/proc/{caller}/fd/{}", number(options, field).expect("a descriptor"));
    let pid = number(options, 2).expect("a process");
    let command = fs::read(format!("/proc/{pid}/cmdline")).expect("it runs");
    if command.windows(10).any(|part| part == b"undumpable") {
        fs::write(format!("{}/dump.log", place(17)), "(00.1) Error (fake): it cannot be dumped\n").expect("a log");
        return false;
    }
    let mut text = format!("PATH={}\n", std::env::var("PATH").unwrap_or_default());
    for (field, value) in options {
        let _ = match value {
            Field::Number(number) => writeln!(text, "{field}={number}"),
            Field::Bytes(bytes) => writeln!(text, "{field}={}", String::from_utf8_lossy(bytes).escape_default()),
        };
    }
    fs::write(format!("{}/asked.img", place(1)), text).expect("an image");
    fs::write(format!("{}/dump.log", place(17)), "(00.1) Dumping finished successfully\n").expect("a log");
    true
}

/// A value of protocol buffers.
enum Field<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn fields(mut bytes: &[u8]) -> Vec<(u64, Field<'_>)> {
    let mut all = Vec::new();
    while !bytes.is_empty() {
        let key = varint(&mut bytes);
        let value = varint(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(value),
            2 => {
                let (taken, rest) = bytes.split_at(value as usize);
                bytes = rest;
                Field::Bytes(taken)
            }
            other => panic!("wire type {other}"),
        };
        all.push((key >> 3, field));
    }
    all
}

fn varint(bytes: &mut &[u8]) -> u64 {
    let length = bytes.iter().position(|byte| *byte < 0x80).expect("an end") + 1;
    let value = bytes[..length].iter().rev().fold(0, |value, byte| value << 7 | u64::from(byte & 0x7f));
    *bytes = &bytes[length..];
    value
}

fn number(all: &[(u64, Field<'_>)], field: u64) -> Option<u64> {
    all.iter().find_map(|(known, value)| match value {
        Field::Number(value) if *known == field => Some(*value),
        _ => None,
    })
}

fn bytes_of<'a>(all: &[(u64, Field<'a>)], field: u64) -> &'a [u8] {
    let found = all.iter().find_map(|(known, value)| match value {
        Field::Bytes(bytes) if *known == field => Some(*bytes),
        _ => None,
    });
    found.unwrap_or_default()
}
