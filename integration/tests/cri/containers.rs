//! Containers.

use cri::{
    Container, ContainerFilter, ContainerState, ContainerStateValue, ContainerStatusRequest, ExecSyncRequest, Int64Value,
    LinuxContainerResources, ListContainersRequest, Mount, RemoveContainerRequest, ReopenContainerLogRequest, Signal,
    StartContainerRequest, StopContainerRequest, StreamContainersRequest, UpdateContainerResourcesRequest,
};
use integration::env::within;
use tonic::Code;

use super::asking::*;
use super::images::pull;
use super::node::Node;

integration::tests![
    a_life,
    how_it_ended_is_told,
    a_retry_gets_the_same_container,
    stopping_and_removing_may_be_repeated,
    filters_choose,
    what_cannot_be_started_has_ended,
    logs_are_lines_with_their_time,
    a_renamed_log_is_followed_by_another,
    output_and_code_of_a_process,
    a_process_has_a_deadline,
    users_and_groups,
    mounts_of_the_host,
    images_are_mounted_to_be_read,
    limits_can_change,
    want_of_memory_is_told,
    processes_of_another_are_seen,
    processes_may_be_the_pods,
    settings_are_the_pods,
    a_filter_of_system_calls_may_be_in_a_file,
    everything_may_be_allowed,
    root_may_be_nobody_on_the_host,
    what_is_wrong_is_refused,
];

fn list(n: &Node, filter: ContainerFilter) -> Vec<String> {
    let all = n.ok(n.containers().list_containers(ListContainersRequest { filter: Some(filter.clone()) })).containers;
    let streamed = n.stream(n.containers().stream_containers(StreamContainersRequest { filter: Some(filter) }));
    let streamed: Vec<Container> = streamed.into_iter().flat_map(|part| part.containers).collect();
    assert_eq!(all, streamed);
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
    assert_eq!(runs.image_id, image);
    assert!(runs.image_ref.contains("@sha256:"), "{}", runs.image_ref);
    assert!(runs.log_path.ends_with("/logs/life/main.log"), "{}", runs.log_path);
    let item = n.ok(n.containers().list_containers(ListContainersRequest { filter: None })).containers;
    let item = item.into_iter().find(|container| container.id == id).expect("in the list");
    assert_eq!((item.pod_sandbox_id, item.image_id), (pod.clone(), image));
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
    assert_eq!(super::asking::status(&n, &id).stop_signal, i32::from(Signal::Sigusr1));
    settled(&n, &id);
    stop(&n, &id, 20);
    assert_eq!(ended(&n, &id).exit_code, 7);
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
    let other = super::asking::config("main", "exit 1");
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
    let status = status(&n, &id);
    assert_eq!(
        (status.state, status.exit_code, status.reason.as_str()),
        (i32::from(ContainerState::ContainerExited), 128, "StartError")
    );
    assert!(status.finished_at > 0 && !status.message.is_empty());
    remove_pod(&n, &pod);
}

