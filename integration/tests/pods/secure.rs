//! What a container in a pod may do, beyond what `rctr run` has words for.

use std::collections::BTreeMap;

use engine::{Access, Change, GroupPolicy, Mount, MountSource, Resources, Security, SystemPaths};

use super::{Pods, chain, words};

integration::tests![
    a_policy_decides_about_the_images_groups,
    ambient_capabilities_stay_with_a_user,
    hidden_paths_are_as_asked_for,
    read_only_is_recursive_if_asked_for,
    a_part_of_an_image_is_mounted,
    limits_change_in_place,
];

fn a_policy_decides_about_the_images_groups() {
    let t = Pods::new();
    let pod = t.run("groups");
    // `app` is 1000, and in `extra` and `more`, which are 2000 and 2001.
    for (policy, expected) in [(GroupPolicy::Merge, "5 7 2000 2001"), (GroupPolicy::Strict, "5 7"), (GroupPolicy::Docker, "5 7")] {
        let a = t.start(&pod, &format!("{policy:?}").to_lowercase(), |request| {
            request.user = Some("1000:5".to_owned());
            request.tuning.groups = words("7");
            request.tuning.group_policy = policy;
        });
        let mut groups: Vec<u32> = t.sh(&a, "id -G").split(' ').map(|id| id.parse().expect("a number")).collect();
        groups.sort_unstable();
        let groups: Vec<_> = groups.iter().map(u32::to_string).collect();
        assert_eq!(groups.join(" "), expected, "{policy:?}");
        let of_init = t.sh(&a, "grep ^Groups: /proc/1/status | tr -s ' \\t' ' '");
        assert_eq!(of_init.split_whitespace().count() - 1, expected.split(' ').count(), "{of_init}");
    }
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn ambient_capabilities_stay_with_a_user() {
    let t = Pods::new();
    let pod = t.run("ambient");
    let sets = "grep -E '^Cap(Eff|Inh|Amb|Bnd)' /proc/1/status | tr '\\n\\t' '  '";
    let start = |name: &str, security: Security| {
        t.start(&pod, name, |request| {
            request.user = Some("1000".to_owned());
            request.security = security;
        })
    };
    let only = Security { cap_drop: words("ALL"), cap_ambient: words("NET_BIND_SERVICE"), ..Security::default() };
    let bind = "0000000000000400";
    let expected = format!("CapInh: {bind} CapEff: {bind} CapBnd: {bind} CapAmb: {bind}");
    assert_eq!(t.sh(&start("ambient", only), sets), expected);
    let usual = t.sh(&start("usual", Security::default()), sets);
    assert!(usual.contains("CapInh: 0000000000000000") && usual.contains("CapAmb: 0000000000000000"), "{usual}");
    let bad = Security { cap_ambient: words("NET_BIND"), ..Security::default() };
    let made = t
        .create(&pod, "bad", |request| request.security = bad)
        .and_then(|id| t.engine.start(&id, &engine::StartOptions::default()).map(drop));
    assert!(chain(&made.unwrap_err()).contains("\"NET_BIND\""));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn hidden_paths_are_as_asked_for() {
    let t = Pods::new();
    let pod = t.run("paths");
    let paths = SystemPaths { masked: words("/proc/uptime /etc/group"), readonly: words("/tmp") };
    let a = t.start(&pod, "a", |request| request.security.paths = Some(paths));
    assert_eq!(t.sh(&a, "cat /proc/uptime /etc/group; touch /tmp/x 2>&1"), "touch: /tmp/x: Read-only file system");
    // What is hidden usually is not.
    assert_ne!(t.sh(&a, "head -c 1 /proc/timer_list | wc -c; ls /proc/acpi /sys/firmware 2>&1 | wc -l"), "0\n0");
    let bad = SystemPaths { masked: words("proc/uptime"), ..SystemPaths::default() };
    let error = t.create(&pod, "bad", |request| request.security.paths = Some(bad)).unwrap_err();
    assert!(chain(&error).contains("\"proc/uptime\""), "{}", chain(&error));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn bind(path: &str, target: &str, access: Access) -> Mount {
    let source = MountSource::Bind { path: path.into(), create: false, recursive: true, part: None };
    Mount { target: target.into(), source, access, propagation: None, chown: false, idmap: None, mode: String::new() }
}

fn read_only_is_recursive_if_asked_for() {
    let t = Pods::new();
    let pod = t.run("readonly");
    let top = t.env.path("top");
    std::fs::create_dir_all(top.join("below")).unwrap();
    let mounted = std::process::Command::new("mount").args(["-t", "tmpfs", "tmpfs"]).arg(top.join("below")).status();
    assert!(mounted.unwrap().success());
    let path = top.display().to_string();
    let a = t.start(&pod, "a", |request| {
        request.mounts = vec![bind(&path, "/top", Access::ReadTop), bind(&path, "/all", Access::Read)];
    });
    let touch = "for path in /top /top/below /all /all/below; do touch $path/x 2> /dev/null && echo $path; done";
    assert_eq!(t.sh(&a, touch), "/top/below");
    t.engine.remove_pod(&pod.record.id).unwrap();
    integration::leaks::unmount(&[&top]);
    t.nothing_left();
}

fn a_part_of_an_image_is_mounted() {
    let t = Pods::new();
    let pod = t.run("image");
    let of = |subpath: Option<&str>| Mount {
        source: MountSource::Image {
            name: "busybox".to_owned(),
            subpath: subpath.map(Into::into),
            manifest: None,
            layers: Vec::new(),
        },
        ..bind("/", "/volume", Access::Write)
    };
    let a = t.start(&pod, "a", |request| request.mounts = vec![of(Some("etc"))]);
    assert!(t.sh(&a, "cat /volume/passwd").contains("app:x:1000"));
    assert!(t.sh(&a, "touch /volume/x 2>&1").contains("Read-only"));
    let b = t.create(&pod, "b", |request| request.mounts = vec![of(Some("no/such"))]).unwrap();
    let error = t.engine.start(&b, &engine::StartOptions::default()).unwrap_err();
    assert!(chain(&error).contains("no/such"), "{}", chain(&error));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn limits_change_in_place() {
    let t = Pods::new();
    let pod = t.run("resized");
    let limits = Resources {
        memory: Some(4 << 20),
        cpu_shares: Some(102),
        cpu_quota: Some(20_000),
        cpu_period: Some(100_000),
        ..Resources::default()
    };
    let a = t.start(&pod, "a", |request| request.resources = limits);
    let more = Resources { memory: Some(64 << 20), cpu_quota: Some(50_000), ..Resources::default() };
    t.engine.update(&a, &Change { resources: more, ..Change::default() }).unwrap();
    let record = t.engine.container(&a).unwrap().record;
    let now = record.resources;
    assert_eq!(
        (now.memory, now.cpu_shares, now.cpu_quota, now.cpu_period),
        (Some(64 << 20), Some(102), Some(50_000), Some(100_000))
    );
    let usage = t.engine.usage(&t.engine.container(&a).unwrap()).unwrap().expect("it runs");
    assert_eq!(usage.memory_limit, 64 << 20);
    // What the kernel has not cannot be, and nothing has changed then.
    let huge_pages = BTreeMap::from([("3MB".to_owned(), 1 << 20)]);
    let bad = Change { resources: Resources { memory: Some(32 << 20), huge_pages, ..Resources::default() }, ..Change::default() };
    let error = t.engine.update(&a, &bad).unwrap_err();
    assert!(chain(&error).contains("3MB"), "{}", chain(&error));
    assert_eq!(t.engine.container(&a).unwrap().record.resources.memory, Some(64 << 20));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}
