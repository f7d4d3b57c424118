//! One container's readings as a row.

use engine::Container;
use serde_json::{Value, json};

use super::Readings;
use crate::output::amount::{binary_size, size};

/// The fields that Docker's templates know. Without a reading they are dashes, as is the share of time without the one before.
pub(super) fn row(container: &Container, last: &Readings, now: &Readings, whole: bool) -> Value {
    let record = &container.record;
    let id = if whole { &record.id } else { &record.id[..12] };
    let none = || "--".to_owned();
    let Some((time, usage)) = now.get(&record.id) else {
        return json!({
            "BlockIO": "-- / --", "CPUPerc": none(), "Container": id, "ID": id, "MemPerc": none(), "MemUsage": "-- / --",
            "Name": record.name, "NetIO": "-- / --", "PIDs": none(),
        });
    };
    let cpu = last.get(&record.id).map(|(before, old)| {
        let passed = time.duration_since(*before).as_nanos().max(1) as f64;
        percent(usage.cpu.saturating_sub(old.cpu) as f64, passed)
    });
    json!({
        "BlockIO": format!("{} / {}", size(usage.read), size(usage.written)),
        "CPUPerc": cpu.unwrap_or_else(none),
        "Container": id,
        "ID": id,
        "MemPerc": percent(usage.memory as f64, usage.memory_limit.max(1) as f64),
        "MemUsage": format!("{} / {}", binary_size(usage.memory), binary_size(usage.memory_limit)),
        "Name": record.name,
        "NetIO": format!("{} / {}", size(usage.received), size(usage.sent)),
        "PIDs": usage.pids.to_string(),
    })
}

fn percent(part: f64, whole: f64) -> String {
    format!("{:.2}%", part * 100.0 / whole)
}
