//! The ways out of containers that were found so far, each tried against the command line. Where a row's test is in another file, or in
//! another crate because only there the race can be won at will, it is named here.
//!
//! | found as | what was done | tests |
//! |---|---|---|
//! | CVE-2016-3697, CVE-2026-46680 | a numeric user looked up in the image's /etc/passwd | [`users_are_numbers`]; `exec`: `exec_users_are_numbers` |
//! | CVE-2016-9962 | look into a process that joins | `users`: `users_cannot_look_into_who_joins`; launch `who_starts_containers_cannot_be_traced`, `no_descriptor_leaks` |
//! | CVE-2019-5736 | write to the runtime through /proc/PID/exe | [`the_runtime_is_not_overwritten`]; launch `sealing` |
//! | CVE-2019-16884, CVE-2019-19921 | something else on /proc, so that labels go elsewhere | `attacks`: `a_racing_proc_is_procfs_or_nothing`, `links_into_procfs_are_no_targets`; launch `no_mount_inside_procfs`, `nothing_but_procfs_on_proc` |
//! | CVE-2019-18837 | links in the root file system on the way to a target | `attacks`: `proc_and_sys_are_no_links`; launch `targets_stay_inside` |
//! | CVE-2021-30465, CVE-2024-45310 | names exchanged while targets are made | `attacks`: `racing_targets_stay_inside`, `racing_parents_stay_inside`; launch `racing_links_do_not_lead_out` |
//! | CVE-2021-43784 | more than fits into a message to init | [`long_lists_are_whole`] |
//! | CVE-2022-24769, CVE-2022-27650, CVE-2022-29162, CVE-2025-27612 | inheritable capabilities | `exec`: `exec_adds_no_inheritable_capability`; `life`: `run_passes_output_and_code_on` |
//! | CVE-2023-25809 | write to the host's cgroup v2 without a cgroup namespace | `namespaces`, `rootless` |
//! | CVE-2023-27561, CVE-2023-28642, CVE-2025-54867 | /proc or /sys as a link | `attacks`: `proc_and_sys_are_no_links`; launch `proc_sys_or_dev_as_a_link_is_refused` |
//! | CVE-2024-21626 | a descriptor of the host as working folder | [`a_descriptor_is_no_way_out`]; `exec`: `exec_cannot_be_led_outside`; `attacks`: `descriptors_of_the_runtime_are_no_sources`; launch `no_working_folder_through_a_descriptor` |
//! | CVE-2025-31133, CVE-2025-62161 | /dev/null of the image as a mask | `attacks`: `a_racing_null_device_masks_or_fails`; launch `a_replaced_null_device_is_no_mask` |
//! | CVE-2025-52565 | /dev/pts/N exchanged before it is bound | launch `a_racing_console_covers_nothing_else`, `a_fake_terminal_device_is_refused` |
//! | CVE-2025-52881, CVE-2025-62596 | writes to procfs led elsewhere | launch `labels_are_not_written_to_a_fake_procfs`; `attacks`: `a_racing_proc_is_procfs_or_nothing` |
//! | CVE-2026-30892 | a user that is parsed as root | `exec`: `exec_users_are_numbers`, `exec_users_do_not_wrap` |
//! | CVE-2026-41579, CVE-2026-47766 | /dev as a link | `attacks`: `dev_as_a_link_leaves_the_host_alone`; launch `dev_as_a_link_does_not_reach_the_host` |
//! | no number | hooks with what the runtime has open | [`hooks_get_nothing_open`] |
//! | no number | ids that are paths | `input`: `ids_are_names` |
//! | no number | an account file that is a pipe | [`users_are_numbers`] |

use std::os::fd::OwnedFd;

use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use rustix::io::{FdFlags, fcntl_setfd};
use serde_json::json;

use crate::fixture::{Bundle, eventually, runtime};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("the_runtime_is_not_overwritten", Of::Every, the_runtime_is_not_overwritten),
    ("the_runtime_is_no_entrypoint", Of::Every, the_runtime_is_no_entrypoint),
    ("a_descriptor_is_no_way_out", Of::Every, a_descriptor_is_no_way_out),
    ("users_are_numbers", Of::Every, users_are_numbers),
    ("long_lists_are_whole", Of::Every, long_lists_are_whole),
    ("hooks_get_nothing_open", Of::Every, hooks_get_nothing_open),
];

/// With everything that root can have. The probe opens what others run, and once they have ended tries to write to it.
fn the_runtime_is_not_overwritten() {
    let bundle = Bundle::new(&["overwrite", "/found", "/stop"]).with(|spec| {
        let all = container::capabilities::names(rustix::thread::capabilities(None).unwrap().permitted.bits());
        spec["process"]["capabilities"] = json!({"bounding": all, "effective": all, "permitted": all});
        spec["process"]["noNewPrivileges"] = json!(false);
    });
    let before = std::fs::read(runtime()).unwrap();
    script(&bundle);
    bundle.ok(&["run", "-d", "ID"]);
    let found = || std::fs::read_to_string(bundle.path("rootfs/found")).unwrap_or_default();
    eventually("the probe looks", || !found().is_empty());
    let mut tries = 0;
    // As often as it takes to be seen.
    while tries < 20 || (found().starts_with('0') && tries < 1000) {
        for words in [&["/proc/self/exe", "spec"][..], &["/script"], &["/probe", "exit", "0"]] {
            bundle.call(&[&["exec", "ID"], words].concat());
        }
        tries += 1;
    }
    std::fs::write(bundle.path("rootfs/stop"), "").unwrap();
    eventually("the result", || found().ends_with("end\n"));
    assert!(!found().starts_with('0'), "none was seen: {}", found());
    assert!(!found().contains("written"), "{}", found());
    assert!(std::fs::read(runtime()).unwrap() == before, "the runtime has changed");
}

