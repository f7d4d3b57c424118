//! What containers of a pod share, and what is the pod's.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, TcpStream};
use std::time::Duration;

use engine::{Error, Grace, PodDns, PodNetwork, PodSharing, Port, Protocol, StartOptions};

use super::{Pods, chain, request, soon, words};

integration::tests![
    containers_share_what_is_the_pods,
    a_pod_has_files_of_its_own,
    on_the_hosts_network_all_is_the_hosts,
    ports_lead_to_the_pod,
    settings_are_the_pods_own,
    an_identity_is_that_of_one_pod,
    a_containers_name_is_its_own_in_the_pod,
    stopping_is_for_good_and_can_be_repeated,
    removing_takes_everything_and_can_be_repeated,
    a_cgroup_of_the_callers_is_the_containers_parent,
];

const NOW: Grace = Grace::For(Duration::ZERO);

fn containers_share_what_is_the_pods() {
    let t = Pods::new();
    let pod = t.run("shared");
    assert!(pod.ready);
    let (a, b) = (t.start(&pod, "a", |_| {}), t.start(&pod, "b", |_| {}));
    for kind in ["net", "ipc", "uts"] {
        let of = |id| t.sh(id, &format!("readlink /proc/self/ns/{kind}"));
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
        assert_eq!(of(&a), of(&b), "{kind}");
        assert_ne!(of(&a), host, "{kind}");
    }
    assert_ne!(t.sh(&a, "readlink /proc/self/ns/pid"), t.sh(&b, "readlink /proc/self/ns/pid"));
    t.sh(&a, "echo from a > /dev/shm/note; nc -l -p 7 -e echo served &");
    assert_eq!(t.sh(&b, "cat /dev/shm/note"), "from a");
    soon("a listens", || t.sh(&b, "nc 127.0.0.1 7 < /dev/null") == "served");
    assert_eq!(t.sh(&b, "hostname; echo $HOSTNAME"), "shared\nshared");
    let address = pod.network.as_ref().expect("a network").networks[0].address;
    assert!(t.sh(&a, "ip -4 addr show eth0").contains(&format!("{address}/")));
    // Names that say who they are, for whoever looks with rctr.
    assert!(t.env.rctr(["ps", "--format", "{{.Names}}"]).ok().text().contains("k8s_a_shared_default_uid-shared_0"));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn a_pod_has_files_of_its_own() {
    let t = Pods::new();
    let dns = PodDns { servers: words("192.0.2.1"), searches: words("a.example b.example"), options: words("ndots:5") };
    let pod = t.engine.run_pod(&engine::PodRequest { dns: Some(dns), ..request("files") }).unwrap();
    let a = t.start(&pod, "a", |_| {});
    assert_eq!(t.sh(&a, "cat /etc/resolv.conf"), "search a.example b.example\nnameserver 192.0.2.1\noptions ndots:5");
    assert_eq!(t.sh(&a, "cat /etc/hostname"), "files");
    let address = pod.network.as_ref().expect("a network").networks[0].address;
    assert!(t.sh(&a, "cat /etc/hosts").contains(&format!("{address}\tfiles")));
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn on_the_hosts_network_all_is_the_hosts() {
    let t = Pods::new();
    let wanted =
        engine::PodRequest { network: PodNetwork::Host, ipc: PodSharing::Host, hostname: String::new(), ..request("host") };
    let pod = t.engine.run_pod(&wanted).unwrap();
    assert!(pod.ready && pod.network.is_none());
    let a = t.start(&pod, "a", |_| {});
    for kind in ["net", "ipc", "uts"] {
        let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).unwrap().display().to_string();
        assert_eq!(t.sh(&a, &format!("readlink /proc/self/ns/{kind}")), host);
    }
    t.engine.remove_pod(&pod.record.id).unwrap();
    t.nothing_left();
}

fn ports_lead_to_the_pod() {
    let t = Pods::new();
    let port = |host_port| Port { host_ip: None, host_port, container_port: 80, protocol: Protocol::Tcp };
    let own =
        |name: &str, host_port| engine::PodRequest { network: PodNetwork::Own { ports: vec![port(host_port)] }, ..request(name) };
    let pod = t.engine.run_pod(&own("ports", 0)).unwrap();
    let chosen = pod.network.as_ref().expect("a network").ports[0].host_port;
    assert_ne!(chosen, 0);
    let _a = t.start(&pod, "a", |request| request.cmd = words("nc -ll -p 80 -e echo here"));
    soon("the port answers", || {
        let answer = TcpStream::connect((IpAddr::V4(Ipv4Addr::LOCALHOST), chosen)).and_then(|mut stream| {
            stream.set_read_timeout(Some(Duration::from_secs(2)))?;
            let mut text = String::new();
            // Nothing is sent: what the server has not read when it ends would make a reset of its end.
            stream.read_to_string(&mut text).map(|_| text)
        });
        answer.is_ok_and(|text| text == "here\n")
    });
    // It is taken as long as the pod is there, and free after that.
    let error = t.engine.run_pod(&own("second", chosen)).unwrap_err();
    assert!(chain(&error).contains(&chosen.to_string()), "{}", chain(&error));
    assert_eq!(t.engine.pods().unwrap().len(), 1, "what failed is gone");
    t.engine.stop_pod(&pod.record.id, NOW).unwrap();
    let second = t.engine.run_pod(&own("second", chosen)).unwrap();
    for pod in [pod, second] {
        t.engine.remove_pod(&pod.record.id).unwrap();
    }
    t.nothing_left();
}

fn settings_are_the_pods_own() {
    let t = Pods::new();
    let sysctls = [("net.core.somaxconn", "77"), ("kernel.shm_rmid_forced", "1"), ("fs.mqueue.msg_max", "9")];
    let sysctls = sysctls.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let pod = t.engine.run_pod(&engine::PodRequest { sysctls, ..request("settings") }).unwrap();
    let a = t.start(&pod, "a", |_| {});
    let read = "cd /proc/sys; cat net/core/somaxconn kernel/shm_rmid_forced fs/mqueue/msg_max net/ipv4/ip_unprivileged_port_start";
    assert_eq!(t.sh(&a, read), "77\n1\n9\n0");
    t.engine.remove_pod(&pod.record.id).unwrap();
    for (key, value, network) in [
        ("kernel.pid_max", "100", PodNetwork::default()),
        ("vm.swappiness", "1", PodNetwork::default()),
        ("net.core.somaxconn", "77", PodNetwork::Host),
        ("net/../kernel/core_pattern", "|/bin/sh", PodNetwork::default()),
        // Two settings in one (CVE-2022-0811).
        ("kernel.shm_rmid_forced", "1\nkernel.core_pattern=|/bin/sh", PodNetwork::default()),
    ] {
        let sysctls = [(key.to_owned(), value.to_owned())].into();
        let error = t.engine.run_pod(&engine::PodRequest { sysctls, network, ..request("refused") }).unwrap_err();
        assert!(chain(&error).contains(key), "{}", chain(&error));
    }
    t.nothing_left();
}

fn an_identity_is_that_of_one_pod() {
    let t = Pods::new();
    let first = t.run("one");
    match t.engine.run_pod(&request("one")) {
        Err(Error::PodExists { id, .. }) => assert_eq!(id, first.record.id),
        other => panic!("{other:?}"),
    }
    let again = t.engine.run_pod(&engine::PodRequest { attempt: 1, ..request("one") }).unwrap();
    // A stopped one still has it.
    t.engine.stop_pod(&first.record.id, NOW).unwrap();
    assert!(matches!(t.engine.run_pod(&request("one")), Err(Error::PodExists { .. })));
    t.engine.remove_pod(&first.record.id).unwrap();
    let third = t.run("one");
    assert_eq!(t.engine.pod(&third.record.id[..20]).unwrap(), third);
    for pod in [again, third] {
        t.engine.remove_pod(&pod.record.id).unwrap();
    }
    assert!(matches!(t.engine.pod("0123"), Err(Error::NoSuchPod(_))));
    t.nothing_left();
}

fn a_containers_name_is_its_own_in_the_pod() {
    let t = Pods::new();
    let (pod, other) = (t.run("names"), t.run("others"));
    let a = t.create(&pod, "a", |_| {}).unwrap();
    match t.create(&pod, "a", |_| {}) {
        Err(Error::NameInUse { id, .. }) => assert_eq!(id, a[..12]),
        other => panic!("{other:?}"),
    }
    t.create(&pod, "a", |request| request.pod.as_mut().expect("a member").attempt = 1).unwrap();
    t.create(&other, "a", |_| {}).unwrap();
    let member = t.engine.container(&a).unwrap().record.pod.expect("a member");
    assert_eq!((member.pod, member.extra), (pod.record.id.clone(), serde_json::json!({ "asked": "a" })));
    t.engine.remove(&a, true, true).unwrap();
    t.create(&pod, "a", |_| {}).unwrap();
    for pod in [pod, other] {
        t.engine.remove_pod(&pod.record.id).unwrap();
    }
    t.nothing_left();
}

fn stopping_is_for_good_and_can_be_repeated() {
    let t = Pods::new();
    let pod = t.run("stopped");
    let id = &pod.record.id;
    let (a, b) = (t.start(&pod, "a", |_| {}), t.create(&pod, "b", |_| {}).unwrap());
    for _ in 0..2 {
        t.engine.stop_pod(id, NOW).unwrap();
        let now = t.engine.pod(id).unwrap();
        assert!(!now.ready && now.network.is_none());
    }
    assert!(!t.engine.container(&a).unwrap().is_running());
    for refused in [t.engine.start(&b, &StartOptions::default()).map(drop), t.create(&pod, "c", |_| {}).map(drop)] {
        assert!(matches!(refused, Err(Error::PodNotReady(_))), "{refused:?}");
    }
    assert!(super::list(&t.env.run().join("pods")).is_empty());
    // The address is free, the record is there until it is removed.
    let leases = t.env.run().join("net").join(t.env.bridge()).join("leases");
    assert!(super::list(&leases).is_empty());
    t.engine.stop_pod("0123456789abcdef", NOW).unwrap();
    t.engine.remove_pod(id).unwrap();
    t.nothing_left();
}

fn removing_takes_everything_and_can_be_repeated() {
    let t = Pods::new();
    let pod = t.run("removed");
    let _running = t.start(&pod, "a", |_| {});
    t.create(&pod, "b", |_| {}).unwrap();
    for _ in 0..2 {
        t.engine.remove_pod(&pod.record.id).unwrap();
    }
    assert!(t.engine.pods().unwrap().is_empty() && t.engine.containers().unwrap().is_empty());
    t.nothing_left();
}

fn a_cgroup_of_the_callers_is_the_containers_parent() {
    let t = Pods::new();
    let parent = format!("{}/burstable", t.env.cgroup());
    let pod = t.engine.run_pod(&engine::PodRequest { cgroup_parent: Some(parent.clone()), ..request("placed") }).unwrap();
    let a = t.start(&pod, "a", |_| {});
    let engine::Status::Running { pid, .. } = t.engine.container(&a).unwrap().status else { panic!("it does not run") };
    let cgroups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(cgroups.lines().any(|line| line.ends_with(&format!(":{parent}/{a}"))), "{cgroups}");
    t.engine.remove_pod(&pod.record.id).unwrap();
    let error = t.engine.run_pod(&engine::PodRequest { cgroup_parent: Some("a b".to_owned()), ..request("placed") }).unwrap_err();
    assert!(chain(&error).contains("cgroup parent \"a b\""), "{}", chain(&error));
    integration::leaks::remove_cgroup(&parent);
    t.nothing_left();
}
