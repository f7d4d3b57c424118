//! Cgroups on the running kernel: as it mounts them, with its v1 hierarchies alone, and with v2 alone. Needs root.

#![allow(clippy::print_stderr, reason = "a test says what it leaves out")]

use std::collections::HashMap;
use std::fs;
use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use container::cgroup::{self, Cgroup, Error, Hierarchies, Kind};
use oci_spec::runtime::LinuxResources;
use rustix::mount::{MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount};
use serde_json::{Value, json};

/// Runs a scenario with each view of the cgroups that this host can give.
fn everywhere(name: &str, scenario: fn(&Hierarchies, &str)) {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root");
        return;
    }
    let path = format!("/rctr-test-{}-{name}/one", std::process::id());
    let host = Hierarchies::detect().unwrap();
    let _cleaner = Cleaner(&host, &path);
    eprintln!("{:?}", host.kind());
    scenario(&host, &path);
    if host.kind() == Kind::Hybrid {
        let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let v1: String = mountinfo.lines().filter(|line| !line.contains(" - cgroup2 ")).map(|line| format!("{line}\n")).collect();
        eprintln!("v1 alone");
        scenario(&Hierarchies::parse(&v1).unwrap(), &path);
        eprintln!("v2 alone");
        // In a thread with a mount namespace of its own: nothing changes for anybody else.
        let path = path.clone();
        std::thread::spawn(move || scenario(&v2_alone(), &path)).join().unwrap();
    }
    for folder in cgroup::paths(&host, &path) {
        let parent = folder.parent().unwrap();
        assert!(!folder.exists(), "{folder:?} is left");
        let _ = fs::remove_dir(parent);
        assert!(!parent.exists(), "{parent:?} is left");
    }
}

/// Leaves nothing behind when a test fails, either.
struct Cleaner<'a>(&'a Hierarchies, &'a str);

impl Drop for Cleaner<'_> {
    fn drop(&mut self) {
        let parent = self.1.strip_suffix("/one").unwrap();
        let _ = cgroup::kill(self.0, parent);
        for folder in cgroup::paths(self.0, parent) {
            let _ = cgroup::remove(&folder);
        }
    }
}

fn v2_alone() -> Hierarchies {
    sys::ns::unshare(0x2_0000).unwrap();
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC).unwrap();
    unmount("/sys/fs/cgroup", UnmountFlags::DETACH).unwrap();
    mount("none", "/sys/fs/cgroup", "cgroup2", MountFlags::empty(), None::<&std::ffi::CStr>).unwrap();
    let hierarchies = Hierarchies::detect().unwrap();
    assert_eq!(hierarchies.kind(), Kind::V2);
    hierarchies
}

fn resources(resources: Value) -> LinuxResources {
    serde_json::from_value(resources).unwrap()
}

fn create(hierarchies: &Hierarchies, path: &str, limits: Value) -> Result<Cgroup, Error> {
    cgroup::create(hierarchies, path, &resources(limits))
}

fn join(cgroup: &Cgroup, process: &Child) {
    for folder in cgroup.folders() {
        fs::write(folder.path.join("cgroup.procs"), process.id().to_string()).unwrap();
    }
}

fn sleeper() -> Child {
    Command::new("sleep").arg("60").spawn().unwrap()
}

/// All files of a cgroup, whichever folder they are in.
fn files(cgroup: &Cgroup) -> HashMap<String, String> {
    let mut all = HashMap::new();
    for folder in cgroup.folders() {
        for entry in fs::read_dir(&folder.path).unwrap() {
            let entry = entry.unwrap();
            if let Ok(text) = fs::read_to_string(entry.path()) {
                all.insert(entry.file_name().into_string().unwrap(), text.trim().to_owned());
            }
        }
    }
    all
}

fn gone(hierarchies: &Hierarchies, path: &str) {
    for folder in cgroup::paths(hierarchies, path) {
        assert!(!folder.exists(), "{folder:?} is left");
        assert!(!folder.parent().unwrap().exists(), "{:?} is left", folder.parent());
    }
}

