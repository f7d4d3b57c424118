//! The unsafe boundary: thin wrappers of the system calls that [`rustix`] lacks, named after the call, and the
//! error type that makes a failed call read like a line of strace.
//!
//! Everything that rustix offers safely is used from there directly, by any crate, with [`Call::call`] to say
//! what was tried. This is the only crate of the workspace that may contain `unsafe`; audit this folder.
//!
//! | module | calls |
//! |---|---|
//! | [`process`] | `clone3`, `execve`, `waitid`, `pidfd_send_signal` with any signal number |
//! | [`entry`] | `execveat` of a sealed copy before anything else, even before the C library |
//! | [`fds`] | `close_range` |
//! | [`signal`] | `signalfd`, signal masks and dispositions, names |
//! | [`mount`] | `mount_setattr`, and `fsopen` … `fsmount` as one value with the kernel's own message |
//! | [`netlink`] | netlink sockets with the kernel's own error text |
//! | [`ns`] | `unshare`, `setns` |
//! | [`overlay`] | overlayfs's own extended attributes |
//! | [`seccomp`] | `seccomp(SECCOMP_SET_MODE_FILTER)` and what the kernel knows of it |
//! | [`landlock`] | rulesets |
//! | [`bpf`] | device programs for cgroup v2 |
//! | [`socket`] | sockets that carry descriptors |
//! | [`datagram`] | datagrams that say to which address they came |
//! | [`fs`] | opening below a root, reading and replacing whole files, removing trees |
//! | [`loopback`] | loop devices |
//! | [`memory`] | giving freed memory back, how many heaps there are, NUMA policy |
//! | [`quota`] | how much a tree of files may take |
//! | [`sched`] | `sched_setattr`, `sched_setaffinity`, `ioprio_set` |
//! | [`spawn`] | `posix_spawn` of a sealed program beside a threaded process |
//! | [`watch`] | removals from a folder, noticed without inotify's price |

pub mod bpf;
pub mod datagram;
pub mod entry;
mod error;
pub mod fds;
pub mod fs;
pub mod landlock;
pub mod loopback;
pub mod memory;
pub mod mount;
pub mod netlink;
pub mod ns;
pub mod overlay;
pub mod process;
pub mod quota;
pub mod sched;
pub mod seccomp;
pub mod signal;
pub mod socket;
pub mod spawn;
pub mod watch;

pub use error::{Call, Error, Result};
