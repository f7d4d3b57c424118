//! Putting limits into force: one open and one write each.

use std::os::fd::OwnedFd;
use std::path::PathBuf;

use oci_spec::runtime::{LinuxMemory, LinuxResources};
use rustix::fs::{Mode, OFlags, openat};
use rustix::io::Errno;
use sys::Call;
use sys::bpf::Instruction;

use super::Error;
use super::create::Folder;
use super::files::{read, write};
use super::hierarchies::Hierarchies;
use super::limits::{Limit, device_program, nonsense};
use super::v2::{self, given};

/// A file that stays open while limits are written to it.
type Open<'a> = Option<(usize, &'a str, OwnedFd)>;

/// Writes the limits, in order. One that the kernel refuses because of what is in force beside it, and that comes before the limits
/// that change this, is written again after them.
pub(super) fn apply(hierarchies: &Hierarchies, folders: &[Folder], limits: &[Limit]) -> Result<(), Error> {
    let mut handed = false;
    let mut open = None;
    let mut again = Vec::new();
    for limit in limits {
        match apply_one(hierarchies, folders, limits, limit, &mut open, &mut handed) {
            Err(Error::Write { source, .. }) if limit.depends && source.errno() == Errno::INVAL => again.push(limit),
            done => done?,
        }
    }
    again.into_iter().try_for_each(|limit| apply_one(hierarchies, folders, limits, limit, &mut None, &mut handed))
}

fn apply_one<'a>(
    hierarchies: &Hierarchies,
    folders: &[Folder],
    all: &[Limit],
    limit: &'a Limit,
    open: &mut Open<'a>,
    handed: &mut bool,
) -> Result<(), Error> {
    let folder = &folders[limit.folder];
    if !matches!(open, Some((at, file, _)) if *at == limit.folder && *file == limit.file) {
        let mut file = open_limit(folder, limit);
        if folder.v2 && matches!(file, Err(Errno::NOENT)) && !*handed {
            // The parents do not hand this controller down yet: once per boot, for all that is asked for.
            let asked = all.iter().filter(|other| other.folder == limit.folder);
            v2::hand_down(&hierarchies.all()[limit.folder].mount, folder, asked, &[])?;
            *handed = true;
            file = open_limit(folder, limit);
        }
        match file {
            Ok(fd) => *open = Some((limit.folder, &limit.file, fd)),
            Err(Errno::NOENT) if limit.optional => return Ok(()),
            Err(Errno::NOENT) if let Some(instead) = &limit.instead => {
                return apply(hierarchies, folders, std::slice::from_ref(instead));
            }
            Err(errno) => return Err(limit.failed(folder, "openat", errno)),
        }
    }
    match open {
        Some((_, _, fd)) => write(fd, limit.value.as_bytes()).map_err(|errno| limit.failed(folder, "write", errno)),
        None => Ok(()),
    }
}

fn open_limit(folder: &Folder, limit: &Limit) -> Result<OwnedFd, Errno> {
    openat(&folder.fd, limit.file.as_str(), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
}

/// Rules about devices that are not in force yet. Nothing of the container's own may run before they are.
#[derive(Debug)]
#[must_use = "until they are enforced the cgroup may use every device"]
pub struct Devices {
    program: Option<(OwnedFd, PathBuf, Vec<Instruction>)>,
}

impl Devices {
    /// No rules, or rules that a devices controller has.
    pub(super) fn none() -> Devices {
        Devices { program: None }
    }

    /// Puts them into force. Where there is a devices controller (v1) they are already.
    ///
    /// The kernel checks and translates the program, and with the first program of the host it also patches its own code for the purpose:
    /// up to a millisecond, in which others can make the container.
    ///
    /// # Errors
    /// [`Error::Devices`]; the cgroup is as it was.
    pub fn enforce(self) -> Result<(), Error> {
        let Some((folder, path, program)) = self.program else { return Ok(()) };
        sys::bpf::load_device_program(&program)
            .and_then(|program| sys::bpf::attach_device_program(&folder, program))
            .map_err(|source| Error::Devices { folder: path, source })
    }
}

/// Device rules for a host without a devices controller.
pub(super) fn devices(folder: &Folder, resources: &LinuxResources) -> Result<Devices, Error> {
    let Some(program) = device_program(resources) else { return Ok(Devices::none()) };
    let fd = rustix::io::fcntl_dupfd_cloexec(&folder.fd, 3).call(|| "fcntl(F_DUPFD_CLOEXEC)");
    let fd = fd.map_err(|source| Error::Devices { folder: folder.path.clone(), source })?;
    Ok(Devices { program: Some((fd, folder.path.clone(), program)) })
}

/// Refuses limits below what is in use, where the configuration asks for that (`memory.checkBeforeUpdate`): v2 would take them, and kill
/// processes until they fit. v1 refuses such a limit itself.
pub(super) fn check_usage(folder: &Folder, memory: &LinuxMemory) -> Result<(), Error> {
    if memory.check_before_update() != Some(true) {
        return Ok(());
    }
    let used = |file: &str| read(folder, file).ok().and_then(|text| text.trim().parse::<i64>().ok()).unwrap_or(0);
    let positive = |limit: Option<i64>| given(limit).filter(|limit| *limit > 0);
    let below = |field, limit, used: i64| nonsense(field, limit, format!("below the {used} bytes that are in use"));
    let usage = used("memory.current");
    if let Some(limit) = positive(memory.limit()).filter(|limit| *limit < usage) {
        return Err(below("linux.resources.memory.limit", limit, usage));
    }
    let usage = usage + used("memory.swap.current");
    match positive(memory.swap()).filter(|limit| *limit < usage) {
        Some(limit) => Err(below("linux.resources.memory.swap", limit, usage)),
        None => Ok(()),
    }
}
