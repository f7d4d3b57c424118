//! How it runs: `HostConfig`, and the networks that it is in.

use serde_json::{Map, Value};

use super::mounts;
use super::words::{Field, Refusal, Table, Words, is_nothing, objects, only, part, text, texts};

pub(super) const TABLE: Table = &[
    ("Binds", Field::Flag("volume")),
    ("Mounts", Field::Own(mounts::mounts)),
    ("Tmpfs", Field::Own(mounts::tmpfs)),
    ("VolumesFrom", Field::Flag("volumes-from")),
    ("VolumeDriver", Field::Own(|value, _| one_of(value, &["local"]))),
    ("StorageOpt", Field::Flag("storage-opt")),
    ("ShmSize", Field::Flag("shm-size")),
    // The caller's own file, and its screen.
    ("ContainerIDFile", Field::Fine),
    ("ConsoleSize", Field::Fine),
    ("NetworkMode", Field::Fine),
    ("PortBindings", Field::Own(ports)),
    ("PublishAllPorts", Field::Flag("publish-all")),
    ("Dns", Field::Flag("dns")),
    ("DnsOptions", Field::Flag("dns-option")),
    ("DnsSearch", Field::Flag("dns-search")),
    ("ExtraHosts", Field::Flag("add-host")),
    ("RestartPolicy", Field::Own(restart)),
    ("AutoRemove", Field::Flag("rm")),
    ("LogConfig", Field::Own(log)),
    ("CapAdd", Field::Flag("cap-add")),
    ("CapDrop", Field::Flag("cap-drop")),
    ("Privileged", Field::Flag("privileged")),
    ("ReadonlyRootfs", Field::Flag("read-only")),
    ("SecurityOpt", Field::Fine),
    ("MaskedPaths", Field::Fine),
    ("ReadonlyPaths", Field::Fine),
    ("CgroupnsMode", Field::Flag("cgroupns")),
    ("IpcMode", Field::Flag("ipc")),
    ("PidMode", Field::Flag("pid")),
    ("UTSMode", Field::Flag("uts")),
    ("UsernsMode", Field::Flag("userns")),
    ("CgroupParent", Field::Flag("cgroup-parent")),
    ("GroupAdd", Field::Flag("group-add")),
    ("OomScoreAdj", Field::Flag("oom-score-adj")),
    ("Init", Field::Flag("init")),
    ("Annotations", Field::Flag("annotation")),
    ("Sysctls", Field::Flag("sysctl")),
    ("Ulimits", Field::Own(ulimits)),
    ("Devices", Field::Own(devices)),
    ("DeviceCgroupRules", Field::Flag("device-cgroup-rule")),
    ("DeviceRequests", Field::Own(requests)),
    ("Runtime", Field::Own(|value, _| one_of(value, &["rctr", "runc", "io.containerd.runc.v2"]))),
    ("Isolation", Field::Own(|value, _| one_of(value, &["default"]))),
    ("Memory", Field::Flag("memory")),
    ("MemorySwap", Field::Flag("memory-swap")),
    ("MemoryReservation", Field::Flag("memory-reservation")),
    ("MemorySwappiness", Field::Own(swappiness)),
    ("OomKillDisable", Field::Flag("oom-kill-disable")),
    ("NanoCpus", Field::Own(cpus)),
    ("CpuShares", Field::Flag("cpu-shares")),
    ("CpuPeriod", Field::Flag("cpu-period")),
    ("CpuQuota", Field::Flag("cpu-quota")),
    ("CpusetCpus", Field::Flag("cpuset-cpus")),
    ("CpusetMems", Field::Flag("cpuset-mems")),
    ("PidsLimit", Field::Flag("pids-limit")),
    ("BlkioWeight", Field::Flag("blkio-weight")),
    ("BlkioWeightDevice", Field::Own(|value, words| disks(value, words, "blkio-weight-device", "Weight"))),
    ("BlkioDeviceReadBps", Field::Own(|value, words| disks(value, words, "device-read-bps", "Rate"))),
    ("BlkioDeviceWriteBps", Field::Own(|value, words| disks(value, words, "device-write-bps", "Rate"))),
    ("BlkioDeviceReadIOps", Field::Own(|value, words| disks(value, words, "device-read-iops", "Rate"))),
    ("BlkioDeviceWriteIOps", Field::Own(|value, words| disks(value, words, "device-write-iops", "Rate"))),
];

/// What can be changed later.
pub(super) const UPDATE: Table = &[
    ("Memory", Field::Flag("memory")),
    ("MemorySwap", Field::Flag("memory-swap")),
    ("MemoryReservation", Field::Flag("memory-reservation")),
    ("NanoCpus", Field::Own(cpus)),
    ("CpuShares", Field::Flag("cpu-shares")),
    ("CpuPeriod", Field::Flag("cpu-period")),
    ("CpuQuota", Field::Flag("cpu-quota")),
    ("CpusetCpus", Field::Flag("cpuset-cpus")),
    ("CpusetMems", Field::Flag("cpuset-mems")),
    ("PidsLimit", Field::Flag("pids-limit")),
    ("BlkioWeight", Field::Flag("blkio-weight")),
    ("RestartPolicy", Field::Own(restart)),
];

