//! Many containers that do nothing: how long until all of them run, what each costs beside its own process, and how long until all of
//! them have ended.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Result, bail};

use crate::contender::{Contender, Ground, explained};
use crate::measure::{Named, Row, Unit, milliseconds, samples, settle};

/// Command lines that are under way at once while containers are started.
const HANDS: usize = 4;

/// One engine's containers.
struct Fleet<'a> {
    who: String,
    ground: &'a Ground,
    start: Contender,
    count: usize,
}

impl Named for Fleet<'_> {
    fn name(&self) -> &str {
        &self.who
    }
}

/// The rows; `peers` have the image already.
pub(crate) fn rows(count: usize, runs: usize, ground: &Ground, peers: &[String]) -> Result<Vec<Row>> {
    let whose = |who: &str| Fleet { who: who.to_owned(), ground, start: ground.idle(who, &name("{n}")), count };
    let fleets: Vec<Fleet<'_>> = std::iter::once("ours").chain(peers.iter().map(String::as_str)).map(whose).collect();
    let title = format!("{count} idle containers, {HANDS} hands");
    let [start, memory, stop] = samples(&title, &fleets, runs, |fleet, round| {
        // The round that does not count finds out who can do it at all.
        let measured = fleet.measure(if round == 0 { fleet.count.min(HANDS) } else { fleet.count });
        fleet.remove();
        measured
    })?;
    let row = |what: &str, unit, samples| Row { title: format!("{count} idle containers: {what}"), unit, samples };
    Ok(vec![
        row("all started", Unit::Milliseconds, start),
        row("private memory beside each", Unit::Kib, memory),
        row("all stopped", Unit::Milliseconds, stop),
    ])
}

fn name(number: &str) -> String {
    format!("bench-idle-{}-{number}", std::process::id())
}

impl Fleet<'_> {
    /// The time to start them, the memory beside each, and the time to stop them.
    fn measure(&self, count: usize) -> Result<[Vec<f64>; 3]> {
        settle();
        let before = helpers(&self.who);
        let begun = Instant::now();
        self.start_all(count)?;
        let started = milliseconds(begun.elapsed());
        settle();
        let memory = grown(&before, &helpers(&self.who)) as f64 / count as f64;
        let begun = Instant::now();
        self.all("stop", &[], count)?;
        let stopped = milliseconds(begun.elapsed());
        Ok([vec![started], vec![memory], vec![stopped]])
    }

    fn start_all(&self, count: usize) -> Result<()> {
        let mut numbers = 0..count;
        let mut running = Vec::new();
        loop {
            while running.len() < HANDS
                && let Some(number) = numbers.next()
            {
                running.push((number, self.start.command(number).spawn()?));
            }
            let Some((number, mut child)) = (!running.is_empty()).then(|| running.remove(0)) else { return Ok(()) };
            if !child.wait()?.success() {
                running.into_iter().for_each(|(_, mut child)| drop(child.wait()));
                bail!("{}", self.start.explain(number));
            }
        }
    }

    /// A verb for all containers in one command line, as people write it.
    fn all(&self, verb: &str, flags: &[&str], count: usize) -> Result<()> {
        let names: Vec<String> = (0..count).map(|number| name(&number.to_string())).collect();
        let mut command: Command = self.ground.verb(&self.who, verb, flags, &names).command(0);
        if command.status()?.success() { Ok(()) } else { bail!("{}", explained(&mut command)) }
    }

    /// Also after a failure: then not all of them are there.
    fn remove(&self) {
        let names: Vec<String> = (0..self.count).map(|number| name(&number.to_string())).collect();
        let mut command = self.ground.verb(&self.who, "rm", &["-f"], &names).command(0);
        let _ = command.stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

/// Private memory by the number of the process, in KiB, of all processes that an engine may have for its containers.
fn helpers(who: &str) -> BTreeMap<u32, u64> {
    let names: &[&str] = match who {
        "ours" => &["rctr-monitor"],
        "docker" => &["dockerd", "containerd", "containerd-shim", "docker-proxy"],
        "podman" => &["conmon", "aardvark-dns", "podman"],
        _ => &[],
    };
    let all = fs::read_dir("/proc").into_iter().flatten().flatten();
    let numbers = all.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let named = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| names.contains(&comm.trim_end()));
    let with_memory = |pid: u32| Some((pid, private(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)));
    numbers.filter(named).filter_map(with_memory).collect()
}

/// What no other process shares, of proc_pid_smaps(5).
fn private(smaps: &str) -> u64 {
    let lines = smaps.lines().filter(|line| line.starts_with("Private_Clean:") || line.starts_with("Private_Dirty:"));
    lines.filter_map(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok()).sum()
}

/// What new processes have, and what those that were there have more.
fn grown(before: &BTreeMap<u32, u64>, after: &BTreeMap<u32, u64>) -> u64 {
    after.iter().map(|(pid, now)| now.saturating_sub(before.get(pid).copied().unwrap_or_default())).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_memory_is_what_nobody_shares() {
        let smaps = "00400000-7fff rollup\nRss: 100 kB\nShared_Clean: 40 kB\nPrivate_Clean: 8 kB\nPrivate_Dirty:  52 kB\n";
        assert_eq!(private(smaps), 60);
        assert_eq!(private(""), 0);
    }

    #[test]
    fn a_daemon_counts_with_what_it_has_grown() {
        let before = BTreeMap::from([(1, 1000), (2, 500)]);
        let after = BTreeMap::from([(1, 1100), (2, 400), (3, 70)]);
        assert_eq!(grown(&before, &after), 170);
    }
}
