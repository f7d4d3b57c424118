//! D-Bus (<https://dbus.freedesktop.org/doc/dbus-specification.html>): as much of it as it takes to ask systemd and logind for something,
//! and to hear what they say by themselves. Nothing here has a thread or a reactor.
//!
//! | module | what |
//! |---|---|
//! | `value` | values with their types |
//! | [`wire`] | messages as bytes |
//! | `connection` | calls, answers, signals, and the descriptors that come with them |

mod connection;
mod value;
pub mod wire;

pub use connection::{Connection, Failure, Object};
pub(crate) use connection::{PATIENCE, absent};
pub use value::Value;
pub(crate) use value::named;
