//! exec, attach and port-forward as Kubernetes clients speak them: over SPDY/3.1 or WebSocket.
//!
//! ```text
//! request ──▶ Jobs: a token that works once ──▶ address                     jobs.rs
//! or a Job itself, from whoever has checked the client otherwise            server.rs
//! address ──▶ upgraded connection ──▶ named streams ──▶ Io | pairs          server.rs remote.rs forward.rs
//!                                     spdy/ · websocket.rs · carried.rs                  ──▶ Backend
//! outcome ◀── Status on the error stream                                    outcome.rs
//! ```
//!
//! What a connection holds is bounded: pieces of 32 KiB, eight of them for each stream and direction. Nothing is known here of containers:
//! the [`Backend`] does the work, in the node daemon and in the control plane alike.
#![forbid(unsafe_code)]

mod carried;
mod forward;
mod io;
mod jobs;
mod outcome;
mod remote;
mod server;
pub mod spdy;
#[cfg(test)]
mod tests;
mod websocket;

use std::future::Future;

pub use forward::carry;
pub use io::{Closed, Input, Io, Output, Size, Sizes};
pub use jobs::{Full, Job, Jobs, Streams};
pub use outcome::Outcome;
pub use server::{answer, router};

/// Whoever runs what a client has asked for.
pub trait Backend: Send + Sync + 'static {
    /// Runs a program in a container, until it ends.
    fn exec(&self, container: String, command: Vec<String>, tty: bool, io: Io) -> impl Future<Output = (Outcome, Io)> + Send;

    /// Shows a container's output and feeds its input, until it ends or the client goes.
    fn attach(&self, container: String, tty: bool, io: Io) -> impl Future<Output = (Outcome, Io)> + Send;

    /// Carries bytes between a client and a port of a pod, until either ends.
    ///
    /// # Errors
    /// What the client is told, such as that nothing listens.
    fn forward(&self, pod: String, port: u16, input: Input, output: Output) -> impl Future<Output = Result<(), String>> + Send;
}
