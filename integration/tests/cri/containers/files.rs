//! What is mounted in containers.

use cri::{Mount, StartContainerRequest};

use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::known::left_out;
use crate::cri::node::Node;

integration::tests![mounts_of_the_host, images_are_mounted_to_be_read,];

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