fn lines(n: &Node, pod: &str) -> Vec<String> {
    let text = std::fs::read_to_string(n.env.path("logs").join(pod).join("main.log")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

fn logs_are_lines_with_their_time() {
    let n = Node::start();
    let (pod, id) = started(&n, "logged", "echo one; echo two >&2; printf rest");
    ended(&n, &id);
    n.env.soon("the log is whole", || lines(&n, "logged").len() == 3);
    for line in lines(&n, "logged") {
        let (time, rest) = line.split_once(' ').expect("a time");
        assert!(time.len() >= 20 && time.contains('T'), "{line}");
        assert!(["stdout F one", "stderr F two", "stdout P rest", "stdout F rest"].contains(&rest), "{line}");
    }
    remove_pod(&n, &pod);
}

fn a_renamed_log_is_followed_by_another() {
    let n = Node::start();
    let (pod, id) = started(&n, "rotated", "while :; do echo line; sleep 0.05; done");
    let log = n.env.path("logs/rotated/main.log");
    n.env.soon("it writes", || !lines(&n, "rotated").is_empty());
    let old = log.with_extension("old");
    std::fs::rename(&log, &old).expect("renamed");
    let reopen = |n: &Node| n.ask(n.containers().reopen_container_log(ReopenContainerLogRequest { container_id: id.clone() }));
    reopen(&n).expect("reopened");
    let length = std::fs::metadata(&old).expect("the old one").len();
    n.env.soon("it writes to the new one", || lines(&n, "rotated").len() > 2);
    assert_eq!(std::fs::metadata(&old).expect("the old one").len(), length);
    stop(&n, &id, 0);
    std::fs::remove_file(&log).expect("removed");
    assert!(reopen(&n).is_err() && !log.exists());
    remove_pod(&n, &pod);
}

fn output_and_code_of_a_process() {
    let n = Node::start();
    let (pod, id) = started(&n, "exec", SLEEP);
    let answer = sh(&n, &id, "echo out; echo err >&2; exit 5");
    assert_eq!((answer.stdout.as_slice(), answer.stderr.as_slice(), answer.exit_code), (&b"out\n"[..], &b"err\n"[..], 5));
    // More than is kept is no error.
    let answer = sh(&n, &id, "head -c 1000000 /dev/zero");
    assert_eq!((answer.stdout.len(), answer.exit_code), (1_000_000, 0));
    let exec = |id: &str, cmd: &[&str], timeout| ExecSyncRequest {
        container_id: id.to_owned(),
        cmd: cmd.iter().map(|word| (*word).to_owned()).collect(),
        timeout,
    };
    assert!(n.ask(n.containers().exec_sync(exec(&id, &["/no/such"], 5))).is_err());
    n.fails(Code::NotFound, n.containers().exec_sync(exec(&"0".repeat(64), &["true"], 5)));
    if std::env::var_os("CRI_SOCKET").is_none() {
        n.fails(Code::InvalidArgument, n.containers().exec_sync(exec(&id, &[], 5)));
        n.fails(Code::InvalidArgument, n.containers().exec_sync(exec(&id, &["true"], -1)));
        let message = n.fails(Code::InvalidArgument, n.containers().exec_sync(exec("", &["true"], 5)));
        assert_eq!(message, "container_id: it is empty");
    }
    stop(&n, &id, 0);
    assert!(n.ask(n.containers().exec_sync(exec(&id, &["true"], 5))).is_err());
    remove_pod(&n, &pod);
}

fn a_process_has_a_deadline() {
    let n = Node::start();
    let (pod, id) = started(&n, "deadline", SLEEP);
    let cmd = ["sh", "-c", "sleep 77"].map(str::to_owned).to_vec();
    n.fails(Code::DeadlineExceeded, n.containers().exec_sync(ExecSyncRequest { container_id: id.clone(), cmd, timeout: 1 }));
    n.env.soon("it is gone", || !says(&n, &id, "ps").contains("sleep 77"));
    remove_pod(&n, &pod);
}

fn users_and_groups() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "users");
    let pod = run(&n, &pod_config);
    let mut config = config("main", SLEEP);
    let security = config.linux.as_mut().expect("linux").security_context.as_mut().expect("security");
    security.run_as_user = Some(Int64Value { value: 1000 });
    security.run_as_group = Some(Int64Value { value: 3000 });
    security.supplemental_groups = vec![4000];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    assert_eq!(says(&n, &id, "id -u; id -g"), "1000\n3000");
    let groups = says(&n, &id, "id -G");
    // The image's file has its user in group 2000.
    for group in ["3000", "4000", "2000"] {
        assert!(groups.split(' ').any(|own| own == group), "{groups}");
    }
    let user = status(&n, &id).user.and_then(|user| user.linux).expect("a user");
    assert_eq!((user.uid, user.gid), (1000, 3000));
    assert!(user.supplemental_groups.contains(&4000) && user.supplemental_groups.contains(&2000), "{user:?}");
    let mut strict = config.clone();
    strict.metadata.as_mut().expect("metadata").name = "strict".to_owned();
    strict.linux.as_mut().expect("linux").security_context.as_mut().expect("security").supplemental_groups_policy = 1;
    let id = create(&n, &pod, &strict, &pod_config);
    start(&n, &id);
    assert!(!says(&n, &id, "id -G").split(' ').any(|own| own == "2000"));
    let mut alone = config;
    alone.metadata.as_mut().expect("metadata").name = "alone".to_owned();
    alone.linux.as_mut().expect("linux").security_context.as_mut().expect("security").run_as_user = None;
    assert!(n.ask(n.containers().create_container(creation(&pod, &alone, &pod_config))).is_err(), "a group without a user");
    remove_pod(&n, &pod);
}

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
    let failed = match made {
        Err(status) => status,
        Ok(made) => n
            .ask(n.containers().start_container(StartContainerRequest { container_id: made.container_id }))
            .expect_err("a mount from nowhere"),
    };
    assert!(failed.message().contains("nowhere"), "{failed}");
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
        image: super::images::spec(&image),
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
    assert!(shown.image_ref.contains("docker.io/test/tree@sha256:"), "{shown:?}");
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
    n.ok(n.containers().update_container_resources(change(96 << 20)));
    assert_eq!((of(&id).memory_limit_in_bytes, of(&id).cpu_shares), (96 << 20, 512));
    n.fails(
        Code::NotFound,
        n.containers()
            .update_container_resources(UpdateContainerResourcesRequest { container_id: "0".repeat(64), ..change(1 << 26) }),
    );
    if std::env::var_os("CRI_SOCKET").is_none() {
        n.fails(Code::InvalidArgument, n.containers().update_container_resources(change(-5)));
    }
    assert_eq!(of(&id).memory_limit_in_bytes, 96 << 20);
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
    refused(Code::NotFound, &|c| c.image = super::images::spec("docker.io/test/nonsuch:v1"));
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
    n.env.rctr(["run", "-d", "--name", "alone", "busybox", "sleep", "1000"]).ok();
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

