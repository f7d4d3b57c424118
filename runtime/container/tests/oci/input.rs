//! Input that makes no sense: an error, and nothing left.

use std::io::Write;
use std::path::PathBuf;

use serde_json::{Value, json};

use crate::fixture::Bundle;
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("ids_are_names", Of::Every, ids_are_names),
    ("broken_configurations_are_refused", Of::Every, broken_configurations_are_refused),
    ("contradictions_are_refused", Of::Ours, contradictions_are_refused),
    ("a_bundle_must_be_there", Of::Every, a_bundle_must_be_there),
    ("relative_roots_are_in_the_bundle", Of::Every, relative_roots_are_in_the_bundle),
    ("texts_that_are_no_configuration", Of::Ours, texts_that_are_no_configuration),
    ("numbers_out_of_range_are_refused", Of::Ours, numbers_out_of_range_are_refused),
    ("command_lines_that_make_no_sense", Of::Ours, command_lines_that_make_no_sense),
    ("a_root_that_is_no_folder", Of::Ours, a_root_that_is_no_folder),
    ("a_frozen_cgroup_is_refused", Of::Ours, a_frozen_cgroup_is_refused),
    ("a_damaged_record_is_said", Of::Ours, a_damaged_record_is_said),
    ("a_damaged_record_hides_no_other", Of::Ours, a_damaged_record_hides_no_other),
];

fn ids_are_names() {
    let bundle = Bundle::new(&["exit", "0"]);
    let long = "x".repeat(5000);
    for id in ["", ".", "..", "../x", "a/b", "a b", &long] {
        bundle.fails(&["run", id], "");
        bundle.fails(&["state", id], "");
    }
    assert_eq!(std::fs::read_dir(bundle.path("root")).unwrap().count(), 0);
}

fn refused(change: impl FnOnce(&mut Value)) -> Bundle {
    let bundle = Bundle::new(&["exit", "0"]).with(change);
    bundle.fails(&["run", "ID"], "");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    bundle
}

fn broken_configurations_are_refused() {
    refused(|spec| *spec = json!({}));
    refused(|spec| *spec = json!([1, 2]));
    refused(|spec| spec["root"]["path"] = json!("nonsuch"));
    refused(|spec| spec["process"]["args"] = json!([]));
    refused(|spec| spec["process"]["cwd"] = json!("relative"));
    refused(|spec| spec["process"] = json!("text"));
    refused(|spec| spec["mounts"][3]["source"] = json!("/nonsuch"));
    refused(|spec| spec["mounts"][0]["type"] = json!("nonsuchfs"));
    refused(|spec| spec["linux"]["namespaces"][0]["path"] = json!("/etc/hostname"));
    refused(|spec| spec["linux"]["sysctl"] = json!({"kernel.panic": "1"}));
    refused(|spec| spec["linux"]["namespaces"] = json!([{"type": "pid"}, {"type": "pid"}, {"type": "mount"}]));
}

fn contradictions_are_refused() {
    for version in ["2.0.0", "x", ""] {
        refused(|spec| spec["ociVersion"] = json!(version));
    }
    refused(|spec| spec["linux"]["resources"] = json!({"memory": {"limit": -5}}));
    refused(|spec| spec["mounts"][3]["destination"] = json!("/a/../../x"));
    refused(|spec| spec["mounts"][0]["options"] = json!(["nonsuch"]));
    refused(|spec| spec["process"]["oomScoreAdj"] = json!(5000));
    refused(|spec| spec["process"]["rlimits"] = json!([{"type": "RLIMIT_CORE", "soft": 5, "hard": 1}]));
}

fn a_bundle_must_be_there() {
    let bundle = Bundle::new(&["exit", "0"]);
    bundle.fails(&["run", "--bundle", "/nonsuch", "ID"], "no such file or directory");
    bundle.fails(&["run", "--bundle", "BUNDLE/root", "ID"], "");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

fn relative_roots_are_in_the_bundle() {
    let bundle = Bundle::new(&["exit", "6"]);
    let mut command = bundle.command(&["run", "--bundle", "BUNDLE", "ID"]);
    assert_eq!(command.current_dir("/").status().unwrap().code(), Some(6));
}

fn a_damaged_record_hides_no_other() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    std::fs::create_dir(bundle.path("root/damaged")).unwrap();
    std::fs::write(bundle.path("root/damaged/state.json"), "{").unwrap();
    assert_eq!(bundle.ok(&["list", "-q"]), format!("{}\n", bundle.id));
}

