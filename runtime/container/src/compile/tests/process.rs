use super::*;
use crate::capabilities::{DEFAULT, parse};

fn process(patch: Value) -> launch::Process {
    compiled(json!({"process": patch})).plan.process
}

#[test]
fn everything() {
    let own = process(json!({
        "user": {"uid": 5, "gid": 6, "umask": 0o27, "additionalGids": [7, 8]},
        "args": ["sh", "-c", ""], "env": ["A=b", "C"], "cwd": "/srv", "noNewPrivileges": true, "oomScoreAdj": -5,
        "terminal": true, "consoleSize": {"height": 24, "width": 80},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}, {"type": "RLIMIT_CORE", "soft": 0, "hard": 18446744073709551615u64}],
    }));
    assert_eq!((own.uid, own.gid, own.umask, own.groups), (5, 6, Some(0o27), vec![7, 8]));
    assert_eq!((own.args.len(), own.env.len(), own.cwd.to_str()), (3, 2, Some("/srv")));
    assert_eq!((own.no_new_privs, own.oom_score_adj, own.terminal), (true, Some(-5), Some((24, 80))));
    assert_eq!(own.rlimits, [(7, 1, 2), (4, 0, u64::MAX)]);
    assert_eq!(process(json!({"terminal": true})).terminal, Some((0, 0)));
    assert_eq!(process(json!({"consoleSize": {"height": 24, "width": 80}})).terminal, None);
}

#[test]
fn bad_ones() {
    let twice = json!([{"type": "RLIMIT_CPU", "soft": 1, "hard": 2}, {"type": "RLIMIT_CPU", "soft": 1, "hard": 2}]);
    for (patch, expected) in [
        (json!({"args": null}), "process.args: must name a program"),
        (json!({"args": []}), "process.args: must name a program"),
        (json!({"args": [""]}), "process.args: must name a program"),
        (json!({"args": ["a\u{0}b"]}), "process.args: \"a\\0b\" contains a zero byte"),
        (json!({"env": ["a\u{0}b"]}), "process.env: \"a\\0b\" contains a zero byte"),
        (json!({"cwd": "srv"}), "process.cwd: \"srv\" is not an absolute path"),
        (json!({"oomScoreAdj": 1001}), "process.oomScoreAdj: 1001 is not between -1000 and 1000"),
        (json!({"rlimits": twice}), "process.rlimits: RLIMIT_CPU is given twice"),
        (json!({"rlimits": [{"type": "RLIMIT_CPU", "soft": 3, "hard": 2}]}), "process.rlimits: RLIMIT_CPU: soft 3 is above hard 2"),
        (
            json!({"terminal": true, "consoleSize": {"height": 1, "width": 70000}}),
            "process.consoleSize.width: 70000 is above 65535",
        ),
        (
            json!({"apparmorProfile": "docker-default"}),
            "process.apparmorProfile: \"docker-default\" is asked for, and AppArmor is not active on this host",
        ),
        (json!({"selinuxLabel": "x"}), "process.selinuxLabel: \"x\" is asked for, and SELinux is not active on this host"),
    ] {
        assert_eq!(refused(json!({"process": patch})), expected);
    }
    process(json!({"apparmorProfile": "unconfined", "selinuxLabel": ""}));
}

#[test]
fn capability_sets() {
    let sets = |effective: &[&str], ambient: &[&str]| {
        json!({"process": {"capabilities": {
            "bounding": ["CAP_CHOWN", "CAP_SYS_RESOURCE"], "permitted": ["CAP_CHOWN", "CAP_KILL", "CAP_SYS_RESOURCE"],
            "effective": effective, "inheritable": ["CAP_KILL"], "ambient": ambient,
        }}})
    };
    let (chown, kill) = (parse("CHOWN").unwrap(), parse("KILL").unwrap());
    let poor = Host { grantable: DEFAULT | parse("SYS_ADMIN").unwrap(), ..host(V2) };
    let compiled = compile(&spec(&sets(&["CAP_CHOWN"], &["CAP_KILL"])), &poor).unwrap();
    let own = compiled.plan.process.capabilities.unwrap();
    assert_eq!((own.bounding, own.permitted, own.effective), (chown, chown | kill, chown));
    assert_eq!((own.inheritable, own.ambient), (kill, kill));
    assert_eq!(compiled.warnings, ["process.capabilities: not available on this host: CAP_SYS_RESOURCE"]);
    // What capset and prctl would refuse as a whole.
    let compiled = compile(&spec(&sets(&["CAP_CHOWN", "CAP_SYS_ADMIN"], &["CAP_CHOWN"])), &host(V2)).unwrap();
    let own = compiled.plan.process.capabilities.unwrap();
    assert_eq!((own.effective, own.ambient), (chown, 0));
    assert_eq!(compiled.warnings.len(), 2);
}

