//! A program that speaks like `criu swrk` and does nothing of what that one does, and what it has heard.

use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use sys::process::{Clone, clone3};

const MODE: &str = "FAKE_CRIU_MODE";
const FOLDER: &str = "FAKE_CRIU_FOLDER";
/// The folder that `criu` is in.
pub const NAME: &str = "fake-criu";

/// One that a runtime finds, and its notes.
pub struct Criu {
    folder: PathBuf,
    mode: String,
}

impl Criu {
    /// In a folder of its own in `dir`. How it behaves: `fine`, `refuse`, `die`, `nonsense`, `old`, `poor` (it has no features), `late` (it
    /// fails when all is done).
    pub fn new(dir: &Path, mode: &str) -> Criu {
        let folder = dir.join(NAME);
        std::fs::create_dir_all(&folder).unwrap();
        std::os::unix::fs::symlink(std::env::current_exe().unwrap(), folder.join("criu")).unwrap();
        Criu { folder, mode: mode.to_owned() }
    }

    /// Lets a command find it.
    pub fn see_to<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        let path = format!("{}:{}", self.folder.display(), std::env::var("PATH").unwrap_or_default());
        command.env("PATH", path).env(MODE, &self.mode).env(FOLDER, &self.folder)
    }

    /// What it was asked last.
    pub fn request(&self) -> Vec<(u32, Field)> {
        fields(&std::fs::read(self.folder.join("request")).unwrap())
    }

    /// How it found itself then.
    pub fn facts(&self) -> Value {
        serde_json::from_slice(&std::fs::read(self.folder.join("facts")).unwrap()).unwrap()
    }

    /// The process that it said it has restored.
    pub fn restored(&self) -> Option<u32> {
        std::fs::read_to_string(self.folder.join("restored")).ok()?.parse().ok()
    }
}

/// A value: a number, or bytes.
#[derive(Debug, Clone, PartialEq)]
pub enum Field {
    Number(u64),
    Bytes(Vec<u8>),
}

fn fields(mut bytes: &[u8]) -> Vec<(u32, Field)> {
    let mut all = Vec::new();
    let number = |bytes: &mut &[u8]| {
        let length = bytes.iter().position(|byte| *byte < 0x80).unwrap() + 1;
        let value = bytes[..length].iter().rev().fold(0u64, |value, byte| value << 7 | u64::from(byte & 0x7f));
        *bytes = &bytes[length..];
        value
    };
    while !bytes.is_empty() {
        let key = number(&mut bytes);
        let value = number(&mut bytes);
        let field = match key & 7 {
            0 => Field::Number(value),
            2 => {
                let (taken, rest) = bytes.split_at(value as usize);
                bytes = rest;
                Field::Bytes(taken.to_vec())
            }
            other => panic!("wire type {other}"),
        };
        all.push(((key >> 3) as u32, field));
    }
    all
}

pub fn number(all: &[(u32, Field)], field: u32) -> Option<u64> {
    all.iter().find_map(|(known, value)| match value {
        Field::Number(value) if *known == field => Some(*value),
        _ => None,
    })
}

/// All messages of a field.
pub fn messages(all: &[(u32, Field)], field: u32) -> Vec<Vec<(u32, Field)>> {
    bytes(all, field).map(fields).collect()
}

pub fn message(all: &[(u32, Field)], field: u32) -> Vec<(u32, Field)> {
    messages(all, field).pop().unwrap_or_default()
}

