//! Namespaces of other containers that one joins, held by descriptor from the moment that their container was known to run.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use rustix::fs::{Mode, OFlags, open};
use sys::Call;
use sys::fs::open_dir;

use crate::error::During;
use crate::request::Sharing;
use crate::wait::open_process;
use crate::{Engine, Error, Record, mounts, names};

/// What a container joins.
#[derive(Debug, Default)]
pub(crate) struct Joined {
    pub(crate) ipc: Option<OwnedFd>,
    pub(crate) pid: Option<OwnedFd>,
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
        if let Sharing::Container(other) = &record.namespaces.pid {
            joined.pid = Some(self.namespace_of(other, "pid")?.0);
        }
        if let Sharing::Container(other) = &record.namespaces.ipc {
            let (ipc, shm) = self.namespace_of(other, "ipc")?;
            (joined.ipc, joined.shm) = (Some(ipc), shm);
        }
        Ok(joined)
    }

    /// A namespace of a running container, and with that for shared memory its `/dev/shm`.
    fn namespace_of(&self, other: &str, kind: &str) -> Result<(OwnedFd, Option<OwnedFd>), Error> {
        let container = self.container(other)?;
        let not_running = || Error::NotRunning(names::short(&container.record));
        let what = || format!("join the {kind} namespace of container {}", names::short(&container.record));
        let (pid, _) = container.process().ok_or_else(not_running)?;
        let path = format!("/proc/{pid}/ns/{kind}");
        let namespace = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"));
        let root = open_dir(format!("/proc/{pid}/root"));
        // Both were opened before this check, so they belong to the process that the record means.
        drop(open_process(&container).ok_or_else(not_running)?);
        let (namespace, root) = (namespace.during(what)?, root.during(what)?);
        let shm = match kind {
            "ipc" => Some(mounts::below_root(root, "dev/shm".as_ref()).during(what)?),
            _ => None,
        };
        Ok((namespace, shm))
    }
}
