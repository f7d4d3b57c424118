//! The daemon itself: how it starts, reads its configuration, and ends.

use std::os::unix::fs::PermissionsExt;

use cri::{RuntimeConfigRequest, StatusRequest, VersionRequest};

use super::node::Node;

integration::tests![
    tells_about_itself,
    the_socket_is_for_root_alone,
    configuration_is_read_again,
    a_wrong_configuration_is_named,
    there_is_one_for_each_folder,
    ends_when_asked,
];

fn tells_about_itself() {
    let n = Node::start();
    let version = n.ok(n.containers().version(VersionRequest::default()));
    assert_eq!(version.runtime_api_version, "v1");
    assert!(!version.runtime_name.is_empty() && version.runtime_version.split('.').count() >= 3, "{version:?}");
    let status = n.ok(n.containers().status(StatusRequest { verbose: true }));
    let conditions = status.status.expect("conditions").conditions;
    for kind in ["RuntimeReady", "NetworkReady"] {
        let condition = conditions.iter().find(|condition| condition.r#type == kind).expect(kind);
        assert!(condition.status, "{condition:?}");
    }
    assert!(status.runtime_handlers.iter().any(|handler| handler.name.is_empty()), "{:?}", status.runtime_handlers);
    assert!(!status.info.is_empty());
    assert!(n.ok(n.containers().status(StatusRequest { verbose: false })).info.is_empty());
    let config = n.ok(n.containers().runtime_config(RuntimeConfigRequest {}));
    assert!(config.linux.is_some());
}

fn the_socket_is_for_root_alone() {
    let n = Node::own("");
    let socket = n.env.run().join("noded/cri.sock");
    let mode = |path: &std::path::Path| std::fs::metadata(path).expect("there").permissions().mode() & 0o777;
    assert_eq!((mode(&socket), mode(socket.parent().expect("a folder"))), (0o660, 0o700));
}

fn configuration_is_read_again() {
    let mut n = Node::own("");
    let pinned = |n: &Node| {
        let image = Some(cri::ImageSpec { image: "busybox".to_owned(), ..Default::default() });
        n.ok(n.images().image_status(cri::ImageStatusRequest { image, verbose: false })).image.expect("busybox").pinned
    };
    super::images::pull(&n, "busybox");
    assert!(!pinned(&n));
    n.configure("nonsense = 1");
    n.reload();
    assert!(!pinned(&n));
    n.configure(&format!(
        "[images]\nregistries = [{:?}]\npinned = [\"busybox\"]\n[streaming]\nlisten = \"127.0.0.1:1\"",
        n.env.path("registries.conf")
    ));
    n.reload();
    assert!(pinned(&n));
    let output = n.stop();
    output.code(0);
    assert!(
        output.stderr.contains("the configuration stays as it was") && output.stderr.contains("unknown field `nonsense`"),
        "{output}"
    );
    assert!(output.stderr.contains("read again; waiting for a restart: [streaming]"), "{output}");
}

fn a_wrong_configuration_is_named() {
    let n = Node::own("");
    let noded = integration::debian::program("noded").expect("noded");
    n.configure("nonsense = 1");
    let mut command = n.env.command(&noded);
    command.args(["config", "--config"]).arg(n.env.path("noded.toml"));
    let output = integration::env::Running::start(command).finish();
    output.code(1);
    assert!(output.stderr.contains("noded.toml") && output.stderr.contains("unknown field `nonsense`"), "{output}");
    assert_eq!(output.stderr.trim_end().lines().next().map(|line| line.starts_with("noded: ")), Some(true), "{output}");
}

fn there_is_one_for_each_folder() {
    let n = Node::own("");
    let noded = integration::debian::program("noded").expect("noded");
    let mut command = n.env.command(&noded);
    command.args(["run", "--config"]).arg(n.env.path("noded.toml"));
    let output = integration::env::Running::start(command).finish();
    output.code(1);
    assert!(output.stderr.contains("another noded runs with"), "{output}");
    n.ok(n.containers().version(VersionRequest::default()));
}

fn ends_when_asked() {
    let mut n = Node::own("");
    n.ok(n.containers().version(VersionRequest::default()));
    let output = n.stop();
    output.code(0);
    assert!(output.stderr.contains("stopping; containers live on"), "{output}");
}
