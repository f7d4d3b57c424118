//! Where a call waits for the network.

use tokio::runtime::{Builder, Runtime};

/// Runs one call. Its threads may outlive the call by a moment, so they take no signal: one that comes then is for what the caller does
/// next, who may have blocked it in the only thread that it knows of.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    let alone = || drop(sys::signal::block_all());
    Builder::new_current_thread().enable_all().on_thread_start(alone).build()
}

#[cfg(test)]
mod tests {
    use super::*;

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
