//! Pods.

use cri::{
    DnsConfig, ListPodSandboxRequest, NamespaceMode, PodSandbox, PodSandboxConfig, PodSandboxFilter, PodSandboxState,
    PodSandboxStateValue, PodSandboxStatusRequest, PortMapping, RemovePodSandboxRequest, RunPodSandboxRequest,
    StopPodSandboxRequest, StreamPodSandboxesRequest,
};
use tonic::Code;

use super::asking::*;
use super::images::pull;
use super::known::left_out;
use super::node::{Node, is_another, needs_our_bridge};

integration::tests![
    a_pod_is_ready_and_says_who_it_is,
    stopping_and_removing_may_be_repeated,
    a_retry_gets_the_same_pod,
    at_once_they_are_one,
    filters_choose,
    names_addresses_and_ports,
    the_host_can_be_shared,
    what_is_wrong_is_refused,
];

fn list(n: &Node, filter: PodSandboxFilter) -> Vec<String> {
    let pods = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: Some(filter.clone()) })).items;
    if let Some(parts) = n.stream(n.containers().stream_pod_sandboxes(StreamPodSandboxesRequest { filter: Some(filter) })) {
        assert_eq!(parts.into_iter().flat_map(|part| part.pod_sandboxes).collect::<Vec<PodSandbox>>(), pods);
    }
    pods.into_iter().map(|pod| pod.id).collect()
}

fn a_pod_is_ready_and_says_who_it_is() {
    let n = Node::start();
    let config = pod_config(&n, "who");
    let id = run(&n, &config);
    let status = pod_status(&n, &id);
    assert_eq!(status.state, i32::from(PodSandboxState::SandboxReady));
    assert_eq!(
        (status.metadata.as_ref(), &status.labels, &status.annotations),
        (config.metadata.as_ref(), &config.labels, &config.annotations)
    );
    assert!(status.created_at > 1_700_000_000_000_000_000);
    let ip = &status.network.as_ref().expect("a network").ip;
    assert!(ip.parse::<std::net::IpAddr>().is_ok(), "{ip:?}");
    // The beginning of an id will do.
    assert_eq!(pod_status(&n, &id[..10]), status);
    let listed = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items;
    let item = listed.iter().find(|pod| pod.id == id).expect("in the list");
    assert_eq!((&item.labels, &item.annotations, item.created_at), (&config.labels, &config.annotations, status.created_at));
    let verbose = n.ok(n.containers().pod_sandbox_status(PodSandboxStatusRequest { pod_sandbox_id: id.clone(), verbose: true }));
    // What tools look for.
    let shown: serde_json::Value = serde_json::from_str(&verbose.info["info"]).expect("JSON");
    assert_eq!(shown["cniResult"]["Interfaces"]["eth0"]["IPConfigs"][0]["IP"], **ip, "{shown}");
    assert_eq!(shown["config"]["metadata"]["name"], "who");
    let namespaces = shown["runtimeSpec"]["linux"]["namespaces"].as_array().expect("namespaces");
    let network = namespaces.iter().find(|namespace| namespace["type"] == "network").and_then(|network| network["path"].as_str());
    assert!(std::path::Path::new(network.expect("one of its own")).exists(), "{network:?}");
    assert!(left_out("timestamp", verbose.timestamp == 0) || verbose.timestamp > 0);
    remove_pod(&n, &id);
    n.fails(Code::NotFound, n.containers().pod_sandbox_status(PodSandboxStatusRequest { pod_sandbox_id: id, verbose: false }));
}

fn stopping_and_removing_may_be_repeated() {
    let n = Node::start();
    let id = run(&n, &pod_config(&n, "again"));
    for _ in 0..3 {
        stop_pod(&n, &id);
    }
    assert_eq!(pod_status(&n, &id).state, i32::from(PodSandboxState::SandboxNotready));
    for _ in 0..3 {
        remove_pod(&n, &id);
    }
    stop_pod(&n, &id);
    stop_pod(&n, "no-such-pod");
    remove_pod(&n, &"0".repeat(64));
}

fn a_retry_gets_the_same_pod() {
    let n = Node::own("");
    let config = pod_config(&n, "retry");
    let id = run(&n, &config);
    assert_eq!(run(&n, &config), id);
    let other = PodSandboxConfig { hostname: "other".to_owned(), ..config.clone() };
    let asked = |config: &PodSandboxConfig| RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: String::new() };
    let message = n.fails(Code::AlreadyExists, n.containers().run_pod_sandbox(asked(&other)));
    assert!(message.contains(&id), "{message}");
    stop_pod(&n, &id);
    n.fails(Code::AlreadyExists, n.containers().run_pod_sandbox(asked(&config)));
    // The next attempt is another pod.
    let mut next = config.clone();
    next.metadata.as_mut().expect("metadata").attempt = 1;
    assert_ne!(run(&n, &next), id);
}

fn at_once_they_are_one() {
    let n = Node::own("");
    let config = pod_config(&n, "once");
    let asked = || RunPodSandboxRequest { config: Some(config.clone()), runtime_handler: "rctr".to_owned() };
    let (mut a, mut b, mut c) = (n.containers(), n.containers(), n.containers());
    let all = n.wait(async { tokio::join!(a.run_pod_sandbox(asked()), b.run_pod_sandbox(asked()), c.run_pod_sandbox(asked())) });
    let ids = [all.0, all.1, all.2].map(|answer| answer.expect("a pod").into_inner().pod_sandbox_id);
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(pod_status(&n, &ids[0]).runtime_handler, "rctr");
}

