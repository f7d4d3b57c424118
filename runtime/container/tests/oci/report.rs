//! What is printed.

use serde_json::{Value, json};

use crate::fixture::{Bundle, counts};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("errors_are_lines_of_json_in_the_log", Of::Every, errors_are_lines_of_json_in_the_log),
    ("errors_have_parts", Of::Ours, errors_have_parts),
    ("list_knows_all", Of::Every, list_knows_all),
    ("ps_shows_processes", Of::Every, ps_shows_processes),
    ("features_are_told", Of::Every, features_are_told),
    ("spec_writes_one_that_runs", Of::Every, spec_writes_one_that_runs),
    ("update_changes_limits", Of::Every, update_changes_limits),
    ("events_have_stats", Of::Every, events_have_stats),
    ("one_dash_is_enough", Of::Every, one_dash_is_enough),
    ("what_cannot_be_done_is_refused", Of::Ours, what_cannot_be_done_is_refused),
    ("called_runc_it_answers_so", Of::Ours, called_runc_it_answers_so),
];

fn errors_are_lines_of_json_in_the_log() {
    let bundle = Bundle::new(&["wait"]);
    let said = bundle.call(&["--log", "BUNDLE/log", "--log-format=json", "state", "ID"]);
    assert_eq!(said.code, Some(1));
    assert!(said.err.contains("does not exist"), "{said:?}");
    let log = std::fs::read_to_string(bundle.path("log")).unwrap();
    let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
    assert_eq!(last["level"], "error");
    assert!(last["msg"].as_str().unwrap().contains("does not exist") && last["time"].as_str().unwrap().contains('T'), "{last}");
}

fn errors_have_parts() {
    let part = |bundle: &Bundle, words: &[&str]| {
        let said = bundle.call(&[&["--log", "BUNDLE/log", "--log-format=json"], words].concat());
        assert_ne!(said.code, Some(0), "{said:?}");
        let log = std::fs::read_to_string(bundle.path("log")).unwrap();
        let last: Value = serde_json::from_str(log.lines().last().unwrap()).unwrap();
        move |name: &str| last[name].as_str().unwrap_or_default().to_owned()
    };
    // In the child, whose errors come through a socket.
    let bundle = Bundle::new(&["wait"]).with(|spec| spec["mounts"][1]["options"] = json!(["size=nonsense"]));
    let part = part(&bundle, &["create", "ID"]);
    assert_eq!((part("level").as_str(), part("path").as_str(), part("errno").as_str()), ("error", "/dev", "EINVAL"));
    assert!(part("step").contains("mount tmpfs") && part("call").starts_with("fsconfig("), "{} {}", part("step"), part("call"));
    // Here.
    let bundle = Bundle::new(&["wait"]);
    let said = bundle.call(&["--log", "BUNDLE/log", "--log-format=json", "create", "--bundle", "/nonsuch", "ID"]);
    assert_eq!(said.code, Some(1));
    let last: Value = serde_json::from_str(std::fs::read_to_string(bundle.path("log")).unwrap().trim()).unwrap();
    assert_eq!((last["path"].as_str(), last["errno"].as_str()), (Some("/nonsuch"), Some("ENOENT")));
}

fn list_knows_all() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    let list = bundle.json(&["list", "--format", "json"]);
    assert_eq!((list[0]["id"].as_str(), list[0]["status"].as_str()), (Some(bundle.id.as_str()), Some("created")));
    assert_eq!(list.as_array().unwrap().len(), 1);
    assert_eq!(bundle.ok(&["list", "-q"]), format!("{}\n", bundle.id));
    let table = bundle.ok(&["list"]);
    assert!(table.starts_with("ID ") && table.contains("created") && table.contains("root"), "{table}");
}

fn ps_shows_processes() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    assert_eq!(bundle.json(&["ps", "--format", "json", "ID"]), json!([bundle.pid()]));
    let table = bundle.ok(&["ps", "ID"]);
    assert!(table.contains("CMD") && table.contains("/probe wait"), "{table}");
    if std::process::Command::new("ps").arg("-V").output().is_err() {
        return println!("skipped in part: needs ps(1)");
    }
    let table = bundle.ok(&["ps", "ID", "-o", "pid,stat,args"]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("STAT") && lines[1].ends_with("/probe wait"), "{table}");
}

