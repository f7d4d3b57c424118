//! Namespaces of other containers that one joins, held by descriptor from the moment that their container was known to run.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, open, openat2};
use rustix::mount::{OpenTreeFlags, open_tree};
use sys::Call;

use crate::error::During;
use crate::request::Sharing;
use crate::wait::open_process;
use crate::{Engine, Error, Record, names, pod};

/// What a container joins.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) ipc: Option<OwnedFd>,
    pub(crate) pid: Option<OwnedFd>,
    pub(crate) uts: Option<OwnedFd>,
    pub(crate) user: Option<OwnedFd>,
    /// The other one's `/dev/shm`, which belongs to its memory that is shared.
    pub(crate) shm: Option<OwnedFd>,
}

impl Joined {
    /// The path of a namespace, while this is kept.
    pub(crate) fn path(namespace: &Option<OwnedFd>) -> Option<PathBuf> {
        namespace.as_ref().map(|fd| PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd())))
    }
}

impl Engine {
    /// Opens what `record` joins.
    ///
    /// # Errors
    /// [`Error::NotRunning`] names the other container.
    pub(crate) fn joined(&self, record: &Record) -> Result<Joined, Error> {
        let mut joined = Joined::default();
        pod::still_ready(&self.config, record)?;
        if let Sharing::Pod(pod) = &record.namespaces.uts {
            joined.uts = Some(self.pinned(pod, "uts")?);
        }
        if let Sharing::Pod(pod) = &record.namespaces.ipc {
            joined.ipc = Some(self.pinned(pod, "ipc")?);
            joined.shm = Some(self.memory_of(pod)?);
        }
        if let Sharing::Container(other) = &record.namespaces.pid {
            joined.pid = Some(self.namespace_of(other, "pid")?.0);
        }
        if let Sharing::Container(other) = &record.namespaces.ipc {
            let (ipc, shm) = self.namespace_of(other, "ipc")?;
            (joined.ipc, joined.shm) = (Some(ipc), shm);
        }
        Ok(joined)
    }

    /// A namespace that a pod keeps.
    pub(crate) fn pinned(&self, pod: &str, name: &str) -> Result<OwnedFd, Error> {
        let path = pod::pinned(&self.config, pod, name);
        let opened = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"));
        opened.during(|| format!("join the {name} namespace of pod {}", &pod[..12]))
    }

    /// A tree of a pod's shared memory.
    fn memory_of(&self, pod: &str) -> Result<OwnedFd, Error> {
        let path = pod::pinned(&self.config, pod, "shm");
        let tree = open_tree(CWD, &path, OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC);
        tree.call(|| format!("open_tree({path:?})")).during(|| format!("share the memory of pod {}", &pod[..12]))
    }

    /// A namespace of a running container, and with that for shared memory its `/dev/shm`.
    fn namespace_of(&self, other: &str, kind: &str) -> Result<(OwnedFd, Option<OwnedFd>), Error> {
        let container = self.container(other)?;
        let not_running = || Error::NotRunning(names::short(&container.record));
        let what = || format!("join the {kind} namespace of container {}", names::short(&container.record));
        if kind == "ipc" && matches!(container.record.namespaces.ipc, Sharing::Private | Sharing::Nothing) {
            let why = "its memory is private: it is shared by --ipc shareable".to_owned();
            return Err(Error::Invalid { what: what(), why });
        }
        let (pid, _) = container.process().ok_or_else(not_running)?;
        let path = format!("/proc/{pid}/ns/{kind}");
        let namespace = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"));
        let mounts = format!("/proc/{pid}/ns/mnt");
        let mounts = open(&mounts, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({mounts:?})"));
        // Both were opened before this check, so they belong to the process that the record means.
        drop(open_process(&container).ok_or_else(not_running)?);
        let (namespace, mounts) = (namespace.during(what)?, mounts.during(what)?);
        let shm = if kind == "ipc" { Some(shared_memory(&mounts).during(what)?) } else { None };
        Ok((namespace, shm))
    }
}

/// A tree of `/dev/shm` in a mount namespace. It can be cloned only from within (open_tree(2)), by a thread that ends with that. Whoever
/// is at home there may have put a link in its place, which is not followed.
fn shared_memory(mounts: &OwnedFd) -> sys::Result<OwnedFd> {
    let cloned = || {
        // A thread that shares its folders with others cannot enter another mount namespace (setns(2)).
        sys::ns::unshare(sys::ns::kind::MOUNT as i32)?;
        sys::ns::setns(mounts, sys::ns::kind::MOUNT as i32)?;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let found = openat2(CWD, "/dev/shm", flags, Mode::empty(), ResolveFlags::NO_SYMLINKS).call(|| "openat2(\"/dev/shm\")")?;
        let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
        open_tree(&found, "", flags).call(|| "open_tree(\"/dev/shm\", OPEN_TREE_CLONE)")
    };
    match std::thread::scope(|scope| scope.spawn(cloned).join()) {
        Ok(tree) => tree,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}