#[test]
fn limits_are_in_force() {
    everywhere("limits", |hierarchies, path| {
        let memory = json!({"limit": 33554432, "reservation": 16777216});
        let mut limits = json!({"memory": memory, "cpu": {"shares": 512, "quota": 20000, "period": 50000}, "pids": {"limit": 7}});
        let mut expected = match hierarchies.kind() {
            Kind::V2 => vec![
                ("memory.max", "33554432"),
                ("memory.low", "16777216"),
                ("cpu.weight", "59"),
                ("cpu.max", "20000 50000"),
                ("pids.max", "7"),
            ],
            _ => vec![
                ("memory.limit_in_bytes", "33554432"),
                ("memory.soft_limit_in_bytes", "16777216"),
                ("cpu.shares", "512"),
                ("cpu.cfs_quota_us", "20000"),
                ("cpu.cfs_period_us", "50000"),
                ("cpuset.mems", "0"),
                ("pids.max", "7"),
            ],
        };
        let v2 = fs::read_to_string("/sys/fs/cgroup/cgroup.controllers").unwrap_or_default();
        // The controllers of a hybrid host are not to be had through v2.
        if hierarchies.kind() == Kind::V2 && !v2.contains("memory") {
            let error = create(hierarchies, path, limits).unwrap_err().to_string();
            assert!(error.starts_with("linux.resources.memory.limit 33554432: this host has no memory controller; see"), "{error}");
            return gone(hierarchies, path);
        }
        if hierarchies.kind() != Kind::V2 || v2.contains("cpuset") {
            limits["cpu"]["cpus"] = json!("0");
            expected.push(("cpuset.cpus", "0"));
        }
        let cgroup = create(hierarchies, path, limits).unwrap();
        let files = files(&cgroup);
        for (file, value) in expected {
            assert_eq!(files[file], value, "{file}");
        }
        drop(cgroup);
        gone(hierarchies, path);
    });
}

/// Folders above are made and removed by several at once.
#[test]
fn many_at_once_do_not_hinder_each_other() {
    everywhere("many", |hierarchies, path| {
        let parent = path.strip_suffix("/one").unwrap();
        let make = |number: usize| {
            let one = create(hierarchies, &format!("{parent}/{number}/deep"), json!({})).unwrap();
            let cpuset = one.folders().iter().find(|folder| folder.controllers.contains(&"cpuset".to_owned()));
            if let Some(folder) = cpuset {
                assert!(!fs::read_to_string(folder.path.join("cpuset.cpus")).unwrap().trim().is_empty());
            }
        };
        std::thread::scope(|scope| {
            for thread in 0..6 {
                scope.spawn(move || (0..10).for_each(|round| make(thread * 10 + round)));
            }
        });
        // Whoever made the folder that all share may have gone first, and left it to the others.
        for folder in cgroup::paths(hierarchies, parent) {
            assert!(
                fs::read_dir(&folder).map_or(0, |all| all.filter(|entry| entry.as_ref().unwrap().path().is_dir()).count()) == 0
            );
            let _ = fs::remove_dir(&folder);
        }
        gone(hierarchies, path);
    });
}

#[test]
fn a_process_can_join_without_any_limit() {
    everywhere("join", |hierarchies, path| {
        let cgroup = create(hierarchies, path, json!({})).unwrap();
        let mut process = sleeper();
        join(&cgroup, &process);
        let folders = fs::read_to_string(format!("/proc/{}/cgroup", process.id())).unwrap();
        let inside = folders.lines().filter(|line| line.ends_with(path)).count();
        assert_eq!(inside, cgroup.folders().len(), "{folders}");
        cgroup::kill(hierarchies, path).unwrap();
        process.wait().unwrap();
    });
}

