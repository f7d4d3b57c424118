//! From create to delete.

use serde_json::json;

use crate::fixture::{Bundle, eventually, text};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("run_passes_output_and_code_on", Of::Every, run_passes_output_and_code_on),
    ("a_whole_life", Of::Every, a_whole_life),
    ("nothing_is_left", Of::Every, nothing_is_left),
    ("an_id_is_taken_once", Of::Every, an_id_is_taken_once),
    ("starting_is_possible_once", Of::Every, starting_is_possible_once),
    ("what_is_not_there_is_said", Of::Every, what_is_not_there_is_said),
    ("a_running_container_is_deleted_by_force_only", Of::Every, a_running_container_is_deleted_by_force_only),
    ("a_created_container_can_be_killed_and_deleted", Of::Every, a_created_container_can_be_killed_and_deleted),
    ("a_signal_reaches_init", Of::Every, a_signal_reaches_init),
    ("all_processes_can_be_killed", Of::Every, all_processes_can_be_killed),
    ("pause_and_resume", Of::Every, pause_and_resume),
    ("a_paused_container_is_deleted_by_force", Of::Every, a_paused_container_is_deleted_by_force),
    ("detached_run_returns", Of::Every, detached_run_returns),
    ("run_can_keep_it", Of::Ours, run_can_keep_it),
    ("a_shared_pid_namespace_is_emptied", Of::Every, a_shared_pid_namespace_is_emptied),
    ("a_removed_folder_ends_init", Of::Ours, a_removed_folder_ends_init),
];

fn run_passes_output_and_code_on() {
    let bundle = Bundle::new(&["say", "hello", "you"]);
    assert_eq!(bundle.ok(&["run", "ID"]), "hello you\n");
    for (words, code) in [(&["exit", "0"], 0), (&["exit", "7"], 7), (&["exit", "255"], 255)] {
        assert_eq!(Bundle::new(words).call(&["run", "ID"]).code, Some(code));
    }
    let bundle = Bundle::new(&["facts"]);
    let out = bundle.ok(&["run", "--bundle", "BUNDLE", "ID"]);
    for line in
        ["cwd=/", "env.HELLO=world", "pid=1", "host=box", "NoNewPrivs=1", "CapEff=00000000200000e0", "CapInh=0000000000000000"]
    {
        assert!(out.lines().any(|one| one == line), "{line} is not in {out}");
    }
}

fn a_whole_life() {
    let bundle = Bundle::new(&["wait"]).with(|spec| spec["annotations"] = json!({"some.key": "value"}));
    bundle.ok(&["create", "--pid-file", "BUNDLE/pid", "--bundle", "BUNDLE", "ID"]);
    let state = bundle.state();
    assert_eq!(state["status"], "created");
    assert_eq!(
        (state["ociVersion"].as_str().unwrap().split('.').next(), state["id"].as_str()),
        (Some("1"), Some(bundle.id.as_str()))
    );
    assert_eq!(state["bundle"].as_str().unwrap(), bundle.dir.path().canonicalize().unwrap().to_str().unwrap());
    assert_eq!(state["annotations"]["some.key"], "value");
    assert_eq!(std::fs::read_to_string(bundle.path("pid")).unwrap(), state["pid"].to_string());
    bundle.ok(&["start", "ID"]);
    assert_eq!(bundle.status(), "running");
    let command = std::fs::read(format!("/proc/{}/cmdline", bundle.pid())).unwrap();
    assert_eq!(command, b"/probe\0wait\0");
    bundle.ok(&["kill", "ID", "KILL"]);
    bundle.until("stopped");
    bundle.ok(&["delete", "ID"]);
    bundle.fails(&["state", "ID"], "does not exist");
}

fn nothing_is_left() {
    let bundle = Bundle::new(&["exit", "3"]);
    assert_eq!(bundle.call(&["run", "ID"]).code, Some(3));
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    bundle.ok(&["create", "ID"]);
    assert!(!bundle.left().is_empty());
    bundle.ok(&["delete", "--force", "ID"]);
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    let broken = Bundle::new(&["exit", "0"]).with(|spec| spec["process"]["args"] = json!(["/nonsuch"]));
    broken.fails(&["run", "ID"], "no such file or directory");
    assert_eq!(broken.left(), Vec::<std::path::PathBuf>::new());
}

fn an_id_is_taken_once() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    bundle.fails(&["create", "ID"], "exist");
    bundle.fails(&["run", "ID"], "exist");
    assert_eq!(bundle.status(), "created");
}

