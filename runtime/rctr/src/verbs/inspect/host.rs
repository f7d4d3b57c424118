//! The parts of Docker's `HostConfig` that are about limits, namespaces, security and logs.

use engine::{DiskLimit, DiskLimitKind, IdRange, LogConfig, Record, Resources, Security, Sharing, UserMap};
use serde_json::{Value, json};

/// Namespaces, and what is set for the container alone.
pub(super) fn isolation(record: &Record) -> Value {
    let (namespaces, tuning) = (&record.namespaces, &record.tuning);
    let mode = |sharing: &Sharing, own: &str| match sharing {
        Sharing::Own => own.to_owned(),
        Sharing::Private => "private".to_owned(),
        Sharing::Nothing => "none".to_owned(),
        Sharing::Host => "host".to_owned(),
        Sharing::Container(id) => format!("container:{id}"),
        Sharing::Pod(id) => format!("pod:{id}"),
    };
    let devices = tuning.devices.iter().map(
        |device| json!({ "PathOnHost": device.host, "PathInContainer": device.container, "CgroupPermissions": device.access }),
    );
    let rules = tuning.device_rules.iter().map(|rule| {
        let number = |number: Option<i64>| number.map_or_else(|| "*".to_owned(), |number| number.to_string());
        format!("{} {}:{} {}", rule.kind, number(rule.major), number(rule.minor), rule.access)
    });
    let ulimits = tuning.ulimits.iter().map(|limit| json!({ "Name": limit.name, "Soft": limit.soft, "Hard": limit.hard }));
    json!({
        "IpcMode": mode(&namespaces.ipc, "shareable"),
        "PidMode": mode(&namespaces.pid, ""),
        "UTSMode": mode(&namespaces.uts, ""),
        "CgroupnsMode": mode(&namespaces.cgroup, "private"),
        "CgroupParent": tuning.cgroup_parent.clone().unwrap_or_default(),
        "UsernsMode": namespaces.users.as_ref().map_or("", |_| "private"),
        "IDMappings": namespaces.users.as_ref().map(id_maps),
        "Init": tuning.init,
        "GroupAdd": tuning.groups,
        "OomScoreAdj": tuning.oom_score_adj.unwrap_or(0),
        "Annotations": tuning.annotations,
        "Sysctls": tuning.sysctls,
        "Ulimits": ulimits.collect::<Vec<_>>(),
        "DeviceRequests": requests(&tuning.cdi),
        "Devices": devices.collect::<Vec<_>>(),
        "DeviceCgroupRules": rules.collect::<Vec<_>>(),
    })
}

/// Users of its own, as Podman shows them.
fn id_maps(users: &UserMap) -> Value {
    let line = |IdRange { inside, outside, size }: &IdRange| format!("{inside}:{outside}:{size}");
    let lines = |ranges: &[IdRange]| ranges.iter().map(line).collect::<Vec<_>>();
    json!({ "UidMap": lines(&users.uids), "GidMap": lines(&users.gids) })
}

/// Devices by name, as Docker shows them.
fn requests(names: &[String]) -> Value {
    match names.is_empty() {
        true => Value::Null,
        false => json!([{ "Driver": "cdi", "Count": 0, "DeviceIDs": names, "Capabilities": null, "Options": null }]),
    }
}

/// `--security-opt` as it was given.
pub(super) fn security(security: &Security) -> Vec<String> {
    let mut options = Vec::new();
    let switches = [
        (security.no_new_privileges, "no-new-privileges"),
        (security.seccomp_unconfined, "seccomp=unconfined"),
        (security.system_paths, "systempaths=unconfined"),
    ];
    options.extend(switches.iter().filter(|(on, _)| *on).map(|(_, option)| (*option).to_owned()));
    options.extend(security.seccomp_profile.iter().map(|profile| format!("seccomp={profile}")));
    options.extend(security.apparmor.iter().map(|profile| format!("apparmor={profile}")));
    for (key, paths) in [("mask", &security.masked), ("unmask", &security.unmasked)] {
        if !paths.is_empty() {
            options.push(format!("{key}={}", paths.join(":")));
        }
    }
    options
}

/// Limits.
pub(super) fn resources(resources: &Resources) -> Value {
    let disks = |kind: DiskLimitKind| {
        let key = if kind == DiskLimitKind::Weight { "Weight" } else { "Rate" };
        let limits = resources.disks.iter().filter(|limit| limit.kind == kind);
        limits.map(|DiskLimit { path, value, .. }| json!({ "Path": path, key: value })).collect::<Vec<_>>()
    };
    json!({
        "Memory": resources.memory.unwrap_or(0),
        "MemorySwap": resources.memory_swap.unwrap_or(0),
        "MemoryReservation": resources.memory_reservation.unwrap_or(0),
        "MemorySwappiness": resources.memory_swappiness,
        "OomKillDisable": resources.oom_kill_disable,
        "NanoCpus": resources.nano_cpus.unwrap_or(0),
        "CpuShares": resources.cpu_shares.unwrap_or(0),
        "CpuPeriod": resources.cpu_period.unwrap_or(0),
        "CpuQuota": resources.cpu_quota.unwrap_or(0),
        "CpusetCpus": resources.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": resources.cpuset_mems.clone().unwrap_or_default(),
        "PidsLimit": resources.pids,
        "CgroupConf": Some(&resources.unified).filter(|files| !files.is_empty()),
        "BlkioWeight": resources.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": disks(DiskLimitKind::Weight),
        "BlkioDeviceReadBps": disks(DiskLimitKind::ReadBps),
        "BlkioDeviceWriteBps": disks(DiskLimitKind::WriteBps),
        "BlkioDeviceReadIOps": disks(DiskLimitKind::ReadIops),
        "BlkioDeviceWriteIOps": disks(DiskLimitKind::WriteIops),
    })
}

/// What becomes of its output.
pub(super) fn log(log: &LogConfig) -> Value {
    let config = match log.none {
        true => json!({ "Type": "none", "Config": {} }),
        false if log.journal => json!({ "Type": "journald", "Config": notes(log) }),
        false => {
            let size = log.max_size.map_or_else(|| "10m".to_owned(), |size| size.to_string());
            let mut config = notes(log);
            config.insert("max-size".to_owned(), json!(size));
            config.insert("max-file".to_owned(), json!(log.max_files.unwrap_or(3).to_string()));
            json!({ "Type": if log.json { "json-file" } else { "local" }, "Config": config })
        }
    };
    json!({ "LogConfig": config })
}

/// What is noted with each record, as it was asked for.
fn notes(log: &LogConfig) -> serde_json::Map<String, Value> {
    let lists = [("labels", &log.labels), ("env", &log.env)];
    let lists = lists.into_iter().filter(|(_, keys)| !keys.is_empty()).map(|(name, keys)| (name.to_owned(), json!(keys.join(","))));
    log.tag.iter().map(|tag| ("tag".to_owned(), json!(tag))).chain(lists).collect()
}