#[test]
fn devices_are_refused() {
    everywhere("devices", |hierarchies, path| {
        let rules = json!({"devices": [{"allow": false, "access": "rwm"}, {"allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"}]});
        let cgroup = create(hierarchies, path, rules).unwrap();
        let script = "read go; : </dev/null && echo null; : </dev/zero && echo zero";
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = shell.spawn().unwrap();
        join(&cgroup, &shell);
        shell.stdin.take().unwrap().write_all(b"go\n").unwrap();
        let mut output = String::new();
        shell.stdout.take().unwrap().read_to_string(&mut output).unwrap();
        shell.wait().unwrap();
        assert_eq!(output, "null\n");
    });
}

/// hugetlb is the one controller that v2 has on most hybrid hosts, too.
#[test]
fn controllers_are_handed_down() {
    everywhere("hand-down", |hierarchies, path| {
        let limits = json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]});
        let Some(folder) = cgroup::paths(hierarchies, path).pop().filter(|_| hierarchies.kind() != Kind::V1) else {
            let error = create(hierarchies, path, limits).unwrap_err().to_string();
            assert!(
                error.starts_with("linux.resources.hugepageLimits 2MB 4194304: this host has no hugetlb controller"),
                "{error}"
            );
            return;
        };
        let parent = folder.parent().unwrap();
        let root = parent.parent().unwrap();
        if !fs::read_to_string(root.join("cgroup.controllers")).unwrap().contains("hugetlb") {
            eprintln!("skipped: needs the hugetlb controller");
            return;
        }
        let cgroup = create(hierarchies, path, limits.clone()).unwrap();
        assert_eq!(files(&cgroup)["hugetlb.2MB.max"], "4194304");
        assert_eq!(files(&cgroup)["hugetlb.2MB.rsvd.max"], "4194304");
        drop(cgroup);
        gone(hierarchies, path);
        // A parent with processes of its own cannot hand anything down.
        fs::create_dir(parent).unwrap();
        let mut process = sleeper();
        fs::write(parent.join("cgroup.procs"), process.id().to_string()).unwrap();
        let error = create(hierarchies, path, limits).unwrap_err();
        assert!(matches!(error, Error::Enable { busy: true, .. }), "{error}");
        assert!(error.to_string().ends_with("(processes live in that cgroup itself; move them to one below it)"), "{error}");
        process.kill().unwrap();
        process.wait().unwrap();
        cgroup::remove(parent).unwrap();
        gone(hierarchies, path);
    });
}

#[test]
fn nothing_is_left_of_a_failure() {
    everywhere("undo", |hierarchies, path| {
        let (limits, field) = match hierarchies.kind() {
            Kind::V2 => (json!({"unified": {"cgroup.max.depth": "many"}}), "linux.resources.unified"),
            _ => (json!({"memory": {"limit": 33554432}, "cpu": {"quota": 5, "period": 100000}}), "linux.resources.cpu.quota"),
        };
        match create(hierarchies, path, limits).unwrap_err() {
            Error::Write { field: named, file, source, .. } => {
                assert_eq!((named, source.errno()), (field, rustix::io::Errno::INVAL));
                assert!(file.to_string_lossy().contains(path), "{file:?}");
            }
            error => panic!("{error}"),
        }
        gone(hierarchies, path);
        // One folder that exists, in the last hierarchy: the folders made before it go.
        let last: PathBuf = cgroup::paths(hierarchies, path).pop().unwrap();
        fs::create_dir_all(&last).unwrap();
        let error = create(hierarchies, path, json!({})).unwrap_err();
        assert!(matches!(&error, Error::Exists(folder) if *folder == last), "{error}");
        fs::remove_dir(&last).unwrap();
        fs::remove_dir(last.parent().unwrap()).unwrap();
        gone(hierarchies, path);
    });
}

