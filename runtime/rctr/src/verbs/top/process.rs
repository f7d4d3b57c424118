//! Processes as proc(5) describes them.

use std::collections::BTreeMap;
use std::fs;

use anyhow::{Context as _, Result};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// One process.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Process {
    pub(super) pid: u32,
    pub(super) name: String,
    pub(super) state: char,
    pub(super) parent: u32,
    pub(super) group: u32,
    pub(super) session: u32,
    terminal: u32,
    foreground: i32,
    /// Seconds of processor time.
    pub(super) cpu: u64,
    pub(super) priority: i64,
    pub(super) nice: i64,
    pub(super) threads: u64,
    /// Clock ticks from boot to its start.
    start: u64,
    /// KiB.
    pub(super) virtual_size: u64,
    /// KiB.
    pub(super) resident: u64,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) command: String,
}

/// What the host says of time, memory and users.
pub(super) struct Host {
    /// Seconds from 1970 to boot.
    boot: u64,
    /// Seconds since boot.
    up: f64,
    /// KiB.
    memory: u64,
    users: BTreeMap<u32, String>,
}

impl Host {
    pub(super) fn read() -> Result<Host> {
        let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
        let boot = stat.lines().find_map(|line| line.strip_prefix("btime ")?.trim().parse().ok()).unwrap_or(0);
        let up = fs::read_to_string("/proc/uptime").context("read /proc/uptime")?;
        let up = up.split_whitespace().next().and_then(|seconds| seconds.parse().ok()).unwrap_or(0.0);
        let info = rustix::system::sysinfo();
        let memory = (info.totalram as u64).saturating_mul(u64::from(info.mem_unit.max(1))) / 1024;
        let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
        let users = passwd.lines().filter_map(|line| {
            let mut fields = line.split(':');
            let name = fields.next()?;
            Some((fields.nth(1)?.parse().ok()?, name.to_owned()))
        });
        Ok(Host { boot, up, memory, users: users.collect() })
    }

    /// The name that the host has for a user.
    pub(super) fn user(&self, uid: u32) -> String {
        self.users.get(&uid).cloned().unwrap_or_else(|| uid.to_string())
    }
}

impl Process {
    /// `None` when it has ended.
    pub(super) fn read(pid: u32) -> Option<Process> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
        let command = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let page = rustix::param::page_size() as u64 / 1024;
        let mut process = parse(&stat, ticks, page)?;
        let id = |key: &str| status.lines().find_map(|line| line.strip_prefix(key)?.split_whitespace().nth(1)?.parse().ok());
        (process.uid, process.gid) = (id("Uid:")?, id("Gid:")?);
        let words: Vec<_> = command.split(|byte| *byte == 0).filter(|word| !word.is_empty()).map(String::from_utf8_lossy).collect();
        process.command = if words.is_empty() { format!("[{}]", process.name) } else { printable(&words.join(" ")) };
        process.name = printable(&process.name);
        Some(process)
    }

    /// Seconds since its start.
    pub(super) fn elapsed(&self, host: &Host) -> u64 {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        (host.up as u64).saturating_sub(self.start / ticks)
    }

    /// Per cent of one processor since its start.
    pub(super) fn cpu_share(&self, host: &Host) -> f64 {
        match self.elapsed(host) {
            0 => 0.0,
            elapsed => self.cpu as f64 * 100.0 / elapsed as f64,
        }
    }

    /// Per cent of the host's memory.
    pub(super) fn memory_share(&self, host: &Host) -> f64 {
        self.resident as f64 * 100.0 / host.memory.max(1) as f64
    }

    /// When it was started: the time within a day, then the date.
    pub(super) fn began(&self, host: &Host) -> String {
        let ticks = rustix::param::clock_ticks_per_second().max(1);
        let Ok(time) = Timestamp::from_second((host.boot + self.start / ticks) as i64) else { return "?".to_owned() };
        let form = if self.elapsed(host) < 86_400 { "%H:%M" } else { "%b%d" };
        time.to_zoned(TimeZone::system()).strftime(form).to_string()
    }

    /// As ps shows it: `pts/3`, `tty1`, or a question mark without one (drivers/char, devices.txt).
    pub(super) fn terminal(&self) -> String {
        let (major, minor) = ((self.terminal >> 8) & 0xfff, (self.terminal & 0xff) | ((self.terminal >> 12) & 0xfff00));
        match major {
            136..=143 => format!("pts/{}", (major - 136) * 256 + minor),
            4 if minor < 64 => format!("tty{minor}"),
            4 => format!("ttyS{}", minor - 64),
            _ => "?".to_owned(),
        }
    }

    /// The state with ps's marks for priority, session leader, threads and foreground.
    pub(super) fn flags(&self) -> String {
        let marks = [
            ('<', self.nice < 0),
            ('N', self.nice > 0),
            ('s', self.session == self.pid),
            ('l', self.threads > 1),
            ('+', self.foreground == self.group as i32),
        ];
        std::iter::once(self.state).chain(marks.iter().filter(|(_, is)| *is).map(|(mark, _)| *mark)).collect()
    }
}

