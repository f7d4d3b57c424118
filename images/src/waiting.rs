//! Where a call waits for the network.

use std::sync::Arc;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;

use crate::error::{Error, Result};

/// Runs one call. Its threads may outlive the call by a moment, so they take no signal: one that comes then is for what the caller does
/// next, who may have blocked it in the only thread that it knows of.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    let alone = || drop(sys::signal::block_all());
    Builder::new_current_thread().enable_all().on_thread_start(alone).build()
}

/// Ends a pull or a push from another thread. Clones are one and the same; the default ends nothing until it is told to.
#[derive(Debug, Clone)]
pub struct Stop(Arc<watch::Sender<bool>>);

impl Default for Stop {
    fn default() -> Self {
        Stop(Arc::new(watch::Sender::new(false)))
    }
}

impl Stop {
    /// What it was given to fails with [`Error::Stopped`], unless it is done.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }

    /// What comes of `work`, if it is not stopped before.
    pub(crate) async fn or<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let mut told = self.0.subscribe();
        tokio::select! {
            done = work => done,
            // The sender is here.
            _ = told.wait_for(|told| *told) => Err(Error::Stopped),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_stopped_from_elsewhere() {
        let runtime = runtime().unwrap();
        let stop = Stop::default();
        assert!(matches!(runtime.block_on(stop.or(async { Ok(7) })), Ok(7)));
        let other = stop.clone();
        let stopping = std::thread::spawn(move || other.stop());
        assert!(matches!(runtime.block_on(stop.or(std::future::pending::<Result<()>>())), Err(Error::Stopped)));
        stopping.join().unwrap();
    }

    /// A signal that the only other thread blocks stays with the process, and does not end it.
    #[test]
    fn its_threads_block_signals() {
        let blocked = || std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let status = runtime().unwrap().block_on(async { tokio::task::spawn_blocking(blocked).await.unwrap() });
        let mask = status.lines().find_map(|line| line.strip_prefix("SigBlk:")).unwrap();
        let mask = u64::from_str_radix(mask.trim(), 16).unwrap();
        for name in ["HUP", "INT", "TERM", "USR1", "WINCH"] {
            let signal = sys::signal::number(name).unwrap();
            assert_ne!(mask & 1 << (signal - 1), 0, "{name}: {mask:x}");
        }
    }
}
