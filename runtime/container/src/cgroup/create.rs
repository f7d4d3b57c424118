//! Making a cgroup: folders, then limits; on any failure nothing of it stays.

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::LinuxResources;
use rustix::fs::{Mode, OFlags, mkdir, openat, rmdir};
use rustix::io::Errno;
use sys::Call;

use super::hierarchies::{Hierarchies, clean};
use super::kill::members;
use super::limits::{Limit, device_program, limits};
use super::{Error, v1, v2};

/// A cgroup that is removed when dropped, unless kept.
#[derive(Debug)]
pub struct Cgroup {
    folders: Vec<Folder>,
    /// Folders above, made on the way: removed again if the cgroup is not kept.
    above: Vec<PathBuf>,
    memory: Option<usize>,
    unified: Option<usize>,
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

    /// The folders, which stay from now on; whoever has them removes them.
    pub fn keep(mut self) -> Vec<Folder> {
        self.above.clear();
        std::mem::take(&mut self.folders)
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
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
    make_all(hierarchies, path, resources, false)
}

/// [`create`], or the use of one that exists and is empty: made ahead by the caller, or left by a process that was killed. Dropping it
/// removes it in any case.
///
/// # Errors
/// As [`create`]; [`Error::Exists`] when there are processes in it.
pub fn create_or_use(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<Cgroup, Error> {
    make_all(hierarchies, path, resources, true)
}

fn make_all(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources, adopt: bool) -> Result<Cgroup, Error> {
    let path = clean(path)?;
    let limits = limits(hierarchies, resources)?;
    let mut cgroup = Cgroup { folders: Vec::new(), above: Vec::new(), memory: None, unified: hierarchies.unified() };
    cgroup.memory = hierarchies.v1("memory").or(cgroup.unified);
    for hierarchy in hierarchies.all() {
        let folder = hierarchy.folder(&path);
        match make(&folder, &mut cgroup.above) {
            Err(Error::Exists(_)) if adopt && members(&folder)?.is_empty() => {}
            made => made?,
        }
        let fd = sys::fs::open_dir(&folder).map_err(|source| {
            let _ = rmdir(&folder);
            Error::Create { folder: folder.clone(), source }
        })?;
        cgroup.folders.push(Folder { path: folder, fd, v2: hierarchy.v2, controllers: hierarchy.controllers.clone() });
    }
    if let Some(at) = hierarchies.v1("cpuset") {
        v1::inherit_cpuset(&hierarchies.all()[at].mount, &cgroup.folders[at])?;
    }
    apply(hierarchies, &cgroup.folders, &limits)?;
    if let (None, Some(at)) = (hierarchies.v1("devices"), cgroup.unified) {
        attach(&cgroup.folders[at], resources)?;
    }
    Ok(cgroup)
}

/// Applies limits to the cgroup `path`, which exists. Limits that `resources` does not give stay as they are, and so do rules about
/// devices.
///
/// # Errors
/// As [`create`]; the limits before the one that failed are in force.
pub fn update(hierarchies: &Hierarchies, path: &str, resources: &LinuxResources) -> Result<(), Error> {
    let path = clean(path)?;
    let limits = limits(hierarchies, resources)?;
    let open = |hierarchy: &super::hierarchies::Hierarchy| {
        let folder = hierarchy.folder(&path);
        let fd = sys::fs::open_dir(&folder).map_err(|source| Error::Read { path: folder.clone(), source })?;
        Ok(Folder { path: folder, fd, v2: hierarchy.v2, controllers: hierarchy.controllers.clone() })
    };
    let folders = hierarchies.all().iter().map(open).collect::<Result<Vec<_>, Error>>()?;
    apply(hierarchies, &folders, &limits)
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

fn failed(folder: &Path, errno: Errno) -> Error {
    Error::Create { folder: folder.to_owned(), source: sys::Error::new(format!("mkdir({folder:?}, 0755)"), errno) }
}

/// Writes the limits, each with one open and one write; limits of one file share the open.
fn apply(hierarchies: &Hierarchies, folders: &[Folder], limits: &[Limit]) -> Result<(), Error> {
    let mut enabled = false;
    let mut open: Option<(usize, &str, OwnedFd)> = None;
    for limit in limits {
        let folder = &folders[limit.folder];
        if !matches!(&open, Some((at, file, _)) if *at == limit.folder && *file == limit.file) {
            let mut file = open_limit(folder, limit);
            if folder.v2 && matches!(file, Err(Errno::NOENT)) && !enabled {
                // The parents do not hand this controller down yet: once per boot, for all that is asked for.
                let mount = &hierarchies.all()[limit.folder].mount;
                v2::enable(mount, &folder.path, limits.iter().filter(|other| other.folder == limit.folder))?;
                enabled = true;
                file = open_limit(folder, limit);
            }
            match file {
                Ok(fd) => open = Some((limit.folder, &limit.file, fd)),
                Err(Errno::NOENT) if limit.optional => continue,
                Err(Errno::NOENT) if let Some(instead) = &limit.instead => {
                    apply(hierarchies, folders, std::slice::from_ref(instead))?;
                    continue;
                }
                Err(errno) => return Err(limit.failed(folder, "openat", errno)),
            }
        }
        if let Some((_, _, fd)) = &open {
            write(fd, limit.value.as_bytes()).map_err(|errno| limit.failed(folder, "write", errno))?;
        }
    }
    Ok(())
}

fn open_limit(folder: &Folder, limit: &Limit) -> Result<OwnedFd, Errno> {
    openat(&folder.fd, limit.file.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// One write: each write to a cgroup file is a command of its own.
pub(super) fn write(file: impl AsFd, bytes: &[u8]) -> Result<(), Errno> {
    rustix::io::retry_on_intr(|| rustix::io::write(&file, bytes)).map(|_| ())
}

/// Puts device rules into force where there is no devices controller.
fn attach(folder: &Folder, resources: &LinuxResources) -> Result<(), Error> {
    let Some(program) = device_program(resources) else { return Ok(()) };
    sys::bpf::load_device_program(&program)
        .and_then(|program| sys::bpf::attach_device_program(&folder.fd, program))
        .map_err(|source| Error::Devices { folder: folder.path.clone(), source })
}

/// Reads a short file of a folder.
pub(super) fn read(folder: &Folder, file: &str) -> Result<String, Error> {
    read_at(&folder.fd, &folder.path, file)
}

/// Reads a short file of an open folder; `path` is for messages.
pub(super) fn read_at(fd: impl AsFd, path: &Path, file: &str) -> Result<String, Error> {
    /// Files with a process number a line are the long ones: a million processes.
    const LIMIT: usize = 8 << 20;
    openat(fd, file, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .call(|| format!("openat({file:?})"))
        .and_then(|fd| sys::fs::read_all(fd, LIMIT))
        .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        .map_err(|source| Error::Read { path: path.join(file), source })
}
