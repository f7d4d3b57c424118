//! Trees for a container with users of its own, opened where it will mount them: in init's mount namespace, with the caller's rights.
//!
//! A new mount namespace of another user namespace has the host's mounts locked as they are (mount_namespaces(7)): who copies one there, as
//! root of that user namespace may, cannot take its `ro` or `nosuid` away. One that the caller has opened in its own namespace is not
//! locked, and root in the container could remount it.

use std::os::fd::AsFd;

use rustix::fs::stat;
use sys::Call;
use sys::ns::{kind, setns};
use sys::process::{Clone, Ended, clone3, wait};

use crate::failure::During;
use crate::handshake::Child;
use crate::{Failure, Stages};

/// Opens what `stages` open, and hands it to the child, which waits for it.
pub(crate) fn hand(child: &Child, stages: &dyn Stages) -> Result<(), Failure> {
    // Another process: with the mount namespace the caller's root and folder would be others, too (setns(2)).
    let helper = clone3(&Clone::default(), || u8::from(there(child, stages).is_err())).during(|| "open in the container")?;
    match wait(&helper.pidfd).during(|| "open in the container")? {
        Ended::Exited(0) => Ok(()),
        // Not to be had like that: a root that is not that of the mount namespace, or a folder with mounts below it that are to be left
        // behind, which locked mounts do not allow. Or not at all, which is told here.
        _ => child.hand(&stages.open(false).map_err(Failure::runtime)?),
    }
}

fn there(child: &Child, stages: &dyn Stages) -> Result<(), Failure> {
    let root = || stat("/").map(|stat| (stat.st_dev, stat.st_ino)).call(|| "stat(\"/\")").during(|| "look at the root");
    let before = root()?;
    setns(child.pidfd().as_fd(), kind::MOUNT as i32).during(|| "join the mount namespace")?;
    if root()? != before {
        return Err(Failure::runtime("another root"));
    }
    child.hand(&stages.open(true).map_err(Failure::runtime)?)
}
