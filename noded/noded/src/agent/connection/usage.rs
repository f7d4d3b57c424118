//! What this node and its containers use: from two readings of the same counters.

use std::collections::HashMap;
use std::fs::read_to_string;
use std::sync::Arc;
use std::time::{Duration, Instant};

use api::meta::MicroTime;
use control::tunnel::usage::{Amount, Container, Usage};
use tokio::sync::Mutex;
use tonic::Status;

use super::routes::blocking;
use crate::cri::local::{self, Used};
use crate::node::Node;

/// Whoever asks again before this gets the same answer.
const FRESH: Duration = Duration::from_secs(2);
/// An earlier reading than this says nothing of what is used now.
const OLD: Duration = Duration::from_secs(60);
/// How long is measured where there is no earlier reading. Nothing is read while nobody asks.
const SHORT: Duration = Duration::from_secs(1);
/// The kernel's unit of time in /proc (time(7): USER_HZ), in nanoseconds.
const TICK: u64 = 10_000_000;

/// The last reading, and what was answered then.
#[derive(Debug, Default)]
pub(super) struct Meter(Mutex<Option<(Reading, Option<Usage>)>>);

/// Counters at one moment.
#[derive(Debug, Clone)]
struct Reading {
    at: Instant,
    node: Amount,
    /// With nanoseconds of processor time until now in the place of a rate.
    containers: HashMap<String, Used>,
}

impl Meter {
    /// What is used now.
    ///
    /// # Errors
    /// What the engine says.
    pub(super) async fn usage(&self, node: &Arc<Node>) -> Result<Usage, Status> {
        let mut last = self.0.lock().await;
        if let Some((reading, Some(usage))) = &*last
            && reading.at.elapsed() < FRESH
        {
            return Ok(usage.clone());
        }
        let mut now = read(node).await?;
        let is_good =
            |before: &Reading| before.at.elapsed() < OLD && now.containers.keys().all(|id| before.containers.contains_key(id));
        let before = match last.take().map(|(reading, _)| reading).filter(is_good) {
            Some(before) => before,
            None => {
                tokio::time::sleep(SHORT).await;
                std::mem::replace(&mut now, read(node).await?)
            }
        };
        let usage = between(&before, &now, MicroTime::now());
        *last = Some((now, Some(usage.clone())));
        Ok(usage)
    }
}

async fn read(node: &Arc<Node>) -> Result<Reading, Status> {
    let node = Arc::clone(node);
    blocking(move || {
        let at = Instant::now();
        let containers = local::used(&node)?.into_iter().map(|used| (used.id.clone(), used)).collect();
        let file = |path: &str| read_to_string(path).map_err(|error| Status::internal(format!("read {path}: {error}")));
        let node = Amount { cpu: processors(&file("/proc/stat")?), memory: memory(&file("/proc/meminfo")?) };
        Ok(Reading { at, node, containers })
    })
    .await
}

/// Nanoseconds in which processors have worked since the boot (proc_stat(5)): user, nice, system, irq, softirq, steal.
fn processors(stat: &str) -> u64 {
    let line = stat.lines().find_map(|line| line.strip_prefix("cpu ")).unwrap_or_default();
    let numbers: Vec<u64> = line.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    [0, 1, 2, 5, 6, 7].iter().filter_map(|at| numbers.get(*at)).sum::<u64>() * TICK
}

/// Bytes that are not free, without files that have not been used for a while: what a kubelet calls the working set of a node.
fn memory(meminfo: &str) -> u64 {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).unwrap_or(0)
    };
    of("MemTotal").saturating_sub(of("MemFree")).saturating_sub(of("Inactive(file)")) * 1024
}

/// What was used on average between two readings.
fn between(before: &Reading, now: &Reading, at: MicroTime) -> Usage {
    let window = now.at.saturating_duration_since(before.at);
    let rate = |before: u64, now: u64| {
        let used = u128::from(now.saturating_sub(before)) * 1_000_000_000 / window.as_nanos().max(1);
        u64::try_from(used).unwrap_or(u64::MAX)
    };
    let containers = now.containers.values().filter_map(|now| {
        let before = before.containers.get(&now.id)?;
        let used = Amount { cpu: rate(before.cpu, now.cpu), memory: now.memory };
        Some(Container { pod: now.pod.clone(), name: now.name.clone(), used })
    });
    let node = Amount { cpu: rate(before.node.cpu, now.node.cpu), memory: now.node.memory };
    Usage { at, window: u64::try_from(window.as_millis()).unwrap_or(u64::MAX), node, containers: containers.collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(at: Instant, cpu: u64, containers: &[(&str, u64)]) -> Reading {
        let used = |(id, cpu): &(&str, u64)| {
            let used = Used { id: (*id).into(), pod: "u".into(), name: format!("of {id}"), cpu: *cpu, memory: 7 };
            (used.id.clone(), used)
        };
        Reading { at, node: Amount { cpu, memory: 9 }, containers: containers.iter().map(used).collect() }
    }

    #[test]
    fn rates_are_of_the_time_between() {
        let begin = Instant::now();
        let before = reading(begin, 1_000_000_000, &[("a", 0)]);
        let now = reading(begin + Duration::from_secs(2), 2_000_000_000, &[("a", 3_000_000_000), ("new", 5)]);
        let usage = between(&before, &now, MicroTime::now());
        assert_eq!((usage.window, usage.node), (2000, Amount { cpu: 500_000_000, memory: 9 }));
        let a = Container { pod: "u".into(), name: "of a".into(), used: Amount { cpu: 1_500_000_000, memory: 7 } };
        assert_eq!(usage.containers, [a], "what has one reading has no rate");
    }

    #[test]
    fn the_kernels_words() {
        let stat = "cpu  100 20 30 4000 50 6 7 8 0 0\ncpu0 1 1 1 1 1 1 1 1 0 0\n";
        assert_eq!(processors(stat), (100 + 20 + 30 + 6 + 7 + 8) * TICK);
        assert_eq!(memory("MemTotal:  100 kB\nMemFree: 30 kB\nInactive: 50 kB\nInactive(file):  20 kB\n"), 50 << 10);
        assert_eq!((processors(""), memory("")), (0, 0));
    }
}
