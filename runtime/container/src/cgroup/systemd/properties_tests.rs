use serde_json::{Value as Json, json};

use super::*;

const V1: &str = "\
1 1 0:1 / /c/memory rw - cgroup cgroup rw,memory
1 1 0:2 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct
1 1 0:6 / /c/blkio rw - cgroup cgroup rw,blkio
1 1 0:5 / /c/devices rw - cgroup cgroup rw,devices
";
const V2: &str = "1 1 0:1 / /c rw - cgroup2 none rw\n";

fn of(mountinfo: &str, resources: Json) -> Result<Vec<String>, String> {
    let hierarchies = Hierarchies::parse(mountinfo).unwrap();
    let all = properties(&hierarchies, &serde_json::from_value(resources).unwrap()).map_err(|error| error.to_string())?;
    let text = |value: &Value| match value {
        Value::Uint64(u64::MAX) => "infinity".to_owned(),
        Value::Uint64(number) => number.to_string(),
        Value::String(text) => text.clone(),
        Value::Array(kind, bytes) if kind == "y" => {
            bytes.iter().map(|byte| if let Value::Byte(byte) = byte { format!("{byte:02x}") } else { String::new() }).collect()
        }
        other => format!("{other:?}"),
    };
    Ok(all.iter().map(|(name, value)| format!("{name}={}", text(value))).collect())
}

#[test]
fn memory_and_tasks() {
    let all = json!({"memory": {"limit": 1000, "swap": 1000, "reservation": 500}, "pids": {"limit": 0}});
    assert_eq!(of(V2, all.clone()).unwrap(), ["MemoryMax=1000", "MemoryLow=500", "MemorySwapMax=0", "TasksMax=1"]);
    assert_eq!(of(V1, all).unwrap(), ["MemoryLimit=1000", "TasksMax=1"]);
    let none = json!({"memory": {"limit": -1}, "pids": {"limit": -1}});
    assert_eq!(of(V2, none).unwrap(), ["MemoryMax=infinity", "MemorySwapMax=infinity", "TasksMax=infinity"]);
    assert_eq!(of(V2, json!({"memory": {"limit": 100, "swap": 300}})).unwrap(), ["MemoryMax=100", "MemorySwapMax=200"]);
    assert!(of(V2, json!({"memory": {"limit": 0}})).unwrap().is_empty());
}

#[test]
fn processors() {
    let all = json!({"cpu": {"shares": 1024, "quota": 12345, "period": 50000, "cpus": "0-3,9", "mems": "0"}});
    let quota = ["CPUQuotaPeriodUSec=50000", "CPUQuotaPerSecUSec=250000", "AllowedCPUs=0f02", "AllowedMemoryNodes=01"];
    assert_eq!(of(V2, all.clone()).unwrap(), [&["CPUWeight=100"], &quota[..]].concat());
    assert_eq!(of(V1, all).unwrap(), [&["CPUShares=1024"], &quota[..]].concat());
    assert_eq!(of(V2, json!({"cpu": {"quota": -1}})).unwrap(), ["CPUQuotaPerSecUSec=infinity"]);
    assert_eq!(of(V2, json!({"cpu": {"shares": 512, "idle": 1}})).unwrap(), ["CPUWeight=0"]);
    for list in ["3-1", "x", "9000", "1,,x"] {
        let error = of(V2, json!({"cpu": {"cpus": list}})).unwrap_err();
        assert_eq!(error, format!("linux.resources.cpu.cpus {list}: not a list such as 0-2,5"));
    }
}

#[test]
fn disks() {
    let all = json!({"blockIO": {"weight": 500, "weightDevice": [{"major": 8, "minor": 0, "weight": 1000}],
        "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 7}]}});
    let device = |value: u64| format!("Array(\"(st)\", [Struct([String(\"/dev/block/8:0\"), Uint64({value})])])");
    let expected = [format!("IODeviceWeight={}", device(10000)), format!("IOReadBandwidthMax={}", device(7))];
    assert_eq!(of(V2, all.clone()).unwrap(), [&["IOWeight=4950".to_owned()], &expected[..]].concat());
    assert_eq!(of(V1, all).unwrap(), ["BlockIOWeight=500"]);
}

#[test]
fn files_of_v2() {
    let unified = json!({
        "memory.high": "1000", "memory.max": "max", "memory.low": "1M", "cpu.max": "max 5000", "cpu.weight": "7", "pids.max": " 9\n",
        "cpuset.cpus": "1", "memory.oom.group": "1", "hugetlb.2MB.max": "0",
    });
    let all = of(V2, json!({"memory": {"limit": 5}, "unified": unified})).unwrap();
    let expected = [
        "MemoryMax=infinity",
        "CPUQuotaPeriodUSec=5000",
        "CPUQuotaPerSecUSec=infinity",
        "CPUWeight=7",
        "AllowedCPUs=02",
        "MemoryHigh=1000",
        "OOMPolicy=kill",
        "TasksMax=9",
    ];
    assert_eq!(all, expected);
    assert!(of(V2, json!({"unified": {"cpu.max": "lots"}})).unwrap_err().starts_with("linux.resources.unified cpu.max=lots: "));
    assert!(of(V2, json!({"unified": {"cpu.max": "5 0"}})).is_err());
}

#[test]
fn devices_are_for_v1_only() {
    let rules = json!({"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"}]});
    assert!(of(V2, rules.clone()).unwrap().is_empty());
    let v1 = of(V1, rules).unwrap();
    assert_eq!(v1[0], "DevicePolicy=strict");
    assert!(v1[1].contains("/dev/char/1:3"), "{v1:?}");
}
