//! What is built below the root. Targets are resolved inside it (`openat2`), missing ones are made component by component, and mounts
//! are attached descriptor to descriptor: no path of the container is ever looked up twice.

mod bind;
mod cgroup;
mod console;
pub(crate) mod copy;
mod device;
mod label;
mod mask;
mod mount;
mod points;
mod readonly;
pub(crate) mod target;
mod walk;

pub(crate) use mount::filesystem;
pub(crate) use points::points;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::symlinkat;
use rustix::io::Errno;
use sys::Call;
use sys::mount::propagation;

use crate::child::terminal::Terminal;
use crate::create::Table;
use crate::failure::During;
use crate::handshake::Parent;
use crate::{Failure, Plan, Step};

/// Carries a plan's steps out.
pub(crate) struct Builder<'a> {
    plan: &'a Plan,
    table: &'a Table<'a>,
    root: BorrowedFd<'a>,
    parent: &'a Parent,
    /// The empty tmpfs that covers masked folders: one file system for all of them.
    cover: Option<OwnedFd>,
    /// The null device that covers masked files.
    null: Option<OwnedFd>,
    /// Where procfs and sysfs are, and their mounts: what is hidden in them is found from there. A path could lead elsewhere by now, in a
    /// root that somebody else changes meanwhile, and back again later.
    systems: Vec<(PathBuf, OwnedFd)>,
    /// The folder in which the step before made something: nodes and links come in rows.
    folder: Option<(PathBuf, OwnedFd)>,
    terminal: Option<Terminal>,
}

impl<'a> Builder<'a> {
    pub(crate) fn new(plan: &'a Plan, table: &'a Table<'a>, root: BorrowedFd<'a>, parent: &'a Parent) -> Self {
        Builder { plan, table, root, parent, cover: None, null: None, systems: Vec::new(), folder: None, terminal: None }
    }

    /// What is at `path`, if anything is.
    fn existing(&self, path: &Path) -> sys::Result<Option<OwnedFd>> {
        for (target, mount) in &self.systems {
            match path.strip_prefix(target) {
                Ok(rest) if rest == Path::new("") => return target::existing(mount.as_fd(), Path::new(".")),
                Ok(rest) => return target::existing(mount.as_fd(), rest),
                Err(_) => {}
            }
        }
        target::existing(self.root, path)
    }

    /// Remembers what has been mounted on `target`: procfs or sysfs, or something else over them.
    fn mounted(&mut self, target: &Path, system: Option<OwnedFd>) {
        self.systems.retain(|(known, _)| !known.starts_with(target));
        self.systems.extend(system.map(|mount| (target.to_owned(), mount)));
    }

    /// The propagation of a mount that has `own`, or 0. An unbindable root is about the root alone: its mounts must be copied for
    /// read-only paths.
    fn propagation(&self, own: u64) -> u64 {
        match own {
            0 if self.plan.propagation == propagation::UNBINDABLE => propagation::PRIVATE,
            0 => self.plan.propagation,
            own => own,
        }
    }

    /// Carries one step out.
    pub(crate) fn run(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Device { .. } | Step::Symlink { .. } => {}
            // A mount may cover the remembered folder.
            _ => self.folder = None,
        }
        self.carry_out(step).map_err(|failure| failure.about(step.place()))
    }

    fn carry_out(&mut self, step: &Step) -> Result<(), Failure> {
        match step {
            Step::Mount { kind, target, .. } => self.mount(step).during(|| format!("mount {kind} on {target:?}")),
            Step::Bind { target, .. } => self.bind(step).during(|| format!("bind on {target:?}")),
            Step::Remount { target, attributes, options } => {
                self.remount(target, attributes, options).during(|| format!("remount {target:?}"))
            }
            Step::Cgroup { target, v1, readonly } => self.cgroup(target, v1, *readonly).during(|| format!("cgroup on {target:?}")),
            Step::Device { path, .. } => self.device(step).during(|| format!("device {path:?}")),
            Step::Symlink { content, path } => self.symlink(content, path).during(|| format!("link {path:?}")),
            Step::Mask(path) => self.mask(path).during(|| format!("mask {path:?}")),
            Step::Label { path, label } => self.label(path, label).during(|| format!("label {path:?}")),
            Step::Readonly(path) => self.readonly(path).during(|| format!("make {path:?} read-only")),
            Step::Console => self.console().during(|| "console"),
        }
    }

    /// The terminal that a console step has opened.
    pub(crate) fn into_terminal(self) -> Option<Terminal> {
        self.terminal
    }

    fn symlink(&mut self, content: &str, path: &Path) -> Result<(), Failure> {
        let (folder, name) = self.place(path)?;
        match symlinkat(content, folder, name) {
            // What the image has there is its own affair.
            Ok(()) | Err(Errno::EXIST) => Ok(()),
            other => other.call(|| format!("symlinkat({content:?})")).during(|| "make it"),
        }
    }

    /// The folder of `path`, made if missing, and the last component.
    fn place<'p>(&mut self, path: &'p Path) -> Result<(&OwnedFd, &'p Path), Failure> {
        let name = path.file_name().ok_or_else(|| Failure::runtime("the path has no name"))?;
        let parent = path.parent().unwrap_or(Path::new("/"));
        if self.folder.as_ref().is_none_or(|(known, _)| known != parent) {
            self.folder = Some((parent.to_owned(), target::folder(self.root, parent)?));
        }
        let (_, folder) = self.folder.as_ref().ok_or_else(|| Failure::runtime("no folder"))?;
        Ok((folder, Path::new(name)))
    }
}
