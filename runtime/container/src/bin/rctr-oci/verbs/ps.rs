//! `ps`: the processes of a container, as this host numbers them.

use std::process::{Command, Stdio};

use container::cgroup::processes;

use super::Verb;
use crate::args::{Args, Order, value};
use crate::error::{Doing, Failed, Result};
use crate::store::open;
use crate::{Context, output};

pub(super) const VERB: Verb = Verb {
    name: "ps",
    usage: "[FLAGS] ID [ARGS OF ps(1)]",
    about: "list the processes of a container",
    flags: &[value(&["format", "f"], "FORMAT", "table or json")],
    flags_come: Order::First,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let id = args.rest.first().ok_or_else(|| Failed::new("container id is missing"))?;
    let (_, record) = open(&context.root, id)?;
    let pids = processes(&record.hierarchies()?, &record.config.cgroups.path)?;
    match args.get("format").unwrap_or("table") {
        "json" => output::line(&pids),
        "table" if args.rest.len() > 1 => output::print(&by_ps(&args.rest[1..], &pids)?),
        "table" => output::print(&table(&pids)),
        other => Err(Failed::new(format!("invalid format option {other:?}: it is table or json"))),
    }
}

/// What ps(1) prints with `words`, but of these processes only: `-o` and all else is its own language. As runc does.
fn by_ps(words: &[String], pids: &[u32]) -> Result<String> {
    let said = Command::new("ps").args(words).stderr(Stdio::inherit()).output().doing(|| "run ps(1)")?;
    if !said.status.success() {
        return Err(Failed::new(format!("ps {}: {}", words.join(" "), said.status)));
    }
    select(&String::from_utf8_lossy(&said.stdout), pids)
}

/// The header and the lines of `pids`.
fn select(text: &str, pids: &[u32]) -> Result<String> {
    let (header, lines) = text.split_once('\n').unwrap_or((text, ""));
    let at = header.split_whitespace().position(|name| name == "PID");
    let at = at.ok_or_else(|| Failed::new("couldn't find PID field in ps output"))?;
    let ours = |line: &&str| {
        let pid = line.split_whitespace().nth(at).and_then(|pid| pid.parse().ok());
        pid.is_some_and(|pid| pids.contains(&pid))
    };
    let lines: String = lines.lines().filter(ours).map(|line| format!("{line}\n")).collect();
    Ok(format!("{header}\n{lines}"))
}

fn table(pids: &[u32]) -> String {
    let mut rows = vec![["UID", "PID", "PPID", "TIME", "CMD"].map(str::to_owned)];
    // One that has ended meanwhile is left out.
    rows.extend(pids.iter().filter_map(|pid| row(*pid)));
    output::columns(&rows)
}

fn row(pid: u32) -> Option<[String; 5]> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = stat.get(stat.rfind(')')? + 1..)?.split_whitespace().collect();
    // utime and stime of proc_pid_stat(5), in hundredths of a second on Linux (USER_HZ).
    let ticks: u64 = [11, 12].iter().filter_map(|at| fields.get(*at)?.parse::<u64>().ok()).sum();
    let seconds = ticks / 100;
    let command = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
    let command = match command.is_empty() {
        true => format!("[{}]", field("Name:").unwrap_or_default()),
        false => String::from_utf8_lossy(&command).trim_end_matches('\0').replace(['\0', '\n'], " "),
    };
    let time = format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60);
    Some([field("Uid:")?.to_owned(), pid.to_string(), field("PPid:")?.to_owned(), time, command])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_those_of_the_container() {
        let text = "  PID  PPID CMD\n   12     1 a 7\n    7     1 b\n";
        assert_eq!(select(text, &[7]).ok().unwrap(), "  PID  PPID CMD\n    7     1 b\n");
        assert!(select("CMD\nx\n", &[7]).err().unwrap().message.contains("PID field"));
    }
}