fn features_are_told() {
    let features = Bundle::new(&["wait"]).json(&["features"]);
    assert!(features["ociVersionMax"].as_str().unwrap().starts_with("1."));
    assert!(features["hooks"].as_array().unwrap().contains(&json!("createRuntime")));
    let linux = &features["linux"];
    assert!(linux["capabilities"].as_array().unwrap().contains(&json!("CAP_SYS_ADMIN")));
    assert!(linux["seccomp"]["actions"].as_array().unwrap().contains(&json!("SCMP_ACT_NOTIFY")));
    assert!(linux["seccomp"]["archs"].as_array().unwrap().contains(&json!("SCMP_ARCH_X86_64")));
    assert_eq!((&linux["apparmor"]["enabled"], &linux["selinux"]["enabled"]), (&json!(true), &json!(true)));
}

fn spec_writes_one_that_runs() {
    let bundle = Bundle::new(&["wait"]);
    let mut command = bundle.command(&["spec"]);
    std::fs::remove_file(bundle.path("config.json")).unwrap();
    assert!(command.status().unwrap().success());
    let text = std::fs::read_to_string(bundle.path("config.json")).unwrap();
    let mounts = bundle.spec["mounts"][3].clone();
    let mut spec: Value = serde_json::from_str(&text).unwrap();
    spec["process"]["args"] = json!(["/probe", "say", "fine"]);
    spec["process"]["terminal"] = json!(false);
    spec["root"]["readonly"] = json!(false);
    spec["mounts"].as_array_mut().unwrap().push(mounts);
    let bundle = bundle.with(|own| *own = spec);
    assert_eq!(bundle.ok(&["run", "ID"]), "fine\n");
    bundle.fails(&["spec"], "exists");
}

fn update_changes_limits() {
    if !counts("pids") {
        return;
    }
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    bundle.ok(&["update", "--pids-limit", "77", "ID"]);
    let stats = || bundle.json(&["events", "--stats", "ID"])["data"]["pids"]["limit"].clone();
    assert_eq!(stats(), 77);
    std::fs::write(bundle.path("limits"), r#"{"pids": {"limit": 78}}"#).unwrap();
    bundle.ok(&["update", "-r", "BUNDLE/limits", "ID"]);
    assert_eq!(stats(), 78);
}

fn events_have_stats() {
    if !counts("memory") {
        return;
    }
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["run", "-d", "ID"]);
    let event = bundle.json(&["events", "--stats", "ID"]);
    assert_eq!((event["type"].as_str(), event["id"].as_str()), (Some("stats"), Some(bundle.id.as_str())));
    assert!(event["data"]["memory"]["usage"]["usage"].as_u64().unwrap() > 0, "{event}");
    assert!(event["data"]["cpu"]["usage"]["total"].as_u64().unwrap() > 0, "{event}");
    assert!(event["data"]["pids"]["current"].as_u64().unwrap() > 0, "{event}");
}

fn one_dash_is_enough() {
    let bundle = Bundle::new(&["exit", "5"]);
    assert_eq!(bundle.call(&["-log-format=json", "run", "-no-subreaper", "-bundle", "BUNDLE", "ID"]).code, Some(5));
    bundle.fails(&["run", "--no-such-flag", "ID"], "flag provided but not defined");
}

fn what_cannot_be_done_is_refused() {
    let bundle = Bundle::new(&["exit", "0"]);
    bundle.fails(&["run", "--no-such-flag", "ID"], "flag provided but not defined");
    bundle.fails(&["restore", "--no-pivot", "ID"], "--no-pivot is not supported");
}

fn called_runc_it_answers_so() {
    let bundle = Bundle::new(&["exit", "0"]);
    std::os::unix::fs::symlink(crate::fixture::runtime(), bundle.path("runc")).unwrap();
    let output = std::process::Command::new(bundle.path("runc")).arg("--version").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert!(
        lines[0].starts_with("runc version ") && lines[1].starts_with("commit: ") && lines[2].starts_with("spec: 1."),
        "{text}"
    );
}
