//! Hooks: order, place, failure.

use serde_json::{Value, json};

use crate::fixture::Bundle;
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("hooks_run_in_order", Of::Every, hooks_run_in_order),
    ("poststart_comes_after_start", Of::Ours, poststart_comes_after_start),
    ("hooks_read_the_state", Of::Every, hooks_read_the_state),
    ("a_hook_that_fails_keeps_it_from_being_made", Of::Every, a_hook_that_fails_keeps_it_from_being_made),
    ("a_poststop_hook_may_fail", Of::Ours, a_poststop_hook_may_fail),
    ("a_hook_that_hangs_is_ended", Of::Every, a_hook_that_hangs_is_ended),
    ("start_container_hooks_run_inside", Of::Every, start_container_hooks_run_inside),
];

fn shell(script: String) -> Value {
    json!({"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]})
}

/// A hook that appends its name to a file.
fn note(bundle: &Bundle, name: &str) -> Value {
    shell(format!("echo {name} >> {}", bundle.path("notes").display()))
}

fn notes(bundle: &Bundle) -> String {
    std::fs::read_to_string(bundle.path("notes")).unwrap_or_default().trim().replace('\n', " ")
}

fn with_notes(kinds: &[&str]) -> Bundle {
    let mut bundle = Bundle::new(&["exit", "0"]);
    let hooks = kinds.iter().map(|kind| ((*kind).to_owned(), json!([note(&bundle, kind), note(&bundle, &format!("{kind}2"))])));
    bundle.spec["hooks"] = Value::Object(hooks.collect());
    bundle
}

fn hooks_run_in_order() {
    let bundle = with_notes(&["poststop", "createContainer", "createRuntime", "prestart"]);
    bundle.ok(&["create", "ID"]);
    let made = "prestart prestart2 createRuntime createRuntime2 createContainer createContainer2";
    assert_eq!(notes(&bundle), made);
    bundle.ok(&["start", "ID"]);
    bundle.until("stopped");
    assert_eq!(notes(&bundle), made);
    bundle.ok(&["delete", "ID"]);
    assert_eq!(notes(&bundle), format!("{made} poststop poststop2"));
}

/// runc up to 1.5 runs them when the container is created.
fn poststart_comes_after_start() {
    let bundle = with_notes(&["poststart"]);
    bundle.ok(&["create", "ID"]);
    assert_eq!(notes(&bundle), "");
    bundle.ok(&["start", "ID"]);
    assert_eq!(notes(&bundle), "poststart poststart2");
    let mut bundle = Bundle::new(&["wait"]);
    bundle.spec["hooks"] = json!({"poststart": [shell(format!("cat > {}", bundle.path("state").display()))]});
    bundle.ok(&["run", "-d", "ID"]);
    let state: Value = serde_json::from_slice(&std::fs::read(bundle.path("state")).unwrap()).unwrap();
    assert_eq!(state["status"], "running");
}

fn hooks_read_the_state() {
    let mut bundle = Bundle::new(&["wait"]);
    let copy = |name: &str| json!([shell(format!("cat > {}", bundle.path(name).display()))]);
    bundle.spec["hooks"] = json!({"createRuntime": copy("created")});
    bundle.spec["annotations"] = json!({"some.key": "value"});
    bundle.ok(&["create", "ID"]);
    let state = |name: &str| serde_json::from_slice::<Value>(&std::fs::read(bundle.path(name)).unwrap()).unwrap();
    let made = state("created");
    assert_eq!((made["id"].as_str(), made["pid"].as_u64()), (Some(bundle.id.as_str()), Some(bundle.pid().into())));
    assert_eq!((made["status"].as_str(), made["annotations"]["some.key"].as_str()), (Some("creating"), Some("value")));
    assert_eq!(made["bundle"].as_str(), bundle.dir.path().canonicalize().unwrap().to_str());
}

fn a_hook_that_fails_keeps_it_from_being_made() {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = Bundle::new(&["exit", "0"]);
        let poststop = json!([note(&bundle, "poststop")]);
        bundle.spec["hooks"] = json!({kind: [shell("echo some reason >&2; exit 3".into())], "poststop": poststop});
        bundle.fails(&["create", "ID"], "hook");
        bundle.fails(&["state", "ID"], "does not exist");
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
        assert_eq!(notes(&bundle), "poststop", "{kind}");
    }
}

/// runc stops at the first that fails.
fn a_poststop_hook_may_fail() {
    let mut bundle = Bundle::new(&["exit", "0"]);
    let second = note(&bundle, "second");
    bundle.spec["hooks"] = json!({"poststop": [shell("exit 3".into()), second]});
    bundle.ok(&["run", "ID"]);
    assert_eq!(notes(&bundle), "second");
}

fn a_hook_that_hangs_is_ended() {
    let mut bundle = Bundle::new(&["exit", "0"]);
    bundle.spec["hooks"] = json!({"createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}]});
    bundle.fails(&["create", "ID"], "hook");
}

fn start_container_hooks_run_inside() {
    let mut bundle = Bundle::new(&["say", "program"]);
    // The hook's output goes nowhere; that it runs inside is told by its path, which is nowhere else.
    bundle.spec["hooks"] = json!({"startContainer": [{"path": "/probe", "args": ["/probe", "exit", "0"]}]});
    assert_eq!(bundle.ok(&["run", "ID"]), "program\n");
    bundle.spec["hooks"]["startContainer"][0]["args"][2] = json!("6");
    bundle.fails(&["run", "ID"], "hook");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}
