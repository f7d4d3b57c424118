//! `update`: other limits for a container.

use std::path::Path;

use container::cgroup;
use oci_spec::runtime::{LinuxBlockIo, LinuxCpu, LinuxMemory, LinuxPids, LinuxResources};

use super::Verb;
use super::status::{Status, locked};
use crate::args::{Args, Flag, Order, value};
use crate::error::{Doing, Failed, Result};
use crate::store::lock;
use crate::{Context, spec};

pub(super) const VERB: Verb = Verb {
    name: "update",
    usage: "[FLAGS] ID",
    about: "change the limits of a container",
    flags: FLAGS,
    flags_come: Order::Anywhere,
    run,
};

const FLAGS: &[Flag] = &[
    value(&["resources", "r"], "FILE", "limits as JSON (linux.resources); - reads standard input; no other flags then"),
    value(&["blkio-weight"], "N", "weight of I/O, 10 to 1000"),
    value(&["cpu-period"], "USEC", "period of cpu-quota"),
    value(&["cpu-quota"], "USEC", "processor time in a period; -1 for no limit"),
    value(&["cpu-burst"], "USEC", "what may be saved up"),
    value(&["cpu-share", "cpu-shares"], "N", "weight of processor time"),
    value(&["cpu-rt-period"], "USEC", "period of cpu-rt-runtime"),
    value(&["cpu-rt-runtime"], "USEC", "real-time processor time in a period"),
    value(&["cpuset-cpus"], "LIST", "processors"),
    value(&["cpuset-mems"], "LIST", "memory nodes"),
    value(&["cpu-idle"], "N", "1 for idle priority"),
    value(&["memory"], "BYTES", "memory, with a unit such as 64M; -1 for no limit"),
    value(&["memory-reservation"], "BYTES", "soft limit of memory"),
    value(&["memory-swap"], "BYTES", "memory and swap; -1 for no limit"),
    value(&["pids-limit"], "N", "processes; -1 for no limit"),
    value(&["l3-cache-schema"], "LINE", "share of the L3 cache (Intel RDT), such as L3:0=f"),
    value(&["mem-bw-schema"], "LINE", "share of the memory bandwidth (Intel RDT), such as MB:0=50"),
];

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (entry, mut record) = lock(&context.root, args.only("container id")?)?;
    if locked(&record) == Status::Stopped {
        return Err(Failed::not_running(&record.id));
    }
    let asked = match args.get("resources") {
        Some("-") => spec::json(Path::new("/dev/stdin"))?,
        Some(file) => spec::json(Path::new(file))?,
        None => resources(args)?,
    };
    let shares = ["l3-cache-schema", "mem-bw-schema"].iter().any(|name| args.get(name).is_some_and(|line| !line.is_empty()));
    if shares && record.rctr.rdt.is_none() {
        return Err(Failed::new("updating a non-existent Intel RDT configuration is not supported"));
    }
    let hierarchies = record.hierarchies()?;
    cgroup::ignored(&hierarchies, &asked).iter().for_each(|warning| context.log.warn(warning));
    let mut known = record.rctr.resources.take().unwrap_or_default();
    let change = cgroup::merge(&mut known, &asked)?;
    let path = &record.config.cgroups.path;
    match &record.rctr.unit {
        None => cgroup::update(&hierarchies, path, &change)?,
        Some(unit) => cgroup::systemd::update(&hierarchies, unit, path, &change)?,
    }
    let [cache, bandwidth] = ["l3-cache-schema", "mem-bw-schema"].map(|name| args.get(name).unwrap_or_default());
    if let Some(groups) = &record.rctr.rdt {
        groups.update(cache, bandwidth)?;
    }
    // Only what is in force.
    record.rctr.resources = Some(known);
    entry.write(&record)?;
    Ok(0)
}

fn resources(args: &Args) -> Result<LinuxResources> {
    let mut all = LinuxResources::default();
    let mut cpu = LinuxCpu::default();
    cpu.set_shares(args.number("cpu-share")?);
    cpu.set_quota(args.number("cpu-quota")?);
    cpu.set_period(args.number("cpu-period")?);
    cpu.set_burst(args.number("cpu-burst")?);
    cpu.set_idle(args.number("cpu-idle")?);
    cpu.set_realtime_period(args.number("cpu-rt-period")?);
    cpu.set_realtime_runtime(args.number("cpu-rt-runtime")?);
    cpu.set_cpus(args.get("cpuset-cpus").map(str::to_owned));
    cpu.set_mems(args.get("cpuset-mems").map(str::to_owned));
    all.set_cpu(Some(cpu).filter(|cpu| *cpu != LinuxCpu::default()));
    let mut memory = LinuxMemory::default();
    memory.set_limit(bytes(args, "memory")?);
    memory.set_reservation(bytes(args, "memory-reservation")?);
    memory.set_swap(bytes(args, "memory-swap")?);
    all.set_memory(Some(memory).filter(|memory| *memory != LinuxMemory::default()));
    if let Some(limit) = args.number("pids-limit")? {
        let mut pids = LinuxPids::default();
        pids.set_limit(limit);
        all.set_pids(Some(pids));
    }
    if let Some(weight) = args.number("blkio-weight")? {
        let mut block = LinuxBlockIo::default();
        block.set_weight(Some(weight));
        all.set_block_io(Some(block));
    }
    Ok(all)
}

/// Bytes with a unit of 1024, as runc reads them.
fn bytes(args: &Args, name: &str) -> Result<Option<i64>> {
    let parse = |text: &str| {
        let lower = text.to_ascii_lowercase();
        let number = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
        let unit = match lower[number.len()..].trim_end_matches('b').trim_end_matches('i') {
            "" => 0,
            "k" => 10,
            "m" => 20,
            "g" => 30,
            "t" => 40,
            _ => return None,
        };
        match number.trim() {
            "-1" if unit == 0 => Some(-1),
            number => number.parse::<i64>().ok().filter(|number| *number >= 0)?.checked_mul(1 << unit),
        }
    };
    let parsed = args.get(name).map(|text| parse(text).ok_or_else(|| Failed::new(format!("invalid value {text:?}"))));
    parsed.transpose().doing(|| format!("--{name}"))
}
