//! Input that makes no sense: an error, and nothing left.

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
