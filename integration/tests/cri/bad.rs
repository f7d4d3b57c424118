//! What clients, disks and files do wrong: the right code or a clear word, and no other pod is touched.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;
use std::time::Duration;

use cri::*;
use rustix::mount::{MountFlags, mount, mount_remount};
use tonic::Code;

use super::asking::*;
use super::images::spec;
use super::node::Node;
use super::socket::Socket;

integration::tests![
    calls_that_say_nothing_are_answered,
    what_is_huge_or_no_number_of_ours_is_refused,
    a_client_that_goes_leaves_what_a_retry_finds,
    a_call_ends_when_its_client_said_so,
    a_stream_that_nobody_reads_waits,
    ten_thousand_labels_choose_nothing,
    strangers_are_not_served,
    a_full_disk_is_named,
    state_that_was_cut_in_half_touches_no_other,
];

/// Each of these calls with an empty request has an answer that tells the client what is wrong, if anything is.
macro_rules! nothing {
    ($n:ident, $service:ident: $($call:ident $request:ident),* $(,)?) => {
        $(if let Err(status) = $n.ask($n.$service().$call($request::default())) {
            let wrong = [Code::Unknown, Code::Internal, Code::DataLoss, Code::Cancelled];
            assert!(!wrong.contains(&status.code()), "{}: {status:?}", stringify!($call));
            assert!(!status.message().is_empty(), "{}", stringify!($call));
        })*
    };
}

fn calls_that_say_nothing_are_answered() {
    let n = Node::own("");
    nothing!(n, containers: version VersionRequest, run_pod_sandbox RunPodSandboxRequest, stop_pod_sandbox StopPodSandboxRequest,
        remove_pod_sandbox RemovePodSandboxRequest, pod_sandbox_status PodSandboxStatusRequest, list_pod_sandbox ListPodSandboxRequest,
        stream_pod_sandboxes StreamPodSandboxesRequest, create_container CreateContainerRequest, start_container StartContainerRequest,
        stop_container StopContainerRequest, remove_container RemoveContainerRequest, list_containers ListContainersRequest,
        stream_containers StreamContainersRequest, container_status ContainerStatusRequest,
        update_container_resources UpdateContainerResourcesRequest, reopen_container_log ReopenContainerLogRequest,
        exec_sync ExecSyncRequest, exec ExecRequest, attach AttachRequest, port_forward PortForwardRequest,
        container_stats ContainerStatsRequest, list_container_stats ListContainerStatsRequest,
        stream_container_stats StreamContainerStatsRequest, pod_sandbox_stats PodSandboxStatsRequest,
        list_pod_sandbox_stats ListPodSandboxStatsRequest, stream_pod_sandbox_stats StreamPodSandboxStatsRequest,
        update_runtime_config UpdateRuntimeConfigRequest, status StatusRequest, checkpoint_container CheckpointContainerRequest,
        checkpoint_pod CheckpointPodRequest, restore_pod RestorePodRequest, get_container_events GetEventsRequest,
        list_metric_descriptors ListMetricDescriptorsRequest, list_pod_sandbox_metrics ListPodSandboxMetricsRequest,
        stream_pod_sandbox_metrics StreamPodSandboxMetricsRequest, runtime_config RuntimeConfigRequest,
        update_pod_sandbox_resources UpdatePodSandboxResourcesRequest);
    nothing!(n, images: list_images ListImagesRequest, stream_images StreamImagesRequest, image_status ImageStatusRequest,
        pull_image PullImageRequest, remove_image RemoveImageRequest, image_fs_info ImageFsInfoRequest);
    n.env.nothing_left();
}

