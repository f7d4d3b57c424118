//! The first process of a container, and those that join it.

use std::path::{Path, PathBuf};

use container::Host;
use container::capabilities::{self, Set};
use oci_spec::runtime::{BoxBuilder, LinuxCapabilities, Process, User};

use super::isolation::rlimit;
use super::mounts::INIT;
use super::seccomp;
use super::user::Identity;
use crate::environment::environment;
use crate::record::Record;
use crate::request::{ExecRequest, Security};
use crate::{Error, apparmor};

/// The first process.
pub(crate) fn process(record: &Record, identity: &Identity, size: Option<(u16, u16)>) -> Result<Process, Error> {
    let mut process = base(record, identity, &record.workdir, record.tty.then_some(size))?;
    // Others such as tini and catatonit take what comes after the dashes.
    let word = if record.tuning.init_path.is_some() { "--" } else { "--init" };
    let init = [INIT, word].into_iter().filter(|_| record.tuning.init).map(str::to_owned);
    process.set_args(Some(init.chain(record.args()).collect()));
    process.set_env(Some(variables(record, &record.env, record.tty, &identity.home)));
    process.set_capabilities(Some(sets(granted(&record.security)?, ambient(&record.security)?, identity)));
    Ok(process)
}

/// A process that joins; `secrets` are variables that the record does not have.
pub(crate) fn exec(record: &Record, request: &ExecRequest, identity: &Identity, secrets: Vec<String>) -> Result<Process, Error> {
    let workdir = request.workdir.as_deref().unwrap_or(&record.workdir);
    let mut process = base(record, identity, workdir, request.tty.then_some(request.size))?;
    let env = environment(&record.env, &[secrets, request.env.clone()].concat());
    process.set_args(Some(request.cmd.clone()));
    process.set_env(Some(variables(record, &env, request.tty, &identity.home)));
    let capabilities = if request.privileged { capabilities::all() } else { granted(&record.security)? };
    process.set_capabilities(Some(sets(capabilities, ambient(&record.security)?, identity)));
    Ok(process)
}

fn base(record: &Record, identity: &Identity, cwd: &str, terminal: Option<Option<(u16, u16)>>) -> Result<Process, Error> {
    let (security, tuning) = (&record.security, &record.tuning);
    let mut user = User::default();
    user.set_uid(identity.uid).set_gid(identity.gid).set_additional_gids(Some(identity.groups.clone())).set_umask(tuning.umask);
    let mut process = Process::default();
    process.set_user(user);
    process.set_cwd(PathBuf::from("/").join(cwd));
    process.set_terminal(Some(terminal.is_some()));
    process.set_console_size(terminal.flatten().map(|(rows, columns)| {
        // The type has no setters; its builder fails only for values left out.
        BoxBuilder::default().height(rows).width(columns).build().unwrap_or_default()
    }));
    process.set_no_new_privileges(Some(security.no_new_privileges));
    let limits = tuning.ulimits.iter().map(rlimit).collect::<Result<Vec<_>, _>>()?;
    process.set_rlimits(Some(limits).filter(|limits| !limits.is_empty()));
    // Where none is named, `confine` decides.
    process.set_apparmor_profile(security.apparmor.clone().filter(|profile| profile != "unconfined"));
    // The monitor protects itself from the out-of-memory killer; its children must not inherit that.
    process.set_oom_score_adj(Some(tuning.oom_score_adj.unwrap_or(0)));
    Ok(process)
}

/// Docker's order: the search path, who and where, then the image's and the user's own. What these set themselves stays.
fn variables(record: &Record, env: &[String], tty: bool, home: &str) -> Vec<String> {
    let set = |key: &str| env.iter().any(|entry| entry.split_once('=').is_some_and(|(name, _)| name == key));
    let mut all: Vec<String> = env.iter().filter(|entry| entry.starts_with("PATH=")).cloned().collect();
    for (key, value) in [("HOSTNAME", record.hostname.as_str()), ("TERM", if tty { "xterm" } else { "" })] {
        if !value.is_empty() && !set(key) {
            all.push(format!("{key}={value}"));
        }
    }
    all.extend(env.iter().filter(|entry| !entry.starts_with("PATH=")).cloned());
    if !set("HOME") {
        all.push(format!("HOME={home}"));
    }
    all
}

