//! What a command, and the daemon it talks to, use.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use rustix::process::Pid;
use sys::process::Usage;

use crate::contender::Contender;
use crate::measure::Named;

/// The daemons of a contender, as they were when a sample began.
pub(crate) struct Meter {
    before: Vec<(u32, Counted)>,
}

/// What a process has used, with its children that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counted {
    cpu: Duration,
    written: u64,
}

impl Meter {
    /// Looks at the daemons, and lets them count their largest memory anew. So does this process: what a child has had before it
    /// executes a program counts for it (`ru_maxrss` in getrusage(2)), and that is this process's memory.
    pub(crate) fn start(contender: &Contender) -> Self {
        let names: &[&str] = match contender.name() {
            "ctr" => &["containerd"],
            "docker" => &["dockerd", "containerd"],
            _ => &[],
        };
        let daemons = if names.is_empty() { Vec::new() } else { processes(names) };
        for pid in daemons.iter().chain([&std::process::id()]) {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        Meter { before: daemons.into_iter().map(|pid| (pid, counted(pid))).collect() }
    }

    /// Runs the command of a sample. Answers how long it took, and what it and the daemons have used.
    pub(crate) fn run(self, contender: &Contender, number: usize) -> Result<(Duration, Usage)> {
        let start = Instant::now();
        let child = contender.command(number).spawn()?;
        let (ended, mut usage) = sys::process::wait_usage(Pid::from_child(&child))?;
        let time = start.elapsed();
        if ended.code() != 0 {
            bail!("{}", contender.explain(number));
        }
        for (pid, before) in self.before {
            let after = counted(pid);
            usage.cpu += after.cpu.saturating_sub(before.cpu);
            usage.written += after.written.saturating_sub(before.written);
            usage.peak += largest(pid);
        }
        Ok((time, usage))
    }
}

/// Processes with one of these names.
fn processes(names: &[&str]) -> Vec<u32> {
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    let named = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| names.contains(&comm.trim()));
    numbers.filter(named).collect()
}

fn counted(pid: u32) -> Counted {
    let read = |file: &str| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let ticks = ticks(&read("stat"));
    let cpu = Duration::from_secs_f64(ticks as f64 / rustix::param::clock_ticks_per_second() as f64);
    Counted { cpu, written: field(&read("io"), "write_bytes:") }
}

/// `utime`, `stime`, `cutime` and `cstime` of proc_pid_stat(5), in ticks.
fn ticks(stat: &str) -> u64 {
    // A name may hold anything, but ends with the last bracket.
    let after = stat.rsplit_once(')').map_or("", |(_, after)| after);
    after.split_whitespace().skip(11).take(4).filter_map(|number| number.parse::<u64>().ok()).sum()
}

/// The largest resident set since it was counted anew, in KiB.
fn largest(pid: u32) -> u64 {
    field(&fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default(), "VmHWM:")
}

fn field(text: &str, name: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_proc() {
        assert_eq!(ticks("7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 100 20 3 1 20 0 1 0 5"), 124);
        assert_eq!(ticks("nonsense"), 0);
        assert_eq!(field("rchar: 1\nwrite_bytes: 4096\n", "write_bytes:"), 4096);
        assert_eq!(field("VmPeak:\t9 kB\nVmHWM:\t   7 kB\n", "VmHWM:"), 7);
    }

    #[test]
    fn this_process_is_counted() {
        let pid = std::process::id();
        assert!(largest(pid) > 1000);
        assert!(processes(&["no such name"]).is_empty());
    }
}
