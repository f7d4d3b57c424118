//! Containers from their making to their end, and lists of them.

use cri::{
    Container, ContainerFilter, ContainerState, ContainerStateValue, ContainerStatusRequest, ListContainersRequest,
    RemoveContainerRequest, Signal, StartContainerRequest, StopContainerRequest, StreamContainersRequest,
};
use integration::env::within;
use tonic::Code;

use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::known::left_out;
use crate::cri::node::Node;

integration::tests![
    a_life,
    how_it_ended_is_told,
    a_retry_gets_the_same_container,
    stopping_and_removing_may_be_repeated,
    filters_choose,
    what_cannot_be_started_has_ended,
    what_is_wrong_is_refused,
];

pub(super) fn list(n: &Node, filter: ContainerFilter) -> Vec<String> {
    let all = n.ok(n.containers().list_containers(ListContainersRequest { filter: Some(filter.clone()) })).containers;
    if let Some(parts) = n.stream(n.containers().stream_containers(StreamContainersRequest { filter: Some(filter) })) {
        assert_eq!(parts.into_iter().flat_map(|part| part.containers).collect::<Vec<Container>>(), all);
    }
    all.into_iter().map(|container| container.id).collect()
}

fn a_life() {
    let n = Node::start();
    let image = pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "life");
    let pod = run(&n, &pod_config);
    let config = config("main", SLEEP);
    let id = create(&n, &pod, &config, &pod_config);
    let made = status(&n, &id);
    assert_eq!(made.state, i32::from(ContainerState::ContainerCreated));
    assert_eq!((made.started_at, made.finished_at), (0, 0));
    assert_eq!((&made.labels, &made.annotations, &made.metadata), (&config.labels, &config.annotations, &config.metadata));
    start(&n, &id);
    let runs = status(&n, &id);
    assert_eq!(runs.state, i32::from(ContainerState::ContainerRunning));
    assert!(runs.started_at >= made.created_at && made.created_at > 0);
    let lacks = left_out("image_id", runs.image_id.is_empty());
    assert!(lacks || runs.image_id == image, "{}", runs.image_id);
    assert!(runs.image_ref.contains("@sha256:"), "{}", runs.image_ref);
    assert!(runs.log_path.ends_with("/logs/life/main.log"), "{}", runs.log_path);
    // What tools look for.
    let info = n.ok(n.containers().container_status(ContainerStatusRequest { container_id: id.clone(), verbose: true })).info;
    let shown: serde_json::Value = serde_json::from_str(&info["info"]).expect("JSON");
    assert!(shown["pid"].as_u64().is_some_and(|pid| pid > 1) && shown["sandboxID"] == *pod, "{shown}");
    assert_eq!(shown["config"]["metadata"]["name"], "main");
    assert_eq!(shown["runtimeSpec"]["process"]["args"], serde_json::json!(config.command));
    let item = n.ok(n.containers().list_containers(ListContainersRequest { filter: None })).containers;
    let item = item.into_iter().find(|container| container.id == id).expect("in the list");
    assert_eq!(item.pod_sandbox_id, pod);
    assert!(lacks || item.image_id == image, "{}", item.image_id);
    settled(&n, &id);
    stop(&n, &id, 10);
    let ended = status(&n, &id);
    assert_eq!((ended.state, ended.exit_code, ended.reason.as_str()), (i32::from(ContainerState::ContainerExited), 0, "Completed"));
    assert!(ended.finished_at >= ended.started_at);
    n.ok(n.containers().remove_container(RemoveContainerRequest { container_id: id.clone() }));
    n.fails(Code::NotFound, n.containers().container_status(ContainerStatusRequest { container_id: id, verbose: false }));
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

fn how_it_ended_is_told() {
    let n = Node::start();
    let (pod, id) = started(&n, "ended", "exit 3");
    let status = ended(&n, &id);
    assert_eq!((status.exit_code, status.reason.as_str()), (3, "Error"));
    remove_pod(&n, &pod);
    let (pod, id) = started(&n, "killed", "trap '' TERM; while :; do sleep 0.1; done");
    stop(&n, &id, 0);
    let status = ended(&n, &id);
    assert_eq!((status.exit_code, status.reason.as_str()), (137, "Error"));
    remove_pod(&n, &pod);
    // By a signal of its own.
    let pod_config = pod_config(&n, "signal");
    let pod = run(&n, &pod_config);
    let mut config = config("main", "trap 'exit 7' USR1; while :; do sleep 0.1; done");
    config.stop_signal = Signal::Sigusr1.into();
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let signal = crate::cri::asking::status(&n, &id).stop_signal;
    if !left_out("stop_signal", signal == 0) {
        assert_eq!(signal, i32::from(Signal::Sigusr1));
        settled(&n, &id);
        stop(&n, &id, 20);
        assert_eq!(ended(&n, &id).exit_code, 7);
    }
    remove_pod(&n, &pod);
}

fn a_retry_gets_the_same_container() {
    let n = Node::own("");
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "retry");
    let pod = run(&n, &pod_config);
    let config = config("main", SLEEP);
    let request = || creation(&pod, &config, &pod_config);
    let (mut a, mut b) = (n.containers(), n.containers());
    let both = n.wait(async { tokio::join!(a.create_container(request()), b.create_container(request())) });
    let id = both.0.expect("a container").into_inner().container_id;
    assert_eq!(both.1.expect("a container").into_inner().container_id, id);
    assert_eq!(create(&n, &pod, &config, &pod_config), id);
    let other = crate::cri::asking::config("main", "exit 1");
    let message = n.fails(Code::AlreadyExists, n.containers().create_container(creation(&pod, &other, &pod_config)));
    assert!(message.contains("another configuration"), "{message}");
    let mut next = config.clone();
    next.metadata.as_mut().expect("metadata").attempt = 1;
    assert_ne!(create(&n, &pod, &next, &pod_config), id);
}

