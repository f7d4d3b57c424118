//! `ps`: the processes of a container, as this host numbers them.

use container::cgroup::{Hierarchies, processes};

use super::Verb;
use crate::args::{Args, Order, value};
use crate::error::{Failed, Result};
use crate::store::open;
use crate::{Context, output};

pub(super) const VERB: Verb = Verb {
    name: "ps",
    usage: "[FLAGS] ID",
    about: "list the processes of a container",
    flags: &[value(&["format", "f"], "FORMAT", "table or json")],
    flags_come: Order::First,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let id = args.rest.first().ok_or_else(|| Failed::new("container id is missing"))?;
    if args.rest.len() > 1 {
        return Err(Failed::new("arguments for ps(1) are not supported: the table has the columns of ps -ef"));
    }
    let (_, record) = open(&context.root, id)?;
    let pids = processes(&Hierarchies::detect()?, &record.config.cgroups.path)?;
    match args.get("format").unwrap_or("table") {
        "json" => output::line(&pids),
        "table" => output::print(&table(&pids)),
        other => Err(Failed::new(format!("invalid format option {other:?}: it is table or json"))),
    }
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
