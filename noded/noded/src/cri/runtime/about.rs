//! Version, Status and RuntimeConfig: what the runtime tells about itself.

use std::collections::BTreeMap;

use cri::{
    LinuxRuntimeConfiguration, RuntimeCondition, RuntimeConfigRequest, RuntimeConfigResponse, RuntimeFeatures, RuntimeHandler,
    RuntimeHandlerFeatures, RuntimeStatus, StatusRequest, StatusResponse, UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse,
    VersionRequest, VersionResponse,
};
use serde_json::json;

use crate::config::{CgroupDriver, Config};
use crate::cri::{Answer, status as code, status::invalid};
use crate::host::chain;
use crate::host::log::{Level, say};
use crate::node::Node;

/// Version. Which version of the interface the client speaks makes no difference.
pub(super) fn version(_: &Node, _: VersionRequest) -> Answer<VersionResponse> {
    Ok(VersionResponse {
        version: "0.1.0".to_owned(),
        runtime_name: "noded".to_owned(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime_api_version: "v1".to_owned(),
    })
}

/// Status. Without monitors nothing can be started. A network of our own is ready when we are, one by plugins when they are.
pub(super) fn status(node: &Node, request: StatusRequest) -> Answer<StatusResponse> {
    let config = node.config();
    let info = if request.verbose { info(&config) } else { BTreeMap::new() };
    let conditions = [runtime(&node.engine().config().monitor), network(node.engine().network_condition())];
    Ok(StatusResponse {
        status: Some(RuntimeStatus { conditions: conditions.to_vec() }),
        info,
        runtime_handlers: handlers(&config),
        features: Some(RuntimeFeatures {
            supplemental_groups_policy: true,
            user_namespaces_host_network: false,
            mount_options: false,
        }),
    })
}

fn ready(kind: &str) -> RuntimeCondition {
    RuntimeCondition { r#type: kind.to_owned(), status: true, ..RuntimeCondition::default() }
}

fn unready(kind: &str, reason: &str, message: String) -> RuntimeCondition {
    RuntimeCondition { status: false, reason: reason.to_owned(), message, ..ready(kind) }
}

fn runtime(monitor: &std::path::Path) -> RuntimeCondition {
    match monitor.exists() {
        true => ready("RuntimeReady"),
        false => unready("RuntimeReady", "MonitorMissing", format!("the program {} is not there", monitor.display())),
    }
}

fn network(found: Result<(), engine::Error>) -> RuntimeCondition {
    match found {
        Ok(()) => ready("NetworkReady"),
        Err(error) => unready("NetworkReady", "NetworkPluginNotReady", chain(&error)),
    }
}

/// The default handler, which has no name, and those that the configuration names.
fn handlers(config: &Config) -> Vec<RuntimeHandler> {
    let features = RuntimeHandlerFeatures { recursive_read_only_mounts: true, user_namespaces: true };
    let names = std::iter::once(String::new()).chain(config.cri.handlers.iter().cloned());
    names.map(|name| RuntimeHandler { name, features: Some(features) }).collect()
}

fn info(config: &Config) -> BTreeMap<String, String> {
    let shown = json!({
        "root": config.root, "run": config.run, "bridge": config.bridge, "cgroup": config.cgroup, "storage": config.storage,
        "socket": config.cri.socket, "podCidr": config.cri.pod_cidr, "pinned": config.images.pinned,
    });
    BTreeMap::from([("config".to_owned(), shown.to_string())])
}

/// RuntimeConfig: how cgroups of pods are to be named.
pub(super) fn config(node: &Node, _: RuntimeConfigRequest) -> Answer<RuntimeConfigResponse> {
    let cgroup_driver = match node.config().cri.cgroup_driver {
        CgroupDriver::Systemd => cri::CgroupDriver::Systemd,
        CgroupDriver::Cgroupfs => cri::CgroupDriver::Cgroupfs,
    };
    Ok(RuntimeConfigResponse { linux: Some(LinuxRuntimeConfiguration { cgroup_driver: cgroup_driver.into() }) })
}

/// UpdateRuntimeConfig: the addresses of pods, if the configuration says nothing of them. Pods that have addresses keep them.
pub(super) fn update(node: &Node, request: UpdateRuntimeConfigRequest) -> Answer<UpdateRuntimeConfigResponse> {
    let told = request.runtime_config.and_then(|config| config.network_config).map(|network| network.pod_cidr).unwrap_or_default();
    if let Some(told) = first_v4(&told)?
        && node.config().cri.pod_cidr.is_empty()
    {
        let counts = node.engine().choose_subnet(told).map_err(|error| code::of(&error))?;
        if counts != told {
            say(Level::Warning, &format!("pods keep their subnet {counts}, although the kubelet tells {told}"), &[]);
        }
    }
    Ok(UpdateRuntimeConfigResponse {})
}

/// The first subnet of IPv4 in a list with commas; none in an empty one.
fn first_v4(list: &str) -> Answer<Option<engine::Ipv4Net>> {
    let mut found = None;
    for text in list.split(',').filter(|text| !text.is_empty()) {
        match text.trim().parse() {
            Ok(engine::IpNet::V4(net)) => found = found.or(Some(net.trunc())),
            Ok(engine::IpNet::V6(_)) => {}
            Err(_) => return Err(invalid(format_args!("pod_cidr: {text:.60?} is no subnet"))),
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    #[test]
    fn subnets_may_be_of_both_kinds() {
        assert_eq!(first_v4("fd00::/64, 10.9.1.0/24").unwrap().unwrap().to_string(), "10.9.1.0/24");
        assert_eq!(first_v4("").unwrap(), None);
        assert!(first_v4("10.9.1.0").is_err());
    }

    use super::*;

    #[test]
    fn without_monitors_nothing_is_ready() {
        assert!(runtime(std::path::Path::new("/")).status);
        let missing = runtime(std::path::Path::new("/no/such/program"));
        assert!(!missing.status && missing.message.contains("/no/such/program"));
    }

    #[test]
    fn the_default_handler_comes_first() {
        let mut config = Config::default();
        config.cri.handlers = vec!["a".to_owned(), "b".to_owned()];
        let names: Vec<String> = handlers(&config).into_iter().map(|handler| handler.name).collect();
        assert_eq!(names, ["", "a", "b"]);
    }
}
