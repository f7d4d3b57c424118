//! Pods that were made half, or whose records are damaged.

use std::fs;
use std::time::Duration;

use engine::{Error, Grace};

use super::{Pods, list, request};

integration::tests![
    a_maker_that_is_killed_leaves_what_can_be_removed,
    a_damaged_record_can_be_removed,
    what_was_unmounted_is_said,
    a_reboot_leaves_pods_that_are_not_ready
];

/// What a maker that is killed has left after each of its steps, from the last to the first.
fn a_maker_that_is_killed_leaves_what_can_be_removed() {
    let t = Pods::new();
    let steps = ["network.json", "net", "shm", "uts", "ipc"];
    for made in 0..=steps.len() {
        let pod = t.run("half");
        let id = &pod.record.id;
        let runtime = t.env.run().join("pods").join(id);
        for step in steps.iter().take(steps.len() + 1 - made).map(|step| runtime.join(step)) {
            integration::leaks::unmount(&[&step]);
            let removed = if step.is_dir() { fs::remove_dir(&step) } else { fs::remove_file(&step) };
            removed.unwrap_or_else(|error| panic!("{}: {error}", step.display()));
        }
        assert_eq!(t.engine.pod(id).unwrap().ready, made == steps.len() + 1, "{made} steps");
        assert!(t.create(&pod, "a", |_| {}).is_err(), "{made} steps");
        if made % 2 == 0 {
            t.engine.stop_pod(id, Grace::For(Duration::ZERO)).unwrap();
        }
        t.engine.remove_pod(id).unwrap();
        t.nothing_left();
    }
    // One that was not even named: the next maker sweeps it. One whose identity was not taken can be removed.
    let folder = t.env.root().join("pods");
    fs::create_dir_all(folder.join(".new-1234/members")).unwrap();
    let pod = t.run("half");
    assert_eq!(list(&folder), std::slice::from_ref(&pod.record.id));
    let names = t.env.root().join("pod-names");
    fs::remove_file(names.join(&list(&names)[0])).unwrap();
    let again = t.run("half");
    for pod in [pod, again] {
        t.engine.remove_pod(&pod.record.id).unwrap();
    }
    t.nothing_left();
}

fn a_damaged_record_can_be_removed() {
    let t = Pods::new();
    let pod = t.run("damaged");
    let a = t.start(&pod, "a", |_| {});
    let record = t.env.root().join("pods").join(&pod.record.id).join("config.json");
    fs::write(&record, "{ \"id\": ").unwrap();
    assert!(matches!(t.engine.pod(&pod.record.id), Err(Error::Damaged { .. })));
    assert!(t.engine.pods().unwrap().is_empty(), "one that is damaged hides no other");
    t.engine.stop_pod(&pod.record.id, Grace::For(Duration::ZERO)).unwrap();
    assert!(!t.engine.container(&a).unwrap().is_running());
    t.engine.remove_pod(&pod.record.id).unwrap();
    assert!(list(&t.env.root().join("pods")).is_empty());
    // Its identity is free.
    let again = t.run("damaged");
    t.engine.remove_pod(&again.record.id).unwrap();
    t.nothing_left();
}

fn what_was_unmounted_is_said() {
    let t = Pods::new();
    let pod = t.run("unpinned");
    let a = t.create(&pod, "a", |_| {}).unwrap();
    let path = t.env.run().join("pods").join(&pod.record.id).join("net");
    assert!(std::process::Command::new("umount").arg(&path).status().unwrap().success());
    let error = t.engine.start(&a, &engine::StartOptions::default()).unwrap_err();
    let said = super::chain(&error);
    assert!(said.contains(&path.display().to_string()) && said.contains("network namespace"), "{said}");
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn a_reboot_leaves_pods_that_are_not_ready() {
    let t = Pods::new();
    let pod = t.run("rebooted");
    let a = t.create(&pod, "a", |_| {}).unwrap();
    // What a reboot does: nothing is mounted, and RUN is empty.
    integration::leaks::unmount(&[&t.env.run().join("pods")]);
    fs::remove_dir_all(t.env.run().join("pods")).unwrap();
    fs::remove_dir_all(t.env.run().join("net")).unwrap();
    let found = t.engine.pod(&pod.record.id).unwrap();
    assert!(!found.ready && found.record == pod.record);
    assert!(matches!(t.engine.start(&a, &engine::StartOptions::default()), Err(Error::PodNotReady(_))));
    assert!(matches!(t.engine.run_pod(&request("rebooted")), Err(Error::PodExists { .. })));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}
