//! Making a cgroup: folders, then limits; on any failure nothing of it stays.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, mkdir, rmdir};
use rustix::io::Errno;

use super::apply::{Devices, apply, check_usage, devices};
use super::files::read;
use super::hierarchies::{Hierarchies, Hierarchy, clean};
use super::kill::members;
use super::limits::{Limit, limits};
use super::systemd::Scope;
use super::{Error, Kind, v1, v2};

/// A cgroup that is removed when dropped, unless kept.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<Folder>,
    /// Folders above, made on the way: removed again if the cgroup is not kept.
    above: Vec<PathBuf>,
    memory: Option<usize>,
    unified: Option<usize>,
    path: String,
    /// The unit of systemd that it belongs to: stopped if the cgroup is not kept.
    scope: Option<Scope>,
}

/// What to do with folders that exist.
#[derive(Clone, Copy, PartialEq)]
enum Existing {
    /// They are somebody else's.
    Refuse,
    /// They are used if nobody else does.
    Adopt,
    /// Systemd has made them, and keeps them with a process.
    Scope,
}

/// One folder of a cgroup.
#[derive(Debug)]
pub struct Folder {
    /// Where.
    pub path: PathBuf,
    /// The folder, open for reading.
    pub fd: OwnedFd,
    /// In a cgroup2 file system.
    pub v2: bool,
    /// v1: the controllers of its hierarchy, `name=systemd` among them.
    pub controllers: Vec<String>,
}

impl Cgroup {
    /// Its folders: v1 ones in the order of the mounts, the v2 one last.
    pub fn folders(&self) -> &[Folder] {
        &self.folders
    }

    /// Index of the folder that counts out-of-memory kills: the memory controller's, or the v2 one.
    pub fn memory(&self) -> Option<usize> {
        self.memory
    }

    /// Index of the v2 folder, which has `cgroup.kill` and `cgroup.events`.
    pub fn unified(&self) -> Option<usize> {
        self.unified
    }

    /// Its path below the root of each hierarchy.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The folders, which stay from now on; whoever has them removes them. Those of a unit need a process by now.
    pub fn keep(mut self) -> Vec<Folder> {
        self.above.clear();
        if let Some(scope) = self.scope.take() {
            scope.keep();
        }
        std::mem::take(&mut self.folders)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        drop(self.scope.take());
        for folder in self.folders.drain(..).rev() {
            let _ = super::remove(&folder.path);
        }
        // Fails, and should, when another container lives there by now.
        for folder in self.above.drain(..).rev() {
            let _ = rmdir(&folder);
        }
    }
}

