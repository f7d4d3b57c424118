//! Fields of the process and of the container that set how its program runs, looked at from inside.

use serde_json::{Value, json};

use crate::fixture::{Bundle, foreign, knows};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("a_scheduler_is_set", Of::Every, a_scheduler_is_set),
    ("a_deadline_is_set", Of::Every, a_deadline_is_set),
    ("an_io_priority_is_set", Of::Every, an_io_priority_is_set),
    ("a_personality_is_set", Of::Every, a_personality_is_set),
    ("a_memory_policy_is_set", Of::Ours, a_memory_policy_is_set),
    ("a_mask_and_a_console_size_are_set", Of::Every, a_mask_and_a_console_size_are_set),
    ("the_callers_affinity_stays_behind", Of::Ours, the_callers_affinity_stays_behind),
    ("exec_runs_on_its_cpus", Of::Every, exec_runs_on_its_cpus),
    ("exec_shares_what_the_container_has", Of::Every, exec_shares_what_the_container_has),
    ("keys_stay_behind_unless_asked", Of::Every, keys_stay_behind_unless_asked),
    ("labels_need_their_module", Of::Every, labels_need_their_module),
    ("rdt_needs_resctrl", Of::Every, rdt_needs_resctrl),
    ("rdt_that_is_not_there_is_not_changed", Of::Ours, rdt_that_is_not_there_is_not_changed),
    ("a_mount_label_needs_selinux", Of::Every, a_mount_label_needs_selinux),
    ("bad_fields_leave_nothing", Of::Every, bad_fields_leave_nothing),
    ("what_the_kernel_refuses_leaves_nothing", Of::Every, what_the_kernel_refuses_leaves_nothing),
    ("an_unknown_capability_is_a_warning", Of::Every, an_unknown_capability_is_a_warning),
];

/// What `/probe sched` says in a container with this change.
fn run(change: impl FnOnce(&mut Value)) -> Value {
    Bundle::new(&["sched"]).with(change).json(&["run", "ID"])
}

fn a_scheduler_is_set() {
    if !knows("1.1") {
        return;
    }
    let own = run(|spec| spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 7}));
    assert_eq!((&own["policy"], &own["nice"]), (&json!(3), &json!(7)), "{own}");
    let flags = ["SCHED_FLAG_RESET_ON_FORK"];
    let own = run(|spec| spec["process"]["scheduler"] = json!({"policy": "SCHED_IDLE", "flags": flags}));
    assert_eq!((&own["policy"], &own["flags"]), (&json!(5), &json!(1)), "{own}");
    // Without a wish it is the caller's.
    let (own, mine) = (run(|_| {}), rustix::process::getpriority_process(None).unwrap());
    assert_eq!((&own["policy"], &own["nice"]), (&json!(0), &json!(mine)), "{own}");
}

fn a_deadline_is_set() {
    if !knows("1.1") {
        return;
    }
    let deadline = json!({"policy": "SCHED_DEADLINE", "runtime": 1_000_000, "deadline": 20_000_000, "period": 30_000_000, "flags": ["SCHED_FLAG_RECLAIM"]});
    let own = run(|spec| spec["process"]["scheduler"] = deadline);
    assert_eq!((&own["policy"], &own["flags"]), (&json!(6), &json!(2)), "{own}");
    assert_eq!(own["times"], json!([1_000_000, 20_000_000, 30_000_000]));
}

fn an_io_priority_is_set() {
    if !knows("1.1") {
        return;
    }
    let own = run(|spec| spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6}));
    assert_eq!(own["io"], json!([2, 6]));
    let own = run(|spec| spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_RT", "priority": 1}));
    assert_eq!(own["io"], json!([1, 1]));
}

fn a_personality_is_set() {
    if !knows("1.1") {
        return;
    }
    let own = run(|spec| spec["linux"]["personality"] = json!({"domain": "LINUX32"}));
    assert_eq!(own["machine"], if cfg!(target_arch = "x86_64") { "i686" } else { "armv8l" });
    assert_eq!(run(|spec| spec["linux"]["personality"] = json!({"domain": "LINUX"}))["machine"], std::env::consts::ARCH);
}

fn a_memory_policy_is_set() {
    if run(|_| {})["memory"].is_null() {
        return crate::skip("needs a kernel with NUMA");
    }
    let policy = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    let own = run(|spec| spec["linux"]["memoryPolicy"] = policy);
    assert_eq!(own["memory"], 0x8002);
}