fn what_is_huge_or_no_number_of_ours_is_refused() {
    let n = Node::own("");
    let huge = "x".repeat(1 << 20);
    let request = |change: &dyn Fn(&mut PodSandboxConfig)| {
        let mut config = pod_config(&n, "huge");
        change(&mut config);
        RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() }
    };
    let options = |options: NamespaceOption| LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
    let pods: [&dyn Fn(&mut PodSandboxConfig); 6] = [
        &|config| config.hostname.clone_from(&huge),
        &|config| config.log_directory = format!("/{huge}"),
        &|config| config.metadata.as_mut().expect("metadata").name.clone_from(&huge),
        &|config| config.port_mappings = vec![PortMapping { protocol: 77, container_port: 1, host_port: 1, ..Default::default() }],
        &|config| {
            config.linux.as_mut().expect("linux").security_context =
                Some(options(NamespaceOption { network: 77, ..Default::default() }));
        },
        &|config| config.linux.as_mut().expect("linux").cgroup_parent = format!("/{huge}"),
    ];
    for (number, change) in pods.iter().enumerate() {
        let made = n.ask(n.containers().run_pod_sandbox(request(change)));
        let status = made.err().unwrap_or_else(|| panic!("{number} is made"));
        assert_eq!(status.code(), Code::InvalidArgument, "{number}: {:.300}", status.message());
        assert!(status.message().len() < 4096, "{number}: the message repeats all of it");
    }
    // What is larger than a message may be is not even read; the connection stays.
    let larger = RunPodSandboxRequest { runtime_handler: "x".repeat(17 << 20), ..Default::default() };
    let mut client = n.containers().max_encoding_message_size(64 << 20);
    n.ask(client.run_pod_sandbox(larger)).expect_err("too large");
    n.fails(Code::NotFound, n.containers().start_container(StartContainerRequest { container_id: "7".repeat(64) }));
    n.fails(Code::NotFound, n.containers().start_container(StartContainerRequest { container_id: huge.clone() }));
    n.env.nothing_left();
}

fn a_client_that_goes_leaves_what_a_retry_finds() {
    let n = Node::own("");
    let config = pod_config(&n, "left");
    let request = || RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    for pause in [0, 1, 3, 9] {
        let mut client = n.containers();
        // The call is taken back when its time is over.
        let _ = n.wait(async { tokio::time::timeout(Duration::from_millis(pause), client.run_pod_sandbox(request())).await });
    }
    let pod = run(&n, &config);
    let there = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items;
    assert_eq!(there.iter().map(|pod| &pod.id).collect::<Vec<_>>(), [&pod]);
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

/// Clients have clocks of their own, so this one only says how long it waits, and waits longer.
fn a_call_ends_when_its_client_said_so() {
    if !integration::debian::is_installed("curl") {
        integration::skip!("curl is not installed");
    }
    let n = Node::own("");
    let (pod, id) = started(&n, "late", "trap '' TERM; while :; do sleep 0.1; done");
    settled(&n, &id);
    // StopContainer with a grace of 100 s: a message of gRPC has five bytes before it.
    let message = [&[0, 0, 0, 0, 68, 0x0a, 64], id.as_bytes(), &[0x10, 100]].concat();
    let file = n.env.path("message");
    fs::write(&file, message).expect("a file");
    let mut command = n.env.command("curl");
    command.args(["-s", "--http2-prior-knowledge", "-D", "-", "-H", "content-type: application/grpc", "-H", "te: trailers"]);
    command.args(["-H", "grpc-timeout: 200m", "--unix-socket"]).arg(n.env.run().join("noded/cri.sock"));
    command.arg("--data-binary").arg(format!("@{}", file.display()));
    command.arg("http://localhost/runtime.v1.RuntimeService/StopContainer");
    let output = integration::env::Running::start(command).finish();
    // DEADLINE_EXCEEDED, and not CANCELLED.
    output.ok().has("grpc-status: 4\r\n");
    stop(&n, &id, 0);
    remove_pod(&n, &pod);
}

fn a_stream_that_nobody_reads_waits() {
    let n = Node::own("");
    let (pod, id) = started(&n, "unread", SLEEP);
    let script = "i=0; while :; do head -c 65536 /dev/zero; i=$((i+1)); echo $i >/said; done";
    let cmd = ["sh", "-c", script].map(str::to_owned).to_vec();
    let request = ExecRequest { container_id: id.clone(), cmd, tty: false, stdin: true, stdout: true, stderr: true };
    let socket = Socket::open(&n.ok(n.containers().exec(request)).url, "v4.channel.k8s.io").expect("a stream");
    let said = || says(&n, &id, "cat /said 2>/dev/null").parse::<u64>().unwrap_or(0);
    let mut before = 0;
    n.env.soon("it is held back", || {
        let now = said();
        std::mem::replace(&mut before, now) == now && now > 0
    });
    assert!(before * 65536 < 16 << 20, "{before} times 64 KiB are kept for a client that does not read them");
    drop(socket);
    n.env.soon("it is gone", || !says(&n, &id, "ps").contains("head -c 65536"));
    remove_pod(&n, &pod);
}

fn ten_thousand_labels_choose_nothing() {
    let n = Node::own("");
    let (pod, _) = started(&n, "labelled", SLEEP);
    let labels: std::collections::BTreeMap<String, String> = (0..10_000).map(|n| (format!("k{n}"), format!("v{n}"))).collect();
    let of_pods = PodSandboxFilter { label_selector: labels.clone().into_iter().collect(), ..Default::default() };
    let of_containers = ContainerFilter { label_selector: labels.into_iter().collect(), ..Default::default() };
    assert!(n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: Some(of_pods) })).items.is_empty());
    assert!(n.ok(n.containers().list_containers(ListContainersRequest { filter: Some(of_containers) })).containers.is_empty());
    assert_eq!(n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items.len(), 1);
    remove_pod(&n, &pod);
}

