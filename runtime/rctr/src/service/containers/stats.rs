//! `GET /containers/NAME/stats`.

use std::time::Duration;

use anyhow::Result;
use engine::{BlkioEntry, Container, Engine, Nanos, Stats, Traffic};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde_json::{Map, Value, json};

use super::super::answer::{Answer, Output, json as document, lines};
use super::super::call::Call;
use crate::output::amount::rfc3339;

/// Between two readings.
const INTERVAL: Duration = Duration::from_secs(1);

/// One reading with its time, or with `stream` one each second.
pub(in super::super) fn stats(call: &mut Call) -> Result<Answer> {
    let service = std::sync::Arc::clone(&call.service);
    let container = service.engine.container(call.name())?;
    let (stream, once) = (call.query.is_or("stream", true), call.query.is("one-shot"));
    if !stream && once {
        return document(reading(&service.engine, &container.record.id)?.shape(None));
    }
    lines(move |out| {
        let id = container.record.id;
        let mut last: Option<Reading> = None;
        loop {
            let reading = reading(&service.engine, &id)?;
            // A share of time needs two of them: one alone is shown only where nothing runs.
            if stream || last.is_some() || !reading.runs() {
                out.document(&reading.shape(last.as_ref()))?;
            }
            if !stream && (last.is_some() || !reading.runs()) || !pause(out) {
                return Ok(());
            }
            last = Some(reading);
        }
    })
}

/// False when the client has gone meanwhile.
fn pause(out: &Output) -> bool {
    let timeout = Timespec::try_from(INTERVAL).ok();
    !matches!(poll(&mut [PollFd::from_borrowed_fd(out.gone(), PollFlags::IN)], timeout.as_ref()), Ok(1..))
}

/// What a container used at a time; nothing of one that does not run.
struct Reading {
    id: String,
    name: String,
    time: Nanos,
    used: Option<(Stats, Vec<Traffic>, u64)>,
    /// Nanoseconds of all processors, idle or not.
    host: u64,
}

fn reading(engine: &Engine, id: &str) -> Result<Reading> {
    let container = engine.container(id)?;
    let used = match engine.usage(&container)? {
        Some(usage) => Some((engine.measure(&container)?, engine.traffic(&container), usage.memory_limit)),
        None => None,
    };
    let Container { record, .. } = container;
    Ok(Reading { id: record.id, name: format!("/{}", record.name), time: engine::now(), used, host: host_time() })
}

/// The first line of proc_stat(5), in units of a hundredth of a second. Guests' time is in that of users.
fn host_time() -> u64 {
    let text = std::fs::read_to_string("/proc/stat").unwrap_or_default();
    let numbers = text.lines().next().unwrap_or_default().split_whitespace().skip(1).take(8);
    numbers.filter_map(|number| number.parse::<u64>().ok()).sum::<u64>() * 10_000_000
}

impl Reading {
    fn runs(&self) -> bool {
        self.used.is_some()
    }

    /// In the shape of Docker's API, with the reading before it.
    fn shape(&self, last: Option<&Reading>) -> Value {
        let none = (Stats::default(), Vec::new(), 0);
        let (stats, traffic, memory) = self.used.as_ref().unwrap_or(&none);
        json!({
            "id": self.id,
            "name": self.name,
            "read": rfc3339(self.time),
            "preread": rfc3339(last.map_or(0, |last| last.time)),
            "num_procs": 0,
            "storage_stats": {},
            "pids_stats": if self.runs() { json!({ "current": stats.pids.current, "limit": stats.pids.limit }) } else { json!({}) },
            "cpu_stats": self.cpu(),
            "precpu_stats": last.map_or_else(|| cpu(&Stats::default(), 0), Reading::cpu),
            "memory_stats": if self.runs() { memory_of(stats, *memory) } else { json!({}) },
            "blkio_stats": {
                "io_service_bytes_recursive": disks(&stats.blkio.io_service_bytes_recursive),
                "io_serviced_recursive": disks(&stats.blkio.io_serviced_recursive),
                "io_queue_recursive": [], "io_service_time_recursive": [], "io_wait_time_recursive": [],
                "io_merged_recursive": [], "io_time_recursive": [], "sectors_recursive": [],
            },
            "networks": traffic.iter().map(|one| (one.interface.clone(), network(one))).collect::<Map<_, _>>(),
        })
    }

    fn cpu(&self) -> Value {
        self.used.as_ref().map_or_else(|| cpu(&Stats::default(), 0), |(stats, ..)| cpu(stats, self.host))
    }
}

fn cpu(stats: &Stats, host: u64) -> Value {
    let (usage, throttling) = (&stats.cpu.usage, &stats.cpu.throttling);
    json!({
        "cpu_usage": {
            "total_usage": usage.total, "usage_in_kernelmode": usage.kernel, "usage_in_usermode": usage.user,
        },
        "system_cpu_usage": host,
        "online_cpus": std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        "throttling_data": {
            "periods": throttling.periods, "throttled_periods": throttling.throttled_periods, "throttled_time": throttling.throttled_time,
        },
    })
}

fn memory_of(stats: &Stats, limit: u64) -> Value {
    let usage = &stats.memory.usage;
    json!({ "usage": usage.usage, "max_usage": usage.max, "failcnt": usage.failcnt, "limit": limit, "stats": stats.memory.raw })
}

fn disks(entries: &[BlkioEntry]) -> Vec<Value> {
    let entry = |one: &BlkioEntry| json!({ "major": one.major, "minor": one.minor, "op": one.op, "value": one.value });
    entries.iter().map(entry).collect()
}

fn network(one: &Traffic) -> Value {
    json!({
        "rx_bytes": one.received, "rx_packets": one.receive_packets, "rx_errors": one.receive_errors, "rx_dropped": one.receive_dropped,
        "tx_bytes": one.sent, "tx_packets": one.send_packets, "tx_errors": one.send_errors, "tx_dropped": one.send_dropped,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_of_time_have_two_readings() {
        let reading = |total, host| {
            let mut stats = Stats::default();
            stats.cpu.usage.total = total;
            Reading { id: "a".into(), name: "/b".into(), time: 1, used: Some((stats, Vec::new(), 7)), host }
        };
        let shape = reading(30, 400).shape(Some(&reading(10, 200)));
        let delta = |of: &str| shape["cpu_stats"][of].as_u64().unwrap() - shape["precpu_stats"][of].as_u64().unwrap();
        assert_eq!(delta("system_cpu_usage"), 200);
        assert_eq!(
            (shape["cpu_stats"]["cpu_usage"]["total_usage"].as_u64(), shape["memory_stats"]["limit"].as_u64()),
            (Some(30), Some(7))
        );
        let idle = Reading { used: None, ..reading(0, 5) }.shape(None);
        assert_eq!((&idle["memory_stats"], &idle["pids_stats"]), (&json!({}), &json!({})));
    }
}