fn one_of(value: &Value, known: &[&str]) -> Result<(), String> {
    match value.as_str() {
        Some("") => Ok(()),
        Some(text) if known.contains(&text) => Ok(()),
        _ => Err(format!("{value} is none of {}", known.join(", "))),
    }
}

/// Billionths of a CPU.
fn cpus(value: &Value, words: &mut Words) -> Result<(), String> {
    let nanos = value.as_u64().ok_or_else(|| format!("{value} is no number"))?;
    if nanos > 0 {
        words.flag("cpus", format!("{}.{:09}", nanos / 1_000_000_000, nanos % 1_000_000_000));
    }
    Ok(())
}

/// A -1 is nothing.
fn swappiness(value: &Value, words: &mut Words) -> Result<(), String> {
    if value.as_i64() != Some(-1) {
        words.flag("memory-swappiness", text(value)?);
    }
    Ok(())
}

fn restart(value: &Value, words: &mut Words) -> Result<(), String> {
    let policy = value.as_object().ok_or("it is no object")?;
    only(policy, &["Name", "MaximumRetryCount"])?;
    let (name, most) = (part(policy, "Name")?, part(policy, "MaximumRetryCount")?);
    match (name.as_str(), most.as_str()) {
        ("", "" | "0") => {}
        (_, "" | "0") => words.flag("restart", name),
        _ => words.flag("restart", format!("{name}:{most}")),
    }
    Ok(())
}

fn log(value: &Value, words: &mut Words) -> Result<(), String> {
    let log = value.as_object().ok_or("it is no object")?;
    only(log, &["Type", "Config"])?;
    let driver = part(log, "Type")?;
    if !driver.is_empty() {
        words.flag("log-driver", driver);
    }
    for (key, value) in log.get("Config").and_then(Value::as_object).into_iter().flatten() {
        words.flag("log-opt", format!("{key}={}", text(value)?));
    }
    Ok(())
}

pub(in super::super) fn ulimits(value: &Value, words: &mut Words) -> Result<(), String> {
    for limit in objects(value)? {
        words.flag("ulimit", format!("{}={}:{}", part(limit, "Name")?, part(limit, "Soft")?, part(limit, "Hard")?));
    }
    Ok(())
}

fn devices(value: &Value, words: &mut Words) -> Result<(), String> {
    for device in objects(value)? {
        let (host, inside, access) =
            (part(device, "PathOnHost")?, part(device, "PathInContainer")?, part(device, "CgroupPermissions")?);
        let inside = if inside.is_empty() { host.clone() } else { inside };
        let access = if access.is_empty() { "rwm" } else { &access };
        words.flag("device", format!("{host}:{inside}:{access}"));
    }
    Ok(())
}

/// Devices by name, and GPUs.
fn requests(value: &Value, words: &mut Words) -> Result<(), String> {
    for request in objects(value)? {
        only(request, &["Driver", "Count", "DeviceIDs", "Capabilities"])?;
        let ids = texts(request.get("DeviceIDs").unwrap_or(&Value::Null))?;
        match part(request, "Driver")?.as_str() {
            "cdi" => ids.iter().for_each(|id| words.flag("device", id)),
            "" | "nvidia" if !ids.is_empty() => words.flag("gpus", format!("device={}", ids.join(","))),
            "" | "nvidia" => match part(request, "Count")?.as_str() {
                "-1" => words.flag("gpus", "all"),
                count => words.flag("gpus", count),
            },
            other => return Err(format!("there are devices of cdi and nvidia, and none of {other:?}")),
        }
    }
    Ok(())
}

fn disks(value: &Value, words: &mut Words, flag: &str, amount: &str) -> Result<(), String> {
    for disk in objects(value)? {
        words.flag(flag, format!("{}:{}", part(disk, "Path")?, part(disk, amount)?));
    }
    Ok(())
}

/// `{"80/tcp": [{"HostIp": "", "HostPort": "8080"}]}`.
fn ports(value: &Value, words: &mut Words) -> Result<(), String> {
    for (port, bindings) in value.as_object().ok_or("it is no object")? {
        let bindings = objects(bindings)?;
        if bindings.is_empty() {
            words.flag("expose", port);
        }
        for binding in bindings {
            let (ip, host) = (part(binding, "HostIp")?, part(binding, "HostPort")?);
            let host = if host == "0" { String::new() } else { host };
            words.flag(
                "publish",
                match (ip.as_str(), ip.contains(':')) {
                    ("" | "0.0.0.0", _) if host.is_empty() => port.clone(),
                    ("" | "0.0.0.0", _) => format!("{host}:{port}"),
                    (_, true) => format!("[{}]:{host}:{port}", ip.trim_matches(['[', ']'])),
                    (_, false) => format!("{ip}:{host}:{port}"),
                },
            );
        }
    }
    Ok(())
}

