use std::fs;

use serde_json::{Value, json};

use super::*;

fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    files.iter().for_each(|(name, text)| fs::write(dir.path().join(name), text).unwrap());
    dir
}

fn of(folders: &[(&str, &tempfile::TempDir)]) -> Value {
    let folders = folders.iter().map(|(name, dir)| ((*name).to_owned(), dir.path().to_owned())).collect();
    serde_json::to_value(stats(&folders)).unwrap()
}

#[test]
fn v2() {
    let dir = folder(&[
        ("cpu.stat", "usage_usec 7\nuser_usec 4\nsystem_usec 3\nnr_periods 2\nnr_throttled 1\nthrottled_usec 9\n"),
        ("cpu.pressure", "some avg10=1.50 avg60=0.25 avg300=0.00 total=12\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=5\n"),
        ("cpuset.cpus.effective", "0-2,7\n"),
        ("memory.current", "100\n"),
        ("memory.max", "max\n"),
        ("memory.peak", "120\n"),
        ("memory.events", "low 0\nhigh 0\nmax 4\noom 1\noom_kill 1\n"),
        ("memory.swap.current", "50\n"),
        ("memory.swap.max", "70\n"),
        ("memory.stat", "anon 60\nfile 40\n"),
        ("memory.pressure", ""),
        ("pids.current", "3\n"),
        ("pids.max", "max\n"),
        ("io.stat", "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n7:1 \n"),
        ("hugetlb.2MB.current", "2097152\n"),
        ("hugetlb.2MB.rsvd.current", "4194304\n"),
        ("hugetlb.2MB.events", "max 6\n"),
        ("rdma.max", "mlx4_0 hca_handle=2 hca_object=max\n"),
        ("misc.current", "sev 3\n"),
        ("misc.events", "sev.max 1\n"),
    ]);
    // Not among what runc prints.
    let folders = BTreeMap::from([(String::new(), dir.path().to_owned())]);
    assert_eq!(stats(&folders).memory.oom_kills, 1);
    let stats = of(&[("", &dir)]);
    assert_eq!(stats["cpu"]["usage"], json!({"total": 7000, "kernel": 3000, "user": 4000}));
    assert_eq!(stats["cpu"]["throttling"], json!({"periods": 2, "throttledPeriods": 1, "throttledTime": 9000}));
    assert_eq!(stats["cpu"]["psi"]["some"], json!({"avg10": 1.5, "avg60": 0.25, "avg300": 0.0, "total": 12}));
    assert_eq!((&stats["cpuset"]["cpus"], &stats["pids"]), (&json!([0, 1, 2, 7]), &json!({"current": 3})));
    let memory = &stats["memory"];
    assert_eq!(memory["usage"], json!({"limit": u64::MAX, "usage": 100, "max": 120, "failcnt": 4}));
    assert_eq!(memory["swap"], json!({"limit": u64::MAX, "usage": 150, "failcnt": 0}));
    assert_eq!((&memory["cache"], memory.get("psi")), (&json!(40), None));
    let io = &stats["blkio"];
    assert_eq!(io["ioServiceBytesRecursive"][1], json!({"major": 8, "op": "Write", "value": 2}));
    assert_eq!(io["ioServicedRecursive"][0], json!({"major": 8, "op": "Read", "value": 3}));
    assert_eq!(stats["hugetlb"], json!({"2MB": {"usage": 4194304, "failcnt": 6}}));
    let limit = json!([{"device": "mlx4_0", "hcaHandles": 2, "hcaObjects": u32::MAX}]);
    assert_eq!((&stats["rdma"]["rdmaLimit"], &stats["misc"]), (&limit, &json!({"sev": {"usage": 3, "events": 1}})));
}

#[test]
fn v1_and_hybrid() {
    let cpu = folder(&[
        ("cpu.stat", "nr_periods 2\nnr_throttled 1\nthrottled_time 9\n"),
        ("cpuacct.usage", "77\n"),
        ("cpuacct.usage_percpu", "70 7 \n"),
        ("cpuacct.usage_all", "cpu user system\n0 60 10\n1 7 0\n"),
        ("cpuacct.stat", "user 5\nsystem 2\n"),
    ]);
    let memory = folder(&[
        ("memory.limit_in_bytes", "1000\n"),
        ("memory.usage_in_bytes", "100\n"),
        ("memory.max_usage_in_bytes", "110\n"),
        ("memory.failcnt", "3\n"),
        ("memory.memsw.limit_in_bytes", "2000\n"),
        ("memory.use_hierarchy", "1\n"),
        ("memory.stat", "cache 5\ntotal_cache 9\n"),
    ]);
    let blkio = folder(&[
        ("blkio.bfq.io_serviced_recursive", "Total 0\n"),
        ("blkio.throttle.io_serviced_recursive", "8:16 Read 5\n8:16 Total 5\nTotal 5\n"),
        ("blkio.time_recursive", "8:16 44\n"),
    ]);
    let hugetlb = folder(&[("hugetlb.1GB.usage_in_bytes", "1\n"), ("hugetlb.1GB.failcnt", "2\n")]);
    let unified = folder(&[("cgroup.procs", "")]);
    let stats =
        of(&[("", &unified), ("cpu", &cpu), ("cpuacct", &cpu), ("memory", &memory), ("blkio", &blkio), ("hugetlb", &hugetlb)]);
    let usage = json!({"total": 77, "percpu": [70, 7], "percpu_kernel": [10, 0], "percpu_user": [60, 7],
        "kernel": 20_000_000, "user": 50_000_000});
    assert_eq!(stats["cpu"]["usage"], usage);
    assert_eq!(stats["cpu"]["throttling"], json!({"periods": 2, "throttledPeriods": 1, "throttledTime": 9}));
    assert_eq!(stats["memory"]["usage"], json!({"limit": 1000, "usage": 100, "max": 110, "failcnt": 3}));
    assert_eq!((&stats["memory"]["cache"], &stats["memory"]["swap"]["limit"]), (&json!(9), &json!(2000)));
    assert_eq!(stats["blkio"]["ioServicedRecursive"][0], json!({"major": 8, "minor": 16, "op": "Read", "value": 5}));
    assert_eq!(stats["blkio"]["ioTimeRecursive"], json!([{"major": 8, "minor": 16, "value": 44}]));
    assert_eq!(stats["hugetlb"], json!({"1GB": {"usage": 1, "failcnt": 2}}));
}

#[test]
fn a_cgroup_that_is_gone_uses_nothing() {
    let stats = stats(&BTreeMap::from([(String::new(), PathBuf::from("/no/such/folder"))]));
    let value = serde_json::to_value(stats).unwrap();
    assert_eq!((&value["pids"], &value["blkio"], &value["hugetlb"]), (&json!({}), &json!({}), &json!({})));
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in "[ -~\\n]{0,200}") {
        parse::list(&text);
        parse::pressure(&text);
        parse::blkio(&text);
        parse::rdma(&text);
        parse::keyed(&text);
    }
}
