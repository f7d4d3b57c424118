//! Pods with users of their own: root in them is nobody on the host.

use std::os::unix::fs::MetadataExt;

use engine::{Access, IdRange, Mount, MountSource, PodNetwork, PodRequest, PodSharing, UserMap};

use super::{Pods, chain, request, words};

integration::tests![root_is_nobody_on_the_host, mounts_are_mapped_if_asked_for, users_that_cannot_be_are_refused];

fn mapped(name: &str) -> PodRequest {
    let range = |outside| IdRange { inside: 0, outside, size: 65536 };
    PodRequest { users: Some(UserMap { uids: vec![range(300_000)], gids: vec![range(400_000)] }), ..request(name) }
}

fn root_is_nobody_on_the_host() {
    let t = Pods::new();
    let pod = t.engine.run_pod(&mapped("mapped")).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let (a, b) = (t.start(&pod, "a", |_| {}), t.start(&pod, "b", |request| request.user = Some("1000".to_owned())));
    let engine::Status::Running { pid, .. } = t.engine.container(&a).unwrap().status else { panic!("it does not run") };
    let process = std::fs::metadata(format!("/proc/{pid}")).unwrap();
    assert_eq!((process.uid(), process.gid()), (300_000, 400_000));
    assert_eq!(t.sh(&a, "id -u; id -g; tr -s ' ' < /proc/self/uid_map"), "0\n0\n 0 300000 65536");
    assert_eq!(t.sh(&b, "id -u; id -g"), "1000\n1000");
    // The image's files are whose they are in the image, and what is written is the pod's on the disk.
    assert_eq!(
        t.sh(&a, "stat -c %u:%g /bin/busybox /etc/passwd /home/app; echo x > /new; stat -c %u /new"),
        "0:0\n0:0\n1000:1000\n0"
    );
    let written = std::fs::metadata(t.env.root().join("containers").join(&a).join("upper/new")).unwrap();
    assert_eq!((written.uid(), written.gid()), (300_000, 400_000));
    for kind in ["user", "net", "ipc", "uts"] {
        let of = |id| t.sh(id, &format!("readlink /proc/self/ns/{kind}"));
        assert_eq!(of(&a), of(&b), "{kind}");
    }
    assert_eq!(t.sh(&a, "hostname"), "mapped");
    assert_eq!(t.sh(&a, "echo shared > /dev/shm/x; stat -c %u /dev/shm /dev/shm/x"), "0\n0");
    assert_eq!(t.sh(&b, "cat /dev/shm/x"), "shared");
    let gateway = pod.network.as_ref().and_then(|network| network.networks[0].gateway).expect("a gateway");
    assert!(t.sh(&a, &format!("ping -c 1 -W 5 {gateway}")).contains("1 packets received"));
    assert!(
        t.sh(&a, "echo 1 > /proc/sys/kernel/panic 2>&1; mount -t tmpfs x /mnt 2>&1; cat /proc/1/environ > /dev/null")
            .contains("Read-only")
    );
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn mounts_are_mapped_if_asked_for() {
    let t = Pods::new();
    let pod = t.engine.run_pod(&mapped("volumes")).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let folder = t.env.path("volume");
    std::fs::create_dir(&folder).unwrap();
    let mount = |target: &str, idmap: Option<&str>| Mount {
        target: target.into(),
        source: MountSource::Bind { path: folder.clone(), create: false, recursive: false, part: None },
        access: Access::Write,
        propagation: None,
        chown: false,
        idmap: idmap.map(str::to_owned),
        mode: String::new(),
    };
    let a = t.start(&pod, "a", |request| request.mounts = vec![mount("/mapped", Some("")), mount("/plain", None)]);
    assert_eq!(t.sh(&a, "stat -c %u /mapped /plain; touch /mapped/x; stat -c %u /mapped/x"), "0\n65534\n0");
    assert!(t.sh(&a, "touch /plain/y 2>&1").contains("denied"));
    assert_eq!(std::fs::metadata(folder.join("x")).unwrap().uid(), 0);
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn users_that_cannot_be_are_refused() {
    let t = Pods::new();
    let range = |inside, outside, size| IdRange { inside, outside, size };
    let users =
        |uids| PodRequest { users: Some(UserMap { uids: vec![uids], gids: vec![range(0, 400_000, 65536)] }), ..request("refused") };
    for (wanted, part) in [
        (users(range(5, 300_000, 65536)), "begin with 0"),
        (users(range(0, u32::MAX - 5, 65536)), "is no range of ids"),
        (PodRequest { network: PodNetwork::Host, ..mapped("refused") }, "network"),
        (PodRequest { ipc: PodSharing::Host, ..mapped("refused") }, "shared memory"),
    ] {
        let error = t.engine.run_pod(&wanted).unwrap_err();
        assert!(chain(&error).contains(part), "{}", chain(&error));
    }
    // One that the image has and the pod has not.
    let small = PodRequest {
        users: Some(UserMap { uids: vec![range(0, 300_000, 500)], gids: vec![range(0, 400_000, 500)] }),
        ..request("small")
    };
    let pod = t.engine.run_pod(&small).unwrap_or_else(|error| panic!("{}", chain(&error)));
    let a = t.create(&pod, "a", |request| (request.user, request.cmd) = (Some("1000".to_owned()), words("true"))).unwrap();
    let error = t.engine.start(&a, &engine::StartOptions::default()).unwrap_err();
    assert!(chain(&error).contains("1000 is not mapped"), "{}", chain(&error));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}
