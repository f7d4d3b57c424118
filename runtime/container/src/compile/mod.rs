//! From an OCI configuration to a plan, without touching anything.

mod devices;
mod idmap;
mod labels;
mod landlock;
mod lists;
mod masks;
mod mounts;
mod namespaces;
mod network;
mod options;
mod process;
mod refuse;
mod scheduling;
mod sysctl;
mod users;

pub use idmap::{IdMap, Users, check_ids};
pub(crate) use landlock::ANNOTATION as LANDLOCK;
pub use launch::IdRange;
pub(crate) use namespaces::name as namespace_name;
#[cfg(any(test, fuzzing))]
pub(crate) use options::check as check_options;
pub use options::{Parts as MountParts, known as mount_options, parts as mount_parts};
pub use sysctl::sysctls;

#[cfg(test)]
pub(crate) use tests::full;

use std::path::PathBuf;

use launch::{CgroupPlan, Plan, Slot, Step};
use oci_spec::runtime::{Linux, LinuxIntelRdt, Spec};

use crate::{Error, Host};

/// A plan, and what to open before it can be carried out: slot N is opened from source N.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Compiled {
    /// What to do.
    pub plan: Plan,
    /// What its slots stand for.
    pub sources: Vec<Source>,
    /// What the configuration asks for in vain, as text for the user: capabilities that this host cannot give, a path without its
    /// leading slash.
    pub warnings: Vec<String>,
}

impl Compiled {
    /// Lets the first process enter also this folder, as it does v1 cgroups: a group of [`rdt`](crate::rdt).
    pub fn enter(&mut self, folder: PathBuf) {
        self.sources.push(Source::Folder(folder));
        self.plan.cgroup.join.push(Slot((self.sources.len() - 1) as u32));
    }
}

/// Something to open on the host.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// The root file system, which the caller has mounted.
    Rootfs,
    /// A file or a tree to bind into the container.
    Tree {
        /// Where it is on the host.
        path: PathBuf,
        /// With everything that is mounted below it.
        recursive: bool,
        /// Follow a symbolic link that it ends in.
        follow: bool,
        /// Whose ids it shows as whose.
        idmap: Option<IdMap>,
        /// It must be a procfs: it goes to `/proc`.
        procfs: bool,
    },
    /// A namespace to join.
    Namespace {
        /// A file such as `/proc/PID/ns/net`.
        path: PathBuf,
        /// The `CLONE_NEW*` flag of its type.
        flag: u64,
        /// It may not be the namespace of the caller: settings that are meant for the container would be made for the host.
        foreign: bool,
    },
    /// A folder whose `tasks` the first process enters.
    Folder(PathBuf),
    /// A folder of the container's cgroup.
    Cgroup(usize),
    /// The same as a tree to bind into the container.
    CgroupTree(usize),
}

/// What a compilation collects.
#[derive(Debug, Default)]
struct Build {
    sources: Vec<Source>,
    steps: Vec<Step>,
    /// What has to wait until devices are made.
    late: Vec<Step>,
    warnings: Vec<String>,
    /// The SELinux context of new mounts.
    mount_label: Option<String>,
}

impl Build {
    /// A slot for something to open.
    fn slot(&mut self, source: Source) -> Slot {
        self.sources.push(source);
        Slot((self.sources.len() - 1) as u32)
    }
}

