//! Id-mapped mounts.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use rustix::mount::{MountFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use serde_json::{Value, json};
use sys::process::{Clone, clone3};

use crate::fixture::{Bundle, foreign};
use crate::mounts::{Volume, with_mounts};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("ids_are_mapped", Of::Every, ids_are_mapped),
    ("several_ranges_are_mapped", Of::Every, several_ranges_are_mapped),
    ("mounts_below_are_mapped_if_asked_for", Of::Every, mounts_below_are_mapped_if_asked_for),
    ("ranges_may_be_in_the_option", Of::Ours, ranges_may_be_in_the_option),
    ("a_mapped_source_is_mapped_again", Of::Ours, a_mapped_source_is_mapped_again),
    ("older_kernels_map_in_two_steps", Of::Ours, older_kernels_map_in_two_steps),
    ("the_containers_own_ids_are_mapped", Of::Every, the_containers_own_ids_are_mapped),
    ("ids_of_a_joined_namespace_are_mapped", Of::Every, ids_of_a_joined_namespace_are_mapped),
    ("bad_id_mappings_are_refused", Of::Every, bad_id_mappings_are_refused),
];

/// `open_tree_attr`, of Linux 6.15.
const OPEN_TREE_ATTR: u32 = 467;

/// A volume with files of users 0, 3 and 20, and one in the mount below it; and a bundle that looks at them.
fn volume() -> (Bundle, Volume) {
    let bundle = Bundle::new(&["tree", "/vol"]);
    let volume = Volume::new(&bundle, MountFlags::empty());
    for (name, owner) in [("below/x", 3), ("a", 0), ("b", 3), ("c", 20)] {
        std::fs::write(volume.0.join(name), "").unwrap();
        std::os::unix::fs::chown(volume.0.join(name), Some(owner), Some(owner + 1)).unwrap();
    }
    (bundle, volume)
}

fn ids(ranges: &[(u32, u32, u32)]) -> Value {
    ranges.iter().map(|(inside, outside, size)| json!({"containerID": inside, "hostID": outside, "size": size})).collect()
}

fn mapped(source: &Path, options: &[&str], uids: &[(u32, u32, u32)], gids: &[(u32, u32, u32)]) -> Value {
    json!([{"destination": "/vol", "type": "bind", "source": source, "options": options,
        "uidMappings": ids(uids), "gidMappings": ids(gids)}])
}

/// The owners of files, in their order, as the container sees them. What is not mapped belongs to nobody, 65534.
#[track_caller]
fn owners(out: &str) -> Vec<(&str, &str)> {
    let line = |line| <[&str; 4]>::try_from(str::splitn(line, 4, ' ').collect::<Vec<_>>()).unwrap();
    out.lines().map(line).filter(|line| line[1].starts_with("100")).map(|[path, _, owner, _]| (path, owner)).collect()
}

const RANGE: &[(u32, u32, u32)] = &[(0, 1000, 10)];
const MAPPED: [(&str, &str); 4] =
    [("/vol/a", "1000:1001"), ("/vol/b", "1003:1004"), ("/vol/below/x", "3:4"), ("/vol/c", "65534:65534")];

fn ids_are_mapped() {
    for options in [&["rbind"][..], &["rbind", "idmap"]] {
        let (bundle, volume) = volume();
        let bundle = with_mounts(bundle, mapped(&volume.0, options, RANGE, RANGE));
        assert_eq!(owners(&bundle.ok(&["run", "ID"])), MAPPED, "{options:?}");
    }
    // What the container makes is stored as whose it is.
    let (bundle, volume) = volume();
    let bundle = with_mounts(bundle, mapped(&volume.0, &["bind", "idmap"], &[(7, 0, 1)], &[(8, 0, 1)]));
    std::os::unix::fs::chown(&volume.0, Some(7), Some(8)).unwrap();
    let bundle = bundle.with(|spec| spec["process"]["args"] = json!(["/probe", "write", "/vol/new"]));
    assert_eq!(bundle.ok(&["run", "ID"]), "/vol/new: done\n");
    let new = std::fs::metadata(volume.0.join("new")).unwrap();
    assert_eq!((std::os::unix::fs::MetadataExt::uid(&new), std::os::unix::fs::MetadataExt::gid(&new)), (7, 8));
}

fn several_ranges_are_mapped() {
    let (bundle, volume) = volume();
    let (uids, gids) = ([(0, 500, 1), (3, 600, 1), (20, 7, 5)], [(1, 500, 1), (4, 600, 1), (21, 7, 5)]);
    let out = with_mounts(bundle, mapped(&volume.0, &["bind", "idmap"], &uids, &gids)).ok(&["run", "ID"]);
    assert_eq!(owners(&out), [("/vol/a", "500:500"), ("/vol/b", "600:600"), ("/vol/c", "7:7")]);
}

fn mounts_below_are_mapped_if_asked_for() {
    let (bundle, volume) = volume();
    let out = with_mounts(bundle, mapped(&volume.0, &["rbind", "ridmap"], RANGE, RANGE)).ok(&["run", "ID"]);
    assert_eq!(owners(&out)[2], ("/vol/below/x", "1003:1004"), "{out}");
    let (bundle, volume) = self::volume();
    let out = with_mounts(bundle, mapped(&volume.0, &["bind", "ridmap"], RANGE, RANGE)).ok(&["run", "ID"]);
    assert_eq!(owners(&out).len(), 3, "{out}");
}

/// As with crun.
fn ranges_may_be_in_the_option() {
    let (bundle, volume) = volume();
    let options = ["rbind", "idmap=uids=0-1000-10;gids=0-1000-5#5-1005-5"];
    let mounts = json!([{"destination": "/vol", "type": "bind", "source": volume.0, "options": options}]);
    assert_eq!(owners(&with_mounts(bundle, mounts).ok(&["run", "ID"])), MAPPED);
}

