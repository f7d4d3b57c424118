//! Resident memory of a daemon and of what it keeps beside each pod.

use std::fs;

use anyhow::{Result, ensure};

use super::server::Server;
use crate::measure::settle;
use crate::memory::share;

/// The proportional share of memory (`Pss`) of all its processes together, in KiB, after a moment of quiet.
pub(super) fn settled(server: &Server) -> Result<f64> {
    settle();
    let shares = server.processes().into_iter().filter_map(|pid| {
        // one that has ended in between has none
        share(&fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?)
    });
    let total: u64 = shares.sum();
    ensure!(total > 0, "{} has no memory: its processes cannot be looked at", server.who());
    Ok(total as f64)
}
