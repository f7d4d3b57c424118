use super::*;

const RDONLY: u64 = 1;
const NOSUID: u64 = 2;
const NODEV: u64 = 4;
const NOEXEC: u64 = 8;
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

#[track_caller]
fn bind(options: Value, set: u64, clear: u64, whole: bool, propagation: u64, everywhere: (u64, u64)) {
    let (step, compiled) = mount(json!({"destination": "/x", "type": "bind", "source": "/y", "options": options}));
    let recursive = options.as_array().unwrap().contains(&json!("rbind"));
    assert_eq!(step, Step::Bind { tree: Slot(2), target: "/x".into(), set, clear, recursive: whole, propagation });
    let everywhere = sys::mount::Attr { set: everywhere.0, clear: everywhere.1, propagation: 0 };
    assert_eq!(compiled.sources[2], Source::Tree { path: "/y".into(), recursive, everywhere, procfs: false });
}

#[test]
fn binds() {
    let none = (0, 0);
    bind(json!([]), 0, 0, false, 0, none);
    bind(json!(["rbind", "rprivate"]), 0, 0, false, PRIVATE, none);
    bind(json!(["rbind", "ro", "rprivate"]), RDONLY, 0, false, PRIVATE, none);
    bind(json!(["rbind", "rw"]), 0, RDONLY, false, 0, none);
    bind(json!(["rbind", "rro", "rnoatime"]), RDONLY | NOATIME, ATIME, true, 0, none);
    bind(json!(["rbind", "ro", "rro"]), RDONLY, 0, true, 0, none);
    bind(json!(["bind", "ro", "rnosuid"]), RDONLY | NOSUID, 0, false, 0, none);
    // Two reaches at once: what is for the whole tree is done when it is opened.
    bind(json!(["rbind", "ro", "rnosuid", "rdev"]), RDONLY, 0, false, 0, (NOSUID, NODEV));
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
            json!({"destination": "/x", "type": "tmpfs", "options": ["tmpcopyup"]}),
            "mounts[0].options: the option \"tmpcopyup\" is not supported",
        ),
        (
            json!({"destination": "/x", "type": "cgroup", "options": ["foo"]}),
            "mounts[0].options: the option \"foo\" of a cgroup mount",
        ),
        (
            json!({"destination": "/x", "type": "bind", "source": "/y", "uidMappings": [{"containerID": 0, "hostID": 1, "size": 1}]}),
            "mounts[0].uidMappings: id-mapped mounts are not supported",
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
    let on = |mountinfo| {
        let compiled = compile(&spec(&cgroup), &host(mountinfo)).unwrap();
        (compiled.plan.steps[0].clone(), compiled.sources)
    };
    let target = std::path::PathBuf::from("/sys/fs/cgroup");
    assert_eq!(on(V2).0, Step::Cgroup { target: target.clone(), v1: vec![], readonly: true });
    let (step, sources) = on(HYBRID);
    let v1 = vec![("memory".to_owned(), Slot(4)), ("cpu,cpuacct".to_owned(), Slot(5))];
    assert_eq!(step, Step::Cgroup { target, v1, readonly: true });
    assert_eq!(sources[4..], [Source::CgroupTree(0), Source::CgroupTree(1)]);
}
