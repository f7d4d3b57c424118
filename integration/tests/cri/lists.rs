//! Lists come from memory, and are never behind.

use cri::{ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxState};

use super::asking::*;
use super::images::pull;
use super::node::Node;

integration::tests![what_others_do_is_listed, an_end_without_a_monitor_is_listed, what_is_known_is_not_read_again];

/// Ids and states of pods, newest first.
fn pods(n: &Node) -> Vec<(String, i32)> {
    let listed = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items;
    listed.into_iter().map(|pod| (pod.id, pod.state)).collect()
}

/// Ids and states of containers, newest first.
fn containers(n: &Node) -> Vec<(String, i32)> {
    let listed = n.ok(n.containers().list_containers(ListContainersRequest { filter: None })).containers;
    listed.into_iter().map(|container| (container.id, container.state)).collect()
}

fn what_others_do_is_listed() {
    let n = Node::own("");
    assert_eq!((pods(&n), containers(&n)), (Vec::new(), Vec::new()));
    let ready = i32::from(PodSandboxState::SandboxReady);
    let [runs, ended] = [ContainerState::ContainerRunning, ContainerState::ContainerExited].map(i32::from);
    let (pod_a, a) = started(&n, "a", SLEEP);
    let (pod_b, b) = started(&n, "b", SLEEP);
    assert_eq!(pods(&n), [(pod_b.clone(), ready), (pod_a.clone(), ready)]);
    assert_eq!(containers(&n), [(b.clone(), runs), (a.clone(), runs)]);
    for _ in 0..3 {
        n.env.rctr(["stop", "-t", "0", &a]).ok();
        assert_eq!(containers(&n)[1], (a.clone(), ended));
        n.env.rctr(["start", &a]).ok();
        assert_eq!(containers(&n)[1], (a.clone(), runs));
    }
    n.env.rctr(["rm", "-f", &b]).ok();
    assert_eq!(containers(&n), [(a, runs)]);
    // A container that is in no pod is none of the kubelet's.
    n.env.rctr(["create", "--name", "other", "busybox"]).ok();
    assert_eq!(containers(&n).len(), 1);
    stop_pod(&n, &pod_a);
    assert_eq!(pods(&n)[1], (pod_a.clone(), PodSandboxState::SandboxNotready.into()));
    remove_pod(&n, &pod_a);
    assert_eq!((pods(&n), containers(&n)), (vec![(pod_b, ready)], Vec::new()));
    n.env.rctr(["rm", "other"]).ok();
}

fn an_end_without_a_monitor_is_listed() {
    let n = Node::own("");
    let (pod, id) = started(&n, "orphan", SLEEP);
    assert_eq!(containers(&n)[0].1, i32::from(ContainerState::ContainerRunning));
    let pid: i32 = n.env.inspect(&id, "{{.State.Pid}}").parse().expect("a process");
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let monitor = text.lines().find_map(|line| line.strip_prefix("PPid:")).expect("a parent").trim().parse().expect("a number");
    // The monitor first: it cannot write down how its container ends.
    for process in [monitor, pid] {
        let _ =
            rustix::process::kill_process(rustix::process::Pid::from_raw(process).expect("a pid"), rustix::process::Signal::KILL);
    }
    n.env.soon("its end is listed", || containers(&n)[0].1 == i32::from(ContainerState::ContainerExited));
    remove_pod(&n, &pod);
}

fn what_is_known_is_not_read_again() {
    const PODS: usize = 6;
    const LISTS: u64 = 20;
    let n = Node::own("");
    pull(&n, BUSYBOX);
    for number in 0..PODS {
        started(&n, &format!("known-{number}"), "sleep 1000");
    }
    let reads = || {
        let io = std::fs::read_to_string(format!("/proc/{}/io", n.pid())).expect("its reads");
        let count = io.lines().find_map(|line| line.strip_prefix("syscr: ")).expect("a count");
        count.parse::<u64>().expect("a number")
    };
    assert_eq!((pods(&n).len(), containers(&n).len()), (PODS, PODS));
    let before = reads();
    for _ in 0..LISTS {
        assert_eq!((pods(&n).len(), containers(&n).len()), (PODS, PODS));
    }
    // Those of the two calls and of the threads that wake each other: not one for each pod, let alone container.
    let each = (reads() - before) / (2 * LISTS);
    assert!(each < PODS as u64, "{each} reads a list");
}