fn starting_is_possible_once() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    bundle.ok(&["start", "ID"]);
    bundle.fails(&["start", "ID"], "cannot start");
    bundle.ok(&["kill", "ID", "9"]);
    bundle.until("stopped");
    bundle.fails(&["start", "ID"], "cannot start a container that has stopped");
}

fn what_is_not_there_is_said() {
    let bundle = Bundle::new(&["wait"]);
    for words in
        [&["state", "ID"][..], &["start", "ID"], &["kill", "ID"], &["delete", "ID"], &["pause", "ID"], &["exec", "ID", "x"]]
    {
        bundle.fails(words, "does not exist");
    }
    bundle.ok(&["delete", "--force", "ID"]);
}

fn a_running_container_is_deleted_by_force_only() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "--detach", "ID"]);
    bundle.fails(&["delete", "ID"], "not stopped");
    assert_eq!(bundle.status(), "running");
    bundle.ok(&["delete", "--force", "ID"]);
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn a_created_container_can_be_killed_and_deleted() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    bundle.ok(&["kill", "ID", "KILL"]);
    bundle.until("stopped");
    bundle.fails(&["kill", "ID"], "container not running");
    bundle.ok(&["delete", "ID"]);
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn a_signal_reaches_init() {
    let bundle = Bundle::new(&["term"]);
    let child = bundle.command(&["run", "ID"]).stdout(std::fs::File::create(bundle.path("out")).unwrap()).spawn().unwrap();
    eventually("ready", || std::fs::read_to_string(bundle.path("out")).unwrap() == "ready\n");
    for wrong in ["NOSUCH", "-1", "100"] {
        bundle.fails(&["kill", "--", "ID", wrong], "");
    }
    bundle.ok(&["kill", "ID", "0"]);
    bundle.ok(&["kill", "ID"]);
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(42), "{}", text(&output));
}

fn all_processes_can_be_killed() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.ok(&["exec", "-d", "ID", "/probe", "wait"]);
    bundle.ok(&["kill", "--all", "ID", "KILL"]);
    bundle.until("stopped");
    bundle.fails(&["kill", "ID", "KILL"], "container not running");
}

fn pause_and_resume() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.ok(&["pause", "ID"]);
    assert_eq!(bundle.status(), "paused");
    bundle.fails(&["exec", "ID", "/probe", "exit", "0"], "paused");
    bundle.ok(&["resume", "ID"]);
    assert_eq!(bundle.status(), "running");
    bundle.fails(&["resume", "ID"], "not paused");
    bundle.ok(&["exec", "ID", "/probe", "exit", "0"]);
}

fn a_paused_container_is_deleted_by_force() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.ok(&["pause", "ID"]);
    bundle.ok(&["delete", "--force", "ID"]);
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn detached_run_returns() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "--detach", "--pid-file", "BUNDLE/pid", "ID"]);
    assert_eq!(bundle.status(), "running");
    assert_eq!(std::fs::read_to_string(bundle.path("pid")).unwrap(), bundle.pid().to_string());
}

fn run_can_keep_it() {
    let bundle = Bundle::new(&["exit", "4"]);
    assert_eq!(bundle.call(&["run", "--keep", "ID"]).code, Some(4));
    assert_eq!(bundle.status(), "stopped");
    bundle.ok(&["delete", "ID"]);
}

fn a_shared_pid_namespace_is_emptied() {
    let bundle = Bundle::new(&["wait"]).with(|spec| {
        spec["linux"]["namespaces"].as_array_mut().unwrap().retain(|namespace| namespace["type"] != "pid");
    });
    bundle.ok(&["run", "-d", "ID"]);
    bundle.ok(&["exec", "-d", "--pid-file", "BUNDLE/other", "ID", "/probe", "wait"]);
    let other: u32 = std::fs::read_to_string(bundle.path("other")).unwrap().parse().unwrap();
    assert!(sys::process::look(other).is_some_and(|process| !process.ended));
    bundle.ok(&["delete", "--force", "ID"]);
    eventually("the end of the other process", || sys::process::look(other).is_none_or(|process| process.ended));
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn a_removed_folder_ends_init() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    let pid = bundle.pid();
    std::fs::remove_dir_all(bundle.path("root").join(&bundle.id)).unwrap();
    eventually("the end of init", || sys::process::look(pid).is_none_or(|process| process.ended));
    for folder in bundle.left() {
        let _ = std::fs::remove_dir(folder);
    }
}
