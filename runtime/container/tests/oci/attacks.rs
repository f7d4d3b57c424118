//! What hostile images and volumes try while a container is made. Each check fails where its defence is missing.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with, symlinkat};
use serde_json::{Value, json};
use sys::process::{Clone, clone3};

use crate::fixture::{Bundle, foreign};
use crate::mounts::with_mounts;
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("racing_targets_stay_inside", Of::Every, racing_targets_stay_inside),
    ("racing_parents_stay_inside", Of::Every, racing_parents_stay_inside),
    ("proc_and_sys_are_no_links", Of::Every, proc_and_sys_are_no_links),
    ("a_racing_proc_is_procfs_or_nothing", Of::Ours, a_racing_proc_is_procfs_or_nothing),
    ("links_into_procfs_are_no_targets", Of::Every, links_into_procfs_are_no_targets),
    ("a_racing_null_device_masks_or_fails", Of::Every, a_racing_null_device_masks_or_fails),
    ("dev_as_a_link_leaves_the_host_alone", Of::Ours, dev_as_a_link_leaves_the_host_alone),
    ("the_root_is_no_target", Of::Every, the_root_is_no_target),
    ("descriptors_of_the_runtime_are_no_sources", Of::Ours, descriptors_of_the_runtime_are_no_sources),
];

/// A process that exchanges two names as fast as it can, until it is dropped.
struct Racer(OwnedFd);

impl Racer {
    fn new(a: &Path, b: &Path) -> Racer {
        let child = clone3(&Clone::default(), || {
            loop {
                let _ = renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE);
            }
        });
        Racer(child.unwrap().pidfd)
    }
}

impl Drop for Racer {
    fn drop(&mut self) {
        sys::process::signal(&self.0, 9).unwrap();
        sys::process::wait(&self.0).unwrap();
    }
}

/// How often a race is run.
const TRIES: u32 = 60;

fn mkdir(path: PathBuf) -> PathBuf {
    std::fs::create_dir_all(&path).unwrap();
    path
}

fn tmpfs(target: &str) -> Value {
    json!({"destination": target, "type": "tmpfs", "source": "tmpfs"})
}

fn bind(source: &Path, target: &str) -> Value {
    json!({"destination": target, "type": "bind", "source": source, "options": ["rbind"]})
}

#[track_caller]
fn untouched(canary: &Path) {
    let names: Vec<_> = std::fs::read_dir(canary).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.is_empty(), "{names:?} in {}", canary.display());
}

/// A volume in which a folder and a link to a folder of the host change places (CVE-2021-30465, CVE-2024-45310).
fn race(targets: &[&str]) {
    let bundle = Bundle::new(&["read", "/proc/self/mountinfo"]);
    let (canary, volume) = (mkdir(bundle.path("canary")), mkdir(bundle.path("volume")));
    let (folder, link) = (mkdir(volume.join("a")), volume.join("b"));
    symlinkat(&canary, CWD, &link).unwrap();
    let mut mounts = vec![bind(&volume, "/vol")];
    mounts.extend(targets.iter().map(|target| tmpfs(target)));
    let bundle = with_mounts(bundle, mounts.into());
    let racer = Racer::new(&folder, &link);
    let mut done = 0;
    for _ in 0..TRIES {
        let said = bundle.call(&["run", "ID"]);
        untouched(&canary);
        // It may be noticed that something is not what it was. If not, all is mounted inside, beside /dev.
        if said.code == Some(0) {
            // Whole ones: the root and the volume may be folders of one.
            let whole = |line: &&str| line.contains(" - tmpfs tmpfs ") && line.split(' ').nth(3) == Some("/");
            let found = said.out.lines().filter(whole).count();
            assert_eq!(found, targets.len() + 1, "{}", said.out);
            done += 1;
        }
    }
    drop(racer);
    assert!(done > 0, "none has run");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!mounts.contains(bundle.dir.path().to_str().unwrap()), "{mounts}");
}

fn racing_targets_stay_inside() {
    race(&["/vol/a", "/vol/a/x"]);
}

fn racing_parents_stay_inside() {
    race(&["/vol/a/deep/er/still"]);
}

/// CVE-2023-27561, CVE-2025-54867.
fn proc_and_sys_are_no_links() {
    for (name, kind) in [("proc", "proc"), ("sys", "sysfs"), ("deep", "proc")] {
        let mount = json!({"destination": format!("/{name}"), "type": kind, "source": kind});
        let bundle = Bundle::new(&["exit", "0"]).with(|spec| {
            spec["mounts"].as_array_mut().unwrap().retain(|mount| mount["destination"] != "/proc");
            spec["linux"].as_object_mut().unwrap().remove("maskedPaths");
            spec["linux"].as_object_mut().unwrap().remove("readonlyPaths");
        });
        let bundle = with_mounts(bundle, json!([mount]));
        mkdir(bundle.path("rootfs/elsewhere"));
        symlinkat("elsewhere", CWD, bundle.path("rootfs").join(name)).unwrap();
        bundle
            .fails(&["run", "ID"], if foreign() { "must be mounted on ordinary directory" } else { "symbolic link in the image" });
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    }
}