fn a_mask_and_a_console_size_are_set() {
    let own = run(|spec| spec["process"]["user"]["umask"] = json!(0o027));
    assert_eq!(own["umask"], 0o027);
    assert_eq!(run(|_| {})["umask"], 0o022);
}

fn the_callers_affinity_stays_behind() {
    let before = sys::sched::affinity().unwrap();
    if before.iter().map(|word| word.count_ones()).sum::<u32>() < 2 {
        return crate::skip("needs two CPUs");
    }
    let all = run(|_| {})["cpus"].clone();
    sys::sched::set_affinity(&[1]).unwrap();
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let joined = bundle.json(&["exec", "ID", "/probe", "sched"]);
    let own = run(|_| {});
    sys::sched::set_affinity(&before).unwrap();
    assert_eq!((&own["cpus"], &joined["cpus"]), (&all, &all));
}

fn exec_runs_on_its_cpus() {
    if !knows("1.2.1") {
        return;
    }
    let bundle = Bundle::new(&["wait"]).with(|spec| spec["process"]["execCPUAffinity"] = json!({"initial": "0", "final": " 0, "}));
    bundle.ok(&["run", "-d", "ID"]);
    assert_eq!(bundle.json(&["exec", "ID", "/probe", "sched"])["cpus"], "0");
    let process = |affinity: Value| {
        let process = json!({"args": ["/probe", "sched"], "cwd": "/", "user": {"uid": 0, "gid": 0}, "execCPUAffinity": affinity});
        std::fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    };
    process(json!({"initial": "0"}));
    assert_eq!(bundle.json(&["exec", "-p", "BUNDLE/process.json", "ID"])["cpus"], "0", "inherited, and the kernel's affair");
    for (affinity, text) in [(json!({"initial": "4000"}), "initial CPU affinity"), (json!({"final": "4000"}), "final CPU affinity")]
    {
        process(affinity);
        bundle.fails(&["exec", "-p", "BUNDLE/process.json", "ID"], if foreign() { "" } else { text });
    }
    for list in ["3-1", "x", "0-"] {
        process(json!({"final": list}));
        bundle.fails(&["exec", "-p", "BUNDLE/process.json", "ID"], "");
    }
}

fn exec_shares_what_the_container_has() {
    if !knows("1.1") {
        return;
    }
    let bundle = Bundle::new(&["wait"]).with(|spec| {
        spec["linux"]["personality"] = json!({"domain": "LINUX32"});
        spec["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 3});
        spec["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_IDLE", "priority": 0});
    });
    bundle.ok(&["run", "-d", "ID"]);
    let own = bundle.json(&["exec", "ID", "/probe", "sched"]);
    assert_ne!(own["machine"], std::env::consts::ARCH);
    assert_eq!((&own["policy"], &own["nice"], &own["io"][0]), (&json!(3), &json!(3), &json!(3)), "{own}");
}

fn keys_stay_behind_unless_asked() {
    let mine = sys::process::session_keyring().unwrap_or(0);
    let bundle = |flags: &[&str]| {
        let bundle = Bundle::new(&["wait"]);
        bundle.ok(&[&["run", "-d"], flags, &["ID"]].concat());
        bundle.ok(&["exec", "ID", "/probe", "keyring"]).trim().parse::<i32>().unwrap()
    };
    assert_ne!(bundle(&[]), mine);
    assert_eq!(bundle(&["--no-new-keyring"]), mine);
    assert_ne!(Bundle::new(&["keyring"]).ok(&["run", "ID"]).trim(), mine.to_string());
    assert_eq!(Bundle::new(&["keyring"]).ok(&["run", "--no-new-keyring", "ID"]).trim(), mine.to_string());
}

fn labels_need_their_module() {
    let modules = std::fs::read_to_string("/sys/kernel/security/lsm").unwrap_or_default();
    for (field, value, module, flag) in [
        ("apparmorProfile", "docker-default", "apparmor", "--apparmor"),
        ("selinuxLabel", "system_u:system_r:container_t:s0", "selinux", "--process-label"),
    ] {
        if modules.contains(module) {
            crate::skip(&format!("needs a kernel without {module}"));
            continue;
        }
        let bundle = Bundle::new(&["exit", "0"]).with(|spec| spec["process"][field] = json!(value));
        bundle.fails(&["run", "ID"], module.get(1..).unwrap());
        assert!(bundle.left().is_empty());
        let bundle = Bundle::new(&["wait"]);
        bundle.ok(&["run", "-d", "ID"]);
        bundle.fails(&["exec", flag, value, "ID", "/probe", "exit", "0"], "");
        assert_eq!(bundle.status(), "running");
    }
}

