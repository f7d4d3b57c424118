//! `kill`: a signal for init, or for all.

use container::cgroup::{self, Hierarchies};

use super::Verb;
use super::status::init;
use crate::Context;
use crate::args::{Args, Order, switch};
use crate::error::{Failed, Result};
use crate::record::Record;
use crate::store::open;

pub(super) const VERB: Verb = Verb {
    name: "kill",
    usage: "[FLAGS] ID [SIGNAL]",
    about: "send a signal (TERM if none is given) to a container's first process",
    flags: &[switch(&["all", "a"], "send it to all processes of the container")],
    flags_come: Order::Anywhere,
    run,
};

/// Signals by number, from 1.
const NAMES: [&str; 31] = [
    "HUP", "INT", "QUIT", "ILL", "TRAP", "ABRT", "BUS", "FPE", "KILL", "USR1", "SEGV", "USR2", "PIPE", "ALRM", "TERM", "STKFLT",
    "CHLD", "CONT", "STOP", "TSTP", "TTIN", "TTOU", "URG", "XCPU", "XFSZ", "VTALRM", "PROF", "WINCH", "IO", "PWR", "SYS",
];
const KILL: i32 = 9;

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (id, signal) = match args.rest.as_slice() {
        [id] => (id, "TERM"),
        [id, signal] => (id, signal.as_str()),
        _ => return Err(Failed::new("a container id and at most one signal are wanted")),
    };
    let number = number(signal).ok_or_else(|| Failed::new(format!("unknown signal {signal:?}")))?;
    let (_, record) = open(&context.root, id)?;
    if args.on("all") {
        return all(&record, number).map(|()| 0);
    }
    let process = init(&record)?;
    sys::process::signal(&process, number).map_err(|error| match error.errno() {
        rustix::io::Errno::SRCH => Failed::not_running(id),
        _ => error.into(),
    })?;
    // Without a pid namespace of its own the end of init ends nobody else.
    if number == KILL && !record.rctr.own_pids {
        all(&record, number)?;
    }
    Ok(0)
}

/// Sends it to all. Nobody left to send it to is fine, as with runc.
pub(super) fn all(record: &Record, number: i32) -> Result<()> {
    let (hierarchies, path) = (Hierarchies::detect()?, &record.config.cgroups.path);
    if number == KILL {
        return Ok(cgroup::kill(&hierarchies, path)?);
    }
    let open = |pid: u32| sys::process::start_time(pid).and_then(|start| sys::process::open(pid, start).ok());
    let processes: Vec<_> =
        cgroup::processes(&hierarchies, path)?.into_iter().filter_map(|pid| open(pid).map(|fd| (pid, fd))).collect();
    // Those that are still members are those that were opened, not strangers with their numbers.
    let members = cgroup::processes(&hierarchies, path)?;
    for (_, process) in processes.iter().filter(|(pid, _)| members.contains(pid)) {
        match sys::process::signal(process, number) {
            Err(error) if error.errno() != rustix::io::Errno::SRCH => return Err(error.into()),
            _ => {}
        }
    }
    Ok(())
}

/// A signal by number or name, with or without SIG, real-time ones as `RTMIN+3`.
fn number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (0..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let (min, max) = (34, 64);
    let real = match name {
        "RTMIN" => Some(min),
        "RTMAX" => Some(max),
        "POLL" => Some(29),
        "IOT" => Some(6),
        _ => name
            .strip_prefix("RTMIN+")
            .and_then(|more| more.parse::<i32>().ok().map(|more| min + more))
            .or_else(|| name.strip_prefix("RTMAX-").and_then(|less| less.parse::<i32>().ok().map(|less| max - less))),
    };
    real.filter(|number| (1..=max).contains(number))
        .or_else(|| NAMES.iter().position(|known| *known == name).map(|at| at as i32 + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names() {
        for (text, wanted) in
            [("9", Some(9)), ("KILL", Some(9)), ("sigterm", Some(15)), ("SIGRTMIN+3", Some(37)), ("rtmax-1", Some(63))]
        {
            assert_eq!(number(text), wanted, "{text}");
        }
        assert_eq!([number("65"), number("-1"), number("SIGNO"), number("RTMIN+99")], [None; 4]);
        assert_eq!(number("SYS"), Some(31));
    }
}