/// A script whose interpreter is whoever executes it.
fn script(bundle: &Bundle) {
    let script = bundle.path("rootfs/script");
    std::fs::write(&script, "#!/proc/self/exe\n").unwrap();
    std::fs::set_permissions(script, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
}

fn the_runtime_is_no_entrypoint() {
    let before = std::fs::read(runtime()).unwrap();
    for args in [&["/proc/self/exe", "spec"][..], &["/script"]] {
        let bundle = Bundle::new(&[]).with(|spec| spec["process"]["args"] = json!(args));
        script(&bundle);
        let _ = bundle.call(&["run", "ID"]);
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
    assert!(std::fs::read(runtime()).unwrap() == before, "the runtime has changed");
}

/// Neither what the runtime has open itself nor what its caller has left open to it.
fn a_descriptor_is_no_way_out() {
    let leaked: Vec<OwnedFd> = (0..8)
        .map(|_| {
            let fd = open("/", OFlags::DIRECTORY | OFlags::RDONLY, Mode::empty()).unwrap();
            fcntl_setfd(&fd, FdFlags::empty()).unwrap();
            fd
        })
        .collect();
    for fd in 3..48 {
        let bundle = Bundle::new(&["read", "../../../proc/1/comm"])
            .with(|spec| spec["process"]["cwd"] = json!(format!("/proc/self/fd/{fd}")));
        let said = bundle.call(&["run", "ID"]);
        assert_ne!(said.code, Some(0), "{fd}: {said:?}");
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
    // The three of everybody, and the one that reads the folder.
    let open = Bundle::new(&["descriptors"]).ok(&["run", "ID"]);
    assert_eq!(open, "[0, 1, 2, 3]\n");
    drop(leaked);
}

/// The image's accounts are not even read: reading these would wait for ever.
fn users_are_numbers() {
    let bundle = Bundle::new(&["wait"]).with(|spec| {
        spec["process"]["user"] = json!({"uid": 1000, "gid": 1000});
        spec["process"]["env"] = json!(["PATH=/", "HOME=/"]);
    });
    let etc = bundle.path("rootfs/etc");
    std::fs::create_dir(&etc).unwrap();
    std::fs::write(etc.join("passwd"), "1000:x:0:0:root:/root:/probe\n").unwrap();
    std::fs::write(etc.join("group"), "1000:x:0:\n").unwrap();
    bundle.ok(&["run", "-d", "ID"]);
    let facts = |flags: &[&str]| bundle.ok(&[&["exec"], flags, &["-e", "HOME=/", "ID", "/probe", "facts"]].concat());
    assert!(facts(&[]).contains("\nUid=1000 1000 1000 1000\n"));
    assert!(facts(&["-u", "1000:1000"]).contains("\nGid=1000 1000 1000 1000\n"));
    if !crate::fixture::foreign() {
        std::fs::remove_file(etc.join("passwd")).unwrap();
        mknodat(CWD, etc.join("passwd"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        assert!(facts(&["-u", "1001"]).contains("\nUid=1001 1001 1001 1001\n"));
    }
}

/// What a runtime tells its init has no length at which something is lost or taken for something else.
fn long_lists_are_whole() {
    const COUNT: usize = 300;
    let long = "x".repeat(100_000);
    let bundle = Bundle::new(&["facts"]).with(|spec| {
        let mounts = spec["mounts"].as_array_mut().unwrap();
        mounts.extend((0..COUNT).map(|at| json!({"destination": format!("/many/{at}"), "type": "tmpfs", "source": "tmpfs"})));
        spec["process"]["env"].as_array_mut().unwrap().push(json!(format!("LONG={long}")));
        spec["annotations"] = json!({"long": long.repeat(4)});
        spec["linux"]["maskedPaths"] = json!((0..20_000).map(|at| format!("/proc/nonsuch{at}")).collect::<Vec<_>>());
    });
    let out = bundle.ok(&["run", "ID"]);
    assert!(out.contains(&format!("env.LONG={long}\n")) && out.contains("CapEff=00000000200000e0\n"));
    let bundle = bundle.with(|spec| spec["process"]["args"] = json!(["/probe", "read", "/proc/self/mountinfo"]));
    assert_eq!(bundle.ok(&["run", "ID"]).matches(" /many/").count(), COUNT);
}

fn hooks_get_nothing_open() {
    let bundle = Bundle::new(&["exit", "0"]);
    let list = |name: &str| {
        let text = format!("ls /proc/self/fd > {}", bundle.path(name).display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", text], "env": ["PATH=/usr/bin:/bin"]}])
    };
    let hooks = json!({"createRuntime": list("createRuntime"), "poststart": list("poststart"), "poststop": list("poststop")});
    let bundle = bundle.with(|spec| spec["hooks"] = hooks);
    bundle.ok(&["run", "ID"]);
    for name in ["createRuntime", "poststart", "poststop"] {
        let open = std::fs::read_to_string(bundle.path(name)).unwrap();
        // The three of everybody, and the one that reads the folder.
        assert_eq!(open.split_whitespace().count(), 4, "{name}: {open}");
    }
}