#[test]
fn filters() {
    let filter = json!({"linux": {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}}});
    assert!(compiled(filter.clone()).plan.process.seccomp.is_some());
    assert!(compiled(json!({})).plan.process.seccomp.is_none());
    let without = Host { seccomp: false, ..host(V2) };
    let error = compile(&spec(&filter), &without).unwrap_err();
    assert_eq!(error.to_string(), "linux.seccomp: this kernel has no system call filters");
    let joined = oci_spec::runtime::Process::default();
    assert_eq!(compile_process(&joined, &host(V2)).unwrap().args, ["sh"]);
}

#[test]
fn labels_where_there_are_modules() {
    let active = Host { apparmor: true, selinux: true, ..host(V2) };
    let labels = |patch: Value| compile(&spec(&json!({"process": patch})), &active).map(|own| own.plan.process.labels);
    let both =
        labels(json!({"apparmorProfile": "docker-default", "selinuxLabel": "system_u:system_r:container_t:s0:c1,c2"})).unwrap();
    assert_eq!(both.apparmor.as_deref(), Some("docker-default"));
    assert_eq!(both.selinux.as_deref(), Some("system_u:system_r:container_t:s0:c1,c2"));
    // A change of profile too, where the caller is confined.
    assert_eq!(labels(json!({"apparmorProfile": "unconfined"})).unwrap().apparmor.as_deref(), Some("unconfined"));
    assert_eq!(labels(json!({"apparmorProfile": ""})).unwrap(), launch::Labels::default());
    for bad in ["a\nchangeprofile b", "a\0"] {
        let error = labels(json!({"apparmorProfile": bad})).unwrap_err().to_string();
        assert!(error.contains("contains what cannot be part of a name"), "{error}");
    }
}

#[test]
fn scheduling() {
    let own = process(json!({
        "scheduler": {"policy": "SCHED_DEADLINE", "flags": ["SCHED_FLAG_RECLAIM", "SCHED_FLAG_KEEP_PARAMS"],
            "runtime": 10_000_000, "deadline": 20_000_000, "period": 30_000_000},
        "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 7},
        "execCPUAffinity": {"initial": "0", "final": "1-2"},
    }));
    let expected = launch::Scheduler {
        policy: 6,
        flags: 0x12,
        runtime: 10_000_000,
        deadline: 20_000_000,
        period: 30_000_000,
        ..Default::default()
    };
    assert_eq!((own.scheduler, own.io_priority), (Some(expected), Some((3, 7))));
    assert_eq!(own.affinity, None, "it is for processes that join");
    for (policy, more, number) in [
        ("SCHED_OTHER", json!({"nice": -20}), 0),
        ("SCHED_FIFO", json!({"priority": 99}), 1),
        ("SCHED_RR", json!({"priority": 1}), 2),
        ("SCHED_BATCH", json!({"nice": 19}), 3),
        ("SCHED_IDLE", json!({}), 5),
    ] {
        let mut patch = json!({"scheduler": {"policy": policy}});
        merge(&mut patch["scheduler"], &more);
        assert_eq!(process(patch).scheduler.unwrap().policy, number, "{policy}");
    }
    let joined =
        serde_json::from_value(json!({"cwd": "/", "user": {}, "args": ["x"], "execCPUAffinity": {"initial": "0", "final": "1-2"}}));
    let joined = compile_process(&joined.unwrap(), &host(V2)).unwrap();
    assert_eq!(joined.affinity, Some(launch::Affinity { first: Some(vec![1]), then: Some(vec![6]) }));
}

