//! From a pod's configuration to a request to the engine.

use std::net::IpAddr;

use cri::{DnsConfig, IdMapping, NamespaceMode, NamespaceOption, PodSandboxConfig, PortMapping, Protocol};
use engine::{IdRange, PodDns, PodNetwork, PodRequest, PodSharing, Port, UserMap};

use crate::cri::local::BeyondPod;
use crate::cri::runtime::kept;
use crate::cri::{Answer, check, status::invalid};

/// What a pod is to be. Nothing of the host is looked at. Users and profiles are for containers: a pod has no process. What it may use is for
/// the kubelet to write to its cgroup.
pub(super) fn request(config: &PodSandboxConfig, handler: &str, handlers: &[String], beyond: BeyondPod) -> Answer<PodRequest> {
    let metadata = check::there("metadata", config.metadata.as_ref())?;
    for (what, text) in [("name", &metadata.name), ("namespace", &metadata.namespace), ("uid", &metadata.uid)] {
        check::name(&format!("metadata.{what}"), text)?;
    }
    check::notes("pod", &[&config.labels, &config.annotations])?;
    if !handler.is_empty() && !handlers.iter().any(|known| known == handler) {
        return Err(invalid(format_args!(
            "runtime_handler {handler:.100?}: there is none of this name in cri.handlers of noded.toml"
        )));
    }
    let logs = Some(config.log_directory.as_str()).filter(|path| !path.is_empty());
    let linux = config.linux.clone().unwrap_or_default();
    let security = linux.security_context.unwrap_or_default();
    let options = security.namespace_options.unwrap_or_default();
    for (key, value) in &linux.sysctls {
        sysctl(key, value)?;
    }
    Ok(PodRequest {
        name: metadata.name.clone(),
        namespace: metadata.namespace.clone(),
        uid: metadata.uid.clone(),
        attempt: metadata.attempt,
        hostname: config.hostname.clone(),
        full_name: beyond.full_name,
        hosts: beyond.hosts,
        labels: config.labels.clone(),
        annotations: config.annotations.clone(),
        log_directory: logs.map(|path| check::absolute("log_directory", path)).transpose()?,
        cgroup_parent: Some(linux.cgroup_parent).filter(|parent| !parent.is_empty()),
        handler: handler.to_owned(),
        network: network(&options, &config.port_mappings)?,
        ipc: ipc(&options)?,
        dns: config.dns_config.as_ref().map(dns).transpose()?,
        sysctls: linux.sysctls,
        users: users(&options)?,
        extra: kept::of_pod(config),
    })
}

fn network(options: &NamespaceOption, ports: &[PortMapping]) -> Answer<PodNetwork> {
    match check::one_of("namespace_options.network", options.network)? {
        NamespaceMode::Pod => Ok(PodNetwork::Own { ports: published(ports)? }),
        NamespaceMode::Node => {
            // They are the host's ports by themselves.
            published(ports)?;
            Ok(PodNetwork::Host)
        }
        mode => Err(invalid(format_args!("namespace_options.network: a pod has a network of its own or the host's, not {mode:?}"))),
    }
}

fn ipc(options: &NamespaceOption) -> Answer<PodSharing> {
    // That of processes is a matter of each container.
    if check::one_of::<NamespaceMode>("namespace_options.pid", options.pid)? == NamespaceMode::Target {
        return Err(invalid("namespace_options.pid: TARGET is for containers"));
    }
    match check::one_of("namespace_options.ipc", options.ipc)? {
        NamespaceMode::Pod => Ok(PodSharing::Pod),
        NamespaceMode::Node => Ok(PodSharing::Host),
        mode => Err(invalid(format_args!("namespace_options.ipc: a pod has one of its own or the host's, not {mode:?}"))),
    }
}

