//! When, where and as what the program runs: settings that survive execve.

use sys::{memory, sched};

use crate::failure::During;
use crate::{Affinity, Failure, Process};

/// All CPUs that a kernel can have, and more: it takes what there are.
const ALL: [u64; 1024] = [u64::MAX; 1024];

/// Restricts the caller to the CPUs that its program may use. The caller is in its cgroup.
///
/// Without a word on it, to all of the cgroup's: since Linux 6.2 an affinity that the runtime itself was given (by systemd, by
/// taskset) would outlive the move to another cpuset. As runc does.
pub(crate) fn restrict(affinity: Option<&Affinity>) -> Result<(), Failure> {
    match affinity {
        // An outer container's filter may refuse it. Then there is only the affinity that the caller has.
        None => drop(sched::set_affinity(&ALL)),
        Some(Affinity { then: Some(cpus), .. }) => sched::set_affinity(cpus).during(|| "final CPU affinity")?,
        Some(_) => {}
    }
    Ok(())
}

/// Runs `spawn` on the CPUs of [`Affinity::first`], which its child inherits.
pub(crate) fn starting_on<T>(affinity: Option<&Affinity>, spawn: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
    let Some(first) = affinity.and_then(|affinity| affinity.first.as_ref()) else { return spawn() };
    let before = sched::affinity().during(|| "initial CPU affinity")?;
    sched::set_affinity(first).during(|| "initial CPU affinity")?;
    let spawned = spawn();
    sched::set_affinity(&before).during(|| "initial CPU affinity: go back")?;
    spawned
}

/// The others. While CAP_SYS_NICE is there, and before a filter that may refuse these calls.
pub(super) fn set(process: &Process) -> Result<(), Failure> {
    if let Some(domain) = process.personality {
        sys::process::set_personality(domain).during(|| "personality")?;
    }
    if let Some(policy) = &process.memory_policy {
        memory::set_policy(policy.mode, &policy.nodes).during(|| "memory policy")?;
    }
    if let Some((class, level)) = process.io_priority {
        sched::set_io_priority(class, level).during(|| "I/O priority")?;
    }
    if let Some(own) = process.scheduler {
        let attr = sched::Attr {
            policy: own.policy,
            flags: own.flags,
            nice: own.nice,
            priority: own.priority,
            runtime: own.runtime,
            deadline: own.deadline,
            period: own.period,
        };
        sched::set_attr(attr).during(|| "scheduler")?;
    }
    Ok(())
}
