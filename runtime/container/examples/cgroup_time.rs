//! Time of making and removing a cgroup on this host: `cgroup_time [RUNS]`. For `strace -c` use one run.

#![allow(clippy::print_stdout, reason = "a measurement")]

use std::time::Instant;

use container::cgroup;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let runs: u32 = std::env::args().nth(1).and_then(|runs| runs.parse().ok()).unwrap_or(200);
    let resources = serde_json::from_str(
        r#"{"memory": {"limit": 67108864}, "cpu": {"shares": 512, "quota": 50000, "period": 100000}, "pids": {"limit": 100},
            "devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "access": "m"}, {"allow": true, "type": "b", "access": "m"},
            {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 5, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 7, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 8, "access": "rwm"},
            {"allow": true, "type": "c", "major": 1, "minor": 9, "access": "rwm"}, {"allow": true, "type": "c", "major": 5, "minor": 0, "access": "rwm"},
            {"allow": true, "type": "c", "major": 5, "minor": 2, "access": "rwm"}, {"allow": true, "type": "c", "major": 136, "access": "rwm"}]}"#,
    )?;
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for run in 0..runs {
        let start = Instant::now();
        let hierarchies = cgroup::Hierarchies::detect()?;
        let detected = Instant::now();
        let cgroup = cgroup::create(&hierarchies, &format!("/rctr-time/{run}"), &resources)?;
        let created = Instant::now();
        let folders = cgroup.keep();
        for folder in &folders {
            cgroup::remove(&folder.path)?;
        }
        times[0].push(detected - start);
        times[1].push(created - detected);
        times[2].push(created.elapsed());
    }
    for (what, mut times) in ["detect", "create", "remove"].into_iter().zip(times) {
        times.sort();
        println!("{what}: median {:?}, p99 {:?}", times[times.len() / 2], times[times.len() * 99 / 100]);
    }
    Ok(())
}
