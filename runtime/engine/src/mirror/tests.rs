use std::fs;
use std::path::Path;

use super::*;
use crate::{Config, PodRecord, PodRequest};

/// Names of pods, and which of them are ready.
type Names = Mirror<(String, bool), ()>;

struct Folders {
    _folder: tempfile::TempDir,
    engine: Engine,
    mirror: Names,
}

impl Folders {
    fn new() -> Folders {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let engine = Engine::open(Config {
            root: path("root"),
            run: path("run"),
            bridge: "unused0".to_owned(),
            cgroup: "/unused".to_owned(),
            monitor: path("no-monitor"),
            starter: Vec::new(),
            resolv_conf: path("resolv.conf"),
            own_resolv_conf: path("resolv.conf"),
            publish_on: None,
            home: None,
            cni: None,
            storage: images::Driver::default(),
        });
        let mirror = Mirror::new(|pod| (pod.record.request.name.clone(), pod.ready), |_| None);
        let folders = Folders { _folder: folder, engine: engine.unwrap(), mirror };
        assert_eq!(folders.listed(), []);
        folders
    }

    fn config(&self) -> &Config {
        &self.engine.config
    }

    /// The folder of a pod, as it is made: under another name first.
    fn make(&self, id: &str, name: &str, created: u64) {
        let request = PodRequest { name: name.to_owned(), ..PodRequest::default() };
        let record = PodRecord { id: id.to_owned(), created, request };
        let new = self.config().pods().join(format!(".new-{id}"));
        fs::create_dir(&new).unwrap();
        fs::write(new.join("config.json"), serde_json::to_vec(&record).unwrap()).unwrap();
        fs::rename(new, self.config().pod(id)).unwrap();
    }

    fn ready(&self, id: &str) {
        let runtime = self.config().pod_runtime(id);
        fs::create_dir(&runtime).unwrap();
        fs::write(runtime.join("new"), "null").unwrap();
        fs::rename(runtime.join("new"), runtime.join("network.json")).unwrap();
    }

    fn listed(&self) -> Vec<(String, bool)> {
        let pods = self.mirror.pods(&self.engine).unwrap();
        // What somebody reads who knows nothing yet is the same.
        let anew: Vec<_> = self.engine.pods().unwrap().into_iter().map(|pod| (pod.record.request.name, pod.ready)).collect();
        let listed: Vec<_> = pods.iter().map(|pod| (**pod).clone()).collect();
        assert_eq!(listed, anew);
        listed
    }

    /// Files that are watched or processes.
    fn watched(&self) -> usize {
        let state = self.mirror.state.lock().unwrap();
        state.watch.as_ref().map_or(0, Watch::len)
    }
}

fn id(digit: char) -> String {
    digit.to_string().repeat(64)
}

fn touch(path: &Path) {
    fs::write(path, "").unwrap();
}

#[test]
fn every_change_is_in_the_next_list() {
    let folders = Folders::new();
    let none = folders.watched();
    folders.make(&id('a'), "first", 1);
    assert_eq!(folders.listed(), [("first".to_owned(), false)]);
    folders.ready(&id('a'));
    assert_eq!(folders.listed(), [("first".to_owned(), true)]);
    folders.make(&id('b'), "second", 2);
    folders.ready(&id('b'));
    assert_eq!(folders.listed(), [("second".to_owned(), true), ("first".to_owned(), true)]);
    touch(&folders.config().pod(&id('a')).join("stopped"));
    assert!(!folders.listed()[1].1);
    fs::remove_dir_all(folders.config().pod_runtime(&id('b'))).unwrap();
    assert!(!folders.listed()[0].1);
    for id in [id('a'), id('b')] {
        let _ = fs::remove_dir_all(folders.config().pod_runtime(&id));
        let gone = folders.config().pods().join(format!(".gone-{id}"));
        fs::rename(folders.config().pod(&id), &gone).unwrap();
        assert!(folders.listed().len() < 2);
        fs::remove_dir_all(gone).unwrap();
    }
    assert_eq!(folders.listed(), []);
    assert_eq!(folders.watched(), none, "nothing is watched for what is gone");
}

#[test]
fn a_damaged_record_that_is_mended_is_seen() {
    let folders = Folders::new();
    folders.make(&id('c'), "whole", 1);
    assert_eq!(folders.listed().len(), 1);
    let record = folders.config().pod(&id('c')).join("config.json");
    let whole = fs::read(&record).unwrap();
    fs::write(&record, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(folders.listed(), []);
    fs::write(&record, whole).unwrap();
    assert_eq!(folders.listed().len(), 1);
}

#[test]
fn folders_that_are_made_anew_are_read_anew() {
    let folders = Folders::new();
    folders.make(&id('d'), "lost", 1);
    assert_eq!(folders.listed().len(), 1);
    fs::remove_dir_all(folders.config().pods()).unwrap();
    assert_eq!(folders.listed(), []);
    folders.make(&id('e'), "after", 1);
    assert_eq!(folders.listed(), [("after".to_owned(), false)]);
}

#[test]
fn more_than_the_kernel_keeps_is_read_anew() {
    let folders = Folders::new();
    folders.make(&id('f'), "one", 1);
    assert_eq!(folders.listed().len(), 1);
    // The default of fs.inotify.max_queued_events is 16384.
    let limit: usize = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap().trim().parse().unwrap();
    let other = |number: usize| folders.config().pods().join(format!(".{}", number % 2));
    (0..=limit).for_each(|number| touch(&other(number)));
    for number in 0..=limit {
        let _ = fs::rename(other(number), other(number + 1));
    }
    folders.make(&id('0'), "two", 2);
    assert_eq!(folders.listed().len(), 2);
}