/// Options of security; answers the text of a filter of system calls, which the command line takes from a file.
///
/// # Errors
/// One is not known, or no text.
pub(super) fn security(host: &Map<String, Value>, words: &mut Words) -> Result<Option<String>, Refusal> {
    let mut filter = None;
    let options =
        texts(host.get("SecurityOpt").unwrap_or(&Value::Null)).map_err(|why| Refusal(format!("HostConfig.SecurityOpt: {why}")))?;
    for option in options {
        match option.split_once(['=', ':']) {
            Some(("seccomp", "unconfined" | "builtin")) => words.flag("security-opt", option),
            Some(("seccomp", text)) if text.trim_start().starts_with('{') => filter = Some(text.to_owned()),
            // A path would be one of this host, and be read by root for whoever asks.
            Some(("seccomp", _)) => return Err(Refusal("HostConfig.SecurityOpt: seccomp: it is no profile in JSON".to_owned())),
            _ => words.flag("security-opt", option),
        }
    }
    let paths = |key: &str| host.get(key).filter(|value| !value.is_null());
    match (paths("MaskedPaths"), paths("ReadonlyPaths")) {
        (None, None) => {}
        // What Docker's command makes of systempaths=unconfined.
        (Some(masked), Some(readonly)) if is_nothing(masked) && is_nothing(readonly) => {
            words.flag("security-opt", "systempaths=unconfined");
        }
        _ => {
            return Err(Refusal("HostConfig.MaskedPaths and ReadonlyPaths: only both empty, or neither, are supported".to_owned()));
        }
    }
    Ok(filter)
}

/// The mode, and the networks with what is wished of each. The mode names one of them.
///
/// # Errors
/// Something that cannot be.
pub(super) fn networks(host: &Map<String, Value>, networking: &Map<String, Value>, words: &mut Words) -> Result<(), Refusal> {
    let refuse = |why: String| Refusal(format!("NetworkingConfig.EndpointsConfig.{why}"));
    let mode = part(host, "NetworkMode").map_err(|why| Refusal(format!("HostConfig.{why}")))?;
    let mode = if matches!(mode.as_str(), "" | "default") { "bridge" } else { &mode };
    let none = Map::new();
    let ends = networking.get("EndpointsConfig").and_then(Value::as_object).unwrap_or(&none);
    let named = |name: &str| if name == "default" { "bridge".to_owned() } else { name.to_owned() };
    let of_mode = ends.iter().find(|(name, _)| named(name) == mode).map_or(&Value::Null, |(_, end)| end);
    words.flag("network", network(mode, of_mode).map_err(refuse)?);
    for (name, end) in ends.iter().filter(|(name, _)| named(name) != mode) {
        words.flag("network", network(name, end).map_err(refuse)?);
    }
    Ok(())
}

/// `NAME:ip=…,alias=…`.
pub(in super::super) fn network(name: &str, end: &Value) -> Result<String, String> {
    let none = Map::new();
    let end = end.as_object().unwrap_or(&none);
    let about = |why: String| format!("{name}.{why}");
    // What a client sends back of what it was told is of another time.
    let told = [
        "NetworkID",
        "EndpointID",
        "Gateway",
        "IPAddress",
        "IPPrefixLen",
        "IPv6Gateway",
        "GlobalIPv6Address",
        "GlobalIPv6PrefixLen",
        "DNSNames",
    ];
    only(end, &[&["Aliases", "IPAMConfig", "MacAddress", "DriverOpts"], &told[..]].concat()).map_err(about)?;
    let mut options = Vec::new();
    for alias in texts(end.get("Aliases").unwrap_or(&Value::Null)).map_err(about)? {
        options.push(format!("alias={alias}"));
    }
    if let Some(addresses) = end.get("IPAMConfig").and_then(Value::as_object) {
        only(addresses, &["IPv4Address", "IPv6Address"]).map_err(about)?;
        for (key, option) in [("IPv4Address", "ip"), ("IPv6Address", "ip6")] {
            let address = part(addresses, key).map_err(about)?;
            if !address.is_empty() {
                options.push(format!("{option}={address}"));
            }
        }
    }
    let mac = part(end, "MacAddress").map_err(about)?;
    if !mac.is_empty() {
        options.push(format!("mac-address={mac}"));
    }
    for (key, value) in end.get("DriverOpts").and_then(Value::as_object).into_iter().flatten() {
        options.push(format!("driver-opt={key}={}", text(value).map_err(about)?));
    }
    Ok(if options.is_empty() { name.to_owned() } else { format!("{name}:{}", options.join(",")) })
}

/// `[ROWS, COLUMNS]`.
pub(super) fn size(value: &Value) -> Option<(u16, u16)> {
    let number = |at: usize| value.get(at)?.as_u64().and_then(|number| u16::try_from(number).ok()).filter(|number| *number > 0);
    Some((number(0)?, number(1)?))
}
