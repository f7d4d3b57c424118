//! The root file system of a plan, by paths: nobody interferes here.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use rustix::fs::{CWD, FileType, Mode, OFlags, makedev, mkdirat, mknodat, open, symlinkat};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use sys::mount::{Attr, Filesystem, mount_setattr, propagation};
use sys::ns::kind;

/// Where the root file system comes from.
pub(crate) struct Root {
    pub(crate) folder: PathBuf,
    /// The folder for the upper layer of an overlay.
    pub(crate) layer: Option<PathBuf>,
}

impl Root {
    /// The root as a mount that is attached nowhere.
    fn mount(&self) -> Result<OwnedFd> {
        let Some(layer) = &self.layer else { return Ok(clone_tree(&self.folder)?) };
        for name in ["", "upper", "work"] {
            mkdirat(CWD, layer.join(name), Mode::RWXU)?;
        }
        let overlay = Filesystem::open("overlay")?;
        overlay.set("lowerdir", &self.folder)?.set("upperdir", layer.join("upper"))?.set("workdir", layer.join("work"))?;
        // Or the end would wait until the whole file system below is written.
        Ok(overlay.flag("volatile")?.mount(MountAttrFlags::empty())?)
    }
}

/// Attaches `root`, runs the steps in it, and makes it the root.
pub(crate) fn root<'a>(root: &Root, namespaces: u64, steps: impl Iterator<Item = &'a str>) -> Result<()> {
    if namespaces & kind::CGROUP != 0 {
        sys::ns::unshare(kind::CGROUP as i32)?;
    }
    let host = open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?;
    mount_setattr(&host, Attr { propagation: propagation::SLAVE, ..Attr::default() }, true)?;
    let tree = root.mount()?;
    attach(&tree, Path::new("/"))?;
    rustix::process::fchdir(&tree)?;
    let mut mask = None;
    for line in steps {
        step(line, &mut mask).context(line.to_owned())?;
    }
    rustix::process::pivot_root(".", ".")?;
    unmount(".", UnmountFlags::DETACH)?;
    Ok(rustix::process::chdir("/")?)
}

/// One line. Targets are relative: the working folder is the root to be.
fn step(line: &str, mask: &mut Option<OwnedFd>) -> Result<()> {
    let fields: Vec<&str> = line.split('\t').collect();
    match fields.as_slice() {
        ["mount", kind, target, attributes, options @ ..] => {
            let filesystem = Filesystem::open(kind)?;
            for option in options {
                match option.split_once('=') {
                    Some((key, value)) => filesystem.set(key, value)?,
                    None => filesystem.flag(option)?,
                };
            }
            let mount = filesystem.mount(MountAttrFlags::from_bits_retain(attributes.parse()?))?;
            match attach(&mount, Path::new(target)) {
                Err(Errno::NOENT) => {
                    mkdirat(CWD, *target, Mode::from_raw_mode(0o755))?;
                    Ok(attach(&mount, Path::new(target))?)
                }
                other => Ok(other?),
            }
        }
        ["node", target, major, minor] => {
            let (mode, device) = (Mode::from_raw_mode(0o666), makedev(major.parse()?, minor.parse()?));
            Ok(mknodat(CWD, *target, FileType::CharacterDevice, mode, device)?)
        }
        ["bind", source, target] => Ok(attach(&clone_tree(Path::new(source))?, Path::new(target))?),
        ["link", content, target] => Ok(symlinkat(*content, CWD, *target)?),
        ["readonly", target] => readonly(Path::new(target)),
        ["mask", target] => hide(Path::new(target), mask),
        _ => bail!("unknown step"),
    }
}

fn readonly(target: &Path) -> Result<()> {
    let tree = match clone_tree(target) {
        Err(Errno::NOENT) => return Ok(()),
        tree => tree?,
    };
    mount_setattr(&tree, Attr { set: u64::from(MountAttrFlags::MOUNT_ATTR_RDONLY.bits()), ..Attr::default() }, false)?;
    Ok(attach(&tree, target)?)
}

/// A folder by an empty file system, the same for all, a file by the null device.
fn hide(target: &Path, mask: &mut Option<OwnedFd>) -> Result<()> {
    let Ok(data) = target.symlink_metadata() else { return Ok(()) };
    if !data.is_dir() {
        return Ok(attach(&clone_tree(Path::new("dev/null"))?, target)?);
    }
    if mask.is_none() {
        *mask = Some(Filesystem::open("tmpfs")?.mount(MountAttrFlags::MOUNT_ATTR_RDONLY)?);
    }
    let empty = mask.as_ref().context("a mask")?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(attach(&open_tree(empty, "", flags)?, target)?)
}

fn clone_tree(path: &Path) -> rustix::io::Result<OwnedFd> {
    open_tree(CWD, path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC)
}

fn attach(mount: &OwnedFd, target: &Path) -> rustix::io::Result<()> {
    move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}
