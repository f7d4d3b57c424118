//! The process: what is executed, as whom, with what.

use launch::{Capabilities, Process};
use oci_spec::runtime::{LinuxCapabilities, LinuxSeccomp, PosixRlimitType};

use super::{labels, scheduling};
use crate::capabilities::{Set, from_oci, names};
use crate::{Error, Host};

/// Compiles a process.
pub(super) fn process(
    process: &oci_spec::runtime::Process,
    seccomp: Option<&LinuxSeccomp>,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<Process, Error> {
    if process.command_line().is_some() {
        return Err(Error::unsupported("process.commandLine", "a command line for Windows is"));
    }
    let args = process.args().clone().unwrap_or_default();
    if args.first().is_none_or(String::is_empty) {
        return Err(Error::invalid("process.args", "must name a program"));
    }
    let env = process.env().clone().unwrap_or_default();
    for (field, text) in args.iter().map(|text| ("process.args", text)).chain(env.iter().map(|text| ("process.env", text))) {
        if text.contains('\0') {
            return Err(Error::invalid(field, format!("{text:?} contains a zero byte")));
        }
    }
    if !process.cwd().is_absolute() {
        return Err(Error::invalid("process.cwd", format!("{:?} is not an absolute path", process.cwd())));
    }
    let user = process.user();
    if let Some(score) = process.oom_score_adj().filter(|score| !(-1000..=1000).contains(score)) {
        return Err(Error::invalid("process.oomScoreAdj", format!("{score} is not between -1000 and 1000")));
    }
    Ok(Process {
        args,
        env,
        cwd: process.cwd().clone(),
        uid: user.uid(),
        gid: user.gid(),
        groups: user.additional_gids().clone().unwrap_or_default(),
        umask: user.umask(),
        capabilities: Some(capabilities(process.capabilities().as_ref(), host, warnings)),
        no_new_privs: process.no_new_privileges() == Some(true),
        rlimits: rlimits(process)?,
        oom_score_adj: process.oom_score_adj(),
        terminal: terminal(process)?,
        seccomp: filter(seccomp, host)?,
        scheduler: process.scheduler().as_ref().map(scheduling::scheduler).transpose()?,
        io_priority: process.io_priority().as_ref().map(scheduling::io_priority).transpose()?,
        affinity: process.exec_cpu_affinity().as_ref().map_or(Ok(None), scheduling::affinity)?,
        labels: labels::labels(process, host)?,
        ..Process::default()
    })
}

/// The five sets. What this process does not have itself it cannot give: such a capability is left out with a warning, as the
/// specification asks. None given means none at all.
fn capabilities(asked: Option<&LinuxCapabilities>, host: &Host, warnings: &mut Vec<String>) -> Capabilities {
    let Some(asked) = asked else { return Capabilities::default() };
    let mut missing: Set = 0;
    let mut grant = |set: &Option<oci_spec::runtime::Capabilities>| {
        let set = set.as_ref().map_or(0, from_oci);
        missing |= set & !host.grantable;
        set & host.grantable
    };
    let mut sets = Capabilities {
        bounding: grant(asked.bounding()),
        effective: grant(asked.effective()),
        permitted: grant(asked.permitted()),
        inheritable: grant(asked.inheritable()),
        ambient: grant(asked.ambient()),
    };
    if missing != 0 {
        warnings.push(format!("process.capabilities: not available on this host: {}", names(missing).join(" ")));
    }
    // The kernel refuses these two altogether (capset(2), PR_CAP_AMBIENT in prctl(2)).
    let idle = sets.effective & !sets.permitted;
    if idle != 0 {
        sets.effective &= sets.permitted;
        warnings.push(format!("process.capabilities.effective: not permitted: {}", names(idle).join(" ")));
    }
    let idle = sets.ambient & !(sets.permitted & sets.inheritable);
    if idle != 0 {
        sets.ambient &= !idle;
        warnings.push(format!("process.capabilities.ambient: not both permitted and inheritable: {}", names(idle).join(" ")));
    }
    sets
}

fn rlimits(process: &oci_spec::runtime::Process) -> Result<Vec<(u32, u64, u64)>, Error> {
    let mut all: Vec<(u32, u64, u64)> = Vec::new();
    for limit in process.rlimits().iter().flatten() {
        let (number, name) = (number(limit.typ()), limit.typ().to_string());
        if all.iter().any(|(known, ..)| *known == number) {
            return Err(Error::invalid("process.rlimits", format!("{name} is given twice")));
        }
        if limit.soft() > limit.hard() {
            return Err(Error::invalid("process.rlimits", format!("{name}: soft {} is above hard {}", limit.soft(), limit.hard())));
        }
        all.push((number, limit.soft(), limit.hard()));
    }
    Ok(all)
}

/// `RLIMIT_*` as on x86_64 and aarch64 (getrlimit(2)).
fn number(limit: PosixRlimitType) -> u32 {
    use PosixRlimitType::*;
    match limit {
        RlimitCpu => 0,
        RlimitFsize => 1,
        RlimitData => 2,
        RlimitStack => 3,
        RlimitCore => 4,
        RlimitRss => 5,
        RlimitNproc => 6,
        RlimitNofile => 7,
        RlimitMemlock => 8,
        RlimitAs => 9,
        RlimitLocks => 10,
        RlimitSigpending => 11,
        RlimitMsgqueue => 12,
        RlimitNice => 13,
        RlimitRtprio => 14,
        RlimitRttime => 15,
    }
}

/// Rows and columns; 0 where the configuration says nothing, as a new terminal has it.
fn terminal(process: &oci_spec::runtime::Process) -> Result<Option<(u16, u16)>, Error> {
    if process.terminal() != Some(true) {
        return Ok(None);
    }
    let Some(size) = process.console_size() else { return Ok(Some((0, 0))) };
    let cells = |name: &str, cells: u64| {
        u16::try_from(cells).map_err(|_| Error::invalid(format!("process.consoleSize.{name}"), format!("{cells} is above 65535")))
    };
    Ok(Some((cells("height", size.height())?, cells("width", size.width())?)))
}

fn filter(seccomp: Option<&LinuxSeccomp>, host: &Host) -> Result<Option<launch::Seccomp>, Error> {
    match seccomp {
        None => Ok(None),
        Some(_) if !host.seccomp => Err(Error::invalid("linux.seccomp", "this kernel has no system call filters")),
        Some(seccomp) => crate::seccomp::compile(seccomp).map(Some).map_err(Error::Seccomp),
    }
}
