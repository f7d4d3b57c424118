//! The child's side. It runs in a copy of the caller's memory, single-threaded, and ends in execve or in a failure: it allocates
//! but it never panics, prints or returns to the caller's code.

pub(crate) mod cgroup;
pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod labels;
pub(crate) mod loopback;
mod namespaces;
pub(crate) mod procfs;
mod root;
pub(crate) mod stem;
pub(crate) mod terminal;
mod users;

pub use procfs::set as set_sysctls;
pub(crate) use root::{attach_at, clone_tree};
