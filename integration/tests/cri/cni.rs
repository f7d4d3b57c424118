//! The network of pods by plugins of CNI: Debian's, and some that were made to go wrong.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use cri::{ListPodSandboxRequest, PodSandboxState, PodSandboxStatusRequest, PortMapping, RunPodSandboxRequest, StatusRequest};
use serde_json::Value;

use super::asking::*;
use super::images::pull;
use super::node::{Node, needs_our_bridge};

integration::tests![
    debians_plugins_connect_pods,
    plugins_are_asked_by_the_protocol,
    a_plugin_that_hangs_is_killed,
    a_plugin_that_lies_is_named,
    what_was_added_is_deleted_after_a_kill,
    a_broken_configuration_is_told,
];

/// A noded whose plugins are those that a test writes, and that have two seconds.
fn node() -> Node {
    let n = Node::own("");
    let programs = n.env.path("plugins");
    fs::create_dir_all(&programs).expect("a folder");
    fs::create_dir_all(n.env.path("net.d")).expect("a folder");
    n.configure(&format!("[cni]\nprograms = [{programs:?}, \"/usr/lib/cni\"]\npatience = 2\n"));
    let mut n = n;
    n.stop().code(0);
    n.begin();
    n
}

fn network(n: &Node, text: &str) {
    fs::write(n.env.path("net.d/10-test.conflist"), text).expect("a configuration");
}

/// One plugin `test`, and no other.
fn one_plugin(n: &Node) {
    network(n, r#"{"cniVersion":"1.0.0","name":"test","plugins":[{"type":"test"}]}"#);
}

/// Writes a plugin that notes what it is asked and then does what `script` says. It may `answer`, and `make` the interface of the answer.
fn plugin(n: &Node, name: &str, script: &str) {
    let log = n.env.path("asked");
    let text = format!(
        r#"#!/bin/sh
echo "$CNI_COMMAND {name}" >> {log}
cat > {log}.$CNI_COMMAND.{name}
make() {{ nsenter --net="$CNI_NETNS" sh -c 'ip link add eth0 type bridge && ip addr add 10.77.0.7/24 dev eth0'; }}
answer() {{ echo '{{"cniVersion":"1.0.0","interfaces":[{{"name":"eth0","sandbox":"/n"}}],"ips":[{{"address":"10.77.0.7/24","interface":0}}]}}'; }}
{script}
"#,
        log = log.display()
    );
    let path = n.env.path("plugins").join(name);
    fs::write(&path, text).expect("a plugin");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a program");
}

/// What plugins were asked since the last time.
fn asked(n: &Node) -> Vec<String> {
    let log = n.env.path("asked");
    let text = fs::read_to_string(&log).unwrap_or_default();
    let _ = fs::remove_file(&log);
    text.lines().map(str::to_owned).collect()
}

/// The input that a plugin was given for a command.
fn input(n: &Node, command: &str, name: &str) -> Value {
    let text = fs::read_to_string(n.env.path(&format!("asked.{command}.{name}"))).expect("it was asked");
    serde_json::from_str(&text).expect("JSON")
}

/// Why a pod cannot be.
#[track_caller]
fn refused(n: &Node, name: &str) -> String {
    let request = RunPodSandboxRequest { config: Some(pod_config(n, name)), runtime_handler: String::new() };
    let status = n.ask(n.containers().run_pod_sandbox(request)).expect_err("it cannot be");
    status.message().to_owned()
}

fn pods(n: &Node) -> Vec<(String, i32)> {
    let listed = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items;
    listed.into_iter().map(|pod| (pod.id, pod.state)).collect()
}

fn debians_plugins_connect_pods() {
    if !Path::new("/usr/lib/cni/bridge").exists() {
        integration::skip!("Debian's package containernetworking-plugins is not installed");
    }
    let n = node();
    pull(&n, BUSYBOX);
    let (bridge, leases) = (format!("c{}", n.env.bridge()), n.env.path("leases"));
    network(
        &n,
        &format!(
            r#"{{"cniVersion":"1.0.0","name":"debian","plugins":[
                {{"type":"bridge","bridge":{bridge:?},"isGateway":true,
                  "ipam":{{"type":"host-local","dataDir":{leases:?},"ranges":[[{{"subnet":"10.78.3.0/24"}}]]}}}},
                {{"type":"tuning","sysctl":{{"net.ipv4.conf.all.log_martians":"1"}}}}]}}"#
        ),
    );
    let config = pod_config(&n, "debian");
    let pod = run(&n, &config);
    let id = create(&n, &pod, &super::asking::config("main", SLEEP), &config);
    start(&n, &id);
    let ip = pod_status(&n, &pod).network.expect("a network").ip;
    assert!(ip.starts_with("10.78.3."), "{ip}");
    assert!(says(&n, &id, "ip -o -4 addr show eth0").contains(&format!(" {ip}/24")));
    assert_eq!(
        says(&n, &id, "cat /proc/sys/net/ipv4/conf/all/log_martians; ping -c 1 -W 5 10.78.3.1 > /dev/null && echo there"),
        "1\nthere"
    );
    let lease = leases.join("debian").join(&ip);
    assert!(lease.exists());
    stop_pod(&n, &pod);
    assert!(!lease.exists(), "its address is given back");
    stop_pod(&n, &pod);
    remove_pod(&n, &pod);
    let gone = Command::new("ip").args(["link", "del", &bridge]).status().expect("ip");
    assert!(gone.success());
    n.env.nothing_left_soon();
}

