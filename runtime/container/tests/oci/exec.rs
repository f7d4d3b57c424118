//! Further processes.

use serde_json::json;

use crate::fixture::Bundle;
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("exec_passes_output_and_code_on", Of::Every, exec_passes_output_and_code_on),
    ("exec_flags_change_the_process", Of::Every, exec_flags_change_the_process),
    ("exec_takes_a_process_file", Of::Every, exec_takes_a_process_file),
    ("exec_of_what_is_not_there", Of::Every, exec_of_what_is_not_there),
    ("exec_needs_a_running_container", Of::Every, exec_needs_a_running_container),
    ("exec_adds_no_inheritable_capability", Of::Every, exec_adds_no_inheritable_capability),
    ("exec_is_filtered_as_init_is", Of::Every, exec_is_filtered_as_init_is),
    ("exec_users_are_numbers", Of::Every, exec_users_are_numbers),
    ("exec_users_do_not_wrap", Of::Ours, exec_users_do_not_wrap),
    ("exec_ended_by_a_signal", Of::Every, exec_ended_by_a_signal),
    ("exec_cannot_be_led_outside", Of::Every, exec_cannot_be_led_outside),
];

fn running() -> Bundle {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle
}

fn has(out: &str, lines: &[&str]) {
    for line in lines {
        assert!(out.lines().any(|one| one == *line), "{line} is not in {out}");
    }
}

fn exec_passes_output_and_code_on() {
    let bundle = running();
    assert_eq!(bundle.ok(&["exec", "ID", "/probe", "say", "hello", "-x", "--", "y"]), "hello -x -- y\n");
    assert_eq!(bundle.call(&["exec", "ID", "/probe", "exit", "9"]).code, Some(9));
    // Found in PATH, in the container's namespaces.
    has(&bundle.ok(&["exec", "ID", "probe", "facts"]), &["host=box", "env.HELLO=world", "cwd=/"]);
}

fn exec_flags_change_the_process() {
    let bundle = running();
    let flags = ["exec", "-e", "A=1", "-e", "B=2", "-u", "1000:1001", "--additional-gids", "44", "--cwd", "/proc"];
    let out = bundle.ok(&[&flags[..], &["ID", "/probe", "facts"]].concat());
    has(&out, &["env.A=1", "env.B=2", "Uid=1000 1000 1000 1000", "Gid=1001 1001 1001 1001", "cwd=/proc", "NoNewPrivs=1"]);
    // runc names some twice
    assert!(out.contains("\nGroups=44"), "{out}");
}

fn exec_takes_a_process_file() {
    let bundle = running();
    let process =
        json!({"args": ["/probe", "facts"], "env": ["X=y"], "cwd": "/dev", "user": {"uid": 5, "gid": 6}, "terminal": false});
    std::fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    let out = bundle.ok(&["exec", "--process", "BUNDLE/process.json", "ID"]);
    has(&out, &["env.X=y", "cwd=/dev", "Uid=5 5 5 5", "CapEff=0000000000000000"]);
    bundle.ok(&["exec", "--detach", "--pid-file", "BUNDLE/pid", "-p", "BUNDLE/process.json", "ID"]);
    assert!(std::fs::read_to_string(bundle.path("pid")).unwrap().parse::<u32>().is_ok());
}

fn exec_of_what_is_not_there() {
    let bundle = running();
    bundle.fails(&["exec", "ID", "nonsuch"], "executable file not found in $PATH");
    bundle.fails(&["exec", "ID", "/nonsuch"], "no such file or directory");
    bundle.fails(&["exec", "ID", "/proc"], "");
    bundle.fails(&["exec", "--cwd", "/nonsuch/x", "--user", "1:1", "ID", "/probe", "exit", "0"], "");
    assert_eq!(bundle.status(), "running");
}

fn exec_needs_a_running_container() {
    let bundle = running();
    bundle.ok(&["kill", "ID", "KILL"]);
    bundle.until("stopped");
    bundle.fails(&["exec", "ID", "/probe", "exit", "0"], "cannot exec in a stopped container");
}

fn exec_adds_no_inheritable_capability() {
    let bundle = running();
    let out = bundle.ok(&["exec", "--cap", "CAP_NET_RAW", "ID", "/probe", "facts"]);
    has(&out, &["CapInh=0000000000000000", "CapEff=00000000200020e0"]);
}

fn exec_is_filtered_as_init_is() {
    let bundle = Bundle::new(&["wait"]).with(|spec| {
        spec["linux"]["seccomp"] =
            json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["ptrace"], "action": "SCMP_ACT_ERRNO"}]});
    });
    bundle.ok(&["run", "-d", "ID"]);
    has(&bundle.ok(&["exec", "ID", "/probe", "facts"]), &["Seccomp=2"]);
    // What the bundle has become says nothing about a container that was made before, and is not read again.
    let bundle = bundle.with(|spec| spec["linux"]["seccomp"] = json!({"defaultAction": "nonsense"}));
    has(&bundle.ok(&["exec", "ID", "/probe", "facts"]), &["Seccomp=2"]);
}

fn exec_users_are_numbers() {
    let bundle = running();
    std::fs::create_dir(bundle.path("rootfs/etc")).unwrap();
    std::fs::write(bundle.path("rootfs/etc/passwd"), "1000:x:0:0::/:/bin/sh\n").unwrap();
    has(&bundle.ok(&["exec", "-u", "1000", "ID", "/probe", "facts"]), &["Uid=1000 1000 1000 1000"]);
    for wrong in ["root", "1.5", "1:x"] {
        bundle.fails(&["exec", &format!("--user={wrong}"), "ID", "/probe", "facts"], "");
    }
}

/// CVE-2026-30892 was one of these. runc 1.1 takes both for root.
fn exec_users_do_not_wrap() {
    let bundle = running();
    for wrong in ["-1", "4294967296"] {
        bundle.fails(&["exec", &format!("--user={wrong}"), "ID", "/probe", "facts"], "");
    }
}

fn exec_ended_by_a_signal() {
    let bundle = running();
    for (signal, code) in [("9", 137), ("15", 143)] {
        assert_eq!(bundle.call(&["exec", "ID", "/probe", "die", signal]).code, Some(code));
    }
}

/// CVE-2024-21626.
fn exec_cannot_be_led_outside() {
    let bundle = running();
    for fd in 3..24 {
        let said = bundle.call(&["exec", "--cwd", &format!("/proc/self/fd/{fd}"), "ID", "/probe", "read", "../../etc/hostname"]);
        assert_ne!(said.code, Some(0), "{fd}: {said:?}");
    }
}
