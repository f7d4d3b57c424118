//! The child's side. It runs in a copy of the caller's memory, single-threaded, and ends in execve or in a failure: it allocates
//! but it never panics, prints or returns to the caller's code.

mod cgroup;
pub(crate) mod init;
pub(crate) mod join;
pub(crate) mod labels;
mod loopback;
mod namespaces;
pub(crate) mod procfs;
mod root;
pub(crate) mod stem;
pub(crate) mod terminal;
mod users;

pub(crate) use root::attach_at;
