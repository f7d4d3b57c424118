//! Labels of security modules: files of procfs that the kernel reads at the next execve. They are opened while `/proc` is the host's,
//! as every file of procfs that is written to (CVE-2019-16884, CVE-2025-52881), and written to once the root is left, so that hooks of the
//! host's do not get them.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;

use super::procfs;
use crate::failure::During;
use crate::{Failure, Labels};

/// Files to write to, opened.
#[derive(Default)]
pub(crate) struct Pending {
    exec: Vec<(OwnedFd, String)>,
    keys: Option<(OwnedFd, String)>,
}

/// Opens what `labels` need; `keyring`: with the one for a new session keyring.
pub(crate) fn open(labels: &Labels, keyring: bool) -> Result<Pending, Failure> {
    let mut pending = Pending::default();
    if let Some(profile) = &labels.apparmor {
        // Its own file since Linux 5.8; the other is for the first module that has labels.
        let file = match procfs::writable("thread-self/attr/apparmor/exec") {
            Err(error) if error.errno() == Errno::NOENT => procfs::writable("thread-self/attr/exec"),
            other => other,
        };
        let file = file.during(|| format!("set the AppArmor profile {profile:?}"))?;
        pending.exec.push((file, format!("exec {profile}")));
    }
    if let Some(label) = &labels.selinux {
        let open = |name| procfs::writable(name).during(|| format!("set the SELinux label {label:?}"));
        pending.exec.push((open("thread-self/attr/exec")?, label.clone()));
        if keyring {
            pending.keys = Some((open("thread-self/attr/keycreate")?, label.clone()));
        }
    }
    Ok(pending)
}

impl Pending {
    /// The descriptors that stay open until execve closes them.
    pub(crate) fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.exec.iter().chain(&self.keys).map(|(file, _)| file.as_fd())
    }

    /// Labels what the next execve makes.
    pub(crate) fn exec(&self) -> Result<(), Failure> {
        self.exec.iter().try_for_each(|(file, text)| write(file, text))
    }

    /// Makes keys with their label.
    pub(crate) fn with_keys<T>(&self, make: impl FnOnce() -> Result<T, Failure>) -> Result<T, Failure> {
        let Some((file, label)) = &self.keys else { return make() };
        write(file, label)?;
        let made = make()?;
        write(file, "")?;
        Ok(made)
    }
}

fn write(file: &OwnedFd, text: &str) -> Result<(), Failure> {
    sys::fs::write_all(file, text.as_bytes()).during(|| format!("set the security label {text:?}"))
}
