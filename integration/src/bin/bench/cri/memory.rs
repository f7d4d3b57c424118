//! Resident memory of a daemon and of what it keeps beside each pod.

use std::fs;

use anyhow::{Result, ensure};

use super::server::Server;
use crate::measure::settle;

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

/// `Pss` of proc_pid_smaps(5).
fn share(smaps: &str) -> Option<u64> {
    smaps.lines().find_map(|line| line.strip_prefix("Pss:"))?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_share_is_read_from_its_own_line() {
        let smaps = "00400000-7fff rollup\nRss: 100 kB\nPss:      61 kB\nPss_Dirty: 52 kB\n";
        assert_eq!(share(smaps), Some(61));
        assert_eq!(share(""), None);
    }
}
