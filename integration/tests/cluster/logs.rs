//! Logs of pods: rotated as they are written, and read across rotations.

use std::fs;
use std::path::PathBuf;

use integration::env::Running;
use serde_json::json;

use super::base::Cluster;
use super::pods::{phase, pod, script};

integration::tests![logs_are_rotated_and_read_across];

/// Lines of 40 bytes, of which three files of [`super::base::LOG`] bytes hold some 700.
const WRITES: &str = "lines() { i=$1; while [ $i -le $2 ]; do echo \"$i ..................................\"; i=$((i + 1)); done; }
    [ -e /v/again ] && exec sleep 1000
    lines 1 600; while [ ! -e /v/go ]; do sleep 0.1; done; lines 601 800; touch /v/again";

fn numbers(text: &str) -> Vec<u32> {
    text.lines().filter_map(|line| line.split(' ').next()?.parse().ok()).collect()
}

fn logs_are_rotated_and_read_across() {
    let c = Cluster::start();
    let mut main = script("a", WRITES);
    main["volumeMounts"] = json!([{ "name": "v", "mountPath": "/v" }]);
    c.apply(&pod("talks", &json!({ "containers": [main], "volumes": [{ "name": "v", "emptyDir": {} }] })));
    c.soon("it has written", || numbers(&c.kubectl(&["logs", "talks"]).stdout).len() == 600);
    assert_eq!(numbers(&c.kubectl(&["logs", "talks"]).stdout), (1..=600).collect::<Vec<_>>());
    assert_eq!(numbers(&c.kubectl(&["logs", "talks", "--tail=500"]).stdout), (101..=600).collect::<Vec<_>>());
    let mut command = c.command();
    command.args(["logs", "-f", "talks"]);
    let mut follow = Running::start(command);
    follow.wait_for("600 ");
    c.env.rctr(["exec", &c.container("talks"), "touch", "/v/go"]).ok();
    assert_eq!(numbers(&follow.finish().stdout), (1..=800).collect::<Vec<_>>(), "what is followed loses nothing");

    c.soon("it runs again", || c.get(&["pod", "talks"], "{.status.containerStatuses[0].restartCount}") == "1");
    let before = numbers(&c.kubectl(&["logs", "talks", "--previous"]).stdout);
    assert_eq!(before.last(), Some(&800));
    assert!(before[0] > 1 && before.len() > 400, "the oldest file went: {} from {}", before.len(), before[0]);
    let files: Vec<PathBuf> = files(c.env.path("logs"));
    let of_first = files.iter().filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("0.log")));
    assert_eq!(of_first.count(), 3, "{files:?}");
    for _ in 0..2 {
        let id = c.container("talks");
        c.env.rctr(["kill", &id]).ok();
        c.soon("the next one runs", || c.container("talks") != id && phase(&c, "talks") == "Running");
    }
    c.soon("the log of the first one went with it", || {
        !self::files(c.env.path("logs")).iter().any(|path| path.to_string_lossy().contains("/0.log"))
    });
    c.kubectl(&["delete", "pods", "--all"]).ok();
    c.nothing_left();
}

fn files(folder: PathBuf) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path());
    entries.flat_map(|path| if path.is_dir() { files(path) } else { vec![path] }).collect()
}
