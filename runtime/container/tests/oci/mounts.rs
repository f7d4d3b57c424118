//! What mounts are like, from the configuration to what the container sees. runc does all of [`Of::Every`] from 1.2 on.

use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, mount};
use serde_json::{Value, json};

use crate::fixture::{Bundle, foreign};
use crate::{Check, Of};

pub const CHECKS: &[Check] = &[
    ("new_mounts_have_their_options", Of::Every, new_mounts_have_their_options),
    ("a_bind_has_the_options_it_is_given", Of::Every, a_bind_has_the_options_it_is_given),
    ("what_the_host_has_locked_stays", Of::Every, what_the_host_has_locked_stays),
    ("what_cannot_be_locked_is_refused", Of::Ours, what_cannot_be_locked_is_refused),
    ("access_times_of_binds", Of::Every, access_times_of_binds),
    ("recursive_options_reach_below", Of::Every, recursive_options_reach_below),
    ("a_mount_is_changed", Of::Every, a_mount_is_changed),
    ("propagation_of_binds", Of::Every, propagation_of_binds),
    ("propagation_of_the_root", Of::Every, propagation_of_the_root),
];

/// A bundle with more mounts, whose process looks at `targets`.
pub fn looking(targets: &[&str], mounts: Value) -> Bundle {
    let words: Vec<&str> = ["mounts"].iter().chain(targets).copied().collect();
    with_mounts(Bundle::new(&words), mounts)
}

pub fn with_mounts(bundle: Bundle, mounts: Value) -> Bundle {
    bundle.with(|spec| {
        let all = spec["mounts"].as_array_mut().unwrap();
        all.extend(mounts.as_array().unwrap().iter().cloned());
    })
}

pub fn bind(source: &Path, target: &str, options: &[&str]) -> Value {
    json!({"destination": target, "type": "bind", "source": source, "options": options})
}

/// What is mounted on `target`, as the probe says.
#[track_caller]
pub fn line<'a>(out: &'a str, target: &str) -> &'a str {
    let start = format!("{target}: ");
    out.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{target} is not in {out}"))
}

pub fn flags(line: &str) -> Vec<&str> {
    line.split(' ').next().unwrap().split(',').collect()
}

/// A tmpfs on the host, with a second one in its folder `below`. Both go with their bundle.
pub struct Volume(pub PathBuf);

impl Volume {
    pub fn new(bundle: &Bundle, flags: MountFlags) -> Volume {
        let path = bundle.path("volume");
        std::fs::create_dir(&path).unwrap();
        mount("tmpfs", &path, "tmpfs", MountFlags::empty(), None).unwrap();
        std::fs::create_dir(path.join("below")).unwrap();
        mount("tmpfs", path.join("below"), "tmpfs", flags, None).unwrap();
        remount(&path, flags);
        Volume(path)
    }
}

/// Changes one mount, and its file system not.
fn remount(path: &Path, flags: MountFlags) {
    rustix::mount::mount_remount(path, flags | MountFlags::BIND, "").unwrap();
}

