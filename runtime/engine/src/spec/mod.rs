//! A [`Record`] as an OCI configuration: everything that a container gets is decided here.

pub(crate) mod files;
mod health;
mod limits;
mod mounts;
mod process;
pub(crate) mod user;

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Linux, LinuxNamespace, LinuxNamespaceType, Root, Spec};

pub(crate) use health::health;
pub(crate) use limits::{limits, resources};
use process::process;
pub(crate) use process::{exec, filter};

use crate::Error;
use crate::record::Record;
use crate::request::NetworkMode;
use user::Identity;

/// What is known only when the container starts.
pub(crate) struct Facts<'a> {
    /// Who its first process is.
    pub(crate) identity: &'a Identity,
    /// The network namespace that was made for it.
    pub(crate) netns: Option<PathBuf>,
    /// The folder with its `hosts`, `hostname` and `resolv.conf`.
    pub(crate) files: &'a Path,
    /// Its cgroup.
    pub(crate) cgroup: &'a str,
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
    spec.set_hostname(Some(record.hostname.clone()));
    spec.set_mounts(Some(mounts::mounts(record, facts.files)));
    spec.set_process(Some(process(record, facts.identity, facts.size)?));
    spec.set_linux(Some(linux(record, facts)?));
    Ok(spec)
}

fn linux(record: &Record, facts: Facts<'_>) -> Result<Linux, Error> {
    let security = &record.security;
    let mut linux = Linux::default();
    linux.set_namespaces(Some(namespaces(record, facts.netns)));
    linux.set_cgroups_path(Some(facts.cgroup.into()));
    linux.set_resources(Some(limits::resources(record)?));
    linux.set_rootfs_propagation(Some("private".to_owned()));
    linux.set_sysctl(Some(mounts::sysctls(record).into_iter().collect()));
    let hidden =
        |paths: &[&str]| Some(if security.privileged { Vec::new() } else { paths.iter().map(|path| (*path).to_owned()).collect() });
    linux.set_masked_paths(hidden(&mounts::MASKED));
    linux.set_readonly_paths(hidden(&mounts::READONLY));
    let devices = security.privileged && !mounts::is_bound(record, Path::new("/dev"));
    linux.set_devices(if devices { Some(limits::host_devices()?) } else { None });
    linux.set_seccomp(process::filter(security)?);
    Ok(linux)
}

fn namespaces(record: &Record, netns: Option<PathBuf>) -> Vec<LinuxNamespace> {
    use LinuxNamespaceType::{Cgroup, Ipc, Mount, Network, Pid, Uts};
    let namespace = |kind, path| {
        let mut namespace = LinuxNamespace::default();
        namespace.set_typ(kind).set_path(path);
        namespace
    };
    let mut all: Vec<_> = [Mount, Pid, Ipc, Uts, Cgroup].map(|kind| namespace(kind, None)).into();
    if record.network != NetworkMode::Host {
        all.push(namespace(Network, netns));
    }
    all
}