#[test]
fn bad_scheduling() {
    for (patch, expected) in [
        (json!({"scheduler": {"policy": "SCHED_OTHER", "nice": 20}}), "process.scheduler.nice: 20 is not between -20 and 19"),
        (
            json!({"scheduler": {"policy": "SCHED_IDLE", "priority": 1}}),
            "process.scheduler.priority: SCHED_IDLE has no priority, SCHED_FIFO and SCHED_RR have",
        ),
        (json!({"scheduler": {"policy": "SCHED_RR", "priority": -1}}), "process.scheduler.priority: -1 is negative"),
        (
            json!({"scheduler": {"policy": "SCHED_RR", "runtime": 1}}),
            "process.scheduler: SCHED_RR has no runtime, deadline and period, SCHED_DEADLINE has",
        ),
        (json!({"scheduler": {"policy": "SCHED_ISO"}}), "process.scheduler.policy: Linux has never had SCHED_ISO, only its number"),
        (
            json!({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 8}}),
            "process.ioPriority.priority: 8 is not between 0 and 7",
        ),
        (
            json!({"ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": -1}}),
            "process.ioPriority.priority: -1 is not between 0 and 7",
        ),
        (json!({"execCPUAffinity": {"initial": "70000"}}), "process.execCPUAffinity.initial: 70000 in \"70000\" is above 65535"),
    ] {
        assert_eq!(refused(json!({"process": patch})), expected);
    }
}

#[test]
fn policies_of_the_container() {
    let own = |linux: Value| compiled(json!({"linux": linux})).plan.process;
    assert_eq!(own(json!({"personality": {"domain": "LINUX32"}})).personality, Some(8));
    assert_eq!(own(json!({"personality": {"domain": "LINUX", "flags": []}})).personality, Some(0));
    let flags = compiled(json!({"linux": {"personality": {"domain": "LINUX", "flags": ["ADDR_NO_RANDOMIZE"]}}})).warnings;
    assert_eq!(flags, ["linux.personality.flags: there are none yet, left out: ADDR_NO_RANDOMIZE"]);
    let policy = json!({"memoryPolicy": {"mode": "MPOL_INTERLEAVE", "nodes": "0,64", "flags": ["MPOL_F_STATIC_NODES"]}});
    assert_eq!(own(policy).memory_policy, Some(launch::MemoryPolicy { mode: 0x8003, nodes: vec![1, 1] }));
    let preferred = own(json!({"memoryPolicy": {"mode": "MPOL_PREFERRED", "nodes": ""}})).memory_policy;
    assert_eq!(preferred, Some(launch::MemoryPolicy { mode: 1, nodes: vec![] }));
    for (linux, expected) in [
        (json!({"memoryPolicy": {"mode": "MPOL_BIND"}}), "linux.memoryPolicy.nodes: MPOL_BIND takes at least one node"),
        (json!({"memoryPolicy": {"mode": "MPOL_LOCAL", "nodes": "0"}}), "linux.memoryPolicy.nodes: MPOL_LOCAL takes no nodes"),
        (
            json!({"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0-x"}}),
            "linux.memoryPolicy.nodes: \"x\" in \"0-x\" is not a number",
        ),
        (
            json!({"memoryPolicy": {"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES", "MPOL_F_RELATIVE_NODES"]}}),
            "linux.memoryPolicy.flags: MPOL_F_STATIC_NODES and MPOL_F_RELATIVE_NODES contradict each other",
        ),
    ] {
        assert_eq!(refused(json!({"linux": linux})), expected);
    }
}

#[test]
fn rdt_needs_its_file_system() {
    let there = Host { resctrl: Some("/sys/fs/resctrl".into()), ..host(V2) };
    let rdt = |value: Value| compile(&spec(&json!({"linux": {"intelRdt": value}})), &there);
    assert!(rdt(json!({"closID": "x", "enableMonitoring": true})).unwrap().warnings.is_empty());
    let error = rdt(json!({"closID": ".."})).unwrap_err().to_string();
    assert_eq!(error, "linux.intelRdt.closID: \"..\" is no name of a class");
}
