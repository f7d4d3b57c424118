use super::*;

/// Debian 12 with its defaults.
const V2: &str = "\
24 30 0:22 / /proc rw,nosuid,nodev,noexec,relatime shared:14 - proc proc rw
28 25 0:26 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot
30 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
";

/// systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1
const V1: &str = "\
31 25 0:27 / /sys/fs/cgroup ro,nosuid,nodev,noexec shared:9 - tmpfs tmpfs ro,size=4096k,nr_inodes=1024,mode=755
32 31 0:28 / /sys/fs/cgroup/systemd rw,nosuid,nodev,noexec,relatime shared:10 - cgroup cgroup rw,xattr,release_agent=/lib/systemd/systemd-cgroups-agent,name=systemd
35 31 0:31 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid,nodev,noexec,relatime shared:15 - cgroup cgroup rw,cpu,cpuacct
36 31 0:32 / /sys/fs/cgroup/memory rw,nosuid,nodev,noexec,relatime shared:16 - cgroup cgroup rw,memory
37 31 0:33 / /sys/fs/cgroup/net_cls,net_prio rw,nosuid,nodev,noexec,relatime shared:17 - cgroup cgroup rw,net_cls,net_prio
38 31 0:34 / /sys/fs/cgroup/elogind rw,nosuid,nodev,noexec,relatime shared:18 - cgroup cgroup rw,name=elogind
";

const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
36 31 0:33 / /sys/fs/cgroup/devices rw,relatime - cgroup cgroup rw,devices
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
";

/// A container on a v1 host without a cgroup namespace: its own folder is bound, and the host's mounts may be visible a second time.
const NESTED_V1: &str = "\
739 731 0:29 /docker/3f4e /sys/fs/cgroup/memory ro,nosuid,nodev,noexec,relatime master:16 - cgroup cgroup rw,memory
740 731 0:30 /docker/3f4e /sys/fs/cgroup/pids ro,nosuid,nodev,noexec,relatime master:17 - cgroup cgroup rw,pids
800 700 0:29 / /host/sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
";

/// A container on a v2 host.
const NESTED_V2: &str = "\
1107 1104 0:26 / /sys/fs/cgroup ro,nosuid,nodev,noexec,relatime - cgroup2 cgroup rw,nsdelegate
1200 1100 0:26 /../../.. /host/cgroup rw,relatime - cgroup2 cgroup rw,nsdelegate
";

fn parse(mountinfo: &str) -> Hierarchies {
    Hierarchies::parse(mountinfo).unwrap()
}

fn folders(hierarchies: &Hierarchies) -> Vec<String> {
    paths(hierarchies, "/rctr/x").iter().map(|path| path.display().to_string()).collect()
}

#[test]
fn v2() {
    let all = parse(V2);
    assert_eq!((all.kind(), all.unified(), all.v1("memory")), (Kind::V2, Some(0), None));
    assert_eq!(folders(&all), ["/sys/fs/cgroup/rctr/x"]);
}

#[test]
fn v1() {
    let all = parse(V1);
    assert_eq!((all.kind(), all.unified()), (Kind::V1, None));
    // Controllers mounted together share a folder; somebody else's named hierarchy is left alone.
    assert_eq!(
        folders(&all),
        [
            "/sys/fs/cgroup/systemd/rctr/x",
            "/sys/fs/cgroup/cpu,cpuacct/rctr/x",
            "/sys/fs/cgroup/memory/rctr/x",
            "/sys/fs/cgroup/net_cls,net_prio/rctr/x"
        ]
    );
    assert_eq!((all.v1("cpu"), all.v1("cpuacct"), all.v1("pids")), (Some(1), Some(1), None));
    assert_eq!(all.all()[1].name(), "cpu,cpuacct");
}

#[test]
fn hybrid() {
    let all = parse(HYBRID);
    assert_eq!((all.kind(), all.unified(), all.v1("devices")), (Kind::Hybrid, Some(2), Some(1)));
    assert_eq!(folders(&all).last().unwrap(), "/sys/fs/cgroup/unified/rctr/x");
}

#[test]
fn nested() {
    assert_eq!(folders(&parse(NESTED_V1)), ["/sys/fs/cgroup/memory/rctr/x", "/sys/fs/cgroup/pids/rctr/x"]);
    assert_eq!(folders(&parse(NESTED_V2)), ["/sys/fs/cgroup/rctr/x"]);
}

#[test]
fn none() {
    let error = Hierarchies::parse("22 27 0:21 / /proc rw,relatime - proc proc rw\n\nnonsense\n - \n").unwrap_err();
    assert_eq!(error.to_string(), "no cgroup file system is mounted; mount one: mount -t cgroup2 none /sys/fs/cgroup");
}

#[test]
fn a_mount_point_with_a_blank() {
    let all = parse("1 1 0:1 / /my\\040cgroups\\134 rw - cgroup2 none rw\n");
    assert_eq!(folders(&all), ["/my cgroups\\/rctr/x"]);
}

#[test]
fn paths_stay_below_the_root() {
    assert_eq!(clean("/rctr//x/./y/").unwrap(), "/rctr/x/y");
    for bad in ["", "/", "rctr/x", "/rctr/../../x", "/..", "//", "/a\nb"] {
        assert!(clean(bad).is_err(), "{bad:?}");
    }
}

proptest::proptest! {
    #[test]
    fn any_text_is_survived(text in "[ -~\\n]{0,200}", line in "[0-9 /:a-z,\\\\-]{0,80}") {
        let _ = Hierarchies::parse(&text);
        let _ = Hierarchies::parse(&format!("{line} - cgroup {line}"));
        let _ = Hierarchies::parse(&format!("{line} - cgroup2 {line}"));
    }
}