fn new_mounts_have_their_options() {
    for (options, has, lacks) in [
        (json!([]), vec!["rw", "relatime"], vec!["nosuid"]),
        (json!(["nosuid", "noexec", "nodev", "noatime"]), vec!["rw", "nosuid", "noexec", "nodev", "noatime"], vec!["relatime"]),
        (json!(["ro", "rw", "nosuid", "suid", "nodev", "dev"]), vec!["rw"], vec!["ro", "nosuid", "nodev"]),
        (json!(["nodiratime", "nosymfollow"]), vec!["nodiratime", "nosymfollow", "relatime"], vec![]),
        (json!(["noatime", "strictatime"]), vec!["rw"], vec!["noatime", "relatime"]),
        (json!(["noatime", "atime", "async", "silent", "loud"]), vec!["relatime"], vec!["noatime"]),
        (json!(["ro", "iversion"]), vec!["ro"], vec![]),
    ] {
        let mounts = json!([{"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": options}]);
        let out = looking(&["/new"], mounts).ok(&["run", "ID"]);
        let flags = flags(line(&out, "/new"));
        assert!(has.iter().all(|flag| flags.contains(flag)) && !lacks.iter().any(|flag| flags.contains(flag)), "{options}: {out}");
    }
    let mounts = json!([{"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["sync", "dirsync", "lazytime", "size=64k"]}]);
    let out = looking(&["/new"], mounts).ok(&["run", "ID"]);
    for setting in ["sync", "dirsync", "lazytime", "size=64k"] {
        assert!(line(&out, "/new").split([' ', ',']).any(|word| word == setting), "{setting}: {out}");
    }
}

/// As mount(8) and runc: none leaves all as it is, any means these and no others.
fn a_bind_has_the_options_it_is_given() {
    let all = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let names = ["ro", "nosuid", "nodev", "noexec"];
    for (options, has) in [
        (vec![], names.to_vec()),
        (vec!["rprivate"], names.to_vec()),
        (vec!["ro"], vec!["ro"]),
        (vec!["dev"], vec![]),
        (vec!["rw", "nosuid"], vec!["nosuid"]),
        (vec!["ro", "noexec", "exec"], vec!["ro"]),
    ] {
        let bundle = looking(&["/vol"], json!([]));
        let volume = Volume::new(&bundle, all);
        let options: Vec<&str> = ["rbind"].into_iter().chain(options).collect();
        let out = with_mounts(bundle, json!([bind(&volume.0, "/vol", &options)])).ok(&["run", "ID"]);
        let found: Vec<&str> = flags(line(&out, "/vol")).into_iter().filter(|flag| names.contains(flag)).collect();
        assert_eq!(found, has, "{options:?}: {out}");
    }
}

/// In a user namespace: what nobody asked to lose stays, and what is asked for in vain is an error.
fn what_the_host_has_locked_stays() {
    let all = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NOEXEC | MountFlags::NOATIME;
    for (options, has) in [
        (vec![], Some("ro,nosuid,noexec,noatime")),
        (vec!["dev"], Some("ro,nosuid,noexec,noatime")),
        (vec!["ro", "nodev", "symfollow"], Some("ro,nosuid,nodev,noexec,noatime")),
        (vec!["noatime"], Some("ro,nosuid,noexec,noatime")),
        (vec!["rw"], None),
        (vec!["exec"], None),
        (vec!["relatime"], None),
        (vec!["rrw"], None),
    ] {
        let bundle = looking(&["/vol"], json!([])).mapped();
        let volume = Volume::new(&bundle, all);
        let options: Vec<&str> = ["rbind"].into_iter().chain(options).collect();
        let said = with_mounts(bundle, json!([bind(&volume.0, "/vol", &options)])).call(&["run", "ID"]);
        match has {
            Some(has) => assert_eq!(line(&said.out, "/vol").split(' ').next(), Some(has), "{options:?}: {said:?}"),
            None => assert!(
                said.code != Some(0) && said.err.to_lowercase().contains("operation not permitted"),
                "{options:?}: {said:?}"
            ),
        }
    }
}

/// Without the mounts below it, a tree cannot be copied where it would be locked: what is read-only would be so for the container's good will.
fn what_cannot_be_locked_is_refused() {
    for (flags, refused) in [(MountFlags::RDONLY, true), (MountFlags::NOSUID, false)] {
        let bundle = looking(&["/vol"], json!([])).mapped();
        let volume = Volume::new(&bundle, flags);
        let said = with_mounts(bundle, json!([bind(&volume.0, "/vol", &["bind"])])).call(&["run", "ID"]);
        assert_eq!(said.code != Some(0), refused, "{said:?}");
        assert_eq!(said.err.contains("the host has it mounted read-only"), refused, "{said:?}");
    }
}

fn access_times_of_binds() {
    for (source, options, wanted) in [
        (MountFlags::NOATIME, vec!["ro"], "noatime"),
        (MountFlags::NOATIME, vec!["norelatime"], "noatime"),
        (MountFlags::NOATIME, vec!["relatime"], "relatime"),
        (MountFlags::NOATIME, vec!["nodiratime"], "nodiratime,relatime"),
        (MountFlags::NODIRATIME, vec!["strictatime"], ""),
        (MountFlags::STRICTATIME, vec!["noatime", "nosuid"], "noatime"),
        (MountFlags::RELATIME, vec!["nodiratime", "strictatime"], "nodiratime"),
    ] {
        let bundle = looking(&["/vol"], json!([]));
        let volume = Volume::new(&bundle, source);
        let options: Vec<&str> = ["bind"].into_iter().chain(options).collect();
        let out = with_mounts(bundle, json!([bind(&volume.0, "/vol", &options)])).ok(&["run", "ID"]);
        let found: Vec<&str> = flags(line(&out, "/vol")).into_iter().filter(|flag| flag.ends_with("atime")).collect();
        assert_eq!(found.join(","), wanted, "{source:?} {options:?}: {out}");
    }
}

/// All of runtime-spec's, over a source that has or has not what they say.
fn recursive_options_reach_below() {
    let all = MountFlags::RDONLY | MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NODIRATIME;
    let cases = [
        ("rro", "ro", MountFlags::empty(), true),
        ("rnosuid", "nosuid", MountFlags::empty(), true),
        ("rnodev", "nodev", MountFlags::empty(), true),
        ("rnoexec", "noexec", MountFlags::empty(), true),
        ("rnodiratime", "nodiratime", MountFlags::empty(), true),
        ("rnosymfollow", "nosymfollow", MountFlags::empty(), true),
        ("rnoatime", "noatime", MountFlags::empty(), true),
        ("rstrictatime", "relatime", MountFlags::empty(), false),
        ("rrw", "ro", all, false),
        ("rsuid", "nosuid", all, false),
        ("rdev", "nodev", all, false),
        ("rexec", "noexec", all, false),
        ("rdiratime", "nodiratime", all, false),
        ("rrelatime", "noatime", MountFlags::NOATIME, false),
        ("ratime", "noatime", MountFlags::NOATIME, false),
    ];
    for (option, flag, source, wanted) in cases {
        let bundle = looking(&["/vol", "/vol/below"], json!([]));
        let volume = Volume::new(&bundle, source);
        let out = with_mounts(bundle, json!([bind(&volume.0, "/vol", &["rbind", option])])).ok(&["run", "ID"]);
        for target in ["/vol", "/vol/below"] {
            assert_eq!(flags(line(&out, target)).contains(&flag), wanted, "{option} on {target}: {out}");
        }
    }
    // Only the top, and only what is below it.
    let bundle = looking(&["/vol", "/vol/below"], json!([]));
    let volume = Volume::new(&bundle, MountFlags::empty());
    let out = with_mounts(bundle, json!([bind(&volume.0, "/vol", &["rbind", "ro", "rnosuid"])])).ok(&["run", "ID"]);
    let (top, below) = (flags(line(&out, "/vol")), flags(line(&out, "/vol/below")));
    assert!(top.contains(&"ro") && top.contains(&"nosuid") && !below.contains(&"ro") && below.contains(&"nosuid"), "{out}");
}

fn a_mount_is_changed() {
    let mounts = json!([
        {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "size=64k"]},
        {"destination": "/new", "type": "bind", "source": "/", "options": ["bind", "remount", "ro", "nodev"]},
    ]);
    let out = looking(&["/new"], mounts).ok(&["run", "ID"]);
    let found = line(&out, "/new");
    assert!(flags(found).contains(&"ro") && flags(found).contains(&"nodev") && !found.contains('|'), "{out}");
    let mounts = json!([
        {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["size=64k"]},
        {"destination": "/new", "type": "tmpfs", "source": "tmpfs", "options": ["remount", "size=128k"]},
    ]);
    let out = looking(&["/new"], mounts).ok(&["run", "ID"]);
    assert!(line(&out, "/new").contains("size=128k") && !line(&out, "/new").contains('|'), "{out}");
    let mounts = json!([{"destination": "/dev/nothing", "type": "bind", "source": "/", "options": ["bind", "remount", "ro"]}]);
    looking(&[], mounts).fails(&["run", "ID"], "");
}

fn propagation_of_binds() {
    for (option, wanted) in [
        ("rprivate", ""),
        ("private", ""),
        ("rslave", "master"),
        ("slave", "master"),
        ("rshared", "shared"),
        ("shared", "shared"),
        ("runbindable", "unbindable"),
        ("unbindable", "unbindable"),
    ] {
        let bundle = looking(&["/vol"], json!([]));
        let volume = Volume::new(&bundle, MountFlags::empty());
        rustix::mount::mount_change(&volume.0, rustix::mount::MountPropagationFlags::SHARED).unwrap();
        let out = with_mounts(bundle, json!([bind(&volume.0, "/vol", &["rbind", option])])).ok(&["run", "ID"]);
        let tags = line(&out, "/vol").split_once('[').unwrap().1.split_once(']').unwrap().0;
        let found: Vec<&str> = ["shared", "master", "unbindable"].into_iter().filter(|tag| tags.contains(tag)).collect();
        assert!(found.contains(&wanted) || (wanted.is_empty() && found.is_empty()), "{option}: {out}");
    }
}

fn propagation_of_the_root() {
    for (value, tag, wanted) in [
        ("private", "shared:", false),
        ("rprivate", "shared:", false),
        ("slave", "shared:", false),
        ("rslave", "shared:", false),
        ("shared", "shared:", true),
        ("rshared", "shared:", true),
        ("unbindable", "unbindable", true),
        ("runbindable", "unbindable", true),
    ] {
        // runc makes the host's tree unbindable, and can bind nothing then.
        if foreign() && tag == "unbindable" {
            continue;
        }
        let bundle = looking(&["/"], json!([])).with(|spec| spec["linux"]["rootfsPropagation"] = json!(value));
        let out = bundle.ok(&["run", "ID"]);
        assert_eq!(line(&out, "/").contains(tag), wanted, "{value}: {out}");
    }
}