#[test]
fn what_is_kept_stays_until_removed() {
    everywhere("keep", |hierarchies, path| {
        let cgroup = create(hierarchies, path, json!({})).unwrap();
        let (memory, unified) = (cgroup.memory(), cgroup.unified());
        let folders = cgroup.keep();
        assert_eq!(folders.iter().map(|folder| folder.path.clone()).collect::<Vec<_>>(), cgroup::paths(hierarchies, path));
        let memory = &folders[memory.unwrap()];
        assert!(memory.v2 || memory.controllers.contains(&"memory".to_owned()));
        assert_eq!(unified.is_some(), hierarchies.kind() != Kind::V1);
        for folder in &folders {
            fs::create_dir_all(folder.path.join("a/b")).unwrap();
            cgroup::remove(&folder.path).unwrap();
            cgroup::remove(&folder.path).unwrap();
            fs::remove_dir(folder.path.parent().unwrap()).unwrap();
        }
        gone(hierarchies, path);
    });
}

#[test]
fn killing_reaches_everybody() {
    everywhere("kill", |hierarchies, path| {
        let cgroup = create(hierarchies, path, json!({})).unwrap();
        let mut processes: Vec<Child> = (0..5).map(|_| sleeper()).collect();
        processes.iter().for_each(|process| join(&cgroup, process));
        // One that moved deeper, in every hierarchy; one that was moved out of all but the last.
        for folder in cgroup.folders() {
            let deeper = folder.path.join("deeper");
            fs::create_dir(&deeper).unwrap();
            if folder.controllers != ["cpuset"] {
                fs::write(deeper.join("cgroup.procs"), processes[0].id().to_string()).unwrap();
            }
        }
        let (_, others) = cgroup.folders().split_last().unwrap();
        for folder in others {
            fs::write(folder.path.join("../../cgroup.procs"), processes[1].id().to_string()).unwrap();
        }
        // One that makes new ones as fast as it can.
        let mut bomb = Command::new("sh").args(["-c", "while :; do sleep 5 & sleep 0.001; done"]).spawn().unwrap();
        join(&cgroup, &bomb);
        std::thread::sleep(Duration::from_millis(50));
        cgroup::kill(hierarchies, path).unwrap();
        for process in processes.iter_mut().chain([&mut bomb]) {
            use std::os::unix::process::ExitStatusExt;
            assert_eq!(process.wait().unwrap().signal(), Some(9));
        }
        drop(cgroup);
        gone(hierarchies, path);
        cgroup::kill(hierarchies, path).unwrap();
    });
}

#[test]
fn freezing_stops_and_thawing_goes_on() {
    everywhere("freeze", |hierarchies, path| {
        let cgroup = create(hierarchies, path, json!({})).unwrap();
        let mut clock =
            Command::new("sh").args(["-c", "while :; do echo; sleep 0.002; done"]).stdout(Stdio::piped()).spawn().unwrap();
        join(&cgroup, &clock);
        cgroup::freeze(hierarchies, path).unwrap();
        let mut output = clock.stdout.take().unwrap();
        rustix::io::ioctl_fionbio(&output, true).unwrap();
        let mut drain = || {
            let mut bytes = Vec::new();
            let _ = output.read_to_end(&mut bytes);
            bytes.len()
        };
        drain();
        std::thread::sleep(Duration::from_millis(30));
        assert_eq!(drain(), 0, "it runs while frozen");
        cgroup::thaw(hierarchies, path).unwrap();
        let begun = Instant::now();
        while drain() == 0 {
            assert!(begun.elapsed() < Duration::from_secs(60), "it does not go on");
            std::thread::yield_now();
        }
        // A frozen one can be killed.
        cgroup::freeze(hierarchies, path).unwrap();
        cgroup::kill(hierarchies, path).unwrap();
        clock.wait().unwrap();
    });
}

#[test]
fn removal_waits_for_the_dying() {
    everywhere("dying", |hierarchies, path| {
        let cgroup = create(hierarchies, path, json!({})).unwrap();
        let mut processes: Vec<Child> = (0..20).map(|_| sleeper()).collect();
        processes.iter().for_each(|process| join(&cgroup, process));
        let folders = cgroup.keep();
        processes.iter_mut().for_each(|process| process.kill().unwrap());
        for folder in &folders {
            cgroup::remove(&folder.path).unwrap();
            fs::remove_dir(folder.path.parent().unwrap()).unwrap();
        }
        for process in &mut processes {
            process.wait().unwrap();
        }
    });
}