/// A shared root in which `/proc` is a folder now and a link then: masks must be where procfs is.
fn a_racing_proc_is_procfs_or_nothing() {
    let bundle = Bundle::new(&["tree", "/proc/keys"]).with(|spec| spec["linux"]["maskedPaths"] = json!(["/proc/keys"]));
    let (folder, link) = (mkdir(bundle.path("rootfs/proc")), bundle.path("rootfs/link"));
    mkdir(bundle.path("rootfs/elsewhere"));
    symlinkat("elsewhere", CWD, &link).unwrap();
    let racer = Racer::new(&folder, &link);
    for _ in 0..TRIES {
        let said = bundle.call(&["run", "ID"]);
        // Through /proc as it is now it may be seen or not, but if so it is covered: by a device.
        assert!(said.code != Some(0) || said.out.starts_with("/proc/keys 20666 "), "{said:?}");
    }
    drop(racer);
}

/// CVE-2019-16884, CVE-2019-19921: what is written to procfs must arrive there.
fn links_into_procfs_are_no_targets() {
    for (link, target) in
        [("/proc/self", "/link/attr/exec"), ("../proc/sys/kernel", "/link/core_pattern"), ("/proc", "/link/uptime")]
    {
        let bundle = Bundle::new(&["exit", "0"]);
        std::fs::write(bundle.path("file"), "").unwrap();
        symlinkat(link, CWD, bundle.path("rootfs/link")).unwrap();
        let mounts = json!([bind(&bundle.path("file"), target)]);
        // runc allows the files of its list by any name.
        let allowed = foreign() && target == "/link/uptime";
        let said = with_mounts(bundle, mounts).call(&["run", "ID"]);
        assert_eq!(said.code == Some(0), allowed, "{target}: {said:?}");
        assert!(foreign() || said.err.contains("inside procfs"), "{said:?}");
    }
}

/// A `/dev` of somebody else's, in which `null` is the device now and a link into procfs then (CVE-2025-31133): bound over a masked path
/// it would let the container write there.
fn a_racing_null_device_masks_or_fails() {
    let bundle = Bundle::new(&["tree", "/proc/keys"]).with(|spec| {
        spec["mounts"].as_array_mut().unwrap().retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
        spec["linux"]["maskedPaths"] = json!(["/proc/keys"]);
        spec["linux"]["readonlyPaths"] = json!([]);
    });
    let dev = mkdir(bundle.path("dev"));
    let (null, link) = (dev.join("null"), dev.join("link"));
    mknodat(CWD, &null, FileType::CharacterDevice, Mode::from_raw_mode(0o666), makedev(1, 3)).unwrap();
    symlinkat("/proc/sys/kernel/core_pattern", CWD, &link).unwrap();
    let mounts = json!([bind(&dev, "/dev")]);
    let bundle = with_mounts(bundle, mounts);
    let racer = Racer::new(&null, &link);
    let mut masked = 0;
    for _ in 0..TRIES {
        let said = bundle.call(&["run", "ID"]);
        if said.code == Some(0) {
            assert!(said.out.starts_with("/proc/keys 20"), "{said:?}");
            masked += 1;
        }
    }
    drop(racer);
    assert!(masked > 0, "none has run");
    // With certainty, and with a file that no link leads to.
    std::fs::remove_file(&null).unwrap();
    std::fs::remove_file(&link).unwrap();
    for make in
        [|null: &Path| symlinkat("/proc/sysrq-trigger", CWD, null).unwrap(), |null: &Path| std::fs::write(null, "").unwrap()]
    {
        make(&null);
        bundle.fails(&["run", "ID"], if foreign() { "" } else { "find a cover" });
        std::fs::remove_file(&null).unwrap();
    }
}

/// Without a mount on it devices are made in the image's own: CVE-2026-41579.
fn dev_as_a_link_leaves_the_host_alone() {
    let bundle = Bundle::new(&["exit", "0"]).with(|spec| {
        spec["mounts"].as_array_mut().unwrap().retain(|mount| !mount["destination"].as_str().unwrap().starts_with("/dev"));
    });
    let canary = mkdir(bundle.path("canary"));
    symlinkat(&canary, CWD, bundle.path("rootfs/dev")).unwrap();
    // It may be refused, as the null device is behind a link.
    bundle.call(&["run", "ID"]);
    untouched(&canary);
    // There, inside, they are.
    assert!(bundle.path("rootfs").join(canary.strip_prefix("/").unwrap()).join("null").exists());
}

fn the_root_is_no_target() {
    for link in ["/", "..", "sub/.."] {
        let bundle = with_mounts(Bundle::new(&["exit", "0"]), json!([tmpfs("/link")]));
        mkdir(bundle.path("rootfs/sub"));
        symlinkat(link, CWD, bundle.path("rootfs/link")).unwrap();
        bundle.fails(&["run", "ID"], if foreign() { "on the top of rootfs" } else { "it is the root itself" });
    }
}

/// Folders of the host that are open in the runtime (CVE-2024-21626).
fn descriptors_of_the_runtime_are_no_sources() {
    for own in ["self", "thread-self"] {
        for file in (0..12).map(|number| format!("fd/{number}")).chain(["cwd".to_owned(), "root".to_owned()]) {
            let bundle = with_mounts(Bundle::new(&["exit", "0"]), json!([bind(&Path::new("/proc").join(own).join(&file), "/x")]));
            bundle.fails(&["run", "ID"], "of the runtime itself");
        }
    }
}
