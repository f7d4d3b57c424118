//! Limits, where processes are accounted, and what is told about it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::fixture::{Bundle, counts, foreign};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("cgroup_limits_are_in_force", Of::Every, cgroup_limits_are_in_force),
    ("cgroup_limits_of_disks_are_in_force", Of::Every, cgroup_limits_of_disks_are_in_force),
    ("cgroup_updates_keep_what_belongs_together", Of::Every, cgroup_updates_keep_what_belongs_together),
    ("cgroup_updates_take_every_flag", Of::Every, cgroup_updates_take_every_flag),
    ("cgroup_updates_that_cannot_be", Of::Every, cgroup_updates_that_cannot_be),
    ("cgroup_without_room_for_a_second_process", Of::Ours, cgroup_without_room_for_a_second_process),
    ("cgroup_that_is_in_use_is_refused", Of::Ours, cgroup_that_is_in_use_is_refused),
    ("cgroup_chosen_for_a_further_process", Of::Ours, cgroup_chosen_for_a_further_process),
    ("cgroup_of_init_for_a_further_process", Of::Every, cgroup_of_init_for_a_further_process),
    ("cgroup_paused_takes_who_may_wait", Of::Every, cgroup_paused_takes_who_may_wait),
    ("cgroup_events_tell_of_memory_that_ran_out", Of::Every, cgroup_events_tell_of_memory_that_ran_out),
    ("cgroup_events_come_in_their_time", Of::Every, cgroup_events_come_in_their_time),
];

/// The folder of a controller: that of v1, or the one of v2.
fn folder(bundle: &Bundle, controller: &str) -> PathBuf {
    let state: Value = serde_json::from_slice(&fs::read(bundle.path("root").join(&bundle.id).join("state.json")).unwrap()).unwrap();
    let paths = &state["cgroup_paths"];
    PathBuf::from(paths[controller].as_str().or(paths[""].as_str()).unwrap())
}

/// What a file says, which v1 and v2 call by other names.
pub fn file(bundle: &Bundle, v1: &str, v2: &str) -> String {
    let read = |name: &str| {
        let controller = name.split_once('.').map_or("", |(controller, _)| controller);
        fs::read_to_string(folder(bundle, controller).join(name)).map(|text| text.trim().to_owned())
    };
    read(v1).or_else(|_| read(v2)).unwrap()
}

fn limited(resources: Value) -> Bundle {
    let bundle = Bundle::new(&["wait"]).with(|spec| spec["linux"]["resources"] = resources);
    bundle.ok(&["run", "-d", "ID"]);
    bundle
}

fn all_counted() -> bool {
    ["cpu", "memory", "pids"].iter().all(|controller| counts(controller))
}

