//! Checkpoint and restore through criu(8), which does the work; this is the side of who asks for it.
//!
//! ```text
//!   caller                                          criu swrk N        (N: its end of a packet socket)
//!   Criu::spawn ── launch::beside ────────────────▶ for a restore in the cgroups and before the root of the container
//!   Criu::beside                                    for a dump, from a process that may have threads
//!   version, features                          ◀──▶ what it can
//!   run(Request, Options)                      ───▶
//!   the caller's closure                       ◀──▶ notifications: namespaces are made, here is the terminal, all is restored …
//!                                              ◀─── done, or why not; the rest is in its log
//! ```
//!
//! The messages are criu's `rpc.proto` (protocol buffers, proto2): a request, a response, and about forty fields of options, of which
//! one needs as many lines as it has types of field. A generator and its runtime would be more code than `wire`.
//!
//! criu is never killed: while it looks at processes they run its code, and die with it. It gives up by itself when the socket ends.
//!
//! | module | what |
//! |---|---|
//! | `wire` | fields of protocol buffers |
//! | `message` | requests and responses |
//! | `options` | what a request asks for |
//! | `external` | what a container's mounts and pipes are outside |
//! | `session` | one run of criu |

mod external;
mod message;
mod options;
mod session;
mod wire;

pub use external::{Mounted, mounted, streams};
#[cfg(any(test, fuzzing))]
pub(crate) use message::understood;
pub use message::{Features, Notification, Request, Version};
pub use options::{CgroupMode, Options};
pub use session::{Criu, Error, Note, Start};
