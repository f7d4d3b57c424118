//! A [`Plan`] (data) becomes a running init: everything between clone and exec.
//!
//! ```text
//! caller                                   init
//! create(plan, descriptors, stdio)
//!   one clone3: namespaces, cgroup v2  ──▶ cgroups, namespaces that are joined or come after the cgroup
//!                                          mounts below the detached root, in the plan's order; pivot_root
//!   the terminal's master              ◀── a pseudo terminal of the container's own devpts
//!                                          stdio, limits, user, capabilities, folder, program looked up
//!   Created                            ◀── ready
//! Created::start                       ──▶ system call filter, execve
//!   Running                            ◀── the socket ends because it is close-on-exec
//!
//! Created::leave, the caller ends          waits at its gate, a socket in the state folder
//!   start(folder, name), anybody       ──▶ the same from there
//!
//! exec(process, target, stdio)             the same tail, in the namespaces of a running container
//! ```
//!
//! A new user namespace adds one exchange, right after the clone: the caller writes who is who, and only then init goes on as root there. Where
//! namespaces are joined that init must be born into, a process between both joins them and makes init as the caller's child.
//!
//! The child is the caller's own copy: no second program, no runtime to boot. It is single-threaded, it never returns, and it never
//! looks anything up on the host: descriptors come with the plan. Whatever fails there comes back as a [`Failure`].
//!
//! There is no `PR_SET_PDEATHSIG`. Before exec the end of the socket tells the child that its parent is gone. After exec the
//! signal would tie the container's life to the caller's, which for `create` ends at once, and it would be lost anyway
//! wherever the program is setuid or has file capabilities (prctl(2)).
//!
//! | module | what |
//! |---|---|
//! | `plan`, `status` | the data: what to start, what became of it |
//! | `create`, `exec` | the parent's side |
//! | `beside` | trees opened in a container's mount namespace |
//! | `gate` | where an init waits whose maker has ended |
//! | `ground` | where another program makes a container's processes |
//! | `home` | the cgroup of a process that joins |
//! | `handshake` | clone and the messages between both sides |
//! | `network`, `netlink` | network devices that are moved into a container |
//! | `users`, `user_namespaces` | who is who in a new user namespace, and one in which nothing runs |
//! | `child` | the child's side, in order |
//! | `steps`, `attributes` | what is built below the root |
//! | `process` | the tail common to both: from mounts done to execve |
//! | `hooks` | programs that run beside a container while it is made |
//! | `sealed` | a program that its containers cannot write to |

#![forbid(unsafe_code)]

mod attributes;
mod beside;
mod child;
mod create;
mod exec;
mod failure;
mod gate;
mod ground;
mod handshake;
mod home;
mod hooks;
mod netlink;
mod network;
mod plan;
mod process;
mod sealed;
mod status;
mod steps;
mod user_namespaces;
mod users;

pub use attributes::Attributes;
pub use child::set_sysctls;
pub use create::{Created, Inherited, Running, Stages, Stdio, Target, create, create_meanwhile, create_with};
pub use exec::{Executed, exec, exec_with};
pub use failure::{Failure, Kind, Parts, Stage};
pub use gate::{Gate, start};
pub use ground::{Ground, loopback};
pub use hooks::Hook;
pub use plan::*;
pub use sealed::{Sealed, seal};
pub use status::*;
pub use steps::copy::{tree as copy_tree, tree_for as copy_tree_for};
pub use steps::target::PROC_FILES;
pub use user_namespaces::user_namespaces;
