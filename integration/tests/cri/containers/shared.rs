//! What the containers of a pod share.

use cri::ContainerFilter;

use super::life::list;
use super::rights::security;
use crate::cri::asking::*;
use crate::cri::images::pull;
use crate::cri::node::Node;

integration::tests![processes_of_another_are_seen, processes_may_be_the_pods, settings_are_the_pods,];

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
