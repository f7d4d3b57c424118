use serde_json::{Value, json};

use super::*;

const V1: &str = "\
1 1 0:1 / /c/memory rw - cgroup cgroup rw,memory
1 1 0:2 / /c/cpu rw - cgroup cgroup rw,cpu,cpuacct
1 1 0:3 / /c/cpuset rw - cgroup cgroup rw,cpuset
1 1 0:4 / /c/pids rw - cgroup cgroup rw,pids
1 1 0:5 / /c/devices rw - cgroup cgroup rw,devices
1 1 0:6 / /c/blkio rw - cgroup cgroup rw,blkio
";
const V2: &str = "1 1 0:1 / /c rw - cgroup2 none rw\n";

fn limits_of(mountinfo: &str, resources: Value) -> Result<Vec<String>, String> {
    let hierarchies = Hierarchies::parse(mountinfo).unwrap();
    let resources: LinuxResources = serde_json::from_value(resources).unwrap();
    match limits(&hierarchies, &resources) {
        Ok(all) => Ok(all.iter().map(|limit| format!("{} {}", limit.file, limit.value)).collect()),
        Err(error) => Err(error.to_string()),
    }
}

#[track_caller]
fn check(resources: Value, v1: &[&str], v2: &[&str]) {
    assert_eq!(limits_of(V1, resources.clone()).unwrap(), v1);
    assert_eq!(limits_of(V2, resources).unwrap(), v2);
}

#[test]
fn nothing_asked_nothing_written() {
    check(json!({}), &[], &[]);
    check(json!({"memory": {"limit": 0, "swap": 0}, "cpu": {"shares": 0, "quota": 0, "cpus": "", "mems": ""}}), &[], &[]);
}

#[test]
fn memory() {
    check(
        json!({"memory": {"limit": 1048576, "swap": 3145728, "reservation": 524288}}),
        &["memory.limit_in_bytes 1048576", "memory.memsw.limit_in_bytes 3145728", "memory.soft_limit_in_bytes 524288"],
        &["memory.max 1048576", "memory.low 524288", "memory.swap.max 2097152"],
    );
    check(
        json!({"memory": {"limit": 1048576, "swap": 1048576}}),
        &["memory.limit_in_bytes 1048576", "memory.memsw.limit_in_bytes 1048576"],
        &["memory.max 1048576", "memory.swap.max 0"],
    );
    check(
        json!({"memory": {"limit": -1}}),
        &["memory.limit_in_bytes -1", "memory.memsw.limit_in_bytes -1"],
        &["memory.max max", "memory.swap.max max"],
    );
}

#[test]
fn cpu() {
    check(
        json!({"cpu": {"shares": 1024, "quota": 50000, "period": 100000, "burst": 1000, "cpus": "0-1", "mems": "0"}}),
        &[
            "cpu.shares 1024",
            "cpu.cfs_period_us 100000",
            "cpu.cfs_quota_us 50000",
            "cpu.cfs_burst_us 1000",
            "cpuset.cpus 0-1",
            "cpuset.mems 0",
        ],
        &["cpu.weight 100", "cpu.max 50000 100000", "cpu.max.burst 1000", "cpuset.cpus 0-1", "cpuset.mems 0"],
    );
    check(json!({"cpu": {"quota": -1}}), &["cpu.cfs_quota_us -1"], &["cpu.max max 100000"]);
    check(json!({"cpu": {"idle": 1}}), &["cpu.idle 1"], &["cpu.idle 1"]);
}

#[test]
fn processes() {
    check(json!({"pids": {"limit": 0}}), &["pids.max 0"], &["pids.max 0"]);
    check(json!({"pids": {"limit": -1}}), &["pids.max max"], &["pids.max max"]);
}

#[test]
fn disks() {
    check(
        json!({"blockIO": {"weight": 500, "throttleReadBpsDevice": [{"major": 8, "minor": 0, "rate": 1000}],
            "throttleWriteIOPSDevice": [{"major": 8, "minor": 16, "rate": 0}]}}),
        &["blkio.bfq.weight 500", "blkio.throttle.read_bps_device 8:0 1000", "blkio.throttle.write_iops_device 8:16 0"],
        &["io.bfq.weight 500", "io.max 8:0 rbps=1000", "io.max 8:16 wiops=max"],
    );
    let hierarchies = Hierarchies::parse(V2).unwrap();
    let resources: LinuxResources = serde_json::from_value(json!({"blockIO": {"weight": 500}})).unwrap();
    let instead = limits(&hierarchies, &resources).unwrap()[0].instead.clone().unwrap();
    assert_eq!((instead.file.as_str(), instead.value.as_str()), ("io.weight", "default 4950"));
}

