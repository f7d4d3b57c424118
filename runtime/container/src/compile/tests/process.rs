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
        (json!({"selinuxLabel": "x"}), "process.selinuxLabel: SELinux is not supported"),
        (
            json!({"ioPriority": {"class": "IOPRIO_CLASS_RT", "priority": 1}}),
            "process.ioPriority: an I/O priority is not supported",
        ),
        (json!({"scheduler": {"policy": "SCHED_FIFO"}}), "process.scheduler: a scheduling policy is not supported"),
        (json!({"execCPUAffinity": {"initial": "0"}}), "process.execCPUAffinity: a CPU affinity is not supported"),
    ] {
        assert_eq!(refused(json!({"process": patch})), expected);
    }
    process(json!({"apparmorProfile": "unconfined", "selinuxLabel": ""}));
    let active = Host { apparmor: true, ..host(V2) };
    let error = compile(&spec(&json!({"process": {"apparmorProfile": "x"}})), &active).unwrap_err();
    assert_eq!(error.to_string(), "process.apparmorProfile: AppArmor is not supported");
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
    let poor = Host { grantable: DEFAULT, ..host(V2) };
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
    assert_eq!(compile_process(&joined, None, &host(V2)).unwrap().args, ["sh"]);
}
