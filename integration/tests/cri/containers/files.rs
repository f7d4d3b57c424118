//! What is mounted in containers.

use cri::{Mount, StartContainerRequest};
use rustix::mount::{MountFlags, MountPropagationFlags, mount_bind, mount_change};

use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::known::left_out;
use crate::cri::node::Node;

integration::tests![
    mounts_of_the_host,
    mounts_below_may_be_read_only_too,
    mounts_that_come_later_are_passed_on,
    images_are_mounted_to_be_read,
];

fn mounts_of_the_host() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let (folder, link) = (n.env.path("shared"), n.env.path("link"));
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("file"), "from the host").expect("a file");
    std::os::unix::fs::symlink(&folder, &link).expect("a link");
    let pod_config = pod_config(&n, "mounts");
    let pod = run(&n, &pod_config);
    let mount = |host: &std::path::Path, container: &str, readonly| Mount {
        host_path: host.display().to_string(),
        container_path: container.to_owned(),
        readonly,
        ..Mount::default()
    };
    let mut config = config("main", SLEEP);
    config.mounts = vec![mount(&folder, "/data", false), mount(&link, "/linked", true)];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    assert_eq!(says(&n, &id, "cat /data/file /linked/file; echo new > /data/new"), "from the hostfrom the host");
    assert!(folder.join("new").exists());
    assert_ne!(sh(&n, &id, "echo x > /linked/x").exit_code, 0);
    assert_eq!(status(&n, &id).mounts.len(), 2);
    let mut missing = config;
    missing.metadata.as_mut().expect("metadata").name = "missing".to_owned();
    missing.mounts = vec![mount(&n.env.path("nowhere"), "/data", false)];
    let made = n.ask(n.containers().create_container(creation(&pod, &missing, &pod_config)));
    let done = made.and_then(|made| {
        n.ask(n.containers().start_container(StartContainerRequest { container_id: made.container_id })).map(drop)
    });
    if !left_out("host_path", done.is_ok()) {
        let failed = done.expect_err("a mount from nowhere");
        assert!(failed.message().contains("nowhere"), "{failed}");
    }
    remove_pod(&n, &pod);
}

/// A folder of the host that is a mount of its own, with another one below it; and what is mounted there later is passed on.
fn folder_of_mounts(n: &Node) -> std::path::PathBuf {
    let folder = n.env.path("mounts");
    std::fs::create_dir(&folder).expect("a folder");
    mount_bind(&folder, &folder).expect("a mount");
    mount_change(&folder, MountPropagationFlags::SHARED).expect("a shared mount");
    small_disk(&folder.join("below"));
    folder
}

fn small_disk(at: &std::path::Path) {
    std::fs::create_dir_all(at).expect("a folder");
    rustix::mount::mount("tmpfs", at, "tmpfs", MountFlags::empty(), c"size=1m").expect("a small disk");
}

fn mounts_below_may_be_read_only_too() {
    let n = Node::start();
    let handlers = n.ok(n.containers().status(cri::StatusRequest::default())).runtime_handlers;
    let features = handlers.into_iter().find(|handler| handler.name.is_empty()).and_then(|handler| handler.features);
    if !features.is_some_and(|features| features.recursive_read_only_mounts) {
        integration::skip!("this runtime has no recursive read-only mounts");
    }
    pull(&n, BUSYBOX);
    let folder = folder_of_mounts(&n);
    let pod_config = pod_config(&n, "recursive");
    let pod = run(&n, &pod_config);
    let mount = |path: &str, recursive_read_only| Mount {
        host_path: folder.display().to_string(),
        container_path: path.to_owned(),
        readonly: true,
        recursive_read_only,
        ..Mount::default()
    };
    let mut config = config("main", SLEEP);
    config.mounts = vec![mount("/all", true), mount("/top", false)];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let written =
        ["/all/x", "/all/below/x", "/top/x", "/top/below/x"].map(|file| sh(&n, &id, &format!("echo x > {file}")).exit_code == 0);
    assert_eq!(written, [false, false, false, true]);
    for wrong in [
        Mount { readonly: false, ..mount("/all", true) },
        Mount { propagation: cri::MountPropagation::PropagationHostToContainer.into(), ..mount("/all", true) },
    ] {
        config.metadata.as_mut().expect("metadata").name = "wrong".to_owned();
        config.mounts = vec![wrong];
        n.fails(tonic::Code::InvalidArgument, n.containers().create_container(creation(&pod, &config, &pod_config)));
    }
    remove_pod(&n, &pod);
}

