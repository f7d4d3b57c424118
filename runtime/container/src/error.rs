//! What keeps a configuration from becoming a plan, and a plan from being prepared.

use std::path::{Path, PathBuf};

/// Why a container cannot be made from its configuration.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A field has a value that makes no sense.
    #[error("{field}: {why}")]
    Invalid {
        /// The field as it is written in `config.json`, such as `mounts[2].destination`.
        field: String,
        /// What is wrong with it.
        why: String,
    },
    /// A field asks for something this version cannot do. Nothing is ever ignored silently.
    #[error("{field}: {what} not supported")]
    Unsupported {
        /// The field as it is written in `config.json`.
        field: String,
        /// What is not supported, with its verb: `user namespaces are`.
        what: String,
    },
    /// The system call filter cannot be built.
    #[error("linux.seccomp")]
    Seccomp(#[source] crate::seccomp::Error),
    /// What should be bound into the container is not there.
    #[error("bind source {}: no such file or directory", .0.display())]
    NoSource(PathBuf),
    /// What should be bound into the container cannot be opened.
    #[error("bind source {}", path.display())]
    Source {
        /// The path on the host.
        path: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// The host has it mounted read-only, and nothing would keep root of the container's user namespace from making it writable.
    #[error(
        "bind source {}: the host has it mounted read-only, which root of the container could change: the mount cannot be copied from within \
         the container's mount namespace, where it would be locked; rbind can, where there are mounts below it",
        .0.display()
    )]
    Unlocked(PathBuf),
    /// The user namespace that maps the ids of a bind mount cannot be made.
    #[error("bind source {}: id mapping", path.display())]
    IdMap {
        /// The path on the host.
        path: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// What should be joined is not a namespace of this type.
    #[error("{} is not a {kind} namespace", path.display())]
    NotNamespace {
        /// The path on the host.
        path: PathBuf,
        /// As in `linux.namespaces[].type`.
        kind: &'static str,
    },
    /// A namespace cannot be opened.
    #[error("{kind} namespace {}", path.display())]
    Namespace {
        /// The path on the host.
        path: PathBuf,
        /// As in `linux.namespaces[].type`.
        kind: &'static str,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// The cgroup given to `prepare` is not the one the plan was compiled for.
    #[error("the plan needs cgroup folder {wanted}, the cgroup has {have}")]
    CgroupFolder {
        /// Index of the folder.
        wanted: usize,
        /// How many there are.
        have: usize,
    },
    /// A cgroup folder cannot be handed to the container.
    #[error("cgroup folder {}", path.display())]
    CgroupTree {
        /// The folder.
        path: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// A group of Intel RDT cannot be made, read or removed.
    #[error("Intel RDT: {}", path.display())]
    Rdt {
        /// The folder or file.
        path: PathBuf,
        /// The call that failed.
        #[source]
        source: sys::Error,
    },
    /// The host's cgroups cannot be read.
    #[error(transparent)]
    Cgroup(#[from] crate::cgroup::Error),
}

impl Error {
    /// The path on the host that it is about, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match self {
            Error::NoSource(path) | Error::Unlocked(path) => Some(path),
            Error::Source { path, .. }
            | Error::NotNamespace { path, .. }
            | Error::Namespace { path, .. }
            | Error::CgroupTree { path, .. } => Some(path),
            _ => None,
        }
    }

    /// A field with a bad value.
    pub(crate) fn invalid(field: impl Into<String>, why: impl Into<String>) -> Self {
        Error::Invalid { field: field.into(), why: why.into() }
    }

    /// A field that is not supported; `what` ends in "is" or "are".
    pub(crate) fn unsupported(field: impl Into<String>, what: impl Into<String>) -> Self {
        Error::Unsupported { field: field.into(), what: what.into() }
    }
}
