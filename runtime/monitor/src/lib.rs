//! What an engine and the monitor of one container share: the wire types, and the container's log.
//!
//! ```text
//!                    Launch, Attach, Start          launch::create, start
//!   rctr / noded  ─────────────────────────▶  rctr-monitor ─────────────▶  init, exec'd processes
//!        ▲  ◀─────────────────────────────────  │   ▲ │
//!        │           Output, Exited             │   │ └ pipes or terminal
//!        │                                      ▼   └── CONTAINER's socket: attach, exec, wait
//!        └───────── status.json, log/ ◀─────────┘
//! ```
//!
//! | module | what |
//! |---|---|
//! | `wire` | requests and events, one a packet |
//! | `happened` | events: one file that all append to |
//! | `restart` | whether and when a container is started again |
//! | [`log`] | the log's format, its writer and its reader |
//!
//! The program is in `main.rs` and what it names.

#![forbid(unsafe_code)]

mod bytes;
mod happened;
pub mod log;
mod restart;
mod wire;

pub use happened::{Actor, FILE as EVENTS, Happened, Used, append as append_event, append_and_rotate, before as event_file_before};
pub use restart::Policy;
pub use wire::*;
