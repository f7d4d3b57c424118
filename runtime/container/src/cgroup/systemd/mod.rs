//! Cgroups that systemd makes: a transient scope per container (`--systemd-cgroup`; org.freedesktop.systemd1(5), systemd.scope(5)).
//!
//! ```text
//!   this process                                   systemd
//!   a child that only waits
//!   StartTransientUnit(scope, slice, limits,  ──▶  makes slices and scope, puts the child into it
//!                      PIDs = the child)      ◀──  JobRemoved
//!   what systemd has no property for is written to the folder; init is born in it; the child ends
//!   SetUnitProperties                         ──▶  on update
//!   StopUnit, ResetFailedUnit                 ──▶  when the container is deleted
//! ```
//!
//! A scope cannot be empty, and init should be born in its cgroup: hence the child. The scope is delegated, so that its files are ours to
//! write to; every limit is both a property, which survives `systemctl daemon-reload`, and written as it is.
//!
//! On v2 the rules about devices are our own program alone. A second one of systemd's, made of device nodes and not of numbers, would
//! come back at each reload and take away what was allowed since; the many reports of lost GPUs are about that. On v1 systemd writes to
//! the same files as we do, and has to know the rules.
//!
//! The client speaks D-Bus by itself: ten calls and one signal, always on systemd's own socket where that is to be had, without a
//! thread or a reactor. zbus 6 was measured in a static program that never calls it: 0.1 ms more at each start (0.73 instead of 0.63),
//! 0.4 MiB more memory, 1.1 MiB more program and some fifty crates, for all verbs of which few ever speak to systemd; and it waits for
//! ever for an answer that does not come.
//!
//! | module | what |
//! |---|---|
//! | `unit` | names of slices and scopes |
//! | `properties` | limits as properties |
//! | `devices` | rules about devices as properties, for v1 |
//! | `annotation` | properties that a configuration gives (`org.systemd.property.*`), in GVariant's text format |
//! | `manager` | the connection, over [`dbus`](crate::dbus) |
//! | `scope` | starting, changing and stopping one |
//! | `shelter` | one that many containers of an ordinary user are below |

mod annotation;
mod devices;
mod manager;
mod properties;
mod scope;
mod shelter;
mod unit;

pub use crate::dbus::{Failure, Value};
pub use annotation::annotations;
pub(super) use scope::Scope;
pub use scope::{abandon, create, create_with, stop, update};
pub use shelter::{gather, shelter};
pub use unit::Unit;
