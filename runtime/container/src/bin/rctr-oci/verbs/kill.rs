//! `kill`: a signal for init, or for all.

use container::cgroup;

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

const KILL: i32 = 9;

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (id, signal) = match args.rest.as_slice() {
        [id] => (id, "TERM"),
        [id, signal] => (id, signal.as_str()),
        _ => return Err(Failed::new("a container id and at most one signal are wanted")),
    };
    // 0 only asks whether the process is there (kill(2)).
    let number = (signal == "0").then_some(0).or_else(|| sys::signal::number(signal));
    let number = number.ok_or_else(|| Failed::new(format!("unknown signal {signal:?}")))?;
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
    let (hierarchies, path) = (record.hierarchies()?, &record.config.cgroups.path);
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
