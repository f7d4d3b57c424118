//! What a node of quiet pods costs whose containers are probed: a hundred execs a minute.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use super::crowd::running;
use super::server::Server;
use super::{CROWD, tidily};
use crate::measure::{Row, Unit, sample, settle};

/// Pods that are probed in turn.
const PODS: usize = 10;

/// From one probe to the next: a hundred of them in a minute.
const EACH: Duration = Duration::from_millis(600);

/// Processor time of a daemon, its helpers, and all that they have waited for, while it is probed.
pub(super) fn row(quick: bool, servers: &[Server]) -> Result<Row> {
    let probes = if quick { 20 } else { 100 };
    let running = running(PODS, servers)?;
    let row = sample("processor with 100 exec probes a minute, 10 pods", &running, 1, |(server, pods), round| {
        tidily(server, || {
            settle();
            let (before, begun) = (used(server), Instant::now());
            // the round that does not count warms up
            for number in 0..if round == 0 { PODS as u32 } else { probes } {
                std::thread::sleep((EACH * number).saturating_sub(begun.elapsed()));
                server.exec(pods.get(number as usize % PODS).context("no pod")?, &["true"])?;
            }
            // USER_HZ is 100.
            let ticks = used(server).saturating_sub(before) as f64;
            Ok(vec![ticks * 10.0 / begun.elapsed().as_secs_f64()])
        })
    })?;
    running.into_iter().try_for_each(|(server, pods)| server.end(pods, CROWD))?;
    Ok(Row { unit: Unit::Millicores, ..row })
}

fn used(server: &Server) -> u64 {
    server.processes().into_iter().map(ticks).sum()
}

/// `utime`, `stime`, `cutime` and `cstime` of proc_pid_stat(5).
fn ticks(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let after = stat.rsplit(')').next().unwrap_or_default();
    after.split_whitespace().skip(11).take(4).filter_map(|word| word.parse::<u64>().ok()).sum()
}