fn security(config: &mut cri::ContainerConfig) -> &mut cri::LinuxContainerSecurityContext {
    config.linux.as_mut().expect("linux").security_context.as_mut().expect("security")
}

fn processes_of_another_are_seen() {
    let n = Node::start();
    let (pod, id) = started(&n, "target", "exec sleep 5432");
    let pod_config = pod_config(&n, "target");
    let mut config = config("second", SLEEP);
    let target = cri::NamespaceOption { pid: cri::NamespaceMode::Target.into(), target_id: id.clone(), ..Default::default() };
    security(&mut config).namespace_options = Some(target);
    let second = create(&n, &pod, &config, &pod_config);
    start(&n, &second);
    assert!(says(&n, &second, "ps").contains("sleep 5432"));
    remove_pod(&n, &pod);
}

fn processes_may_be_the_pods() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "shared");
    let pod = run(&n, &pod_config);
    let mut ids = Vec::new();
    for name in ["one", "two"] {
        // Nothing said is this, too.
        let mut config = config(name, &format!("exec sleep 543{}", ids.len()));
        security(&mut config).namespace_options = None;
        let id = create(&n, &pod, &config, &pod_config);
        start(&n, &id);
        ids.push(id);
    }
    for id in &ids {
        let seen = says(&n, id, "ps");
        assert!(seen.contains("sleep 5430") && seen.contains("sleep 5431"), "{seen}");
    }
    // Whatever holds them together is none of the client's containers.
    let mut listed = list(&n, ContainerFilter { pod_sandbox_id: pod.clone(), ..Default::default() });
    listed.sort();
    ids.sort();
    assert_eq!(listed, ids);
    remove_pod(&n, &pod);
    n.env.nothing_left_soon();
}

fn settings_are_the_pods() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let mut pod_config = pod_config(&n, "sysctl");
    pod_config.linux.as_mut().expect("linux").sysctls =
        [("kernel.shm_rmid_forced", "1"), ("net.ipv4.ip_unprivileged_port_start", "77")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into();
    let pod = run(&n, &pod_config);
    let id = create(&n, &pod, &config("main", SLEEP), &pod_config);
    start(&n, &id);
    assert_eq!(says(&n, &id, "cat /proc/sys/kernel/shm_rmid_forced /proc/sys/net/ipv4/ip_unprivileged_port_start"), "1\n77");
    remove_pod(&n, &pod);
}