#[test]
fn devices() {
    let rules = json!({"devices": [
        {"allow": true, "type": "c", "major": 9, "minor": 9, "access": "rwm"},
        {"allow": false, "access": "rwm"},
        {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rw"},
        {"allow": true, "type": "b", "major": 8, "access": "r"},
        {"allow": false, "type": "u", "major": 1, "minor": -1},
    ]});
    check(rules, &["devices.deny a", "devices.allow c 1:3 rw", "devices.allow b 8:* r", "devices.deny c 1:* rwm"], &[]);
    // Without a rule about all devices everything is refused, on v1 as on v2.
    let some = json!({"devices": [{"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]});
    check(some.clone(), &["devices.deny a", "devices.allow c 1:3 rwm"], &[]);
    let program = |rules: Value| device_program(&serde_json::from_value(rules).unwrap());
    assert!(program(some).is_some());
    let free = json!({"devices": [{"allow": true, "type": "a", "access": "rwm"}]});
    check(free.clone(), &[], &[]);
    assert!(program(free).is_none() && program(json!({})).is_none());
}

#[test]
fn files_as_they_are() {
    let unified = json!({"unified": {"memory.high": "1M", "cpu.weight": "50"}});
    assert_eq!(limits_of(V2, unified.clone()).unwrap(), ["cpu.weight 50", "memory.high 1M"]);
    assert!(limits_of(V1, unified).unwrap_err().contains("linux.resources.unified"));
}

#[test]
fn nonsense_names_the_field_and_the_value() {
    for (mountinfo, resources, expected) in [
        (V1, json!({"memory": {"limit": 4096}}), "linux.resources.memory.limit 4096: too small"),
        (V2, json!({"memory": {"limit": 4096}}), "linux.resources.memory.limit 4096: too small"),
        (
            V1,
            json!({"memory": {"limit": 1048576, "swap": 5}}),
            "linux.resources.memory.swap 5: the limit on memory and swap is below",
        ),
        (V1, json!({"memory": {"swap": 500}}), "linux.resources.memory.swap 500: a limit on memory and swap needs"),
        (V2, json!({"memory": {"swappiness": 5}}), "linux.resources.memory.swappiness 5"),
        (V2, json!({"cpu": {"realtimeRuntime": 5}}), "linux.resources.cpu.realtimeRuntime 5"),
        (V2, json!({"network": {"classID": 5}}), "linux.resources.network.classID 5"),
        (
            V1,
            json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 1}]}),
            "linux.resources.hugepageLimits 2MB 1: this host has no hugetlb",
        ),
        (V2, json!({"hugepageLimits": [{"pageSize": "../2MB", "limit": 1}]}), "linux.resources.hugepageLimits.pageSize ../2MB"),
        (V2, json!({"unified": {"../x.y": "1"}}), "linux.resources.unified ../x.y"),
        (
            V1,
            json!({"devices": [{"allow": true, "type": "a", "access": "m"}]}),
            "linux.resources.devices a *:* m: a rule of type a",
        ),
        (V2, json!({"devices": [{"allow": true, "type": "a", "major": 1, "access": "rwm"}]}), "linux.resources.devices a 1:* rwm"),
        (V1, json!({"devices": [{"allow": true, "type": "c", "access": "x"}]}), "linux.resources.devices c *:* x: access is made"),
    ] {
        let error = limits_of(mountinfo, resources.clone()).unwrap_err();
        assert!(error.starts_with(expected), "{resources}: {error}");
    }
}

#[test]
fn what_no_kernel_acts_on_is_left_out_and_told() {
    let resources: LinuxResources = serde_json::from_value(json!({"memory": {"kernel": 500, "kernelTCP": 600}})).unwrap();
    let told = |mountinfo| ignored(&Hierarchies::parse(mountinfo).unwrap(), &resources);
    assert_eq!(told(V1), ["linux.resources.memory.kernel is ignored: the kernel has no such limit since Linux 5.4"]);
    assert_eq!(told(V2).len(), 2);
    check(json!({"memory": {"kernel": 500, "kernelTCP": 600}}), &["memory.kmem.tcp.limit_in_bytes 600"], &[]);
}
