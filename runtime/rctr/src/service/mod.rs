//! `rctr system service`: Docker's Engine API over HTTP, for programs that speak it: the docker command, its libraries, Compose, Testcontainers.
//!
//! ```text
//! socket.rs    the socket: made here, or systemd's
//! serve.rs     connections ─▶ call.rs (what is asked) ─▶ route.rs (the table) ─▶ a handler: one file for each group of endpoints
//! answer.rs    what a handler answers: JSON, a stream, something later, or the connection itself
//! session.rs   that connection and a process of a container, each with the other's bytes: attach and exec
//! expect.rs    who waits for a container to be started: `docker run` attaches and waits before it starts
//! create/      the body of a container ─▶ the flags of `rctr create` ─▶ a request: one meaning for both
//! ```
//!
//! It holds no truth: containers, images and networks are where the command line finds them, and all of it may end at any time. Only what Docker's
//! API itself has no place for is kept here as long as it runs: execs, by their ids, and the size of a terminal that is yet to come.
//!
//! Whoever may connect is root: see socket.rs for who that is.

mod answer;
mod archive;
mod build;
mod call;
mod containers;
mod create;
mod events;
mod exec;
mod expect;
mod images;
mod networks;
mod progress;
mod refused;
mod registries;
mod route;
mod serve;
mod session;
mod socket;
mod system;
mod volumes;

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result};
use engine::Engine;
use tokio::sync::watch;

pub(crate) use socket::Place;

use crate::context::Context;

/// The newest version of the API that is spoken, and the oldest.
const VERSION: (u32, u32) = (1, 47);
const OLDEST: (u32, u32) = (1, 24);

/// What all handlers have.
pub(crate) struct Service {
    context: Context,
    engine: Engine,
    execs: exec::Execs,
    expected: expect::Expected,
    /// Rows and columns of terminals that containers are to have, by their ids.
    sizes: Mutex<BTreeMap<String, (u16, u16)>>,
    /// How many requests are being answered, and processes listened to.
    busy: watch::Sender<usize>,
}

/// As long as there is one, the service does not end.
struct Busy(watch::Sender<usize>);

impl Service {
    fn busy(&self) -> Busy {
        self.busy.send_modify(|count| *count += 1);
        Busy(self.busy.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Serves until nothing was asked for the time of `idle`, or it is told to end.
pub(crate) fn run(context: &Context, place: Option<&Place>, idle: Option<Duration>) -> Result<()> {
    // Before anything else is opened, and before there is a second thread.
    let passed = socket::passed()?;
    let end = sys::signal::signalfd(&[rustix::process::Signal::TERM.as_raw(), rustix::process::Signal::INT.as_raw()])?;
    sys::signal::ignore_sigpipe();
    let engine = context.engine()?;
    let socket = socket::open(passed, place, &engine.config().run)?;
    let service = Service {
        context: context.clone(),
        engine,
        execs: exec::Execs::default(),
        expected: expect::Expected::default(),
        sizes: Mutex::default(),
        busy: watch::Sender::new(0),
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(2 * serve::CONNECTIONS)
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .context("start to serve")?;
    let served = runtime.block_on(serve::run(std::sync::Arc::new(service), &socket, idle, end));
    // Whoever is still being answered is not waited for: with systemd's socket a new connection starts all anew.
    runtime.shutdown_background();
    served
}

/// A lock that is never poisoned for long: what it guards is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