fn a_filter_of_system_calls_may_be_in_a_file() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let pod_config = pod_config(&n, "seccomp");
    let pod = run(&n, &pod_config);
    let profile = n.env.path("profile.json");
    let text = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO"}]}"#;
    std::fs::write(&profile, text).expect("a profile");
    let mut config = config("main", SLEEP);
    let localhost =
        |path: &std::path::Path| Some(cri::SecurityProfile { profile_type: 2, localhost_ref: path.display().to_string() });
    security(&mut config).seccomp = localhost(&profile);
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    assert_ne!(sh(&n, &id, "mkdir /tmp/x").exit_code, 0);
    assert_eq!(sh(&n, &id, "touch /tmp/x").exit_code, 0);
    config.metadata.as_mut().expect("metadata").name = "missing".to_owned();
    security(&mut config).seccomp = localhost(&n.env.path("nonsuch.json"));
    let made = n.ask(n.containers().create_container(creation(&pod, &config, &pod_config)));
    assert!(made.expect_err("no such profile").message().contains("nonsuch.json"));
    remove_pod(&n, &pod);
}

fn everything_may_be_allowed() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let mut pod_config = pod_config(&n, "privileged");
    let privileged = cri::LinuxSandboxSecurityContext { privileged: true, ..Default::default() };
    pod_config.linux.as_mut().expect("linux").security_context = Some(privileged);
    let pod = run(&n, &pod_config);
    let plain = create(&n, &pod, &config("plain", SLEEP), &pod_config);
    let mut config = config("main", SLEEP);
    security(&mut config).privileged = true;
    let id = create(&n, &pod, &config, &pod_config);
    for id in [&plain, &id] {
        start(&n, id);
    }
    let link = "ip link add dummy7 type bridge";
    assert_ne!(sh(&n, &plain, link).exit_code, 0);
    assert_eq!(sh(&n, &id, link).exit_code, 0);
    remove_pod(&n, &pod);
}

fn root_may_be_nobody_on_the_host() {
    let n = Node::start();
    let handlers = n.ok(n.containers().status(cri::StatusRequest::default())).runtime_handlers;
    if !handlers.iter().any(|handler| handler.name.is_empty() && handler.features.is_some_and(|features| features.user_namespaces))
    {
        integration::skip!("this runtime has no user namespaces");
    }
    pull(&n, BUSYBOX);
    let range = vec![cri::IdMapping { host_id: 3_000_000, container_id: 0, length: 65_536 }];
    let users = cri::UserNamespace { mode: cri::NamespaceMode::Pod.into(), uids: range.clone(), gids: range.clone() };
    let mut pod_config = pod_config(&n, "users-own");
    let options = cri::NamespaceOption { userns_options: Some(users.clone()), ..Default::default() };
    let context = cri::LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() };
    pod_config.linux.as_mut().expect("linux").security_context = Some(context);
    let pod = run(&n, &pod_config);
    let folder = n.env.path("owned");
    std::fs::create_dir(&folder).expect("a folder");
    std::fs::write(folder.join("file"), "root's").expect("a file");
    let mut config = config("main", SLEEP);
    let pid = cri::NamespaceMode::Container.into();
    security(&mut config).namespace_options = Some(cri::NamespaceOption { pid, userns_options: Some(users), ..Default::default() });
    config.mounts = vec![Mount {
        host_path: folder.display().to_string(),
        container_path: "/data".to_owned(),
        uid_mappings: range.clone(),
        gid_mappings: range,
        ..Mount::default()
    }];
    let id = create(&n, &pod, &config, &pod_config);
    start(&n, &id);
    let map = says(&n, &id, "cat /proc/self/uid_map");
    assert_eq!(map.split_whitespace().collect::<Vec<_>>(), ["0", "3000000", "65536"]);
    assert_eq!(says(&n, &id, "stat -c %u /data/file; touch /data/new; id -u"), "0\n0");
    use std::os::unix::fs::MetadataExt;
    assert_eq!(std::fs::metadata(folder.join("new")).expect("made").uid(), 0);
    remove_pod(&n, &pod);
}