fn filters_choose() {
    let n = Node::start();
    let a = run(&n, &pod_config(&n, "filter-a"));
    let b = run(&n, &pod_config(&n, "filter-b"));
    stop_pod(&n, &b);
    let label = |value: &str| [("app".to_owned(), value.to_owned())].into();
    let state = |state: PodSandboxState| Some(PodSandboxStateValue { state: state.into() });
    assert_eq!(list(&n, PodSandboxFilter { label_selector: label("filter-a"), ..Default::default() }), std::slice::from_ref(&a));
    assert_eq!(list(&n, PodSandboxFilter { id: b[..12].to_owned(), ..Default::default() }), std::slice::from_ref(&b));
    let both =
        PodSandboxFilter { label_selector: label("filter-b"), state: state(PodSandboxState::SandboxReady), ..Default::default() };
    assert!(list(&n, both).is_empty());
    let stopped = PodSandboxFilter {
        label_selector: label("filter-b"),
        state: state(PodSandboxState::SandboxNotready),
        ..Default::default()
    };
    assert_eq!(list(&n, stopped), std::slice::from_ref(&b));
    assert!(list(&n, PodSandboxFilter { id: "nonsense".to_owned(), ..Default::default() }).is_empty());
    for id in [a, b] {
        remove_pod(&n, &id);
    }
}

fn names_addresses_and_ports() {
    needs_our_bridge();
    let n = Node::start();
    pull(&n, BUSYBOX);
    let port = crate::ports::free_port();
    let mut config = pod_config(&n, "net");
    config.port_mappings = vec![PortMapping { container_port: 80, host_port: port.into(), ..PortMapping::default() }];
    config.dns_config =
        Some(DnsConfig { servers: vec!["10.9.8.7".into()], searches: vec!["a.test".into()], options: vec!["ndots:3".into()] });
    let pod = run(&n, &config);
    let script = "mkdir /www; echo hello > /www/index.html; httpd -f -h /www -p 80";
    let id = create(&n, &pod, &super::asking::config("web", script), &config);
    start(&n, &id);
    assert_eq!(says(&n, &id, "hostname"), "net");
    let resolv = says(&n, &id, "cat /etc/resolv.conf");
    assert!(["nameserver 10.9.8.7", "search a.test", "options ndots:3"].iter().all(|line| resolv.contains(line)), "{resolv}");
    let ip = pod_status(&n, &pod).network.expect("a network").ip;
    assert!(says(&n, &id, "ip -o -4 addr show").contains(&format!(" {ip}/")));
    n.env.soon("the page comes through the port of the host", || {
        integration::http::get(format!("127.0.0.1:{port}"), "/").is_ok_and(|answer| answer.text().contains("hello"))
    });
    remove_pod(&n, &pod);
}

fn the_host_can_be_shared() {
    let n = Node::start();
    pull(&n, BUSYBOX);
    let mut config = pod_config(&n, "host");
    config.hostname = String::new();
    let options = cri::NamespaceOption {
        network: NamespaceMode::Node.into(),
        pid: NamespaceMode::Node.into(),
        ipc: NamespaceMode::Node.into(),
        ..Default::default()
    };
    let security = cri::LinuxSandboxSecurityContext { namespace_options: Some(options.clone()), ..Default::default() };
    config.linux.as_mut().expect("linux").security_context = Some(security);
    let pod = run(&n, &config);
    let mut container = super::asking::config("main", SLEEP);
    container.linux.as_mut().expect("linux").security_context.as_mut().expect("security").namespace_options = Some(options);
    let id = create(&n, &pod, &container, &config);
    start(&n, &id);
    for kind in ["net", "ipc", "pid"] {
        let own = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        assert_eq!(says(&n, &id, &format!("readlink /proc/self/ns/{kind}")), own.display().to_string(), "{kind}");
    }
    assert_eq!(pod_status(&n, &pod).network.expect("a network").ip, "");
    remove_pod(&n, &pod);
}

fn what_is_wrong_is_refused() {
    let n = Node::start();
    let good = pod_config(&n, "wrong");
    let asked = |config: PodSandboxConfig, handler: &str| RunPodSandboxRequest {
        config: Some(config),
        runtime_handler: handler.to_owned(),
    };
    let mut nameless = good.clone();
    nameless.metadata.as_mut().expect("metadata").name = String::new();
    let logs = PodSandboxConfig { log_directory: "../etc".to_owned(), ..good.clone() };
    let ports = PodSandboxConfig {
        port_mappings: vec![PortMapping { container_port: -1, host_port: 70_000, ..Default::default() }],
        ..good.clone()
    };
    let mut sysctl = good.clone();
    sysctl.linux.as_mut().expect("linux").sysctls = [("kernel.shm_rmid_forced".to_owned(), "1\n|/bin/sh".to_owned())].into();
    let mut cgroup = good.clone();
    cgroup.linux.as_mut().expect("linux").cgroup_parent = "/a/../../b".to_owned();
    if !is_another() {
        n.fails(Code::InvalidArgument, n.containers().run_pod_sandbox(RunPodSandboxRequest::default()));
        for config in [nameless, logs, ports, sysctl, cgroup] {
            n.fails(Code::InvalidArgument, n.containers().run_pod_sandbox(asked(config, "")));
        }
        n.fails(Code::InvalidArgument, n.containers().run_pod_sandbox(asked(good, "no-such-handler")));
        n.fails(Code::InvalidArgument, n.containers().stop_pod_sandbox(StopPodSandboxRequest::default()));
        n.fails(Code::InvalidArgument, n.containers().remove_pod_sandbox(RemovePodSandboxRequest::default()));
    } else {
        assert!(n.ask(n.containers().run_pod_sandbox(asked(good, "no-such-handler"))).is_err());
    }
    assert!(
        list(&n, PodSandboxFilter { label_selector: [("app".to_owned(), "wrong".to_owned())].into(), ..Default::default() })
            .is_empty()
    );
}