/// Compiles a configuration for this host. It decides everything and touches nothing. `linux.cgroupsPath` and `linux.resources` are not
/// part of a plan: they are for [`cgroup::create`](crate::cgroup::create), as `linux.intelRdt` is for [`rdt::plan`](crate::rdt::plan). `root.path` is for the caller, who mounts it.
///
/// # Errors
/// [`Error::Invalid`] and [`Error::Unsupported`] name the field.
pub fn compile(spec: &Spec, host: &Host) -> Result<Compiled, Error> {
    refuse::spec(spec)?;
    let linux = spec.linux().as_ref().ok_or_else(|| Error::invalid("linux", "missing"))?;
    let root = spec.root().as_ref().ok_or_else(|| Error::invalid("root", "missing"))?;
    let process = spec.process().as_ref().ok_or_else(|| Error::invalid("process", "missing"))?;
    let mut build = Build { mount_label: labels::mount_label(spec, host)?, ..Build::default() };
    let rootfs = build.slot(Source::Rootfs);
    let cgroup = cgroup(host, linux, &mut build);
    let namespaces = namespaces::namespaces(spec, linux, host, &mut build)?;
    let terminal = process.terminal() == Some(true);
    let context =
        mounts::Context { host, container: idmap::Container::of(linux), cgroups_apart: namespaces.has(namespaces::CGROUP) };
    let furnished = namespaces.join.iter().any(|(flag, _)| *flag == namespaces::MOUNT);
    if furnished {
        build.warnings.push(
            "linux.namespaces: the mount namespace is another's: root, mounts, devices and paths stay as they are".to_owned(),
        );
    } else {
        mounts::mounts(spec.mounts().as_deref().unwrap_or_default(), &context, &mut build)?;
        devices::devices(spec, linux, terminal, &mut build)?;
        masks::masks(linux, &mut build)?;
    }
    linux.intel_rdt().iter().try_for_each(|asked| rdt(asked, host))?;
    let users = users::users(linux, process.user(), host)?;
    let within = context.container.separate().then(|| host.in_user_namespace());
    let host = within.as_ref().unwrap_or(host);
    let mut process = process::process(process, linux.seccomp().as_ref(), host, &mut build.warnings)?;
    // It is for processes that join (runtime-spec, `execCPUAffinity`).
    process.affinity = None;
    process.landlock = landlock::landlock(spec.annotations().as_ref(), host)?;
    process.personality = linux.personality().as_ref().map(|asked| scheduling::personality(asked, &mut build.warnings));
    process.memory_policy = linux.memory_policy().as_ref().map(scheduling::memory_policy).transpose()?;
    let plan = Plan {
        unshare: namespaces.unshare,
        loopback: namespaces.unshare & namespaces::NETWORK != 0,
        join: namespaces.join,
        users,
        clocks: namespaces.clocks,
        devices: namespaces.devices,
        no_pivot: false,
        cgroup,
        rootfs,
        rootfs_readonly: root.readonly() == Some(true),
        propagation: propagation(linux)?,
        steps: build.steps,
        hostname: namespaces.hostname,
        domainname: namespaces.domainname,
        sysctls: namespaces.sysctls,
        process,
    };
    Ok(Compiled { plan, sources: build.sources, warnings: build.warnings })
}

/// Compiles a process that joins a container, without the filter that it will have; what else all processes of a container share
/// is in [`Shared`](crate::Shared). Capabilities that this host cannot give are left out.
///
/// # Errors
/// As [`compile`].
pub fn compile_process(process: &oci_spec::runtime::Process, host: &Host) -> Result<launch::Process, Error> {
    process::process(process, None, host, &mut Vec::new())
}

/// What the configuration says about Intel RDT must make sense, and be possible. The rest is for [`rdt::plan`](crate::rdt::plan).
fn rdt(asked: &LinuxIntelRdt, host: &Host) -> Result<(), Error> {
    crate::rdt::check(asked)?;
    match host.resctrl {
        Some(_) => Ok(()),
        None => Err(Error::invalid("linux.intelRdt", "there is no resctrl mounted on this host")),
    }
}

/// The container is born in the v2 folder; into the v1 ones it has to be put.
fn cgroup(host: &Host, linux: &Linux, build: &mut Build) -> CgroupPlan {
    let mut plan = CgroupPlan::default();
    // A full cgroup lets nobody be born in it, but whoever comes from outside is let in. The second one is who holds a unit open.
    let full = linux
        .resources()
        .as_ref()
        .and_then(|resources| resources.pids().as_ref())
        .is_some_and(|pids| (0..2).contains(&pids.limit()));
    for (at, hierarchy) in host.cgroup.all().iter().enumerate() {
        let slot = build.slot(Source::Cgroup(at));
        match hierarchy.v2 && !full {
            true => plan.into = Some(slot),
            false => plan.join.push(slot),
        }
    }
    plan
}

/// Without a word on it the container's mounts follow the host's, as with runc: mounts of the host come in, none goes out.
fn propagation(linux: &Linux) -> Result<u64, Error> {
    let asked = linux.rootfs_propagation().as_deref().filter(|asked| !asked.is_empty()).unwrap_or("slave");
    options::propagation(asked).ok_or_else(|| {
        Error::invalid("linux.rootfsPropagation", format!("{asked:?} is not one of private, slave, shared, unbindable"))
    })
}

#[cfg(test)]
mod tests;