fn plugins_are_asked_by_the_protocol() {
    let n = node();
    network(
        &n,
        r#"{"cniVersion":"0.4.0","cniVersions":["1.0.0","1.1.0"],"name":"two","plugins":[
            {"type":"first"},{"type":"second","color":"green","capabilities":{"portMappings":true,"ipRanges":true}}]}"#,
    );
    plugin(&n, "first", "[ $CNI_COMMAND = ADD ] && make && answer; exit 0");
    plugin(&n, "second", "[ $CNI_COMMAND = ADD ] && answer; exit 0");
    n.ok(n.containers().status(StatusRequest { verbose: false }));
    assert_eq!(asked(&n), ["STATUS first", "STATUS second"]);
    let port = crate::ports::free_port();
    let mut config = pod_config(&n, "protocol");
    config.port_mappings = vec![PortMapping { container_port: 80, host_port: port.into(), ..PortMapping::default() }];
    let pod = run(&n, &config);
    assert_eq!(pod_status(&n, &pod).network.expect("a network").ip, "10.77.0.7");
    assert_eq!(asked(&n), ["ADD first", "ADD second"]);
    assert!(std::net::TcpListener::bind(("0.0.0.0", port)).is_err(), "the port is held");
    let first = input(&n, "ADD", "first");
    assert_eq!((&first["cniVersion"], &first["name"], &first["prevResult"]), (&"1.1.0".into(), &"two".into(), &Value::Null));
    let second = input(&n, "ADD", "second");
    assert_eq!((&second["color"], &second["prevResult"]["ips"][0]["address"]), (&"green".into(), &"10.77.0.7/24".into()));
    assert_eq!(second["runtimeConfig"]["portMappings"][0]["hostPort"], port);
    assert!(second["runtimeConfig"]["ipRanges"][0][0]["subnet"].is_string(), "{second}");
    let verbose = n.ok(n.containers().pod_sandbox_status(PodSandboxStatusRequest { pod_sandbox_id: pod.clone(), verbose: true }));
    assert!(verbose.info["info"].contains(r#""networkProblem":null"#), "{:?}", verbose.info);
    assert_eq!(asked(&n), ["CHECK first", "CHECK second"]);
    // Another configuration since then makes no difference to it.
    network(&n, r#"{"cniVersion":"1.0.0","name":"other","plugins":[{"type":"other"}]}"#);
    stop_pod(&n, &pod);
    assert_eq!(asked(&n), ["DEL second", "DEL first"]);
    assert_eq!(input(&n, "DEL", "first")["prevResult"]["ips"][0]["address"], "10.77.0.7/24");
    stop_pod(&n, &pod);
    remove_pod(&n, &pod);
    assert_eq!(asked(&n), [] as [&str; 0]);
    n.env.nothing_left_soon();
}

fn a_plugin_that_hangs_is_killed() {
    let n = node();
    one_plugin(&n);
    plugin(&n, "test", "sleep 1000 & echo $! > $0.child; wait");
    let why = refused(&n, "hangs");
    assert!(why.contains("plugin test: ADD: it has not ended within 2 s, and was killed"), "{why}");
    let child = fs::read_to_string(n.env.path("plugins/test.child")).expect("it has begun something");
    n.env.soon("what it has begun is killed, too", || !Path::new(&format!("/proc/{}", child.trim())).exists());
    // It could not undo what it has done either: the pod is kept, so that the kubelet can have it removed later.
    let left = pods(&n);
    assert_eq!(left.iter().map(|pod| pod.1).collect::<Vec<_>>(), [i32::from(PodSandboxState::SandboxNotready)]);
    plugin(&n, "test", "");
    asked(&n);
    remove_pod(&n, &left[0].0);
    assert_eq!(asked(&n), ["DEL test"]);
    n.env.nothing_left_soon();
}

fn a_plugin_that_lies_is_named() {
    let n = node();
    one_plugin(&n);
    for (script, part) in [
        ("echo all is well", "plugin test of network test: its answer is no result"),
        ("echo '{}'", "its answer is of version \"\""),
        ("echo '{\"cniVersion\":\"1.0.0\"}'", "name no address of the pod"),
        ("answer", "they say that they are done, and the pod has no interface eth0"),
        ("yes | head -c 9000000", "Operation not permitted"),
        ("echo '{\"code\":7,\"msg\":\"no address is left\",\"details\":\"of 254\"}'; exit 1", "no address is left: of 254"),
        ("echo it broke >&2; exit 3", "plugin test: ADD: it broke"),
        ("kill -9 $$", "signal: 9"),
    ] {
        plugin(&n, "test", &format!("[ $CNI_COMMAND = DEL ] && exit 0\n{script}"));
        let why = refused(&n, "lied-to");
        assert!(why.contains(part), "{script}: {why}");
        assert_eq!(asked(&n), ["ADD test", "DEL test"], "{script}");
        assert_eq!(pods(&n), [], "{script}");
    }
    n.env.nothing_left_soon();
}

fn what_was_added_is_deleted_after_a_kill() {
    let mut n = node();
    one_plugin(&n);
    plugin(&n, "test", "[ $CNI_COMMAND = ADD ] && make && answer; exit 0");
    let pod = run(&n, &pod_config(&n, "killed"));
    asked(&n);
    n.kill_and_start();
    assert_eq!(pods(&n), [(pod.clone(), i32::from(PodSandboxState::SandboxReady))]);
    // What a reboot leaves of it: files on disk, and no namespace.
    integration::leaks::unmount(&[&n.env.run().join("pods")]);
    fs::remove_dir_all(n.env.run().join("pods")).expect("removed");
    assert_eq!(pods(&n), [(pod.clone(), i32::from(PodSandboxState::SandboxNotready))]);
    stop_pod(&n, &pod);
    assert_eq!(asked(&n), ["DEL test"]);
    remove_pod(&n, &pod);
    assert_eq!(asked(&n), [] as [&str; 0]);
    n.env.nothing_left_soon();
}

fn a_broken_configuration_is_told() {
    needs_our_bridge();
    let n = node();
    let condition = |n: &Node| {
        let conditions = n.ok(n.containers().status(StatusRequest { verbose: false })).status.expect("a status").conditions;
        let found = conditions.into_iter().find(|condition| condition.r#type == "NetworkReady").expect("a condition");
        (found.status, found.message)
    };
    assert!(condition(&n).0, "without a configuration pods are on the bridge");
    for (text, part) in [
        ("{", "10-test.conflist"),
        (r#"{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"nonsuch"}]}"#, "plugin nonsuch: there is no such program in "),
        (r#"{"cniVersion":"1.0.0","name":"x","plugins":[{"type":"../test"}]}"#, "no name of a program"),
    ] {
        network(&n, text);
        let (ready, message) = condition(&n);
        assert!(!ready && message.contains(part), "{message}");
        assert!(refused(&n, "broken").contains(part));
        for (pod, _) in pods(&n) {
            remove_pod(&n, &pod);
        }
    }
    fs::remove_file(n.env.path("net.d/10-test.conflist")).expect("removed");
    assert!(condition(&n).0);
    n.env.nothing_left_soon();
}