fn cgroup_limits_are_in_force() {
    if !all_counted() {
        return;
    }
    let bundle = limited(json!({
        "memory": {"limit": 67108864, "reservation": 33554432}, "pids": {"limit": 77},
        "cpu": {"shares": 512, "quota": 20000, "period": 50000},
    }));
    assert_eq!(file(&bundle, "memory.limit_in_bytes", "memory.max"), "67108864");
    assert_eq!(file(&bundle, "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    assert_eq!(file(&bundle, "pids.max", "pids.max"), "77");
    let v2 = folder(&bundle, "cpu").join("cpu.max").exists();
    assert_eq!(file(&bundle, "cpu.shares", "cpu.weight"), if v2 { "59" } else { "512" });
    assert_eq!(file(&bundle, "cpu.cfs_quota_us", "cpu.max"), if v2 { "20000 50000" } else { "20000" });
}

fn cgroup_limits_of_disks_are_in_force() {
    if !counts("io") && !counts("blkio") {
        return;
    }
    let numbers = fs::read_dir("/sys/block").unwrap().map(|entry| fs::read_to_string(entry.unwrap().path().join("dev")).unwrap());
    let Some(number) = numbers.map(|text| text.trim().to_owned()).min() else { return crate::skip("no disk") };
    let (major, minor) = number.split_once(':').unwrap();
    let device =
        |rate: u64| json!([{"major": major.parse::<u32>().unwrap(), "minor": minor.parse::<u32>().unwrap(), "rate": rate}]);
    let bundle = limited(json!({"blockIO": {"throttleReadBpsDevice": device(1 << 20), "throttleWriteIOPSDevice": device(77)}}));
    let read = file(&bundle, "blkio.throttle.read_bps_device", "io.max");
    assert!(read == format!("{number} 1048576") || read == format!("{number} rbps=1048576 wbps=max riops=max wiops=77"), "{read}");
}

fn cgroup_updates_keep_what_belongs_together() {
    if !all_counted() {
        return;
    }
    let bundle = limited(json!({"memory": {"limit": 67108864, "swap": 134217728}, "cpu": {"quota": 20000, "period": 50000}}));
    let v2 = folder(&bundle, "cpu").join("cpu.max").exists();
    let quota = || file(&bundle, "cpu.cfs_quota_us", "cpu.max");
    bundle.ok(&["update", "--cpu-period", "40000", "ID"]);
    assert_eq!(quota(), if v2 { "20000 40000" } else { "20000" });
    bundle.ok(&["update", "--cpu-quota", "-1", "ID"]);
    bundle.ok(&["update", "--cpu-quota", "30000", "ID"]);
    assert_eq!(quota(), if v2 { "30000 40000" } else { "30000" });
    // Above what both may be now, and below what they were.
    for (memory, both) in [("200M", "300M"), ("50M", "60M")] {
        bundle.ok(&["update", "--memory", memory, "--memory-swap", both, "ID"]);
        let bytes = memory.trim_end_matches('M').parse::<u64>().unwrap() << 20;
        assert_eq!(file(&bundle, "memory.limit_in_bytes", "memory.max"), bytes.to_string());
    }
    bundle.ok(&["update", "--memory", "-1", "ID"]);
    let unlimited = file(&bundle, "memory.limit_in_bytes", "memory.max");
    assert!(unlimited == "max" || unlimited.parse::<u64>().unwrap() > 1 << 60, "{unlimited}");
}

fn cgroup_updates_take_every_flag() {
    if !all_counted() {
        return;
    }
    let bundle = limited(json!({}));
    let v2 = folder(&bundle, "cpu").join("cpu.max").exists();
    let flags = ["--cpu-share", "2048", "--cpu-quota", "50000", "--cpu-period", "100000", "--cpu-burst", "20000"];
    bundle.ok(&[&["update"], &flags[..], &["--memory-reservation", "32m", "--pids-limit", "9", "ID"]].concat());
    assert_eq!(file(&bundle, "cpu.shares", "cpu.weight"), if v2 { "174" } else { "2048" });
    assert_eq!(file(&bundle, "cpu.cfs_burst_us", "cpu.max.burst"), "20000");
    assert_eq!(file(&bundle, "memory.soft_limit_in_bytes", "memory.low"), "33554432");
    assert_eq!(file(&bundle, "pids.max", "pids.max"), "9");
    // Less than the burst that is in force, with a burst that fits.
    bundle.ok(&["update", "--cpu-quota", "10000", "--cpu-burst", "5000", "ID"]);
    assert_eq!(file(&bundle, "cpu.cfs_burst_us", "cpu.max.burst"), "5000");
    bundle.ok(&["update", "--cpu-idle", "1", "ID"]);
    assert_eq!(file(&bundle, "cpu.idle", "cpu.idle"), "1");
    bundle.ok(&["update", "--cpu-idle", "0", "--cpu-share", "1024", "ID"]);
    assert_eq!(file(&bundle, "cpu.shares", "cpu.weight"), if v2 { "100" } else { "1024" });
    bundle.ok(&["update", "--pids-limit", "-1", "ID"]);
    assert_eq!(file(&bundle, "pids.max", "pids.max"), "max");
    if counts("cpuset") {
        bundle.ok(&["update", "--cpuset-cpus", "0", "--cpuset-mems", "0", "ID"]);
        assert_eq!(file(&bundle, "cpuset.cpus", "cpuset.cpus"), "0");
    }
    let mut command = bundle.command(&["update", "--resources", "-", "ID"]);
    let mut child = command.stdin(Stdio::piped()).spawn().unwrap();
    serde_json::to_writer(child.stdin.take().unwrap(), &json!({"pids": {"limit": 11}, "memory": {"limit": 0}})).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(file(&bundle, "pids.max", "pids.max"), "11");
}

fn cgroup_updates_that_cannot_be() {
    if !all_counted() {
        return;
    }
    let bundle = limited(json!({"memory": {"limit": 67108864, "swap": 67108864}}));
    bundle.fails(&["update", "--memory", "lots", "ID"], "invalid value");
    bundle.fails(&["update", "--cpu-quota", "x", "ID"], "invalid");
    fs::write(bundle.path("limits"), r#"{"memory": {"limit": 40"#).unwrap();
    bundle.fails(&["update", "-r", "BUNDLE/limits", "ID"], "EOF");
    bundle.fails(&["update", "--memory-swap", "10M", "ID"], "memory");
    if folder(&bundle, "memory").join("memory.max").exists() && !foreign() {
        fs::write(bundle.path("limits"), r#"{"memory": {"limit": 65536, "checkBeforeUpdate": true}}"#).unwrap();
        bundle.fails(&["update", "-r", "BUNDLE/limits", "ID"], "that are in use");
    }
    assert_eq!(bundle.status(), "running");
    assert_eq!(file(&bundle, "memory.limit_in_bytes", "memory.max"), "67108864");
}

fn cgroup_without_room_for_a_second_process() {
    if !counts("pids") {
        return;
    }
    let bundle = Bundle::new(&["thread"]).with(|spec| {
        // Before, 0 was none.
        spec["ociVersion"] = json!("1.3.0");
        spec["linux"]["resources"]["pids"] = json!({"limit": 0});
    });
    assert_eq!(bundle.ok(&["run", "ID"]), "refused\n");
}

/// The folders that a container would be put in, made before it is, where the runtime makes them itself.
fn made_ahead(bundle: &Bundle) -> Option<Vec<PathBuf>> {
    let path = bundle.spec["linux"]["cgroupsPath"].as_str()?.strip_prefix('/')?.to_owned();
    let folders: Vec<PathBuf> = match Path::new("/sys/fs/cgroup/cgroup.controllers").exists() {
        true => vec![Path::new("/sys/fs/cgroup").join(path)],
        false => ["freezer", "pids", "unified"].iter().map(|name| Path::new("/sys/fs/cgroup").join(name).join(&path)).collect(),
    };
    let folders: Vec<PathBuf> = folders.into_iter().filter(|folder| folder.parent().unwrap().exists()).collect();
    folders.iter().for_each(|folder| fs::create_dir(folder).unwrap());
    Some(folders)
}

fn cgroup_that_is_in_use_is_refused() {
    let bundle = Bundle::new(&["exit", "0"]);
    let Some(folders) = made_ahead(&bundle) else { return crate::skip("systemd makes the cgroups") };
    let mut stranger = std::process::Command::new("sleep").arg("60").spawn().unwrap();
    let last = folders.last().unwrap();
    fs::write(last.join("cgroup.procs"), stranger.id().to_string()).unwrap();
    bundle.fails(&["run", "ID"], "container's cgroup is not empty");
    assert!(last.exists() && stranger.try_wait().unwrap().is_none());
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    folders.iter().for_each(|folder| drop(fs::remove_dir(folder)));
}

/// The path of a process in v2, or in a hierarchy of v1.
fn place(cgroups: &str, controller: &str) -> String {
    let line = cgroups.lines().find_map(|line| {
        let (_, rest) = line.split_once(':')?;
        let (names, path) = rest.split_once(':')?;
        names.split(',').any(|name| name == controller).then_some(path)
    });
    line.unwrap_or_default().to_owned()
}

fn cgroup_chosen_for_a_further_process() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let state: Value = serde_json::from_slice(&fs::read(bundle.path("root").join(&bundle.id).join("state.json")).unwrap()).unwrap();
    let all: Vec<(String, String)> =
        serde_json::from_value::<std::collections::BTreeMap<String, String>>(state["cgroup_paths"].clone())
            .unwrap()
            .into_iter()
            .collect();
    for (name, path) in &all {
        let below = Path::new(path).join("below/it");
        if !below.exists() {
            fs::create_dir_all(&below).unwrap();
        }
        if name == "cpuset" {
            for folder in [below.parent().unwrap(), &below] {
                for file in ["cpuset.cpus", "cpuset.mems"] {
                    fs::write(folder.join(file), fs::read(Path::new(path).join(file)).unwrap()).unwrap();
                }
            }
        }
    }
    let inside = |flags: &[&str]| bundle.ok(&[&["exec"], flags, &["ID", "/probe", "read", "/proc/self/cgroup"]].concat());
    let (name, _) = &all[0];
    assert!(!place(&inside(&[]), name).contains("below"));
    let there = inside(&["--cgroup", "/below/it"]);
    assert!(all.iter().all(|(name, _)| place(&there, name).ends_with("/below/it")), "{there}");
    if all.len() > 1 {
        let one = inside(&["--cgroup", "pids,memory:below"]);
        assert!(place(&one, "pids").ends_with("/below") && !place(&one, "freezer").contains("below"), "{one}");
        bundle.fails(&["exec", "--cgroup", "nonsense:x", "ID", "/probe", "exit", "0"], "unknown controller");
    }
    bundle.fails(&["exec", "--cgroup", "no/such", "ID", "/probe", "exit", "0"], "ENOENT");
    bundle.fails(&["exec", "--cgroup", "../..", "ID", "/probe", "exit", "0"], "bad sub cgroup path");
}

fn cgroup_of_init_for_a_further_process() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let own = folder(&bundle, "");
    if !own.join("cgroup.controllers").exists() {
        return crate::skip("no cgroup v2");
    }
    // As a systemd or a container engine inside does.
    let home = own.join("init.scope");
    fs::create_dir(&home).unwrap();
    fs::write(home.join("cgroup.procs"), bundle.pid().to_string()).unwrap();
    let controllers = fs::read_to_string(own.join("cgroup.controllers")).unwrap();
    let Some(one) = controllers.split_whitespace().next() else { return crate::skip("no controller on cgroup v2") };
    fs::write(own.join("cgroup.subtree_control"), format!("+{one}")).unwrap();
    let there = bundle.ok(&["exec", "ID", "/probe", "read", "/proc/self/cgroup"]);
    assert!(place(&there, "").ends_with("/init.scope"), "{there}");
    if !foreign() {
        bundle.fails(&["exec", "--cgroup", "/", "ID", "/probe", "exit", "0"], "EBUSY");
    }
}

fn cgroup_paused_takes_who_may_wait() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.ok(&["pause", "ID"]);
    bundle.fails(&["exec", "ID", "/probe", "exit", "7"], "cannot exec in a paused container");
    let mut late = bundle.command(&["exec", "--ignore-paused", "ID", "/probe", "exit", "7"]).spawn().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert!(late.try_wait().unwrap().is_none(), "it ran in a paused container");
    bundle.ok(&["resume", "ID"]);
    assert_eq!(late.wait().unwrap().code(), Some(7));
}

fn events(bundle: &Bundle, interval: &str) -> (std::process::Child, impl Iterator<Item = Value> + use<>) {
    let mut command = bundle.command(&["events", "--interval", interval, "ID"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    (child, lines.map(|line| serde_json::from_str(&line.unwrap()).unwrap()))
}

fn cgroup_events_tell_of_memory_that_ran_out() {
    if !counts("memory") {
        return;
    }
    let bundle = limited(json!({"memory": {"limit": 33554432, "swap": 33554432}}));
    let (mut watcher, mut lines) = events(&bundle, "100ms");
    assert_eq!(lines.next().unwrap()["type"], "stats");
    assert_eq!(bundle.call(&["exec", "ID", "/probe", "eat", "200"]).code, Some(137));
    let oom = lines.find(|event| event["type"] == "oom").unwrap();
    assert_eq!((oom["id"].as_str(), oom.get("data")), (Some(bundle.id.as_str()), None));
    bundle.ok(&["kill", "ID", "KILL"]);
    // It ends with the container.
    lines.for_each(drop);
    assert!(watcher.wait().unwrap().success());
}

fn cgroup_events_come_in_their_time() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let (mut watcher, lines) = events(&bundle, "0.05s");
    assert!(lines.take(3).all(|event| event["type"] == "stats" && event["data"]["cpu"]["usage"].is_object()));
    watcher.kill().unwrap();
    watcher.wait().unwrap();
    bundle.fails(&["events", "--interval", "0s", "ID"], "greater than 0");
    bundle.fails(&["events", "--interval", "soon", "ID"], "invalid");
}