fn rdt_that_is_not_there_is_not_changed() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    for flag in ["--l3-cache-schema=L3:0=f", "--mem-bw-schema=MB:0=50"] {
        bundle.fails(&["update", flag, "ID"], "updating a non-existent Intel RDT configuration is not supported");
    }
    assert_eq!(bundle.json(&["events", "--stats", "ID"])["data"]["intel_rdt"], json!({}));
}

fn rdt_needs_resctrl() {
    if std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(" - resctrl ") {
        return crate::skip("needs a host without resctrl");
    }
    refused(|spec| spec["linux"]["intelRdt"] = json!({"closID": "gold"}), "linux.intelRdt: there is no resctrl mounted");
    refused(|spec| spec["linux"]["intelRdt"] = json!({}), "linux.intelRdt: there is no resctrl mounted");
}

fn a_mount_label_needs_selinux() {
    if std::path::Path::new("/sys/fs/selinux").exists() {
        return crate::skip("needs a host without SELinux");
    }
    refused(|spec| spec["linux"]["mountLabel"] = json!("system_u:object_r:x:s0"), "linux.mountLabel");
}

fn refused(change: impl FnOnce(&mut Value), text: &str) {
    let bundle = Bundle::new(&["exit", "0"]).with(change);
    bundle.fails(&["run", "ID"], if foreign() { "" } else { text });
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn bad_fields_leave_nothing() {
    if !knows("1.2") {
        return;
    }
    let process = |field: &'static str, value: Value| move |spec: &mut Value| spec["process"][field] = value;
    let linux = |field: &'static str, value: Value| move |spec: &mut Value| spec["linux"][field] = value;
    refused(process("scheduler", json!({"policy": "SCHED_OTHER", "nice": 99})), "process.scheduler.nice");
    refused(process("scheduler", json!({"policy": "SCHED_OTHER", "priority": 1})), "process.scheduler.priority");
    refused(process("scheduler", json!({"policy": "SCHED_NONSUCH"})), "SCHED_NONSUCH");
    refused(process("scheduler", json!({"nice": 1})), "policy");
    refused(process("ioPriority", json!({"class": "IOPRIO_CLASS_BE", "priority": 8})), "process.ioPriority.priority");
    refused(process("ioPriority", json!({"class": "IOPRIO_CLASS_NONSUCH", "priority": 1})), "IOPRIO_CLASS_NONSUCH");
    refused(linux("personality", json!({"domain": "BSD"})), "BSD");
    if knows("1.3") {
        refused(linux("memoryPolicy", json!({"mode": "MPOL_NONSUCH"})), "MPOL_NONSUCH");
        refused(linux("memoryPolicy", json!({"mode": "MPOL_BIND"})), "linux.memoryPolicy.nodes");
    }
}

/// The kernel's own refusals come after the cgroup is made.
fn what_the_kernel_refuses_leaves_nothing() {
    if !knows("1.2") {
        return;
    }
    refused(|spec| spec["process"]["scheduler"] = json!({"policy": "SCHED_FIFO", "priority": 100}), "scheduler: sched_setattr(");
    refused(|spec| spec["process"]["scheduler"] = json!({"policy": "SCHED_DEADLINE"}), "scheduler: sched_setattr(");
    if knows("1.3") {
        let policy = json!({"mode": "MPOL_BIND", "nodes": "1000"});
        refused(|spec| spec["linux"]["memoryPolicy"] = policy, "memory policy: set_mempolicy(");
    }
}

fn an_unknown_capability_is_a_warning() {
    let bundle = Bundle::new(&["say", "runs"]).with(|spec| {
        for set in ["bounding", "effective", "permitted"] {
            spec["process"]["capabilities"][set].as_array_mut().unwrap().push(json!("CAP_OF_TOMORROW"));
        }
    });
    assert_eq!(bundle.ok(&["--log", "BUNDLE/log", "run", "ID"]), "runs\n");
    assert!(std::fs::read_to_string(bundle.path("log")).unwrap().contains("CAP_OF_TOMORROW"));
}