fn stopping_and_removing_may_be_repeated() {
    let n = Node::start();
    let (pod, id) = started(&n, "repeat", SLEEP);
    for _ in 0..2 {
        stop(&n, &id, 5);
    }
    for _ in 0..2 {
        n.ok(n.containers().remove_container(RemoveContainerRequest { container_id: id.clone() }));
        stop(&n, &id, 5);
    }
    // A running one is removed, too.
    let pod_config = pod_config(&n, "repeat");
    let mut config = config("main", SLEEP);
    config.metadata.as_mut().expect("metadata").attempt = 1;
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    n.ok(n.containers().remove_container(RemoveContainerRequest { container_id: id }));
    remove_pod(&n, &pod);
}

fn filters_choose() {
    let n = Node::start();
    let (pod, id) = started(&n, "filter", SLEEP);
    let (other_pod, other) = started(&n, "filter-other", "exit 0");
    ended(&n, &other);
    let state = |state: ContainerState| Some(ContainerStateValue { state: state.into() });
    let in_pod = |pod: &str| ContainerFilter { pod_sandbox_id: pod.to_owned(), ..Default::default() };
    assert_eq!(list(&n, in_pod(&pod)), std::slice::from_ref(&id));
    assert_eq!(list(&n, ContainerFilter { id: other[..13].to_owned(), ..Default::default() }), std::slice::from_ref(&other));
    assert_eq!(list(&n, ContainerFilter { state: state(ContainerState::ContainerRunning), ..in_pod(&pod) }), [id]);
    assert!(list(&n, ContainerFilter { state: state(ContainerState::ContainerRunning), ..in_pod(&other_pod) }).is_empty());
    assert!(list(&n, ContainerFilter { label_selector: [("name".to_owned(), "x".to_owned())].into(), ..in_pod(&pod) }).is_empty());
    assert!(list(&n, in_pod(&"0".repeat(64))).is_empty());
    for pod in [pod, other_pod] {
        remove_pod(&n, &pod);
    }
}

fn what_cannot_be_started_has_ended() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "nonsuch");
    let pod = run(&n, &pod_config);
    let mut config = config("main", "");
    config.command = vec!["/no/such/program".to_owned()];
    let id = create(&n, &pod, &config, &pod_config);
    let failed =
        n.ask(n.containers().start_container(StartContainerRequest { container_id: id.clone() })).expect_err("no such program");
    assert!(failed.message().contains("/no/such/program"), "{failed}");
    let status = self::status(&n, &id);
    assert_eq!(
        (status.state, status.exit_code, status.reason.as_str()),
        (i32::from(ContainerState::ContainerExited), 128, "StartError")
    );
    assert!(status.finished_at > 0 && !status.message.is_empty());
    // It has had its start: what came of it stays.
    n.fails(Code::FailedPrecondition, n.containers().start_container(StartContainerRequest { container_id: id.clone() }));
    assert_eq!(self::status(&n, &id), status);
    remove_pod(&n, &pod);
}

fn what_is_wrong_is_refused() {
    let n = Node::own("");
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "bad");
    let pod = run(&n, &pod_config);
    let good = config("main", SLEEP);
    let refused = |code, change: &dyn Fn(&mut cri::ContainerConfig)| {
        let mut bad = good.clone();
        change(&mut bad);
        n.fails(code, n.containers().create_container(creation(&pod, &bad, &pod_config)))
    };
    refused(Code::InvalidArgument, &|c| c.metadata = None);
    refused(Code::InvalidArgument, &|c| c.image = None);
    refused(Code::NotFound, &|c| c.image = crate::cri::images::spec("docker.io/test/nonsuch:v1"));
    refused(Code::InvalidArgument, &|c| c.log_path = "../../x.log".to_owned());
    refused(Code::InvalidArgument, &|c| c.stop_signal = 1000);
    refused(Code::InvalidArgument, &|c| c.annotations = [("a".to_owned(), "x".repeat(2 << 20))].into());
    refused(Code::InvalidArgument, &|c| {
        c.linux.as_mut().expect("linux").security_context.as_mut().expect("security").privileged = true
    });
    n.fails(Code::NotFound, n.containers().create_container(creation(&"0".repeat(64), &good, &pod_config)));
    n.fails(Code::InvalidArgument, n.containers().create_container(creation("", &good, &pod_config)));
    n.fails(Code::NotFound, n.containers().start_container(StartContainerRequest { container_id: "0".repeat(64) }));
    n.fails(Code::InvalidArgument, n.containers().stop_container(StopContainerRequest { container_id: pod.clone(), timeout: -1 }));
    // Names are not ids, and a container of nobody's pod is not the kubelet's.
    n.env.rctr(["run", "-d", "--name", "alone", "--network", "none", "busybox", "sleep", "1000"]).ok();
    n.fails(
        Code::NotFound,
        n.containers().container_status(ContainerStatusRequest { container_id: "alone".to_owned(), verbose: false }),
    );
    n.ok(n.containers().remove_container(RemoveContainerRequest { container_id: "alone".to_owned() }));
    assert!(list(&n, ContainerFilter::default()).is_empty());
    let id = n.env.inspect("alone", "{{.Id}}");
    n.ok(n.containers().remove_container(RemoveContainerRequest { container_id: id.clone() }));
    assert!(within(std::time::Duration::ZERO, || n.env.inspect(&id, "{{.State.Running}}") == "true"));
}