fn mounts_that_come_later_are_passed_on() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let folder = folder_of_mounts(&n);
    let mut pod_config = pod_config(&n, "propagation");
    let privileged = cri::LinuxSandboxSecurityContext { privileged: true, ..Default::default() };
    pod_config.linux.as_mut().expect("linux").security_context = Some(privileged);
    let pod = run(&n, &pod_config);
    let made = |name: &str, propagation: cri::MountPropagation, privileged: bool| {
        let mut config = config(name, SLEEP);
        config.linux.as_mut().expect("linux").security_context.as_mut().expect("security").privileged = privileged;
        config.mounts = vec![Mount {
            host_path: folder.display().to_string(),
            container_path: "/data".to_owned(),
            propagation: propagation.into(),
            ..Mount::default()
        }];
        let id = create(&n, &pod, &config, &pod_config);
        start(&n, &id);
        id
    };
    let ids = [
        made("alone", cri::MountPropagation::PropagationPrivate, false),
        made("hears", cri::MountPropagation::PropagationHostToContainer, false),
        made("says", cri::MountPropagation::PropagationBidirectional, true),
    ];
    small_disk(&folder.join("later"));
    let sees = |id: &str, name: &str| says(&n, id, &format!("grep -c ' /data/{name} ' /proc/self/mountinfo")) == "1";
    assert_eq!(ids.each_ref().map(|id| sees(id, "below")), [true; 3]);
    assert_eq!(ids.each_ref().map(|id| sees(id, "later")), [false, true, true]);
    assert_eq!(
        sh(&n, &ids[2], "mkdir /data/inside && mount -t tmpfs -o size=1m inside /data/inside && echo x > /data/inside/x").exit_code,
        0
    );
    assert!(folder.join("inside/x").exists(), "the host sees it");
    assert_eq!(ids.each_ref().map(|id| sees(id, "inside")), [false, true, true]);
    remove_pod(&n, &pod);
}

fn images_are_mounted_to_be_read() {
    let n = Node::own("");
    pull(&n, BUSYBOX);
    let image = pull(&n, "docker.io/test/tree");
    let pod_config = pod_config(&n, "volume");
    let pod = run(&n, &pod_config);
    let mut config = config("main", SLEEP);
    let mount = |sub_path: &str, readonly| Mount {
        container_path: "/image".to_owned(),
        image: crate::cri::images::spec(&image),
        image_sub_path: sub_path.to_owned(),
        readonly,
        ..Mount::default()
    };
    config.mounts = vec![mount("t/kept", true)];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    assert_eq!(says(&n, &id, "cat /image/file"), "kept");
    assert_ne!(sh(&n, &id, "echo x > /image/x").exit_code, 0);
    let shown = status(&n, &id).mounts[0].image.clone().expect("an image");
    assert_eq!(shown.image_ref, image, "{shown:?}");
    for (at, (mount, expected)) in
        [(mount("", false), "ImageVolumeMountFailed"), (mount("../x", true), "image_sub_path"), (mount("t/no", true), "t/no")]
            .into_iter()
            .enumerate()
    {
        let mut bad = config.clone();
        bad.metadata.as_mut().expect("metadata").name = format!("bad-{at}");
        bad.mounts = vec![mount];
        let failed = match n.ask(n.containers().create_container(creation(&pod, &bad, &pod_config))) {
            Err(status) => status,
            Ok(made) => n
                .ask(n.containers().start_container(StartContainerRequest { container_id: made.container_id }))
                .expect_err("no such folder"),
        };
        assert!(failed.message().contains(expected), "{failed}");
    }
    remove_pod(&n, &pod);
}