/// A line of proc_pid_stat(5).
fn parse(stat: &str, ticks: u64, page: u64) -> Option<Process> {
    let (start, end) = (stat.find('(')?, stat.rfind(')')?);
    let fields: Vec<&str> = stat.get(end + 1..)?.split_whitespace().collect();
    // The third field is the first here.
    let field = |number: usize| fields.get(number - 3);
    let number = |at: usize| field(at)?.parse::<u64>().ok();
    let signed = |at: usize| field(at)?.parse::<i64>().ok();
    Some(Process {
        pid: stat.get(..start)?.trim().parse().ok()?,
        name: stat.get(start + 1..end)?.to_owned(),
        state: field(3)?.chars().next()?,
        parent: number(4)? as u32,
        group: number(5)? as u32,
        session: number(6)? as u32,
        terminal: signed(7)? as u32,
        foreground: signed(8)? as i32,
        cpu: (number(14)? + number(15)?) / ticks,
        priority: signed(18)?,
        nice: signed(19)?,
        threads: number(20)?,
        start: number(22)?,
        virtual_size: number(23)? / 1024,
        resident: number(24)? * page,
        ..Process::default()
    })
}

/// Processes choose their own names: what would command a terminal is shown as a question mark.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { '?' } else { letter }).collect()
}

/// `[DAYS-]HH:MM:SS`; without `hours`, those are left out while they are 0.
pub(super) fn clock(seconds: u64, hours: bool) -> String {
    let (days, hour, minute, second) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hour) {
        (0, 0) if !hours => format!("{minute:02}:{second:02}"),
        (0, _) => format!("{hour:02}:{minute:02}:{second:02}"),
        _ => format!("{days}-{hour:02}:{minute:02}:{second:02}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_hold_anything() {
        let stat = "7 (a) b) S 1 7 7 34816 7 4194560 1 2 3 4 150 60 7 8 20 -5 2 0 4711 1048576 9 9";
        let process = parse(stat, 100, 4).unwrap();
        assert_eq!((process.name.as_str(), process.parent, process.cpu, process.virtual_size), ("a) b", 1, 2, 1024));
        assert_eq!((process.terminal().as_str(), process.flags().as_str(), process.resident), ("pts/0", "S<sl+", 36));
        assert_eq!(printable("a\x1b[2Jb\n"), "a?[2Jb?");
        assert_eq!(
            (clock(59, false), clock(59, true), clock(90_061, true)),
            ("00:59".into(), "00:00:59".into(), "1-01:01:01".into())
        );
    }

    #[test]
    fn this_process_is_read() {
        let process = Process::read(std::process::id()).unwrap();
        assert_eq!(process.uid, rustix::process::getuid().as_raw());
        assert!(process.resident > 0 && !process.command.is_empty());
    }
}