/// Makes the cgroup `path`, such as `/rctr/ID`, in every hierarchy and applies the limits that `resources` gives. Others are not
/// written.
///
/// # Errors
/// [`Error::Exists`] when it exists; an error names the field of the configuration, what was asked, and the file that refused it.
/// After an error nothing of the cgroup is left.
pub fn create(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<Cgroup, Error> {
    enforced(make_all(hierarchies, path, resources, Existing::Refuse)?)
}

/// [`create`], with the rules about devices still to be enforced.
///
/// # Errors
/// As [`create`].
pub fn create_open(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<(Cgroup, Devices), Error> {
    make_all(hierarchies, path, resources, Existing::Refuse)
}

/// [`create`], or the use of one that exists and is empty: made ahead by the caller, or left by a process that was killed. Dropping it
/// removes it in any case.
///
/// # Errors
/// As [`create`]; [`Error::NotEmpty`] when there are processes in it, [`Error::Frozen`] when no process would ever run there.
pub fn create_or_use(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<Cgroup, Error> {
    enforced(make_all(hierarchies, path, resources, Existing::Adopt)?)
}

pub(super) fn enforced((cgroup, devices): (Cgroup, Devices)) -> Result<Cgroup, Error> {
    devices.enforce()?;
    Ok(cgroup)
}

fn make_all(
    hierarchies: &Hierarchies,
    path: &str,
    resources: &LinuxResources,
    existing: Existing,
) -> Result<(Cgroup, Devices), Error> {
    // What cannot be is an error before anything is made.
    let limits = limits(hierarchies, resources)?;
    let cgroup = Cgroup::folders_of(hierarchies, clean(path)?, existing, None)?;
    finish(hierarchies, cgroup, &limits, resources)
}

/// Puts limits into force in the cgroup of a scope, where systemd has made some of its folders. Rules about devices are still to be enforced.
pub(super) fn of_scope(
    hierarchies: &Hierarchies,
    path: &str,
    resources: &LinuxResources,
    scope: Scope,
) -> Result<(Cgroup, Devices), Error> {
    let limits = limits(hierarchies, resources)?;
    let cgroup = Cgroup::folders_of(hierarchies, clean(path)?, Existing::Scope, Some(scope))?;
    finish(hierarchies, cgroup, &limits, resources)
}

impl Cgroup {
    fn folders_of(hierarchies: &Hierarchies, path: String, existing: Existing, scope: Option<Scope>) -> Result<Cgroup, Error> {
        let unified = hierarchies.unified();
        let memory = hierarchies.v1("memory").or(unified);
        let mut cgroup = Cgroup { folders: Vec::new(), above: Vec::new(), memory, unified, path, scope };
        for hierarchy in hierarchies.all() {
            let folder = folder(hierarchy, &cgroup.path, &mut cgroup.above, existing)?;
            cgroup.folders.push(folder);
        }
        Ok(cgroup)
    }
}

fn finish(
    hierarchies: &Hierarchies,
    cgroup: Cgroup,
    limits: &[Limit],
    resources: &LinuxResources,
) -> Result<(Cgroup, Devices), Error> {
    if let Some(at) = hierarchies.v1("cpuset") {
        v1::inherit_cpuset(&hierarchies.all()[at].mount, &cgroup.folders[at])?;
    }
    if let (Kind::V2, [own]) = (hierarchies.kind(), cgroup.folders.as_slice()) {
        // Whoever reads what a container uses relies on all controllers, not only on those that have limits.
        v2::hand_down_all(&hierarchies.all()[0].mount, own, limits)?;
    }
    apply(hierarchies, &cgroup.folders, limits)?;
    let devices = match (hierarchies.v1("devices"), cgroup.unified) {
        (None, Some(at)) => devices(&cgroup.folders[at], resources)?,
        _ => Devices::none(),
    };
    Ok((cgroup, devices))
}

/// Makes one folder, or adopts it.
fn folder(hierarchy: &Hierarchy, path: &str, above: &mut Vec<PathBuf>, existing: Existing) -> Result<Folder, Error> {
    let folder = hierarchy.folder(path);
    let made = match make(&folder, above) {
        Err(Error::Exists(_)) if existing != Existing::Refuse => false,
        made => made.map(|()| true)?,
    };
    let opened = hierarchy.open(path).and_then(|opened| {
        if existing == Existing::Refuse { Ok(opened) } else { usable(opened, made || existing == Existing::Scope) }
    });
    if made && opened.is_err() {
        let _ = rmdir(&folder);
    }
    opened
}

/// A folder that was made by somebody else, or below one that was, may hold processes, or keep its own from running: a frozen init would
/// never answer.
fn usable(folder: Folder, ours: bool) -> Result<Folder, Error> {
    if !ours {
        let processes = members(&folder.path)?.len();
        if processes > 0 {
            return Err(Error::NotEmpty { folder: folder.path, processes });
        }
    }
    let frozen = match folder.v2 {
        true => super::kill::event_of(&folder, "frozen"),
        false if folder.controllers.iter().any(|own| own == "freezer") => read(&folder, "freezer.state")?.trim() != "THAWED",
        false => false,
    };
    if frozen { Err(Error::Frozen(folder.path)) } else { Ok(folder) }
}

/// Applies limits to the cgroup `path`, which exists. Limits that `resources` does not give stay as they are, and so do rules about
/// devices.
///
/// # Errors
/// As [`create`]; the limits before the one that failed are in force.
pub fn update(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<(), Error> {
    let (folders, limits) = check(hierarchies, path, resources)?;
    apply(hierarchies, &folders, &limits)
}

/// The folders of a cgroup and what is to be written to them, if that can be.
pub(super) fn check(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<(Vec<Folder>, Vec<Limit>), Error> {
    let path = clean(path)?;
    let limits = limits(hierarchies, resources)?;
    let folders = hierarchies.all().iter().map(|hierarchy| hierarchy.open(&path)).collect::<Result<Vec<_>, Error>>()?;
    if let (Some(memory), Kind::V2, [own]) = (resources.memory(), hierarchies.kind(), folders.as_slice()) {
        check_usage(own, memory)?;
    }
    Ok((folders, limits))
}

/// Makes a folder that must be new, with the ones above it.
fn make(folder: &Path, above: &mut Vec<PathBuf>) -> Result<(), Error> {
    let mode = Mode::from_raw_mode(0o755);
    // Another container's failed start may remove the folder above just when it is needed here.
    for _ in 0..16 {
        match mkdir(folder, mode) {
            Ok(()) => return Ok(()),
            Err(Errno::EXIST) => return Err(Error::Exists(folder.to_owned())),
            Err(Errno::NOENT) => {}
            Err(errno) => return Err(failed(folder, errno)),
        }
        let Some(parent) = folder.parent() else { break };
        match make(parent, above) {
            Ok(()) => above.push(parent.to_owned()),
            Err(Error::Exists(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Err(failed(folder, Errno::NOENT))
}

/// Makes a folder, with the ones above it. An existing one is fine.
pub(super) fn make_above(folder: &Path) -> Result<(), Error> {
    match make(folder, &mut Vec::new()) {
        Err(Error::Exists(_)) => Ok(()),
        other => other,
    }
}

fn failed(folder: &Path, errno: Errno) -> Error {
    Error::Create { folder: folder.to_owned(), source: sys::Error::new(format!("mkdir({folder:?}, 0755)"), errno) }
}

#[cfg(test)]
#[path = "create_tests.rs"]
mod tests;
