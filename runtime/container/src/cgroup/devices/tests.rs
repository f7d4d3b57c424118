//! Programs as tables, and what the kernel makes of them.

#![allow(clippy::print_stdout, reason = "why a test is skipped")]

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use oci_spec::runtime::LinuxDeviceCgroupBuilder;
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mknodat, open};
use rustix::io::Errno;

use super::*;

/// `-a`, `+c 1:3 rw`, `-b *:* m`: as one would write them for the v1 controller.
fn rule(text: &str) -> LinuxDeviceCgroup {
    let (allow, rest) = (text.starts_with('+'), &text[1..]);
    let mut words = rest.split(' ');
    let kind = match words.next().unwrap() {
        "a" => LinuxDeviceType::A,
        "b" => LinuxDeviceType::B,
        "c" => LinuxDeviceType::C,
        "p" => LinuxDeviceType::P,
        other => panic!("type {other}"),
    };
    let rule = LinuxDeviceCgroupBuilder::default().allow(allow).typ(kind);
    let Some((major, minor)) = words.next().and_then(|numbers| numbers.split_once(':')) else { return rule.build().unwrap() };
    let rule = if major == "*" { rule } else { rule.major(major.parse::<i64>().unwrap()) };
    let rule = if minor == "*" { rule } else { rule.minor(minor.parse::<i64>().unwrap()) };
    let rule = match words.next() {
        Some(access) => rule.access(access),
        None => rule,
    };
    rule.build().unwrap()
}

fn rules(texts: &[&str]) -> Vec<LinuxDeviceCgroup> {
    texts.iter().map(|text| rule(text)).collect()
}

const HEAD: usize = 15;

#[test]
fn an_allow_list() {
    let program = program(&rules(&["-a", "+c 1:3 rwm", "+b *:7 r"]));
    let block = |register, value, off| Instruction { code: 0x56, regs: register, off, imm: value };
    let (allow, deny, exit) = ((0xb7, 0, 1), (0xb7, 0, 0), (0x95, 0, 0));
    let plain = |(code, regs, imm)| Instruction { code, regs, off: 0, imm };
    let expected = [
        // b *:7 r
        block(5, 1 << 20 | 7, 4),
        plain((0x54, 3, !2)),
        block(3, 0, 2),
        plain(allow),
        plain(exit),
        // c 1:3 rwm
        plain((0x18, 7, 1 << 20 | 3)),
        plain((0, 0, 2)),
        Instruction { code: 0x5d, regs: 0x76, off: 2, imm: 0 },
        plain(allow),
        plain(exit),
        plain(deny),
        plain(exit),
    ];
    assert_eq!(program[HEAD..], expected);
}

#[test]
fn rules_without_effect_are_left_out() {
    let answers = |texts: &[&str]| program(&rules(texts))[HEAD..].to_vec();
    assert_eq!(answers(&[]), answer(false));
    assert_eq!(answers(&["-a"]), answer(false));
    assert_eq!(answers(&["+a"]), answer(true));
    assert_eq!(answers(&["-a", "+c 1:3 rwm", "+a"]), answer(true), "a rule of type a starts anew");
    assert_eq!(answers(&["+a", "+c 1:3 rwm"]), answer(true));
    assert_eq!(answers(&["-c 1:3 rwm"]), answer(false));
    assert_eq!(answers(&["+p 1:3 rwm"]), answer(false), "pipes are not devices");
    assert_eq!(answers(&["+c 4294967296:0 rwm"]), answer(false), "no device has this number");
    assert_eq!(answers(&["+c 4096:0 rwm"]), answer(false), "nor this one");
    assert_eq!(answers(&["+c 0:1048576 rwm"]), answer(false), "nor this one");
    assert_eq!(answers(&["+c 1:3 x"]), answer(false), "an unknown letter allows nothing");
    assert_eq!(answers(&["+a", "-c 1:3 x"]), answers(&["+a", "-c 1:3 rwm"]), "an unknown letter refuses all");
    assert_eq!(answers(&["-a", "+c 1:3"]), answers(&["-a", "+c 1:3 rwm"]), "no letters are all");
    assert_eq!(answers(&["-a", "+c -1:-1 rwm"]), answers(&["-a", "+c *:* rwm"]));
}

/// What is asked of the kernel: a path to open, or a node to make.
const PROBES: [(&str, LinuxDeviceType, i64, i64, &str); 10] = [
    ("/dev/null", LinuxDeviceType::C, 1, 3, "r"),
    ("/dev/null", LinuxDeviceType::C, 1, 3, "w"),
    ("/dev/null", LinuxDeviceType::C, 1, 3, "rw"),
    ("/dev/zero", LinuxDeviceType::C, 1, 5, "r"),
    ("/dev/zero", LinuxDeviceType::C, 1, 5, "w"),
    ("/dev/zero", LinuxDeviceType::C, 1, 5, "rw"),
    ("/dev/urandom", LinuxDeviceType::C, 1, 9, "r"),
    ("", LinuxDeviceType::C, 1, 3, "m"),
    ("", LinuxDeviceType::C, 7, 0, "m"),
    ("", LinuxDeviceType::B, 7, 0, "m"),
];