/// The capabilities of a container's processes.
pub(crate) fn granted(security: &Security) -> Result<Set, Error> {
    if security.privileged {
        return Ok(capabilities::all());
    }
    let (add, drop) = (union(&security.cap_add)?, union(&security.cap_drop)?);
    let all = capabilities::all();
    // `ALL` on one side and names on the other: the names are the exception, whichever side they are on.
    Ok(match (add & all == all, drop & all == all) {
        (true, true) => 0,
        (true, false) => all & !drop,
        (false, true) => add,
        (false, false) => (capabilities::DEFAULT | add) & !drop,
    })
}

/// Whether there is a capability of this name (capabilities(7)), with or without `CAP_`; `ALL` is one.
///
/// # Errors
/// [`Error::Invalid`].
pub fn check_capability(name: &str) -> Result<(), Error> {
    union(&[name.to_owned()]).map(drop)
}

/// The capabilities of these names together.
fn union(names: &[String]) -> Result<Set, Error> {
    let word = |name: &String| {
        capabilities::parse(name)
            .ok_or_else(|| Error::Invalid { what: format!("capability {name:?}"), why: "no such capability".into() })
    };
    names.iter().map(word).try_fold(0, |all, one| one.map(|one| all | one))
}

fn ambient(security: &Security) -> Result<Set, Error> {
    union(&security.cap_ambient)
}

/// A user other than root has capabilities only to be gained by privileged programs, as with Docker. None is inheritable but those that are
/// asked for as ambient, which is what they need to be (CVE-2022-24769).
fn sets(granted: Set, ambient: Set, identity: &Identity) -> LinuxCapabilities {
    let own = if identity.uid == 0 { granted } else { 0 } | ambient;
    let mut sets = LinuxCapabilities::default();
    sets.set_bounding(Some(capabilities::to_oci(granted | ambient)))
        .set_permitted(Some(capabilities::to_oci(own)))
        .set_effective(Some(capabilities::to_oci(own)))
        .set_inheritable(Some(capabilities::to_oci(ambient)))
        .set_ambient(Some(capabilities::to_oci(ambient)));
    sets
}

/// Gives a process of a container its system call filter, and the AppArmor profile that containers have by default. `run` is the folder of
/// what lives as long as the host.
///
/// # Errors
/// The user's own profile is none, this kernel has no filters, or the default profile cannot be loaded.
pub(crate) fn confine(process: &mut launch::Process, security: &Security, host: &Host, run: &Path) -> Result<(), Error> {
    process.seccomp = filter(security, host)?;
    if host.apparmor && !security.privileged && security.apparmor.is_none() {
        process.labels.apparmor = apparmor::usual(run)?.map(str::to_owned);
    }
    Ok(())
}

/// The system call filter of a container's processes.
///
/// The usual one is compiled from what is in this program: the profile that says the same has 400 strings.
///
/// # Errors
/// The user's own profile is none, or this kernel has no filters.
fn filter(security: &Security, host: &Host) -> Result<Option<launch::Seccomp>, Error> {
    let granted = granted(security)?;
    let filter = match &security.seccomp_profile {
        Some(text) => seccomp::filter(text, granted)?,
        None if security.privileged || security.seccomp_unconfined => return Ok(None),
        None => container::seccomp::default_filter(granted),
    };
    if !host.seccomp {
        let why = "this kernel has no system call filters: seccomp=unconfined does without".to_owned();
        return Err(Error::Invalid { what: "--security-opt".to_owned(), why });
    }
    Ok(Some(filter))
}

/// What can be said of a user's own profile before the start.
pub(super) fn check_filter(security: &Security) -> Result<(), Error> {
    let granted = granted(security)?;
    security.seccomp_profile.iter().try_for_each(|text| seccomp::filter(text, granted).map(drop))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caps(add: &[&str], drop: &[&str]) -> Set {
        let words = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        granted(&Security { cap_add: words(add), cap_drop: words(drop), ..Security::default() }).unwrap()
    }

    #[test]
    fn capabilities_are_added_and_dropped() {
        let bit = |name| capabilities::parse(name).unwrap();
        assert_eq!(caps(&[], &[]), capabilities::DEFAULT);
        assert_eq!(caps(&["NET_ADMIN"], &["CAP_CHOWN"]), (capabilities::DEFAULT | bit("net_admin")) & !bit("chown"));
        assert_eq!(caps(&["chown"], &["ALL"]), bit("chown"));
        assert_eq!(caps(&["ALL"], &["chown"]), capabilities::all() & !bit("chown"));
        assert!(granted(&Security { cap_add: vec!["NET_ADMN".into()], ..Security::default() }).is_err());
    }
}