/// Users of the pod's own: one range each, as the kubelet gives them out, from root on (KEP-127).
fn users(options: &NamespaceOption) -> Answer<Option<UserMap>> {
    let Some(users) = &options.userns_options else { return Ok(None) };
    match check::one_of("namespace_options.userns_options.mode", users.mode)? {
        NamespaceMode::Node if users.uids.is_empty() && users.gids.is_empty() => Ok(None),
        NamespaceMode::Node => Err(invalid("namespace_options.userns_options: the host's users have no mappings")),
        NamespaceMode::Pod => {
            Ok(Some(UserMap { uids: vec![range("uids", &users.uids)?], gids: vec![range("gids", &users.gids)?] }))
        }
        mode => Err(invalid(format_args!("namespace_options.userns_options.mode: {mode:?} is not for user namespaces"))),
    }
}

fn range(what: &str, mappings: &[IdMapping]) -> Answer<IdRange> {
    let wrong = |why: &str| Err(invalid(format_args!("namespace_options.userns_options.{what}: {why}")));
    match mappings {
        [IdMapping { container_id: 0, host_id, length }] => match host_id.checked_add(*length) {
            Some(end) if *length > 0 && end <= i32::MAX as u32 + 1 => Ok(IdRange { inside: 0, outside: *host_id, size: *length }),
            _ => wrong("the range is empty, or leaves the ids that there are"),
        },
        [_] => wrong("the range does not begin with root"),
        _ => wrong("there has to be one mapping"),
    }
}

/// The ports that are published: those with a port of the host.
fn published(ports: &[PortMapping]) -> Answer<Vec<Port>> {
    let wanted = ports.iter().filter(|port| port.host_port != 0);
    wanted.map(port).collect()
}

fn port(mapping: &PortMapping) -> Answer<Port> {
    let number = |what: &str, port: i32| {
        let number = u16::try_from(port).ok().filter(|port| *port != 0);
        number.ok_or_else(|| invalid(format_args!("port_mappings: {what} {port} is not from 1 to 65535")))
    };
    let protocol = match check::one_of("port_mappings.protocol", mapping.protocol)? {
        Protocol::Tcp => engine::Protocol::Tcp,
        Protocol::Udp => engine::Protocol::Udp,
        Protocol::Sctp => engine::Protocol::Sctp,
    };
    let ip = &mapping.host_ip;
    let host_ip: Option<IpAddr> = (!ip.is_empty())
        .then(|| ip.parse().map_err(|_| invalid(format_args!("port_mappings: host_ip {ip:.60?} is no address"))))
        .transpose()?;
    Ok(Port {
        host_ip,
        host_port: number("host_port", mapping.host_port)?,
        container_port: number("container_port", mapping.container_port)?,
        protocol,
    })
}

fn dns(config: &DnsConfig) -> Answer<PodDns> {
    for server in &config.servers {
        // An address of IPv6 may name an interface.
        let address = server.split('%').next().unwrap_or_default();
        if address.parse::<IpAddr>().is_err() {
            return Err(invalid(format_args!("dns_config.servers: {server:.60?} is no address")));
        }
    }
    let words = config.servers.iter().chain(&config.searches).chain(&config.options);
    for word in words {
        if word.is_empty() || word.len() > 2048 || word.chars().any(|letter| letter.is_whitespace() || letter.is_control()) {
            return Err(invalid(format_args!("dns_config: {word:.60?} is not one word")));
        }
    }
    let (servers, searches, options) = (config.servers.clone(), config.searches.clone(), config.options.clone());
    Ok(PodDns { servers, searches, options })
}

/// A setting is one file below /proc/sys, and what is written to it one line (CVE-2022-0811). Which ones a pod may have, the engine knows.
fn sysctl(key: &str, value: &str) -> Answer<()> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-/".contains(&byte);
    let good = !key.is_empty() && key.bytes().all(plain) && !key.contains("..") && !key.starts_with('/');
    if !good || value.chars().any(char::is_control) {
        return Err(invalid(format_args!("sysctls: {key:.100?} = {value:.100?} cannot be set")));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
