//! A [`Record`] as an OCI configuration: everything that a container gets is decided here.

mod cdi;
mod devices;
mod entries;
pub(crate) mod files;
mod health;
mod hidden;
mod isolation;
mod limits;
mod mounts;
mod process;
mod seccomp;
pub(crate) mod user;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxIdMappingBuilder, Root, Spec};

pub(crate) use cdi::{hooks, is_described, places, shown as with_devices};
pub(crate) use entries::missing as missing_entries;
pub(crate) use health::health;
pub use hidden::{masked_paths, readonly_paths};
pub(crate) use isolation::check;
pub(crate) use limits::{limits, resources};
pub(crate) use mounts::{NETWORK_SYSCTLS, shared};
pub use process::check_capability;
use process::process;
pub(crate) use process::{confine, exec};

use crate::Error;
use crate::joined::Joined;
use crate::record::Record;
use crate::request::Sharing;
use user::Identity;

#[cfg(test)]
pub(crate) use self::mounts::tests::{bind as plain_bind, record as plain_record};

/// What is known only when the container starts.
pub(crate) struct Facts<'a> {
    /// Who its first process is.
    pub(crate) identity: &'a Identity,
    /// The network namespace that was made for it.
    pub(crate) netns: Option<PathBuf>,
    /// The folder with its `hosts`, `hostname` and `resolv.conf`.
    pub(crate) files: &'a Path,
    /// In a user's home: the highest group that there is.
    pub(crate) home: Option<u32>,
    /// Its cgroup.
    pub(crate) cgroup: &'a str,
    /// Namespaces of others that it joins.
    pub(crate) joined: &'a Joined,
    /// The program that `--init` makes its first process.
    pub(crate) init: &'a Path,
    /// Rows and columns of its terminal.
    pub(crate) size: Option<(u16, u16)>,
}

/// The OCI configuration of `record`.
pub(crate) fn spec(record: &Record, facts: Facts<'_>) -> Result<Spec, Error> {
    let mut root = Root::default();
    // The root file system is handed over as a mount; the path is only for readers of the configuration.
    root.set_path(PathBuf::from("rootfs")).set_readonly(Some(record.security.readonly_rootfs));
    let mut spec = Spec::default();
    spec.set_root(Some(root));
    // The type has a name by default.
    spec.set_hostname(None);
    // A pod's has its name.
    if !matches!(record.namespaces.uts, Sharing::Host | Sharing::Pod(_)) {
        spec.set_hostname(Some(record.hostname.clone()));
        spec.set_domainname(record.tuning.domainname.clone());
    }
    spec.set_mounts(Some(mounts::mounts(record, facts.files, facts.init, facts.home)));
    spec.set_process(Some(process(record, facts.identity, facts.size)?));
    spec.set_linux(Some(linux(record, facts)?));
    Ok(spec)
}

fn linux(record: &Record, facts: Facts<'_>) -> Result<Linux, Error> {
    let security = &record.security;
    let mut linux = Linux::default();
    linux.set_namespaces(Some(isolation::namespaces(record, facts.netns, facts.joined)));
    if let Some(users) = &record.namespaces.users {
        let mapping = |ranges: &[launch::IdRange]| {
            // The type has no setters; its builder fails only for values left out.
            let mapping = |range: &launch::IdRange| {
                LinuxIdMappingBuilder::default().container_id(range.inside).host_id(range.outside).size(range.size).build().ok()
            };
            ranges.iter().map(mapping).collect::<Option<Vec<_>>>()
        };
        linux.set_uid_mappings(mapping(&users.uids)).set_gid_mappings(mapping(&users.gids));
    }
    linux.set_cgroups_path(Some(facts.cgroup.into()));
    linux.set_resources(Some(limits::resources(record)?));
    linux.set_rootfs_propagation(Some("private".to_owned()));
    linux.set_sysctl(Some(mounts::sysctls(record, facts.home).into_iter().collect()));
    let (masked, readonly) = hidden::hidden(security);
    linux.set_masked_paths(Some(masked)).set_readonly_paths(Some(readonly));
    let (mut nodes, _) = devices::asked(record)?;
    if security.privileged && !mounts::is_bound(record, Path::new("/dev")) {
        let own: Vec<_> = nodes.iter().map(|node| node.path().clone()).collect();
        nodes.extend(limits::host_devices()?.into_iter().filter(|node| !own.contains(node.path())));
    }
    linux.set_devices(Some(nodes).filter(|nodes| !nodes.is_empty()));
    Ok(linux)
}
