//! When and where a process runs: scheduler, I/O priority, CPUs, NUMA policy, execution domain.

use launch::{Affinity, MemoryPolicy, Scheduler};
use oci_spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxMemoryPolicy, LinuxPersonality, LinuxPersonalityDomain,
    LinuxSchedulerFlag, LinuxSchedulerPolicy, MemoryPolicyFlagType, MemoryPolicyModeType,
};

use super::lists::bits;
use crate::Error;

/// `configs.MaxCPU` of runc, and what one call takes.
const CPUS: u32 = 65_536;
/// Four times what any kernel has (`MAX_NUMNODES`).
const NODES: u32 = 4096;

/// `process.scheduler`: numbers of `linux/sched.h`, with what the kernel would refuse or ignore without saying why.
pub(super) fn scheduler(asked: &oci_spec::runtime::Scheduler) -> Result<Scheduler, Error> {
    use LinuxSchedulerPolicy::*;
    let policy = *asked.policy();
    let nice = asked.nice().unwrap_or(0);
    if matches!(policy, SchedOther | SchedBatch) && !(-20..=19).contains(&nice) {
        return Err(Error::invalid("process.scheduler.nice", format!("{nice} is not between -20 and 19")));
    }
    let priority = asked.priority().unwrap_or(0);
    if priority != 0 && !matches!(policy, SchedFifo | SchedRr) {
        return Err(Error::invalid(
            "process.scheduler.priority",
            format!("{policy} has no priority, SCHED_FIFO and SCHED_RR have"),
        ));
    }
    let priority =
        u32::try_from(priority).map_err(|_| Error::invalid("process.scheduler.priority", format!("{priority} is negative")))?;
    let (runtime, deadline, period) = (asked.runtime().unwrap_or(0), asked.deadline().unwrap_or(0), asked.period().unwrap_or(0));
    if policy != SchedDeadline && (runtime, deadline, period) != (0, 0, 0) {
        let why = format!("{policy} has no runtime, deadline and period, SCHED_DEADLINE has");
        return Err(Error::invalid("process.scheduler", why));
    }
    let number = match policy {
        SchedOther => 0,
        SchedFifo => 1,
        SchedRr => 2,
        SchedBatch => 3,
        SchedIso => return Err(Error::invalid("process.scheduler.policy", "Linux has never had SCHED_ISO, only its number")),
        SchedIdle => 5,
        SchedDeadline => 6,
    };
    let flags = asked.flags().iter().flatten().fold(0, |all, flag| all | scheduler_flag(*flag));
    Ok(Scheduler { policy: number, flags, nice, priority, runtime, deadline, period })
}

fn scheduler_flag(flag: LinuxSchedulerFlag) -> u64 {
    use LinuxSchedulerFlag::*;
    match flag {
        SchedResetOnFork => 0x01,
        SchedFlagReclaim => 0x02,
        SchedFlagDLOverrun => 0x04,
        SchedFlagKeepPolicy => 0x08,
        SchedFlagKeepParams => 0x10,
        SchedFlagUtilClampMin => 0x20,
        SchedFlagUtilClampMax => 0x40,
    }
}

/// `process.ioPriority`.
pub(super) fn io_priority(asked: &LinuxIOPriority) -> Result<(u8, u8), Error> {
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match u8::try_from(asked.priority()) {
        Ok(level @ 0..=7) => Ok((class, level)),
        _ => Err(Error::invalid("process.ioPriority.priority", format!("{} is not between 0 and 7", asked.priority()))),
    }
}

/// `process.execCPUAffinity`. Empty lists say nothing.
pub(super) fn affinity(asked: &ExecCPUAffinity) -> Result<Option<Affinity>, Error> {
    let set = |name: &str, list: &Option<String>| {
        let bits = bits(list.as_deref().unwrap_or_default(), CPUS);
        let bits = bits.map_err(|why| Error::invalid(format!("process.execCPUAffinity.{name}"), why))?;
        Ok::<_, Error>(Some(bits).filter(|bits| !bits.is_empty()))
    };
    let (first, then) = (set("initial", asked.initial())?, set("final", asked.cpu_affinity_final())?);
    Ok((first.is_some() || then.is_some()).then_some(Affinity { first, then }))
}

/// `linux.personality`. Of its flags the specification says that there are none yet.
pub(super) fn personality(asked: &LinuxPersonality, warnings: &mut Vec<String>) -> u32 {
    let flags = asked.flags().as_deref().unwrap_or_default();
    if !flags.is_empty() {
        warnings.push(format!("linux.personality.flags: there are none yet, left out: {}", flags.join(" ")));
    }
    match asked.domain() {
        LinuxPersonalityDomain::PerLinux => 0,
        LinuxPersonalityDomain::PerLinux32 => 8,
    }
}

/// `linux.memoryPolicy`: numbers of `linux/mempolicy.h`.
pub(super) fn memory_policy(asked: &LinuxMemoryPolicy) -> Result<MemoryPolicy, Error> {
    use MemoryPolicyModeType::*;
    let nodes = bits(asked.nodes().as_deref().unwrap_or_default(), NODES);
    let nodes = nodes.map_err(|why| Error::invalid("linux.memoryPolicy.nodes", why))?;
    let (mode, takes, needs) = match asked.mode() {
        MpolDefault => (0, false, false),
        MpolPreferred => (1, true, false),
        MpolBind => (2, true, true),
        MpolInterleave => (3, true, true),
        MpolLocal => (4, false, false),
        MpolPreferredMany => (5, true, true),
        MpolWeightedInterleave => (6, true, true),
    };
    if !takes && !nodes.is_empty() || needs && nodes.is_empty() {
        let why = format!("{} takes {}", asked.mode(), if takes { "at least one node" } else { "no nodes" });
        return Err(Error::invalid("linux.memoryPolicy.nodes", why));
    }
    let flags = asked.flags().iter().flatten().fold(0, |all, flag| all | memory_flag(*flag));
    if flags & STATIC != 0 && flags & RELATIVE != 0 {
        return Err(Error::invalid(
            "linux.memoryPolicy.flags",
            "MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES contradict each other",
        ));
    }
    Ok(MemoryPolicy { mode: mode | flags, nodes })
}

const RELATIVE: u32 = 1 << 14;
const STATIC: u32 = 1 << 15;

fn memory_flag(flag: MemoryPolicyFlagType) -> u32 {
    match flag {
        MemoryPolicyFlagType::MpolFNumaBalancing => 1 << 13,
        MemoryPolicyFlagType::MpolFRelativeNodes => RELATIVE,
        MemoryPolicyFlagType::MpolFStaticNodes => STATIC,
    }
}