pub fn text(all: &[(u32, Field)], field: u32) -> Option<String> {
    bytes(all, field).next().map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// All messages of a field that are two texts.
pub fn pairs(all: &[(u32, Field)], field: u32) -> Vec<(String, String)> {
    messages(all, field).iter().map(|one| (text(one, 1).unwrap(), text(one, 2).unwrap())).collect()
}

fn bytes(all: &[(u32, Field)], field: u32) -> impl Iterator<Item = &[u8]> {
    all.iter().filter_map(move |(known, value)| match value {
        Field::Bytes(bytes) if *known == field => Some(bytes.as_slice()),
        _ => None,
    })
}

const VERSION: u64 = 10;
const FEATURES: u64 = 9;
const RESTORE: u64 = 2;

/// `criu swrk FD`.
pub fn main(words: &[String]) {
    assert_eq!(words[0], "swrk");
    let fd: i32 = words[1].parse().unwrap();
    let socket = rustix::process::pidfd_open(rustix::process::getpid(), rustix::process::PidfdFlags::empty())
        .and_then(|own| rustix::process::pidfd_getfd(own, fd, rustix::process::PidfdGetfdFlags::empty()))
        .unwrap();
    let mode = std::env::var(MODE).unwrap();
    let folder = PathBuf::from(std::env::var_os(FOLDER).unwrap());
    let mut asked = receive(&socket);
    loop {
        let kind = number(&asked, 1).unwrap();
        match kind {
            VERSION if mode == "old" => send(&socket, b"\x08\x0a\x10\x01\x52\x04\x08\x03\x10\x0e"),
            VERSION => send(&socket, b"\x08\x0a\x10\x01\x52\x04\x08\x04\x10\x02"),
            FEATURES if mode == "poor" => send(&socket, b"\x08\x09\x10\x01\x42\x04\x08\x00\x10\x00"),
            FEATURES => send(&socket, b"\x08\x09\x10\x01\x42\x04\x08\x01\x10\x01"),
            kind => return work(&socket, kind, &asked, &mode, &folder, fd),
        }
        assert_eq!(number(&asked, 4), Some(1), "the line stays open");
        asked = receive(&socket);
    }
}

fn receive(socket: &impl AsFd) -> Vec<(u32, Field)> {
    let (bytes, _) = sys::socket::receive_whole(socket, 1 << 20).unwrap();
    if bytes.is_empty() {
        std::process::exit(1);
    }
    if let Some(folder) = std::env::var_os(FOLDER).filter(|_| !matches!(number(&fields(&bytes), 1), Some(6 | FEATURES | VERSION))) {
        std::fs::write(Path::new(&folder).join("request"), &bytes).unwrap();
    }
    fields(&bytes)
}

fn send(socket: &impl AsFd, bytes: &[u8]) {
    sys::socket::send(socket, bytes, &[]).unwrap();
}

/// Tells something and waits until that is noted.
fn tell(socket: &impl AsFd, script: &str, pid: Option<u32>) {
    let made = pid;
    let mut inner = vec![0x0a, script.len() as u8];
    inner.extend(script.as_bytes());
    if let Some(mut pid) = pid {
        inner.push(0x10);
        while pid >= 0x80 {
            inner.push(pid as u8 | 0x80);
            pid >>= 7;
        }
        inner.push(pid as u8);
    }
    let mut bytes = vec![0x08, 0x06, 0x10, 0x01, 0x2a, inner.len() as u8];
    bytes.extend(inner);
    send(socket, &bytes);
    let noted = receive(socket);
    assert_eq!(number(&noted, 1), Some(6));
    if number(&noted, 3) != Some(1) {
        // As criu does: it takes back what it has made, and says that it has failed.
        if let Some(made) = made.and_then(|pid| rustix::process::Pid::from_raw(pid as i32)) {
            rustix::process::kill_process(made, rustix::process::Signal::KILL).unwrap();
        }
        send(socket, b"\x08\x02\x10\x00");
        std::process::exit(1);
    }
}

fn work(socket: &impl AsFd, kind: u64, asked: &[(u32, Field)], mode: &str, folder: &Path, fd: i32) {
    let options = message(asked, 2);
    let peer = rustix::process::getppid().unwrap().as_raw_pid();
    let place = |field| number(&options, field).map(|fd| std::fs::read_link(format!("/proc/{peer}/fd/{fd}")).unwrap());
    let images = place(1).unwrap();
    let work = place(17).unwrap_or_else(|| images.clone());
    std::fs::write(folder.join("facts"), facts(&options, &images, &work, fd).to_string()).unwrap();
    let log = "(0.1) fine\n(0.2) Error (fake.c:1): it went wrong\n";
    std::fs::write(work.join(text(&options, 10).unwrap()), log).unwrap();
    if let Some(freezer) = text(&options, 44).filter(|_| kind != RESTORE && mode != "fine") {
        let (file, word) = if freezer.contains("freezer") { ("freezer.state", "FROZEN") } else { ("cgroup.freeze", "1") };
        std::fs::write(Path::new(&freezer).join(file), word).unwrap();
    }
    match mode {
        "refuse" => return send(socket, &[0x08, kind as u8, 0x10, 0x00, 0x38, 0x05]),
        "die" => std::process::exit(7),
        "nonsense" => return send(socket, b"\xff\xff"),
        _ => {}
    }
    if kind != RESTORE {
        tell(socket, "network-lock", None);
        if number(&options, 48) == Some(1) {
            tell(socket, "status-ready", None);
        }
        return send(socket, &[0x08, kind as u8, 0x10, 0x01]);
    }
    let pid = restored();
    std::fs::write(folder.join("restored"), pid.to_string()).unwrap();
    tell(socket, "pre-restore", None);
    tell(socket, "setup-namespaces", Some(pid));
    tell(socket, "post-restore", Some(pid));
    send(socket, &[0x08, 0x02, 0x10, 0x01]);
    if mode == "late" {
        std::process::exit(3);
    }
}

/// A process that the asker will wait for, in the namespaces of a container.
fn restored() -> u32 {
    use sys::ns::kind::{IPC, MOUNT, NET, PID, UTS};
    let clone = Clone { namespaces: IPC | MOUNT | NET | PID | UTS, sibling: true, ..Clone::default() };
    let child = clone3(&clone, || {
        sys::fds::close_all_but(3, &[]).unwrap();
        loop {
            rustix::event::pause();
        }
    });
    child.unwrap().pid.as_raw_pid() as u32
}

fn facts(options: &[(u32, Field)], images: &Path, work: &Path, own: i32) -> Value {
    let link = |fd: i32| std::fs::read_link(format!("/proc/self/fd/{fd}")).unwrap_or_default();
    let names = |folder: &Path| {
        let names = std::fs::read_dir(folder).into_iter().flatten();
        names.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect::<std::collections::BTreeSet<_>>()
    };
    // What the program itself has opened by now is above.
    let inherited = names(Path::new("/proc/self/fd")).iter().map(|name| name.parse::<i32>().unwrap()).collect::<Vec<_>>();
    let socket = |fd: &i32| *fd == own || *fd <= 2 || !link(*fd).starts_with("socket:");
    let mut descriptors: Vec<i32> = inherited.into_iter().filter(socket).filter(|fd| !close_on_exec(*fd)).collect();
    descriptors.sort_unstable();
    let root = PathBuf::from(text(options, 13).unwrap_or_default());
    let null = std::fs::metadata(root.with_file_name("null")).map(|stat| stat.rdev()).unwrap_or(0);
    json!({
        "images": images, "work": work,
        "streams": [link(0), link(1), link(2)],
        "descriptors": descriptors,
        "cgroup": std::fs::read_to_string("/proc/self/cgroup").unwrap(),
        "mnt": std::fs::read_link("/proc/self/ns/mnt").unwrap(),
        "root": names(&root),
        "null": [rustix::fs::major(null), rustix::fs::minor(null)],
    })
}

fn close_on_exec(fd: i32) -> bool {
    let info = std::fs::read_to_string(format!("/proc/self/fdinfo/{fd}")).unwrap_or_default();
    let flags = info.lines().find_map(|line| u64::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
    flags.is_none_or(|flags| flags & 0o2_000_000 != 0)
}
