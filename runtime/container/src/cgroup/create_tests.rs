//! On folders that only look like a cgroup file system.

use std::fs;

use serde_json::json;
use tempfile::TempDir;

use super::*;

/// The hierarchies of a host that mounts these below a folder: names with controllers are v1, `unified` is v2.
fn host(names: &[&str]) -> (TempDir, Hierarchies) {
    let dir = tempfile::tempdir().unwrap();
    let line = |name: &&str| {
        let path = dir.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::write(path.join("cgroup.controllers"), "").unwrap();
        match *name {
            "unified" => format!("1 1 0:1 / {} rw - cgroup2 none rw\n", path.display()),
            name => format!("1 1 0:1 / {} rw - cgroup none rw,{name}\n", path.display()),
        }
    };
    let mountinfo: String = names.iter().map(line).collect();
    let hierarchies = Hierarchies::parse(&mountinfo).unwrap();
    (dir, hierarchies)
}

fn files(dir: &TempDir, folder: &str, files: &[(&str, &str)]) {
    let folder = dir.path().join(folder);
    fs::create_dir_all(&folder).unwrap();
    files.iter().for_each(|(name, text)| fs::write(folder.join(name), text).unwrap());
}

fn none() -> LinuxResources {
    serde_json::from_value(json!({})).unwrap()
}

#[test]
fn one_with_processes_is_refused_and_left_alone() {
    for names in [&["memory"][..], &["unified"], &["memory", "unified"]] {
        let (dir, host) = host(names);
        let last = names.last().unwrap();
        files(&dir, &format!("{last}/x"), &[("cgroup.procs", "4711\n4712\n"), ("cgroup.controllers", "")]);
        let error = create_or_use(&host, "/x", &none()).unwrap_err();
        assert!(error.to_string().starts_with("container's cgroup is not empty: 2 process(es) found"), "{error}");
        assert!(dir.path().join(last).join("x/cgroup.procs").exists());
        assert!(names[..names.len() - 1].iter().all(|name| !dir.path().join(name).join("x").exists()));
        assert!(matches!(create(&host, "/x", &none()).unwrap_err(), Error::Exists(_)));
    }
}

#[test]
fn a_frozen_one_is_refused() {
    let (dir, v2) = host(&["unified"]);
    let events = [("cgroup.procs", ""), ("cgroup.controllers", ""), ("cgroup.events", "populated 0\nfrozen 1\n")];
    files(&dir, "unified/x", &events);
    let error = create_or_use(&v2, "/x", &none()).unwrap_err();
    assert!(error.to_string().starts_with("container's cgroup unexpectedly frozen: "), "{error}");
    let (dir, v1) = host(&["freezer"]);
    files(&dir, "freezer/x", &[("cgroup.procs", ""), ("freezer.state", "FROZEN\n")]);
    assert!(matches!(create_or_use(&v1, "/x", &none()).unwrap_err(), Error::Frozen(_)));
    fs::write(dir.path().join("freezer/x/freezer.state"), "THAWED\n").unwrap();
    create_or_use(&v1, "/x", &none()).unwrap().keep();
}

#[test]
fn all_controllers_are_handed_down_in_one_write() {
    let (dir, v2) = host(&["unified"]);
    fs::write(dir.path().join("unified/cgroup.controllers"), "cpu memory pids\n").unwrap();
    for folder in ["unified", "unified/a"] {
        files(&dir, folder, &[("cgroup.subtree_control", "")]);
    }
    files(&dir, "unified/a/x", &[("cgroup.procs", ""), ("cgroup.controllers", "memory\n")]);
    create_or_use(&v2, "/a/x", &none()).unwrap().keep();
    for folder in ["unified", "unified/a"] {
        let written = fs::read_to_string(dir.path().join(folder).join("cgroup.subtree_control")).unwrap();
        assert_eq!(written, "+cpu +pids", "{folder}");
    }
}

#[test]
fn a_limit_below_what_is_in_use_is_refused_where_that_is_asked_for() {
    let (dir, v2) = host(&["unified"]);
    let usage = [("memory.current", "900000\n"), ("memory.swap.current", "50000\n"), ("memory.max", ""), ("memory.swap.max", "")];
    files(&dir, "unified/x", &usage);
    let set = |memory| update(&v2, "/x", &serde_json::from_value(json!({"memory": memory})).unwrap());
    let error = set(json!({"limit": 800000, "checkBeforeUpdate": true})).unwrap_err().to_string();
    assert_eq!(error, "linux.resources.memory.limit 800000: below the 900000 bytes that are in use");
    let error = set(json!({"limit": 910000, "swap": 920000, "checkBeforeUpdate": true})).unwrap_err().to_string();
    assert_eq!(error, "linux.resources.memory.swap 920000: below the 950000 bytes that are in use");
    assert_eq!(fs::read_to_string(dir.path().join("unified/x/memory.max")).unwrap(), "");
    set(json!({"limit": 800000})).unwrap();
    assert_eq!(fs::read_to_string(dir.path().join("unified/x/memory.max")).unwrap(), "800000");
}
