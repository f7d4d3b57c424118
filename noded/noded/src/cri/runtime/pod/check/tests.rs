use cri::{LinuxPodSandboxConfig, LinuxSandboxSecurityContext, PodSandboxMetadata, UserNamespace};

use super::*;

fn config() -> PodSandboxConfig {
    let metadata = PodSandboxMetadata { name: "a".into(), uid: "u".into(), namespace: "n".into(), attempt: 2 };
    PodSandboxConfig { metadata: Some(metadata), ..PodSandboxConfig::default() }
}

fn with(options: NamespaceOption) -> PodSandboxConfig {
    let security_context = Some(LinuxSandboxSecurityContext { namespace_options: Some(options), ..Default::default() });
    PodSandboxConfig { linux: Some(LinuxPodSandboxConfig { security_context, ..Default::default() }), ..config() }
}

fn asked(config: &PodSandboxConfig) -> Result<PodRequest, String> {
    request(config, "", &[], BeyondPod::default()).map_err(|status| {
        assert_eq!(status.code(), tonic::Code::InvalidArgument);
        status.message().to_owned()
    })
}

#[test]
fn a_plain_pod() {
    let request = asked(&config()).unwrap();
    assert_eq!((request.name.as_str(), request.attempt), ("a", 2));
    assert_eq!(request.network, PodNetwork::Own { ports: Vec::new() });
    assert_eq!((request.log_directory, request.cgroup_parent), (None, None));
}

#[test]
fn every_part_of_the_identity_is_needed() {
    assert_eq!(asked(&PodSandboxConfig::default()).unwrap_err(), "metadata: it is missing");
    for (field, name) in ["name", "uid", "namespace"].into_iter().enumerate() {
        let mut config = config();
        let metadata = config.metadata.as_mut().unwrap();
        *[&mut metadata.name, &mut metadata.uid, &mut metadata.namespace][field] = String::new();
        assert_eq!(asked(&config).unwrap_err(), format!("metadata.{name}: it is empty"));
    }
}

#[test]
fn handlers_are_those_of_the_configuration() {
    let handlers = ["rctr".to_owned()];
    assert_eq!(request(&config(), "rctr", &handlers, BeyondPod::default()).unwrap().handler, "rctr");
    assert!(request(&config(), "gvisor", &handlers, BeyondPod::default()).unwrap_err().message().contains("\"gvisor\""));
}

#[test]
fn namespaces() {
    let mode = |network: NamespaceMode, pid: NamespaceMode, ipc: NamespaceMode| {
        asked(&with(NamespaceOption { network: network.into(), pid: pid.into(), ipc: ipc.into(), ..Default::default() }))
    };
    use NamespaceMode::{Container, Node, Pod, Target};
    let host = mode(Node, Node, Node).unwrap();
    assert_eq!((host.network, host.ipc), (PodNetwork::Host, PodSharing::Host));
    assert!(mode(Pod, Container, Pod).is_ok());
    assert!(mode(Container, Pod, Pod).unwrap_err().starts_with("namespace_options.network"));
    assert!(mode(Pod, Target, Pod).unwrap_err().starts_with("namespace_options.pid"));
    assert!(mode(Pod, Pod, Container).unwrap_err().starts_with("namespace_options.ipc"));
    let unknown = with(NamespaceOption { network: 77, ..Default::default() });
    assert_eq!(asked(&unknown).unwrap_err(), "namespace_options.network: 77 is none of its values");
}

