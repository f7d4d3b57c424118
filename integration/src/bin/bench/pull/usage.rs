//! What a command, and the daemon it talks to, use.
//!
//! What a process has had before it executes a program counts as that program's memory (`ru_maxrss` in getrusage(2)), and the bench holds
//! images of hundreds of megabytes. So it starts a command by way of a small process: itself, anew.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
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
    /// Looks at the daemons, and lets them count their largest memory anew.
    pub(crate) fn start(contender: &Contender) -> Self {
        let names: &[&str] = match contender.name() {
            "ctr" => &["containerd"],
            "docker" => &["dockerd", "containerd"],
            _ => &[],
        };
        let daemons = if names.is_empty() { Vec::new() } else { processes(names) };
        for pid in &daemons {
            let _ = fs::write(format!("/proc/{pid}/clear_refs"), "5");
        }
        Meter { before: daemons.into_iter().map(|pid| (pid, counted(pid))).collect() }
    }

    /// Runs the command of a sample. Answers how long it took, and what it and the daemons have used.
    pub(crate) fn run(self, contender: &Contender, number: usize) -> Result<(Duration, Usage)> {
        let answer = tempfile::NamedTempFile::new()?;
        let own = std::env::current_exe()?;
        let first = [own.to_str().context("this program has no name")?, ALONE, answer.path().to_str().context("a name in TMPDIR")?];
        if !contender.command_of(&first, number).status()?.success() {
            bail!("{}", contender.explain(number));
        }
        let (time, mut usage) = read(answer.path())?;
        for (pid, before) in self.before {
            let after = counted(pid);
            usage.cpu += after.cpu.saturating_sub(before.cpu);
            usage.written += after.written.saturating_sub(before.written);
            usage.peak += largest(pid);
        }
        Ok((time, usage))
    }
}

/// The verb of this program that runs a command for another process of it.
pub(crate) const ALONE: &str = "alone";

/// `bench alone FILE COMMAND…` writes how long the command took, and what it used, into the file. Fails if it does.
pub(crate) fn alone(mut words: impl Iterator<Item = String>) -> Result<()> {
    let (file, program) = (words.next().context("a file")?, words.next().context("a command")?);
    let start = Instant::now();
    let child = Command::new(&program).args(words).spawn().with_context(|| program.clone())?;
    let (ended, usage) = sys::process::wait_usage(Pid::from_child(&child))?;
    let time = start.elapsed();
    fs::write(file, format!("{} {} {} {}", time.as_nanos(), usage.cpu.as_nanos(), usage.written, usage.peak))?;
    if ended.code() != 0 { bail!("{program}: exit code {}", ended.code()) } else { Ok(()) }
}

/// What [`alone`] has written.
fn read(file: &Path) -> Result<(Duration, Usage)> {
    let numbers: Vec<u64> = fs::read_to_string(file)?.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [time, cpu, written, peak] = numbers[..] else { bail!("{}: not four numbers", file.display()) };
    Ok((Duration::from_nanos(time), Usage { peak, cpu: Duration::from_nanos(cpu), written }))
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
    fn a_command_is_measured_for_another() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let run = |script: &str| {
            alone([file.path().to_str().unwrap(), "sh", "-c", script].map(str::to_owned).into_iter())
                .map(|()| read(file.path()).unwrap())
        };
        let (time, usage) = run("exit 0").unwrap();
        assert!(time > Duration::ZERO && usage.cpu > Duration::ZERO && usage.peak > 100, "{time:?} {usage:?}");
        assert!(run("exit 3").unwrap_err().to_string().contains("exit code 3"));
    }

    #[test]
    fn this_process_is_counted() {
        let pid = std::process::id();
        assert!(largest(pid) > 1000);
        assert!(processes(&["no such name"]).is_empty());
    }
}
