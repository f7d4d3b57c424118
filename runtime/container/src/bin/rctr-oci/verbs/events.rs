//! `events`: what a container uses, once or again and again, and when it runs out of memory, as runc prints it.

use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use container::cgroup::{self, OutOfMemory};
use container::rdt;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::Verb;
use super::status::{Status, init, of};
use crate::args::{Args, Order, switch, value};
use crate::error::{Failed, Result};
use crate::record::Record;
use crate::store::open;
use crate::{Context, output, time};

pub(super) const VERB: Verb = Verb {
    name: "events",
    usage: "[FLAGS] ID",
    about: "print what a container uses, and when it runs out of memory, as JSON",
    flags: &[switch(&["stats"], "once"), value(&["interval"], "TIME", "how often, such as 5s or 1m30s")],
    flags_come: Order::Anywhere,
    run,
};

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (entry, record) = open(&context.root, args.only("container id")?)?;
    let interval = args.get("interval").unwrap_or("5s");
    let interval = time::duration(interval).ok_or_else(|| Failed::new(format!("invalid value {interval:?} for flag -interval")))?;
    if interval.is_zero() {
        return Err(Failed::new("duration interval must be greater than 0"));
    }
    if matches!(of(&entry, &record), Status::Stopped | Status::Creating) {
        return Err(Failed::not_running(&record.id));
    }
    if args.on("stats") {
        return print(&record);
    }
    stream(context, &record, &init(&record)?, interval).map(|()| 0)
}

/// Until the container's end.
fn stream(context: &Context, record: &Record, process: &OwnedFd, interval: Duration) -> Result<()> {
    let mut memory = watch(record).inspect_err(|failed| context.log.warn(&failed.message)).ok().flatten();
    let mut due = Instant::now();
    loop {
        if due <= Instant::now() {
            print(record)?;
            due = Instant::now() + interval;
        }
        let ended = wait(process, memory.as_ref(), due)?;
        for _ in 0..memory.as_mut().map_or(0, OutOfMemory::count) {
            output::line(&json!({"type": "oom", "id": record.id}))?;
        }
        if ended {
            return Ok(());
        }
    }
}

/// Waits for the time, for memory that runs out, or for the end; whether that has come.
fn wait(process: &OwnedFd, memory: Option<&OutOfMemory>, due: Instant) -> Result<bool> {
    let left = due.saturating_duration_since(Instant::now());
    let limit = Timespec::try_from(left).map_err(|_| Failed::new("--interval: too long"))?;
    let mut all = vec![PollFd::new(process, PollFlags::IN)];
    all.extend(memory.map(|memory| {
        let (fd, flags) = memory.poll();
        PollFd::from_borrowed_fd(fd, flags)
    }));
    match poll(&mut all, Some(&limit)) {
        Ok(_) => Ok(!all[0].revents().is_empty()),
        Err(Errno::INTR) => Ok(false),
        Err(errno) => Err(sys::Error::new("poll()", errno).into()),
    }
}

/// `None` where nobody counts memory.
fn watch(record: &Record) -> Result<Option<OutOfMemory>> {
    let folder = match (record.cgroup_paths.get("memory"), record.cgroup_paths.get("")) {
        (Some(folder), _) => Some((folder, false)),
        (None, unified) => unified.filter(|folder| folder.join("memory.events").exists()).map(|folder| (folder, true)),
    };
    Ok(folder.map(|(folder, v2)| OutOfMemory::watch(folder, v2)).transpose()?)
}

fn print(record: &Record) -> Result<u8> {
    let mut data = serde_json::to_value(cgroup::stats(&record.cgroup_paths))?;
    data["intel_rdt"] = record.rctr.rdt.as_ref().map_or(Ok(json!({})), |groups| serde_json::to_value(rdt::stats(groups)))?;
    data["network_interfaces"] = Value::Null;
    output::line(&json!({"type": "stats", "id": record.id, "data": data}))
}
