//! Namespaces that are shared, and limits of processes.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, PosixRlimit};

use super::entries;
use super::process::check_filter;
use crate::joined::Joined;
use crate::request::{CreateRequest, NetworkMode, Sharing, Ulimit, Users};
use crate::{Error, Record};

/// Refuses what makes no sense whatever the image and the host are.
pub(crate) fn check(request: &CreateRequest) -> Result<(), Error> {
    let invalid = |what: &str, why: &str| Err(Error::Invalid { what: what.to_owned(), why: why.to_owned() });
    let (namespaces, tuning) = (&request.namespaces, &request.tuning);
    if namespaces.uts == Sharing::Host && (request.hostname.is_some() || tuning.domainname.is_some()) {
        return invalid("--uts host", "the container has the host's name: it cannot have one of its own");
    }
    if tuning.init && request.mounts.iter().any(|mount| mount.target == Path::new("/dev")) {
        return invalid("--init", "it is mounted in /dev, which must be the container's own");
    }
    if let Some(path) = &tuning.init_path {
        let what = format!("--init-path {}", path.display());
        let mode = std::fs::metadata(path).map(|data| data.mode()).unwrap_or_default();
        let program = rustix::fs::FileType::from_raw_mode(mode) == rustix::fs::FileType::RegularFile && mode & 0o111 != 0;
        if !path.is_absolute() || !program {
            return invalid(&what, "it needs to be the absolute path of a program on this host");
        }
    }
    tuning.entries.as_ref().map_or(Ok(()), entries::check)?;
    if let (Some(file), false) = (request.resources.unified.keys().next(), unified_limits()) {
        return invalid(&format!("cgroup file {file}"), "this host has its limits in cgroup v1, which has no such files");
    }
    if request.users != Users::Host {
        for (flag, sharing) in [("--pid", &namespaces.pid), ("--ipc", &namespaces.ipc)] {
            // What belongs to such a namespace, its procfs or its message queues, can be mounted only by the users that it belongs to.
            if matches!(sharing, Sharing::Container(_)) || flag == "--pid" && *sharing == Sharing::Host {
                return invalid(flag, "a container with users of its own has processes and shared memory of its own, too");
            }
        }
    }
    let network = matches!(request.network, NetworkMode::Host | NetworkMode::Container(_) | NetworkMode::Pod(_));
    if let Some(key) = tuning.sysctls.keys().find(|key| network && key.starts_with("net.")) {
        return invalid(&format!("--sysctl {key}"), "it would be the host's own with --network host");
    }
    if let Some(parent) = &tuning.cgroup_parent
        && (!parent.starts_with('/') || parent.split('/').any(|part| part == "..") || parent.trim_matches('/').is_empty())
    {
        return invalid("--cgroup-parent", "it needs to be an absolute path of a cgroup below the root, such as /services");
    }
    if let Some(path) = tuning.log.path.as_ref().filter(|path| !crate::pod::plain(path)) {
        return invalid(&format!("log file {}", path.display()), "it needs to be an absolute path without ..");
    }
    check_filter(&request.security)?;
    let paths = request.security.paths.iter().flat_map(|paths| paths.masked.iter().chain(&paths.readonly));
    if let Some(path) = paths.into_iter().find(|path| !crate::pod::plain(Path::new(path))) {
        return invalid(&format!("hidden or read-only path {path:?}"), "it needs to be an absolute path without ..");
    }
    super::cdi::check(&tuning.cdi)?;
    tuning.ulimits.iter().try_for_each(|limit| rlimit(limit).map(drop))
}

/// The host's limits are files of cgroup v2 (cgroups(7)): in a hybrid hierarchy they are not.
fn unified_limits() -> bool {
    Path::new("/sys/fs/cgroup/cgroup.controllers").exists()
}

/// The namespaces of `record`; `netns` is the one that was made for its network.
pub(super) fn namespaces(record: &Record, netns: Option<PathBuf>, joined: &Joined) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let own = &record.namespaces;
    let mut all = vec![(Mount, None)];
    for (kind, sharing, path) in [
        (Pid, &own.pid, Joined::path(&joined.pid)),
        (Ipc, &own.ipc, Joined::path(&joined.ipc)),
        (Uts, &own.uts, Joined::path(&joined.uts)),
        (Cgroup, &own.cgroup, None),
    ] {
        if *sharing != Sharing::Host {
            all.push((kind, path));
        }
    }
    if record.network != NetworkMode::Host {
        all.push((Network, netns));
    }
    if own.users.is_some() {
        all.push((User, Joined::path(&joined.user)));
    }
    let namespace = |(kind, path)| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind).set_path(path);
        namespace
    };
    all.into_iter().map(namespace).collect()
}

/// Names of getrlimit(2) as `ulimit` and Docker have them.
const LIMITS: [&str; 16] = [
    "as",
    "core",
    "cpu",
    "data",
    "fsize",
    "locks",
    "memlock",
    "msgqueue",
    "nice",
    "nofile",
    "nproc",
    "rss",
    "rtprio",
    "rttime",
    "sigpending",
    "stack",
];

/// A limit in the form of the OCI.
pub(super) fn rlimit(limit: &Ulimit) -> Result<PosixRlimit, Error> {
    let invalid = |why: String| Error::Invalid { what: format!("--ulimit {}", limit.name), why };
    if !LIMITS.contains(&limit.name.as_str()) {
        return Err(invalid(format!("there is no such limit: there are {}", LIMITS.join(", "))));
    }
    // -1 is the greatest number here.
    let (soft, hard) = (limit.soft as u64, limit.hard as u64);
    if soft > hard {
        return Err(invalid("the soft limit is above the hard one".to_owned()));
    }
    let value = serde_json::json!({ "type": format!("RLIMIT_{}", limit.name.to_uppercase()), "soft": soft, "hard": hard });
    serde_json::from_value(value).map_err(|error| invalid(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_have_names() {
        let limit = |name: &str, soft, hard| Ulimit { name: name.into(), soft, hard };
        let nofile = rlimit(&limit("nofile", 5, -1)).unwrap();
        assert_eq!((nofile.soft(), nofile.hard()), (5, u64::MAX));
        assert!(rlimit(&limit("nofiles", 1, 1)).unwrap_err().to_string().contains("there are as, core"));
        assert!(rlimit(&limit("core", -1, 5)).unwrap_err().to_string().contains("above"));
        for name in LIMITS {
            rlimit(&limit(name, 1, 1)).unwrap();
        }
    }
}
