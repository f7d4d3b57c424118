//! Kernel settings: only those that belong to a namespace.

use super::namespaces::{IPC, NETWORK, USER, UTS};
use crate::Error;

/// Settings of System V and POSIX IPC (ipc_namespaces(7)).
const IN_IPC: [&str; 9] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
    "kernel.msg_next_id",
];

/// Checks `linux.sysctl`. Each comes with the `CLONE_NEW*` flag of the namespace that it belongs to, sorted by name: a map may have no order, and
/// two compilations of one configuration must be equal.
///
/// # Errors
/// [`Error::Invalid`] for what is no setting, or one of the whole host.
pub fn sysctls<'a>(settings: impl IntoIterator<Item = (&'a String, &'a String)>) -> Result<Vec<(String, String, u64)>, Error> {
    let mut all = Vec::new();
    for (key, value) in settings {
        let field = || format!("linux.sysctl.{key}");
        let dotted = dotted(key);
        if key.is_empty() || key.split('/').any(|part| matches!(part, "" | "." | "..")) || dotted.contains("..") {
            return Err(Error::invalid(field(), "not the name of a setting"));
        }
        let flag = match dotted.as_str() {
            "kernel.hostname" => return Err(Error::invalid(field(), "is set by hostname")),
            "kernel.domainname" => UTS,
            name if IN_IPC.contains(&name) || name.starts_with("fs.mqueue.") => IPC,
            name if name.starts_with("net.") => NETWORK,
            name if name.starts_with("user.") => USER,
            _ => return Err(Error::invalid(field(), "is a setting of the whole host, not of a namespace")),
        };
        all.push((key.clone(), value.clone(), flag));
    }
    all.sort();
    Ok(all)
}

/// A name as sysctl(8) writes it. Whichever of dot and slash comes first separates; the other one is part of a name, as in
/// `net/ipv4/conf/eth0.1/forwarding`.
fn dotted(key: &str) -> String {
    match key.find(['.', '/']) {
        Some(at) if key.as_bytes()[at] == b'/' => key
            .chars()
            .map(|c| {
                if c == '/' {
                    '.'
                } else if c == '.' {
                    '/'
                } else {
                    c
                }
            })
            .collect(),
        _ => key.to_owned(),
    }
}