/// One line, exit code 1, nothing left.
fn clean(bundle: &Bundle, said: &crate::fixture::Said) {
    let what: String = said.err.chars().take(300).collect();
    assert_eq!(said.code, Some(1), "{what}");
    assert!(said.err.lines().count() == 1 && !said.err.contains("panicked") && said.err.len() < 9000, "{what}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "{what}");
}

fn texts_that_are_no_configuration() {
    let bundle = Bundle::new(&["exit", "0"]);
    let whole = bundle.spec.to_string();
    let huge = format!("{{\"ociVersion\": \"1.0.0\", \"x\": \"{}\"}}", "y".repeat(100 << 20));
    let many = whole.replacen("\"mounts\":[", &format!("\"mounts\":[{}", "{},".repeat(200_000)), 1);
    let texts =
        ["", "{", "null", "7", "\0\0\0", &whole[..whole.len() / 2], &"[".repeat(1 << 20), &"{\"a\":".repeat(1 << 20), &huge, &many];
    for text in texts {
        // `command` writes the configuration anew.
        let mut command = bundle.command(&["run", "ID"]);
        std::fs::write(bundle.path("config.json"), text).unwrap();
        let output = command.output().unwrap();
        let err = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(err.contains("config.json") || err.contains("mounts["), "{}", &err[..err.len().min(300)]);
        clean(&bundle, &crate::fixture::Said { code: output.status.code(), out: String::new(), err });
    }
}

fn numbers_out_of_range_are_refused() {
    let changes: [(&str, Value); 7] = [
        ("/linux/resources", json!({"memory": {"limit": -2}})),
        ("/linux/resources", json!({"memory": {"reservation": -9}})),
        ("/linux/resources", json!({"cpu": {"quota": 5000, "period": 1}})),
        ("/linux/resources", json!({"cpu": {"cpus": "9999-99999"}})),
        ("/process/user", json!({"uid": -1, "gid": 0})),
        ("/process/user", json!({"uid": 4_294_967_296_u64, "gid": 0})),
        ("/process/rlimits", json!([{"type": "RLIMIT_NOFILE", "soft": -1, "hard": 5}])),
    ];
    for (place, value) in changes {
        let bundle = Bundle::new(&["exit", "0"]).with(|spec| {
            let (parent, name) = place.rsplit_once('/').unwrap();
            spec.pointer_mut(parent).unwrap()[name] = value.clone();
        });
        let said = bundle.call(&["run", "ID"]);
        assert_eq!(said.code, Some(1), "{place} {value}: {said:?}");
        clean(&bundle, &said);
    }
}

fn command_lines_that_make_no_sense() {
    let bundle = Bundle::new(&["exit", "0"]);
    for words in [
        &["create"][..],
        &["create", "a", "b"],
        &["run", "--nonsuch", "ID"],
        &["run", "--pid-file"],
        &["run", "--preserve-fds", "-1", "ID"],
        &["run", "--preserve-fds", "4000000000", "ID"],
        &["run", "--preserve-fds", "900", "ID"],
        &["run", "--pid-file", "/nonsuch/pid", "ID"],
        &["state"],
        &["kill"],
        &["kill", "ID", "NOSUCH"],
        &["kill", "ID", "9", "9"],
        &["ps"],
        &["list", "--format", "xml"],
        &["nonsuch"],
        &["--log-format", "xml", "list"],
        &["--log", "/nonsuch/log", "list"],
        &["--root"],
        &["--rootless", "perhaps", "list"],
    ] {
        let said = bundle.call(words);
        assert_eq!(said.code, Some(1), "{words:?}: {said:?}");
        clean(&bundle, &said);
    }
    assert_eq!(std::fs::read_dir(bundle.path("root")).unwrap().count(), 0);
}

fn a_root_that_is_no_folder() {
    let bundle = Bundle::new(&["exit", "0"]);
    bundle.command(&["list"]);
    std::fs::write(bundle.path("file"), "").unwrap();
    let call = |root: &str, words: &[&str]| {
        let mut command = std::process::Command::new(crate::fixture::runtime());
        let output = command.arg("--root").arg(root).args(words).current_dir(bundle.dir.path()).output().unwrap();
        (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let file = bundle.path("file").display().to_string();
    let (code, err) = call(&file, &["run", &bundle.id]);
    assert!(code == Some(1) && err.contains(&file), "{err}");
    let (code, err) = call("/nonsuch/root", &["state", &bundle.id]);
    assert!(code == Some(1) && err.contains("container does not exist"), "{err}");
    assert_eq!(call("/nonsuch/root", &["list"]).0, Some(0));
    assert_eq!(call("/nonsuch/root", &["delete", "--force", &bundle.id]).0, Some(0));
    assert!(!std::path::Path::new("/nonsuch").exists());
}

/// runc says so too, but only since 1.0; crun waits for ever.
fn a_frozen_cgroup_is_refused() {
    let bundle = Bundle::new(&["exit", "0"]);
    if bundle.systemd {
        return crate::skip("systemd makes the cgroups");
    }
    let places = [
        ("/sys/fs/cgroup/freezer", "freezer.state", "FROZEN"),
        ("/sys/fs/cgroup/unified", "cgroup.freeze", "1"),
        ("/sys/fs/cgroup", "cgroup.freeze", "1"),
    ];
    let mut found = 0;
    for (mount, file, value) in places {
        let folder = std::path::Path::new(mount).join(&bundle.id);
        let _ = std::fs::create_dir(&folder);
        // Not made where it is not there: this may be a plain folder.
        let set =
            std::fs::OpenOptions::new().write(true).open(folder.join(file)).and_then(|mut file| file.write_all(value.as_bytes()));
        if set.is_err() {
            let _ = std::fs::remove_dir(&folder);
            continue;
        }
        found += 1;
        let said = bundle.call(&["run", "ID"]);
        assert!(said.err.contains("frozen"), "{said:?}");
        // It is who has frozen it that it belongs to.
        std::fs::remove_dir(&folder).unwrap();
        clean(&bundle, &said);
    }
    assert!(found > 0);
}

/// What it was is not known any more: nothing is guessed, nothing is removed under a process that may run.
fn a_damaged_record_is_said() {
    let bundle = Bundle::new(&["wait"]);
    bundle.ok(&["create", "ID"]);
    let state = bundle.path("root").join(&bundle.id).join("state.json");
    let good = std::fs::read(&state).unwrap();
    for text in ["", "{", "[]", "{\"id\": 5}"] {
        std::fs::write(&state, text).unwrap();
        for words in [&["state", "ID"][..], &["start", "ID"], &["kill", "ID"], &["delete", "ID"], &["delete", "--force", "ID"]] {
            let said = bundle.call(words);
            assert!(said.code == Some(1) && said.err.contains("state.json"), "{words:?}: {said:?}");
        }
    }
    std::fs::write(&state, good).unwrap();
    bundle.ok(&["start", "ID"]);
}