#[test]
fn users_are_one_range_from_root_on() {
    let users = |mode: NamespaceMode, uids: &[(u32, u32, u32)]| {
        let mapping = |(container_id, host_id, length): &(u32, u32, u32)| IdMapping {
            container_id: *container_id,
            host_id: *host_id,
            length: *length,
        };
        let uids: Vec<IdMapping> = uids.iter().map(mapping).collect();
        let userns_options = Some(UserNamespace { mode: mode.into(), gids: uids.clone(), uids });
        asked(&with(NamespaceOption { userns_options, ..Default::default() })).map(|request| request.users)
    };
    use NamespaceMode::{Container, Node, Pod, Target};
    assert_eq!(users(Node, &[]).unwrap(), None);
    let range = IdRange { inside: 0, outside: 65_536, size: 65_536 };
    assert_eq!(users(Pod, &[(0, 65_536, 65_536)]).unwrap(), Some(UserMap { uids: vec![range], gids: vec![range] }));
    for (mode, ranges) in [
        (Container, &[(0, 1, 1)][..]),
        (Target, &[(0, 1, 1)]),
        (Node, &[(0, 1, 1)]),
        (Pod, &[]),
        (Pod, &[(0, 1, 1), (1, 2, 1)]),
        (Pod, &[(1, 1, 1)]),
        (Pod, &[(0, 1, 0)]),
        (Pod, &[(0, u32::MAX, 2)]),
    ] {
        assert!(users(mode, ranges).unwrap_err().contains("userns_options"), "{mode:?} {ranges:?}");
    }
}

#[test]
fn only_ports_of_the_host_are_published() {
    let mapping = |host_port, container_port, host_ip: &str| {
        let host_ip = host_ip.to_owned();
        PortMapping { protocol: 1, container_port, host_port, host_ip }
    };
    let ports = |mapping| asked(&PodSandboxConfig { port_mappings: vec![mapping], ..config() });
    assert_eq!(ports(mapping(0, 80, "")).unwrap().network, PodNetwork::Own { ports: Vec::new() });
    let host_ip = Some(IpAddr::from([127, 0, 0, 1]));
    let port = Port { host_ip, host_port: 8080, container_port: 80, protocol: engine::Protocol::Udp };
    assert_eq!(ports(mapping(8080, 80, "127.0.0.1")).unwrap().network, PodNetwork::Own { ports: vec![port] });
    let odd = PortMapping { protocol: 9, ..mapping(1, 1, "") };
    for bad in [mapping(-1, 80, ""), mapping(70_000, 80, ""), mapping(80, 0, ""), mapping(80, 80, "x"), odd] {
        assert!(ports(bad).unwrap_err().starts_with("port_mappings"));
    }
}

#[test]
fn names_are_looked_up_at_addresses() {
    let dns = |server: &str, search: &str, option: &str| {
        let of = |text: &str| vec![text.to_owned()];
        let dns = DnsConfig { servers: of(server), searches: of(search), options: of(option) };
        asked(&PodSandboxConfig { dns_config: Some(dns), ..config() })
    };
    assert!(dns("10.96.0.10", "default.svc.cluster.local", "ndots:5").is_ok());
    assert!(dns("fe80::1%eth0", "a", "b").is_ok());
    let bad = [("a", "a", "a"), ("1.1.1.1", "a\nnameserver 6.6.6.6", "a"), ("1.1.1.1", "a", "b c"), ("", "a", "b")];
    for (server, search, option) in bad {
        assert!(dns(server, search, option).unwrap_err().starts_with("dns_config"));
    }
}

#[test]
fn settings_are_of_one_line() {
    let set = |key: &str, value: &str| {
        let sysctls = [(key.to_owned(), value.to_owned())].into();
        asked(&PodSandboxConfig { linux: Some(LinuxPodSandboxConfig { sysctls, ..Default::default() }), ..config() })
    };
    assert!(set("net.ipv4.ip_forward", "1").is_ok() && set("kernel/shm_rmid_forced", "1").is_ok());
    let bad = [("", "1"), ("net.a", "1\nkernel.b=2"), ("a+b", "1"), ("../x", "1"), ("kernel.core_pattern+x", "|/bin/sh")];
    for (key, value) in bad {
        assert!(set(key, value).unwrap_err().starts_with("sysctls"), "{key}");
    }
}

#[test]
fn log_folders_are_absolute() {
    let logs = |path: &str| asked(&PodSandboxConfig { log_directory: path.into(), ..config() });
    assert!(logs("/var/log/pods/a").is_ok() && logs("").is_ok());
    assert!(logs("var/log").is_err() && logs("/var/log/../../etc").is_err());
}
