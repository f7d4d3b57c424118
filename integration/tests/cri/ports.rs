//! Ports of the host: what one pod has is taken for all others, and free again when it ends.

use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};

use cri::{ListPodSandboxRequest, PodSandboxConfig, PortMapping, Protocol, RunPodSandboxRequest};

use super::asking::*;
use super::node::{Node, needs_our_bridge};

integration::tests![a_port_is_held_as_long_as_its_pod, a_port_that_is_taken_is_named];

fn with_ports(n: &Node, name: &str, port: u16) -> PodSandboxConfig {
    let mapping = |protocol: Protocol| PortMapping {
        container_port: 80,
        host_port: port.into(),
        protocol: protocol.into(),
        ..PortMapping::default()
    };
    PodSandboxConfig { port_mappings: vec![mapping(Protocol::Tcp), mapping(Protocol::Udp)], ..pod_config(n, name) }
}

/// Whether programs of the host meet the port as one that is taken, for both protocols.
fn is_taken(port: u16) -> bool {
    let kinds = [TcpListener::bind(("0.0.0.0", port)).err(), UdpSocket::bind(("0.0.0.0", port)).err()];
    let taken = kinds.map(|error| error.is_some_and(|error| error.kind() == ErrorKind::AddrInUse));
    assert_eq!(taken[0], taken[1]);
    taken[0]
}

fn a_port_is_held_as_long_as_its_pod() {
    needs_our_bridge();
    let mut n = Node::own("");
    let port = crate::ports::free_port();
    let pod = run(&n, &with_ports(&n, "holder", port));
    assert!(is_taken(port));
    stop_pod(&n, &pod);
    assert!(!is_taken(port));
    remove_pod(&n, &pod);
    let pod = run(&n, &with_ports(&n, "again", port));
    // A daemon that is started anew holds it again.
    n.kill_and_start();
    assert!(is_taken(port));
    remove_pod(&n, &pod);
    assert!(!is_taken(port));
    n.env.nothing_left_soon();
}

fn a_port_that_is_taken_is_named() {
    needs_our_bridge();
    let n = Node::own("");
    let port = crate::ports::free_port();
    let refused = |name: &str| {
        let config = Some(with_ports(&n, name, port));
        let request = RunPodSandboxRequest { config, runtime_handler: String::new() };
        let status = n.ask(n.containers().run_pod_sandbox(request)).expect_err("it is taken");
        assert!(status.message().contains(&format!("port {port}/tcp on 0.0.0.0 is in use")), "{}", status.message());
    };
    let program = TcpListener::bind(("0.0.0.0", port)).expect("free");
    refused("late");
    drop(program);
    let pod = run(&n, &with_ports(&n, "first", port));
    refused("second");
    let there = n.ok(n.containers().list_pod_sandbox(ListPodSandboxRequest { filter: None })).items;
    assert_eq!(there.len(), 1, "nothing is left of those that were refused: {there:?}");
    remove_pod(&n, &pod);
}
