//! The daemon itself: how it starts, reads its configuration, and ends.

use std::os::unix::fs::PermissionsExt;

use cri::{RuntimeConfigRequest, StatusRequest, VersionRequest};

use super::asking::{pod_config, pod_status, remove_pod, run};
use super::known::left_out;
use super::node::{Node, is_another, needs_our_bridge};

integration::tests![
    tells_about_itself,
    the_socket_is_for_root_alone,
    configuration_is_read_again,
    a_wrong_configuration_is_named,
    there_is_one_for_each_folder,
    ends_when_asked,
    systemd_may_hand_over_the_socket,
    the_kubelet_tells_the_addresses_of_pods,
    the_configuration_tells_the_addresses_of_pods,
    crictl_is_served,
    fifty_pods_are_small,
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
    if !left_out("runtime_handlers", status.runtime_handlers.is_empty()) {
        assert!(status.runtime_handlers.iter().any(|handler| handler.name.is_empty()), "{:?}", status.runtime_handlers);
    }
    assert!(!status.info.is_empty());
    assert!(n.ok(n.containers().status(StatusRequest { verbose: false })).info.is_empty());
    let config = n.ask(n.containers().runtime_config(RuntimeConfigRequest {}));
    if !left_out("runtime_config", config.as_ref().is_err_and(|status| status.code() == tonic::Code::Unimplemented)) {
        let driver = config.expect("its configuration").linux.expect("for Linux").cgroup_driver;
        assert!(is_another() || driver == i32::from(n.cgroup_driver()));
    }
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
    n.configure("[log]\nnonsense = 1\n");
    n.reload();
    assert!(!pinned(&n));
    n.configure("[images]\npinned = [\"busybox\"]\n[streaming]\nlisten = \"127.0.0.1:1\"\n");
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
    n.configure("[log]\nnonsense = 1\n");
    let output = n.beside("config");
    output.code(1);
    assert!(output.stderr.contains("noded.toml") && output.stderr.contains("unknown field `nonsense`"), "{output}");
    assert_eq!(output.stderr.trim_end().lines().next().map(|line| line.starts_with("noded: ")), Some(true), "{output}");
}

fn there_is_one_for_each_folder() {
    let n = Node::own("");
    let output = n.beside("run");
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

fn systemd_may_hand_over_the_socket() {
    let mut n = Node::own("");
    n.stop().code(0);
    n.begin_with_socket();
    n.ok(n.containers().version(VersionRequest::default()));
    n.stop().code(0);
}

/// The address of a pod of this name.
fn address(n: &Node, name: &str) -> String {
    let pod = run(n, &pod_config(n, name));
    let ip = pod_status(n, &pod).network.expect("a network").ip;
    remove_pod(n, &pod);
    ip
}

fn the_kubelet_tells_the_addresses_of_pods() {
    needs_our_bridge();
    let n = Node::own("");
    let told = |pod_cidr: &str| {
        let network_config = Some(cri::NetworkConfig { pod_cidr: pod_cidr.to_owned() });
        cri::UpdateRuntimeConfigRequest { runtime_config: Some(cri::RuntimeConfig { network_config }) }
    };
    n.fails(tonic::Code::InvalidArgument, n.containers().update_runtime_config(told("10.231.4.0")));
    n.ok(n.containers().update_runtime_config(told("10.231.4.0/24")));
    assert!(address(&n, "told").starts_with("10.231.4."));
    // Addresses that are given out stay right.
    n.ok(n.containers().update_runtime_config(told("10.231.5.0/24")));
    n.ok(n.containers().update_runtime_config(cri::UpdateRuntimeConfigRequest::default()));
    assert!(address(&n, "told-again").starts_with("10.231.4."));
}

fn the_configuration_tells_the_addresses_of_pods() {
    needs_our_bridge();
    let n = Node::own("[cri]\npod_cidr = \"10.231.6.0/24\"\n");
    assert!(address(&n, "configured").starts_with("10.231.6."));
}

fn crictl_is_served() {
    if !integration::debian::is_installed("crictl") {
        integration::skip!("crictl is not installed, and Debian has no package of it");
    }
    let n = Node::own("");
    let crictl = |words: &[&str]| {
        let mut command = n.env.command("crictl");
        command.args(["--runtime-endpoint", &format!("unix://{}", n.env.run().join("noded/cri.sock").display())]).args(words);
        integration::env::Running::start(command).finish()
    };
    crictl(&["version"]).ok().has("noded");
    crictl(&["info"]).ok().has("RuntimeReady");
    crictl(&["pull", "docker.io/library/busybox:latest"]).ok();
    crictl(&["images"]).ok().has("docker.io/library/busybox");
    let pod = run(&n, &pod_config(&n, "crictl"));
    crictl(&["pods"]).ok().has(&pod[..13]);
    crictl(&["inspectp", &pod]).ok().has("SANDBOX_READY");
    crictl(&["stopp", &pod]).ok();
    crictl(&["rmp", &pod]).ok();
}

/// The aim for the daemon with as many pods, in KiB of memory of its own.
const SMALL: u64 = 30 << 10;

fn fifty_pods_are_small() {
    let n = Node::own("");
    for number in 0..50 {
        run(&n, &pod_config(&n, &format!("small-{number}")));
    }
    let listed = n.ok(n.containers().list_pod_sandbox(cri::ListPodSandboxRequest { filter: None })).items;
    assert_eq!(listed.len(), 50);
    n.ok(n.containers().list_pod_sandbox_stats(cri::ListPodSandboxStatsRequest { filter: None }));
    let status = std::fs::read_to_string(format!("/proc/{}/status", n.pid())).expect("a status");
    let own = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).expect("a number");
    let own: u64 = own.trim().trim_end_matches(" kB").parse().expect("a number");
    assert!(own < SMALL, "{own} KiB of memory of its own with 50 pods");
}