/// Linux 6.15 can (`open_tree_attr`).
fn a_mapped_source_is_mapped_again() {
    let (bundle, volume) = volume();
    let mapped_volume = bundle.path("mapped");
    std::fs::create_dir(&mapped_volume).unwrap();
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    let tree = open_tree(CWD, &volume.0, flags).unwrap();
    sys::mount::idmap(&tree, users("0 1000 10"), false).unwrap();
    move_mount(&tree, "", CWD, &mapped_volume, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).unwrap();
    let bundle = with_mounts(bundle, mapped(&mapped_volume, &["bind", "idmap"], &[(0, 7, 10)], &[(0, 7, 10)]));
    let said = bundle.call(&["run", "ID"]);
    let before = bundle.call_without(&[OPEN_TREE_ATTR], &["run", "ID"]);
    unmount(&mapped_volume, UnmountFlags::DETACH).unwrap();
    assert_eq!(owners(&said.out)[..2], [("/vol/a", "7:8"), ("/vol/b", "10:11")], "{said:?}");
    assert!(before.err.contains("MOUNT_ATTR_IDMAP) = EPERM"), "{before:?}");
}

/// A user namespace with this mapping of users and groups.
fn users(map: &str) -> OwnedFd {
    let (end, held) = rustix::pipe::pipe().unwrap();
    let mut held = Some(held);
    let clone = Clone { namespaces: sys::ns::kind::USER, ..Clone::default() };
    let child = clone3(&clone, || {
        drop(held.take());
        let _ = rustix::io::read(&end, &mut [0; 1]);
        0
    });
    let child = child.unwrap();
    let folder = format!("/proc/{}", child.pid.as_raw_nonzero());
    for file in ["gid_map", "uid_map"] {
        std::fs::write(format!("{folder}/{file}"), map).unwrap();
    }
    let namespace = std::fs::File::open(format!("{folder}/ns/user")).unwrap();
    drop(held);
    sys::process::wait(child.pidfd).unwrap();
    namespace.into()
}

fn older_kernels_map_in_two_steps() {
    for option in ["idmap", "ridmap"] {
        let (bundle, volume) = volume();
        let bundle = with_mounts(bundle, mapped(&volume.0, &["rbind", option], RANGE, RANGE));
        let now = bundle.ok(&["run", "ID"]);
        let before = bundle.call_without(&[OPEN_TREE_ATTR], &["run", "ID"]);
        assert_eq!((before.code, &before.out), (Some(0), &now), "{before:?}");
    }
}

fn implied(source: &Path) -> Value {
    json!([{"destination": "/vol", "type": "bind", "source": source, "options": ["rbind", "idmap"]}])
}

const OWN: [(&str, &str); 4] = [("/vol/a", "0:1"), ("/vol/b", "3:4"), ("/vol/below/x", "65534:65534"), ("/vol/c", "20:21")];

/// Without ranges the files are whose they are stored as, in the container's own words.
fn the_containers_own_ids_are_mapped() {
    let (bundle, volume) = volume();
    let out = with_mounts(bundle.mapped(), implied(&volume.0)).ok(&["run", "ID"]);
    assert_eq!(owners(&out), OWN);
    // Relative to the container, as with crun: stored as 3, shown as the container's 7.
    if !foreign() {
        let (bundle, volume) = self::volume();
        let mounts = json!([{"destination": "/vol", "type": "bind", "source": volume.0, "options": ["idmap=uids=@3-7-1;gids=@4-8-1", "bind"]}]);
        assert_eq!(owners(&with_mounts(bundle.mapped(), mounts).ok(&["run", "ID"]))[1], ("/vol/b", "7:8"));
    }
}

fn ids_of_a_joined_namespace_are_mapped() {
    let first = Bundle::new(&["wait"]).mapped();
    first.ok(&["run", "-d", "ID"]);
    let (bundle, volume) = volume();
    let bundle = with_mounts(bundle.mapped(), implied(&volume.0)).with(|spec| {
        let user = spec["linux"]["namespaces"].as_array_mut().unwrap().iter_mut().find(|one| one["type"] == "user").unwrap();
        user["path"] = json!(format!("/proc/{}/ns/user", first.pid()));
        for ids in ["uidMappings", "gidMappings"] {
            spec["linux"].as_object_mut().unwrap().remove(ids);
        }
    });
    assert_eq!(owners(&bundle.ok(&["run", "ID"])), OWN);
}

fn bad_id_mappings_are_refused() {
    let refuse = |options: &[&str], uids: &[(u32, u32, u32)], gids: &[(u32, u32, u32)], ours: &str| {
        let (bundle, volume) = volume();
        let bundle = with_mounts(bundle, mapped(&volume.0, options, uids, gids));
        bundle.fails(&["run", "ID"], if foreign() { "" } else { ours });
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    };
    refuse(&["bind", "idmap"], &[], &[], "mounts[4].options: idmap needs uidMappings and gidMappings");
    refuse(&["bind", "idmap"], RANGE, &[], "mounts[4].gidMappings");
    refuse(&["bind", "idmap"], &[(0, 1, 10), (5, 20, 1)], RANGE, "overlap");
    // procfs has no id-mapped mounts.
    let mounts = mapped(Path::new("/proc"), &["bind", "idmap"], RANGE, RANGE);
    with_mounts(Bundle::new(&["exit", "0"]), mounts).fails(&["run", "ID"], if foreign() { "" } else { "MOUNT_ATTR_IDMAP" });
}
