//! What containers may use.

use cri::{LinuxContainerResources, StartContainerRequest, UpdateContainerResourcesRequest, UpdatePodSandboxResourcesRequest};
use tonic::Code;

use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::node::{Node, is_another};

integration::tests![limits_can_change, want_of_memory_is_told,];

fn limits_can_change() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "limits");
    let pod = run(&n, &pod_config);
    let mut config = config("main", SLEEP);
    let limits =
        LinuxContainerResources { memory_limit_in_bytes: 64 << 20, cpu_shares: 512, oom_score_adj: 900, ..Default::default() };
    config.linux.as_mut().expect("linux").resources = Some(limits);
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let of = |id: &str| status(&n, id).resources.and_then(|resources| resources.linux).expect("limits");
    assert_eq!((of(&id).memory_limit_in_bytes, of(&id).cpu_shares), (64 << 20, 512));
    assert_eq!(says(&n, &id, "cat /proc/1/oom_score_adj"), "900");
    let change = |memory| UpdateContainerResourcesRequest {
        container_id: id.clone(),
        linux: Some(LinuxContainerResources { memory_limit_in_bytes: memory, ..Default::default() }),
        annotations: Default::default(),
    };
    let inside = || says(&n, &id, "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null");
    assert_eq!(inside(), (64 << 20).to_string());
    n.ok(n.containers().update_container_resources(change(96 << 20)));
    assert_eq!(inside(), (96 << 20).to_string());
    assert_eq!((of(&id).memory_limit_in_bytes, of(&id).cpu_shares), (96 << 20, 512));
    n.fails(
        Code::NotFound,
        n.containers()
            .update_container_resources(UpdateContainerResourcesRequest { container_id: "0".repeat(64), ..change(1 << 26) }),
    );
    if !is_another() {
        // What the kubelet has written to the pod's own cgroup.
        let told = |pod: &str| UpdatePodSandboxResourcesRequest { pod_sandbox_id: pod.to_owned(), ..Default::default() };
        n.ok(n.containers().update_pod_sandbox_resources(told(&pod)));
        n.fails(Code::NotFound, n.containers().update_pod_sandbox_resources(told(&"0".repeat(64))));
        n.fails(Code::InvalidArgument, n.containers().update_container_resources(change(-5)));
        n.fails(Code::InvalidArgument, n.containers().update_container_resources(change(1)));
    }
    assert_eq!(of(&id).memory_limit_in_bytes, 96 << 20);
    remove_pod(&n, &pod);
}

fn want_of_memory_is_told() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "memory");
    let pod = run(&n, &pod_config);
    let mut config = config("main", "x=$(head -c 300000000 /dev/zero | tr '\\0' x); echo survived; exec sleep 1000");
    let limits =
        LinuxContainerResources { memory_limit_in_bytes: 20 << 20, memory_swap_limit_in_bytes: 20 << 20, ..Default::default() };
    config.linux.as_mut().expect("linux").resources = Some(limits);
    let id = create(&n, &pod, &config, &pod_config);
    if let Err(refused) = n.ask(n.containers().start_container(StartContainerRequest { container_id: id.clone() })) {
        integration::skip!("no limits of memory here: {}", refused.message());
    }
    let status = ended(&n, &id);
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "OOMKilled"));
    remove_pod(&n, &pod);
}