const TABLES: [&[&str]; 14] = [
    &[],
    &["-a"],
    &["+a"],
    &["-a", "+c 1:3 rwm"],
    &["-a", "+c 1:3 r", "+c *:* m"],
    &["-a", "+c 1:3 r", "+c 1:* w"],
    &["-a", "+c 1:* rwm", "-c 1:5 w"],
    &["-a", "+c *:* rwm", "-c 1:* rwm", "+c 1:5 r"],
    &["+a", "-c 1:5 w"],
    &["+a", "-c 1:5 rw", "-b *:* m"],
    &["+a", "-c *:* w", "+c 1:3 w"],
    &["+a", "-a", "+b 7:0 m"],
    &["+b *:* rwm", "+c 1:9 r"],
    &["-a", "+c *:5 rw", "-c 1:* r", "+c 1:9 rwm"],
];

/// Rules in order, per kind of access, the last match wins.
fn allows(rules: &[LinuxDeviceCgroup], kind: LinuxDeviceType, major: i64, minor: i64, letter: char) -> bool {
    rules.iter().fold(false, |before, rule| {
        let all = rule.typ() == Some(LinuxDeviceType::A);
        let numbers = rule.major().is_none_or(|number| number == major) && rule.minor().is_none_or(|number| number == minor);
        let exact = rule.typ() == Some(kind) && numbers && rule.access().as_deref().unwrap_or("rwm").contains(letter);
        if all || exact { rule.allow() } else { before }
    })
}

/// Tries each probe: `+` done, `-` refused with EPERM.
fn probe() -> String {
    let node = std::env::temp_dir().join(format!("rctr-devices-{}", std::process::id()));
    let attempt = |&(path, kind, major, minor, access): &(&str, LinuxDeviceType, i64, i64, &str)| {
        let flags = match access {
            "r" => OFlags::RDONLY,
            "w" => OFlags::WRONLY,
            "rw" => OFlags::RDWR,
            _ => {
                let kind = if kind == LinuxDeviceType::B { FileType::BlockDevice } else { FileType::CharacterDevice };
                let made = mknodat(CWD, &node, kind, Mode::RUSR, makedev(major as u32, minor as u32));
                let _ = fs::remove_file(&node);
                return made;
            }
        };
        open(path, flags | OFlags::CLOEXEC, Mode::empty()).map(|_| ())
    };
    let sign = |probe| match attempt(probe) {
        Ok(()) => '+',
        Err(Errno::PERM) => '-',
        Err(_) => '?',
    };
    PROBES.iter().map(sign).collect()
}

/// The other side of [`the_kernel_agrees`]: a process of its own, which can be moved between cgroups.
#[test]
#[ignore = "started by the_kernel_agrees"]
fn prober() {
    for _ in std::io::stdin().lines() {
        println!("probed {}", probe());
    }
}

/// A v2 folder, removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: usize) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
        let mount = mounts.lines().find(|line| line.contains(" - cgroup2 "))?.split(' ').nth(4)?;
        let path = PathBuf::from(mount).join(format!("rctr-devices-{}-{name}", std::process::id()));
        fs::create_dir(&path).ok()?;
        Some(Scratch(path))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

struct Prober {
    child: Child,
    answers: BufReader<std::process::ChildStdout>,
}

impl Prober {
    fn start() -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "cgroup::devices::tests::prober", "--ignored", "--nocapture", "--test-threads=1"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let answers = BufReader::new(child.stdout.take().unwrap());
        Prober { child, answers }
    }

    fn ask(&mut self) -> String {
        self.child.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        let mut lines = (&mut self.answers).lines().map(Result::unwrap);
        let line = lines.find(|line| line.contains("probed ")).expect("the prober answers");
        line.split("probed ").nth(1).unwrap().to_owned()
    }

    fn end(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

#[test]
fn the_kernel_agrees() {
    if !rustix::process::geteuid().is_root() {
        return println!("skipped: needs root");
    }
    let Some(first) = Scratch::new(0) else { return println!("skipped: needs a writable cgroup2 mount") };
    let mut prober = Prober::start();
    assert_eq!(prober.ask(), "++++++++++", "unconfined");
    // All folders live until the prober has left them.
    let mut folders = vec![first];
    for (at, texts) in TABLES.iter().enumerate() {
        let (rules, folder) = (rules(texts), Scratch::new(at + 1).unwrap());
        let loaded = sys::bpf::load_device_program(&program(&rules)).unwrap();
        sys::bpf::attach_device_program(File::open(&folder.0).unwrap(), loaded).unwrap();
        fs::write(folder.0.join("cgroup.procs"), prober.child.id().to_string()).unwrap();
        folders.push(folder);
        let expected = |&(_, kind, major, minor, access): &(&str, _, _, _, &str)| {
            if access.chars().all(|letter| allows(&rules, kind, major, minor, letter)) { '+' } else { '-' }
        };
        assert_eq!(prober.ask(), PROBES.iter().map(expected).collect::<String>(), "{texts:?}");
    }
    prober.end();
}
