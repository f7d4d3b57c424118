use launch::{Attributes, Links};

use super::*;

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;
const NOSYMFOLLOW: u64 = 0x20_0000;
const NOATIME: u64 = 0x10;
const ATIME: u64 = 0x70;
const SLAVE: u64 = 1 << 19;
const PRIVATE: u64 = 1 << 18;

fn mount(mount: Value) -> (Step, Compiled) {
    let compiled = compiled(json!({"mounts": [mount]}));
    (compiled.plan.steps[0].clone(), compiled)
}

#[test]
fn new_file_systems() {
    let options = json!(["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]);
    let (step, _) = mount(json!({"destination": "/dev/pts", "type": "devpts", "source": "pts", "options": options}));
    let setting = |key: &str, value: Option<&str>| (key.to_owned(), value.map(str::to_owned));
    assert_eq!(
        step,
        Step::Mount {
            kind: "devpts".into(),
            source: "pts".into(),
            target: "/dev/pts".into(),
            options: vec![
                setting("newinstance", None),
                setting("ptmxmode", Some("0666")),
                setting("mode", Some("0620")),
                setting("gid", Some("5"))
            ],
            attributes: NOSUID | NOEXEC,
            propagation: 0,
            copy_up: false,
        }
    );
    let (step, _) =
        mount(json!({"destination": "/sys/", "type": "sysfs", "options": ["ro", "nodev", "noatime", "sync", "rslave"]}));
    assert_eq!(
        step,
        Step::Mount {
            kind: "sysfs".into(),
            source: "sysfs".into(),
            target: "/sys".into(),
            options: vec![setting("sync", None), setting("ro", None)],
            attributes: RDONLY | NODEV | NOATIME,
            propagation: SLAVE,
            copy_up: false,
        }
    );
}

/// Devices and mount points have to be made in it first.
#[test]
fn a_read_only_tmpfs_is_so_at_the_end() {
    for (kind, target) in [("tmpfs", "/run"), ("tmpfs", "/dev"), ("devtmpfs", "/dev")] {
        let (step, compiled) = mount(json!({"destination": target, "type": kind, "options": ["ro", "nosuid"]}));
        let Step::Mount { attributes, options, .. } = step else { panic!("{step:?}") };
        assert_eq!((attributes, options), (NOSUID, vec![]));
        assert_eq!(compiled.plan.steps.last(), Some(&Step::Readonly(target.into())));
    }
}

fn tree(compiled: &Compiled) -> &Source {
    &compiled.sources[2]
}

#[track_caller]
fn bind(options: Value, wanted: Attributes) {
    let (step, compiled) = mount(json!({"destination": "/x", "type": "bind", "source": "/y", "options": options}));
    let recursive = options.as_array().unwrap().contains(&json!("rbind"));
    assert_eq!(step, Step::Bind { tree: Slot(2), target: "/x".into(), attributes: wanted, links: Links::default() });
    assert_eq!(tree(&compiled), &Source::Tree { path: "/y".into(), recursive, follow: true, idmap: None, procfs: false });
}

#[test]
fn binds() {
    let none = Attributes::default();
    let rest = RDONLY | NOSUID | NODEV | NOEXEC | NOSYMFOLLOW;
    bind(json!([]), none);
    bind(json!(["rbind", "rprivate"]), Attributes { propagation: PRIVATE, ..none });
    bind(json!(["rbind", "ro", "rprivate"]), Attributes { set: RDONLY, rest: rest & !RDONLY, propagation: PRIVATE, ..none });
    bind(json!(["rbind", "rw"]), Attributes { clear: RDONLY, rest: rest & !RDONLY, ..none });
    bind(json!(["rbind", "rro", "rnoatime"]), Attributes { tree_set: RDONLY | NOATIME, tree_clear: ATIME, ..none });
    let both = Attributes { set: RDONLY, rest: NOEXEC | NOSYMFOLLOW, tree_set: NOSUID, tree_clear: NODEV, ..none };
    bind(json!(["rbind", "ro", "rnosuid", "rdev"]), both);
}

#[test]
fn links_at_both_ends() {
    let options = json!(["bind", "copy-symlink", "dest-nofollow"]);
    let (step, compiled) = mount(json!({"destination": "/x", "source": "/y", "options": options}));
    assert!(matches!(step, Step::Bind { links: Links { copy: true, keep_target: true }, .. }));
    assert!(matches!(tree(&compiled), Source::Tree { follow: false, .. }));
    let (_, compiled) = mount(json!({"destination": "/x", "source": "/y", "options": ["bind", "src-nofollow"]}));
    assert!(matches!(tree(&compiled), Source::Tree { follow: false, .. }));
}

#[test]
fn changes_of_what_is_mounted() {
    let (step, compiled) = mount(json!({"destination": "/proc", "source": "/nonsuch", "options": ["bind", "remount", "ro"]}));
    let attributes = Attributes { set: RDONLY, rest: NOSUID | NODEV | NOEXEC | NOSYMFOLLOW, ..Attributes::default() };
    assert_eq!(step, Step::Remount { target: "/proc".into(), attributes, options: vec![] });
    assert_eq!(compiled.sources.len(), 2, "nothing is opened");
    let (step, _) = mount(json!({"destination": "/run", "type": "tmpfs", "options": ["remount", "size=5m"]}));
    let options = vec![("size".to_owned(), Some("5m".to_owned())), ("rw".to_owned(), None)];
    assert_eq!(step, Step::Remount { target: "/run".into(), attributes: Attributes::default(), options });
}

/// As crun and runc: what mount(2) has as flags and the file system has anyway.
#[test]
fn flags_that_are_the_file_systems() {
    let settings = |kind: &str, options: Value| match mount(json!({"destination": "/x", "type": kind, "options": options})).0 {
        Step::Mount { options, .. } => options.into_iter().map(|(key, _)| key).collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    assert_eq!(settings("tmpfs", json!(["acl", "iversion", "lazytime", "silent"])), ["lazytime"]);
    assert_eq!(settings("ext4", json!(["acl", "noacl", "dirsync"])), ["dirsync", "acl", "noacl"]);
    let Step::Mount { copy_up, .. } = mount(json!({"destination": "/x", "type": "tmpfs", "options": ["tmpcopyup"]})).0 else {
        panic!()
    };
    assert!(copy_up);
}

#[test]
fn id_mappings() {
    let ids = json!([{"containerID": 0, "hostID": 1000, "size": 5}]);
    let map = |patch: Value| {
        let mut bind = json!({"destination": "/x", "type": "bind", "source": "/y"});
        merge(&mut bind, &patch);
        match tree(&mount(bind).1) {
            Source::Tree { idmap, .. } => idmap.clone(),
            other => panic!("{other:?}"),
        }
    };
    let range = vec![IdRange { inside: 0, outside: 1000, size: 5 }];
    let users = Users::Ranges { uids: range.clone(), gids: range };
    let with = |options: Value| map(json!({"uidMappings": ids, "gidMappings": ids, "options": options}));
    assert_eq!(with(json!([])), Some(IdMap { recursive: false, users: users.clone() }));
    assert_eq!(with(json!(["rbind", "idmap"])), Some(IdMap { recursive: false, users: users.clone() }));
    assert_eq!(with(json!(["rbind", "ridmap"])), Some(IdMap { recursive: true, users: users.clone() }));
    assert_eq!(map(json!({"options": ["idmap=uids=0-1000-5;gids=0-1000-5"]})), Some(IdMap { recursive: false, users }));
    assert_eq!(map(json!({"uidMappings": [], "options": []})), None);
}

#[test]
fn bad_mounts() {
    for (mount, expected) in [
        (json!({"destination": "/x", "source": "/y"}), "mounts[0].type: missing"),
        (json!({"destination": "/a/../../x", "type": "tmpfs"}), "mounts[0].destination: /a/../../x contains .."),
        (json!({"destination": "/", "type": "tmpfs"}), "mounts[0].destination: the root itself"),
        (json!({"destination": "/x", "type": "bind"}), "mounts[0].source: missing"),
        (json!({"destination": "/x", "type": "bind", "source": "y"}), "mounts[0].source: y is not an absolute path"),
        (
            json!({"destination": "/x", "source": "/y", "options": ["bind", "size=5"]}),
            "mounts[0].options: a bind mount cannot have the file system option \"size\"",
        ),
        (
            json!({"destination": "/x", "type": "proc", "options": ["tmpcopyup"]}),
            "mounts[0].options: only a tmpfs can have tmpcopyup",
        ),
        (json!({"destination": "/x", "type": "tmpfs", "options": ["copy-symlink"]}), "mounts[0].options: copy-symlink"),
        (json!({"destination": "/x\u{0}y", "type": "tmpfs"}), "mounts[0].destination: \"/x\\0y\" has a NUL byte"),
        (json!({"destination": "/x", "type": "bind", "source": "/y\u{0}"}), "mounts[0].source: \"/y\\0\" has a NUL byte"),
        (
            json!({"destination": "/x", "type": "bind", "source": "/proc/self/fd/7"}),
            "mounts[0].source: /proc/self/fd/7 is of the runtime",
        ),
        (json!({"destination": "/x", "type": "bind", "source": "/proc//thread-self/./cwd"}), "mounts[0].source: "),
        (
            json!({"destination": "/x", "type": "cgroup", "options": ["foo"]}),
            "mounts[0].options: the option \"foo\" of a cgroup mount",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/y", "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}),
            "mounts[0].gidMappings: an id mapping has ranges of both",
        ),
        (
            json!({"destination": "/x", "type": "tmpfs", "options": ["idmap=uids=0-0-1;gids=0-0-1"]}),
            "mounts[0].options: only a bind mount can be id-mapped",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/y", "options": ["idmap"]}),
            "mounts[0].options: idmap needs uidMappings and gidMappings, or a user namespace",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/y", "options": ["ridmap=uids=1"]}),
            "mounts[0].options: idmap: \"1\" is not three numbers",
        ),
    ] {
        let error = refused(json!({"mounts": [mount]}));
        assert!(error.starts_with(expected), "{error}");
    }
}

#[test]
fn a_relative_destination_is_tolerated_with_a_warning() {
    let (step, compiled) = mount(json!({"destination": "run//x/.", "type": "tmpfs"}));
    assert!(matches!(step, Step::Mount { target, .. } if target == std::path::Path::new("/run/x")));
    assert_eq!(compiled.warnings, ["mounts[0].destination: run//x/. is not an absolute path, taken as below /"]);
}

/// CVE-2019-16884, CVE-2019-19921: labels and settings are written to procfs.
#[test]
fn proc_is_procfs() {
    for (mount, expected) in [
        (
            json!({"destination": "/proc", "type": "tmpfs"}),
            "mounts[0].destination: only a procfs may be mounted on /proc, not tmpfs",
        ),
        (json!({"destination": "proc", "type": "tmpfs"}), "mounts[0].destination: only a procfs"),
        (json!({"destination": "/proc/./self/attr", "type": "tmpfs"}), "mounts[0].destination: /proc/self/attr is inside /proc"),
        (json!({"destination": "/proc/sys", "type": "bind", "source": "/x"}), "mounts[0].destination: /proc/sys is inside /proc"),
        (
            json!({"destination": "/proc/meminfo/x", "type": "bind", "source": "/x"}),
            "mounts[0].destination: /proc/meminfo/x is inside",
        ),
    ] {
        assert!(refused(json!({"mounts": [mount]})).starts_with(expected));
    }
    mount(json!({"destination": "/proc/meminfo", "type": "bind", "source": "/var/lib/lxcfs/proc/meminfo"}));
    mount(json!({"destination": "/proc", "type": "proc"}));
    let (_, compiled) = mount(json!({"destination": "/proc", "type": "bind", "source": "/proc", "options": ["rbind"]}));
    assert!(matches!(compiled.sources[2], Source::Tree { procfs: true, .. }));
    // A bind of something else does not become one by its type.
    let disguised = json!({"destination": "/proc", "type": "proc", "source": "/x", "options": ["rbind"]});
    assert!(matches!(mount(disguised).1.sources[2], Source::Tree { procfs: true, .. }));
}

#[test]
fn cgroups() {
    let cgroup = json!({"mounts": [{"destination": "/sys/fs/cgroup", "type": "cgroup", "options": ["ro", "nosuid", "relatime"]}]});
    let mut apart = cgroup.clone();
    merge(&mut apart, &json!({"linux": {"namespaces": [{"type": "mount"}, {"type": "cgroup"}]}}));
    let on = |mountinfo, patch| {
        let compiled = compile(&spec(patch), &host(mountinfo)).unwrap();
        (compiled.plan.steps[0].clone(), compiled.sources)
    };
    let target = std::path::PathBuf::from("/sys/fs/cgroup");
    assert_eq!(on(V2, &apart).0, Step::Cgroup { target: target.clone(), v1: vec![], readonly: true });
    // Never the host's.
    let (step, sources) = on(V2, &cgroup);
    assert!(matches!(step, Step::Bind { tree: Slot(2), .. }), "{step:?}");
    assert_eq!(sources[2..], [Source::CgroupTree(0)]);
    let (step, sources) = on(HYBRID, &cgroup);
    let v1 = vec![("memory".to_owned(), Slot(4)), ("cpu,cpuacct".to_owned(), Slot(5))];
    assert_eq!(step, Step::Cgroup { target, v1, readonly: true });
    assert_eq!(sources[4..], [Source::CgroupTree(0), Source::CgroupTree(1)]);
}

#[test]
fn a_mount_label_is_for_new_file_systems() {
    let active = Host { selinux: true, ..host(V2) };
    let own = json!(["context=own"]);
    let patch = json!({
        "linux": {"mountLabel": "system_u:object_r:container_file_t:s0:c1,c2"},
        "mounts": [
            {"destination": "/proc", "type": "proc"}, {"destination": "/sys", "type": "sysfs"}, {"destination": "/tmp", "type": "tmpfs"},
            {"destination": "/mnt", "type": "tmpfs", "options": own}, {"destination": "/dev/mqueue", "type": "mqueue"},
            {"destination": "/data", "type": "bind", "source": "/data", "options": ["bind"]},
        ],
    });
    let steps = compile(&spec(&patch), &active).unwrap().plan.steps;
    let labels: Vec<_> = steps
        .iter()
        .filter_map(|step| match step {
            Step::Mount { target, options, .. } => {
                let context = options.iter().find(|(key, _)| key == "context").and_then(|(_, value)| value.as_deref());
                Some((target.to_str().unwrap(), context.unwrap_or("-")))
            }
            Step::Label { path, label } => Some((path.to_str().unwrap(), label.as_str())),
            _ => None,
        })
        .collect();
    let label = "system_u:object_r:container_file_t:s0:c1,c2";
    assert_eq!(
        labels,
        [("/proc", "-"), ("/sys", "-"), ("/tmp", label), ("/mnt", "own"), ("/dev/mqueue", "-"), ("/dev/mqueue", label)]
    );
}