fn strangers_are_not_served() {
    for program in ["curl", "setpriv"] {
        if !integration::debian::is_installed(program) {
            integration::skip!("{program} is not installed");
        }
    }
    let n = Node::own("");
    let socket = n.env.run().join("noded/cri.sock");
    // Somebody has opened it by hand, with all that leads there.
    for (path, mode) in [(socket.as_path(), 0o666), (socket.parent().expect("a folder"), 0o755), (n.env.run(), 0o755)] {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
    }
    let asks = |uid: &str| {
        let mut command = Command::new("setpriv");
        command.args(["--reuid", uid, "--clear-groups", "curl", "-s", "-m", "20", "--http2-prior-knowledge", "--unix-socket"]);
        command.arg(&socket).args(["-o", "/dev/null", "-w", "%{http_code}", "http://noded/"]);
        String::from_utf8_lossy(&command.output().expect("setpriv").stdout).into_owned()
    };
    assert_eq!(asks("65534"), "000", "the connection is closed before anything is said");
    assert_ne!(asks("0"), "000");
}

fn a_full_disk_is_named() {
    let mut n = Node::own("");
    n.stop().code(0);
    let root = n.env.root();
    mount("tmpfs", &root, "tmpfs", MountFlags::empty(), c"size=1m,mode=700").expect("a small disk");
    n.begin();
    let pulled = n.ask(n.images().pull_image(PullImageRequest { image: spec(BUSYBOX), ..Default::default() }));
    let full = pulled.expect_err("no room");
    assert!(full.message().contains("No space left on device") && full.code() != Code::Unknown, "{full:?}");
    let disk = format!("mount {}", root.display());
    assert_eq!(n.env.left(), [disk], "nothing but the disk itself");
    // There is room again.
    mount_remount(&root, MountFlags::empty(), c"size=64m").expect("a larger disk");
    let (pod, _) = started(&n, "room", SLEEP);
    remove_pod(&n, &pod);
}

fn state_that_was_cut_in_half_touches_no_other() {
    let n = Node::own("");
    let (broken_pod, broken) = started(&n, "broken", SLEEP);
    let (pod, id) = started(&n, "whole", SLEEP);
    let root = n.env.root();
    for file in [root.join("containers").join(&broken).join("config.json"), root.join("pods").join(&broken_pod).join("config.json")]
    {
        let text = fs::read(&file).expect("a record");
        fs::write(&file, &text[..text.len() / 2]).expect("half a record");
    }
    n.env.soon("only the other is listed", || {
        let pods = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items;
        let containers = n.ok(n.containers().list_containers(ListContainersRequest { filter: None })).containers;
        pods.len() == 1 && pods[0].id == pod && containers.len() == 1 && containers[0].id == id
    });
    let asked = ContainerStatusRequest { container_id: broken.clone(), verbose: false };
    assert!(n.ask(n.containers().container_status(asked)).is_err());
    assert_eq!(says(&n, &id, "echo here"), "here");
    for one in [&broken_pod, &pod] {
        stop_pod(&n, one);
        remove_pod(&n, one);
    }
    n.env.nothing_left_soon();
}
