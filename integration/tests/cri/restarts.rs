//! Containers do not need the daemon: it is killed, stopped and started, and they do not notice.

use std::time::Duration;

use cri::{ContainerState, ListContainersRequest, ListPodSandboxRequest, PodSandboxState, PortMapping, RunPodSandboxRequest};
use rustix::process::{Pid, Signal, kill_process};

use super::asking::*;
use super::node::Node;

integration::tests![
    of_a_daemon_that_is_killed,
    of_a_daemon_that_is_killed_while_it_makes_pods,
    of_a_daemon_that_is_stopped,
    an_end_meanwhile_is_known,
];

fn of_a_daemon_that_is_killed() {
    let mut n = Node::own("");
    let (pod, id) = started(&n, "survivor", "i=0; while :; do echo $i; i=$((i+1)); sleep 0.05; done");
    let log = n.env.path("logs/survivor/main.log");
    let lines = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    let (before, pod_before) = (status(&n, &id), pod_status(&n, &pod));
    for _ in 0..3 {
        let so_far = lines();
        n.env.soon("it goes on", || lines() > so_far);
        n.kill_and_start();
        assert_eq!(status(&n, &id), before);
        assert_eq!(pod_status(&n, &pod), pod_before);
        assert_eq!(n.ok(n.containers().list_containers(ListContainersRequest { filter: None })).containers.len(), 1);
        assert_eq!(n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items.len(), 1);
        assert_eq!(says(&n, &id, "echo alive"), "alive");
    }
    // No line of its log is missing.
    stop(&n, &id, 0);
    let text = std::fs::read_to_string(&log).expect("a log");
    let numbers: Vec<usize> = text.lines().filter_map(|line| line.rsplit(' ').next()?.parse().ok()).collect();
    assert_eq!(numbers, (0..numbers.len()).collect::<Vec<_>>());
    assert!(numbers.len() > 2);
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

/// How often it is killed, each time some milliseconds later into the making of a pod, which takes tens of them.
const KILLS: u64 = 16;

fn of_a_daemon_that_is_killed_while_it_makes_pods() {
    let mut n = Node::own("");
    let port = crate::ports::free_port();
    for number in 0..KILLS {
        let mut config = pod_config(&n, &format!("half-made-{number}"));
        config.port_mappings = vec![PortMapping { container_port: 80, host_port: port.into(), ..PortMapping::default() }];
        let request = RunPodSandboxRequest { config: Some(config), runtime_handler: String::new() };
        let daemon = Pid::from_raw(n.pid() as i32).expect("a process");
        let kill = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(number * 3));
            let _ = kill_process(daemon, Signal::KILL);
        });
        // Made or not: nobody was told, or somebody was.
        let _ = n.ask(n.containers().run_pod_sandbox(request));
        kill.join().expect("killed");
        n.kill_and_start();
        for pod in n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items {
            remove_pod(&n, &pod.id);
        }
    }
    assert!(std::net::TcpListener::bind(("0.0.0.0", port)).is_ok(), "its port is free");
    // The next one sweeps what was not even a pod yet.
    remove_pod(&n, &run(&n, &pod_config(&n, "whole")));
    n.env.nothing_left_soon();
    let folders = ["pods", "pod-names"].map(|name| std::fs::read_dir(n.env.root().join(name)).expect("a folder").count());
    assert_eq!(folders, [0, 0], "nothing is left of what was half made");
}

fn of_a_daemon_that_is_stopped() {
    let mut n = Node::own("");
    let (pod, id) = started(&n, "stopped", SLEEP);
    n.stop().code(0);
    n.begin();
    assert_eq!(status(&n, &id).state, i32::from(ContainerState::ContainerRunning));
    remove_pod(&n, &pod);
}

fn an_end_meanwhile_is_known() {
    let mut n = Node::own("");
    let (pod, id) = started(&n, "meanwhile", "while [ ! -e /go ]; do sleep 0.05; done; exit 9");
    let go = n.env.root().join("containers").join(&id);
    assert_eq!(sh(&n, &id, "(sleep 0.4; touch /go) > /dev/null 2>&1 &").exit_code, 0);
    n.stop().code(0);
    assert!(go.exists());
    n.begin();
    let status = ended(&n, &id);
    assert_eq!((status.exit_code, status.reason.as_str()), (9, "Error"));
    assert_eq!(pod_status(&n, &pod).state, i32::from(PodSandboxState::SandboxReady));
    remove_pod(&n, &pod);
}
