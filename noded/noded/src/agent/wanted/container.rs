//! A container as the engine is to make it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use api::kinds::pod::Pod;
use api::kinds::pod::container::{Container, ResourceRequirements, SecurityContext};
use api::quantity::Quantity;
use cri::security_profile::ProfileType;
use cri::{
    Capability, ContainerConfig, ContainerMetadata, HugepageLimit, ImageSpec, Int64Value, KeyValue, LinuxContainerConfig,
    LinuxContainerResources, LinuxContainerSecurityContext, NamespaceMode, NamespaceOption, SecurityProfile,
    SupplementalGroupsPolicy,
};

use super::super::resize::Limits;
use super::environment::expanded;
use super::{facts, mounts, pid};

/// Paths in volumes, by the places of the mounts.
type Parts = BTreeMap<String, PathBuf>;

/// The container's configuration, and the parts of volumes that it sees, by their places. `volumes` is what is behind the pod's volumes, by name.
pub(in super::super) fn config(
    pod: &Pod,
    spec: &Container,
    attempt: u32,
    environment: &[(String, String)],
    volumes: &BTreeMap<String, mounts::Backing>,
) -> Result<(ContainerConfig, Parts), String> {
    let words = |words: &[String]| words.iter().map(|word| expanded(word, environment)).collect();
    let labels = [
        ("io.kubernetes.container.name", &spec.name),
        ("io.kubernetes.pod.name", &pod.metadata.name),
        ("io.kubernetes.pod.namespace", &pod.metadata.namespace),
        ("io.kubernetes.pod.uid", &pod.metadata.uid),
    ];
    let (mut mounts, mut parts) = (Vec::new(), Parts::new());
    for (mount, part) in
        spec.volume_mounts.iter().map(|mount| mounts::mount(mount, volumes, environment)).collect::<Result<Vec<_>, _>>()?
    {
        parts.extend(part.map(|part| (mount.container_path.clone(), part)));
        mounts.push(mount);
    }
    let config = ContainerConfig {
        metadata: Some(ContainerMetadata { name: spec.name.clone(), attempt }),
        image: Some(ImageSpec { image: spec.image.clone(), user_specified_image: spec.image.clone(), ..ImageSpec::default() }),
        command: words(&spec.command),
        args: words(&spec.args),
        working_dir: spec.working_dir.clone(),
        envs: environment.iter().map(|(key, value)| KeyValue { key: key.clone(), value: value.clone().into_bytes() }).collect(),
        mounts,
        labels: labels.map(|(key, value)| (key.to_owned(), value.clone())).into(),
        log_path: format!("{}/{attempt}.log", spec.name),
        stdin: spec.stdin,
        stdin_once: spec.stdin_once,
        tty: spec.tty,
        stop_signal: stop_signal(spec)?,
        linux: Some(LinuxContainerConfig {
            resources: Some(resources(pod, &spec.resources.clone().unwrap_or_default())),
            security_context: Some(security(pod, &spec.security_context.clone().unwrap_or_default())?),
        }),
        ..ContainerConfig::default()
    };
    Ok((config, parts))
}

/// A container that was added to look into another one sees that one's processes. `running` are ids by name.
pub(in super::super) fn aim(config: &mut ContainerConfig, pod: &Pod, running: &BTreeMap<String, String>) -> Result<(), String> {
    let name = config.metadata.as_ref().map_or("", |metadata| metadata.name.as_str());
    let added = pod.spec.ephemeral_containers.iter().find(|added| added.name == name);
    let Some(target) = added.map(|added| added.target_container_name.as_str()).filter(|target| !target.is_empty()) else {
        return Ok(());
    };
    let id = running.get(target).ok_or_else(|| format!("unable to find target container {target:?}: it does not run"))?;
    let security = config.linux.as_mut().and_then(|linux| linux.security_context.as_mut());
    if let Some(options) = security.and_then(|security| security.namespace_options.as_mut()) {
        options.pid = NamespaceMode::Target.into();
        options.target_id.clone_from(id);
    }
    Ok(())
}

/// A container of a pod with users of its own sees the files of its volumes as those of its root, who is `first` on the host.
pub(in super::super) fn map(config: &mut ContainerConfig, first: u32) {
    let users = super::mapped(first);
    for mount in config.mounts.iter_mut().filter(|mount| mount.image.is_none()) {
        (mount.uid_mappings, mount.gid_mappings) = (users.uids.clone(), users.gids.clone());
    }
}

fn stop_signal(spec: &Container) -> Result<i32, String> {
    let name = spec.lifecycle.as_ref().map_or("", |lifecycle| &lifecycle.stop_signal);
    // CRI's words have no signs: SIGRTMIN+1 is SIGNAL_SIGRTMINPLUS1.
    let word = || format!("SIGNAL_{}", name.replace('+', "PLUS").replace('-', "MINUS"));
    let known = if name.is_empty() { Some(cri::Signal::RuntimeDefault) } else { cri::Signal::from_str_name(&word()) };
    known.map(i32::from).ok_or_else(|| format!("lifecycle.stopSignal: {name:.40?} is no signal"))
}

/// Limits, and weights from requests.
fn resources(pod: &Pod, of: &ResourceRequirements) -> LinuxContainerResources {
    let request = |name: &str| of.requests.get(name).or_else(|| of.limits.get(name));
    LinuxContainerResources {
        oom_score_adj: oom_score_adj(pod.spec.qos_class(), request("memory").map_or(0, Quantity::value), facts::memory()),
        hugepage_limits: of.limits.iter().filter_map(|(name, limit)| huge_pages(name, limit)).collect(),
        ..Limits::of(of).linux()
    }
}

/// Pages of one size: `hugepages-2Mi` is what the kernel calls 2MB.
fn huge_pages(name: &str, limit: &Quantity) -> Option<HugepageLimit> {
    let size = name.strip_prefix("hugepages-")?.strip_suffix('i')?;
    Some(HugepageLimit { page_size: format!("{size}B"), limit: u64::try_from(limit.value()).ok()? })
}

/// Who is killed first when memory is out: who has asked for least of it.
fn oom_score_adj(class: &str, request: i64, total: i64) -> i64 {
    match class {
        "Guaranteed" => -997,
        "BestEffort" => 1000,
        _ => (1000 - 1000i64.saturating_mul(request) / total.max(1)).clamp(3, 999),
    }
}

fn security(pod: &Pod, own: &SecurityContext) -> Result<LinuxContainerSecurityContext, String> {
    let shared = pod.spec.security_context.clone().unwrap_or_default();
    let privileged = own.privileged == Some(true);
    let user = own.run_as_user.or(shared.run_as_user);
    let group = own.run_as_group.or(shared.run_as_group);
    if own.run_as_non_root.or(shared.run_as_non_root) == Some(true) && user == Some(0) {
        return Err("container has runAsNonRoot and would run as root".to_owned());
    }
    if own.se_linux_options.is_some() || shared.se_linux_options.is_some() {
        return Err("seLinuxOptions: they are not supported on this node".to_owned());
    }
    let number = |value: i64| Int64Value { value };
    let open = privileged || own.proc_mount == "Unmasked";
    let paths = |paths: fn() -> Vec<String>| if open { Vec::new() } else { paths() };
    let profile = |kind: &str, name: &str| {
        let profile_type = match kind {
            "Unconfined" => ProfileType::Unconfined,
            "Localhost" => ProfileType::Localhost,
            _ => ProfileType::RuntimeDefault,
        };
        SecurityProfile { profile_type: profile_type.into(), localhost_ref: name.to_owned() }
    };
    // A filter of system calls is there unless it is asked away.
    let seccomp = own.seccomp_profile.as_ref().or(shared.seccomp_profile.as_ref());
    let seccomp = seccomp.map_or_else(
        || profile("RuntimeDefault", ""),
        |of| profile(&of.kind, &std::path::Path::new("/var/lib/kubelet/seccomp").join(&of.localhost_profile).display().to_string()),
    );
    let apparmor = own.app_armor_profile.as_ref().or(shared.app_armor_profile.as_ref());
    let capabilities = own.capabilities.clone().unwrap_or_default();
    let groups = shared.supplemental_groups.iter().copied().chain(shared.fs_group);
    let policy = match shared.supplemental_groups_policy.as_str() {
        "Strict" => SupplementalGroupsPolicy::Strict,
        _ => SupplementalGroupsPolicy::Merge,
    };
    Ok(LinuxContainerSecurityContext {
        capabilities: Some(Capability {
            add_capabilities: capabilities.add,
            drop_capabilities: capabilities.drop,
            add_ambient_capabilities: Vec::new(),
        }),
        privileged,
        namespace_options: Some(NamespaceOption { pid: pid(pod).into(), ..NamespaceOption::default() }),
        run_as_user: user.map(number),
        run_as_group: group.map(number),
        readonly_rootfs: own.read_only_root_filesystem == Some(true),
        supplemental_groups: groups.collect(),
        supplemental_groups_policy: policy.into(),
        no_new_privs: own.allow_privilege_escalation == Some(false),
        masked_paths: paths(engine::masked_paths),
        readonly_paths: paths(engine::readonly_paths),
        seccomp: Some(seccomp),
        apparmor: apparmor.map(|of| profile(&of.kind, &of.localhost_profile)),
        ..LinuxContainerSecurityContext::default()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn of(container: serde_json::Value) -> Result<ContainerConfig, String> {
        let pod: Pod =
            serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": {"containers": [container]}})).unwrap();
        let volumes = BTreeMap::from([("v".to_owned(), mounts::Backing::Path("/disk/v".into()))]);
        config(&pod, &pod.spec.containers[0], 2, &[("A".to_owned(), "1".to_owned())], &volumes).map(|(config, _)| config)
    }

    #[test]
    fn a_container_is_what_its_spec_says() {
        let config = of(json!({"name": "a", "image": "i", "args": ["$(A)"],
            "resources": {"limits": {"cpu": "500m", "memory": "64Mi"}, "requests": {"cpu": "250m"}},
            "volumeMounts": [{"name": "v", "mountPath": "/v", "readOnly": true}]}))
        .unwrap();
        assert_eq!((config.args, config.log_path.as_str()), (vec!["1".to_owned()], "a/2.log"));
        assert_eq!((config.mounts[0].host_path.as_str(), config.mounts[0].readonly), ("/disk/v", true));
        let linux = config.linux.unwrap();
        let resources = linux.resources.unwrap();
        assert_eq!((resources.cpu_shares, resources.cpu_quota, resources.memory_limit_in_bytes), (256, 50_000, 64 << 20));
        let security = linux.security_context.unwrap();
        assert_eq!(security.seccomp.unwrap().profile_type, i32::from(ProfileType::RuntimeDefault));
        assert!(
            security.masked_paths.contains(&"/proc/kcore".to_owned()) && security.readonly_paths.contains(&"/proc/sys".to_owned())
        );
    }

    #[test]
    fn what_cannot_be_is_said() {
        let error = |container| of(container).unwrap_err();
        assert!(error(json!({"name": "a", "volumeMounts": [{"name": "no", "mountPath": "/v"}]})).contains("no volume \"no\""));
        assert!(error(json!({"name": "a", "securityContext": {"runAsNonRoot": true, "runAsUser": 0}})).contains("runAsNonRoot"));
    }

    #[test]
    fn one_that_looks_into_another_sees_its_processes() {
        let spec = json!({"containers": [{"name": "app"}], "ephemeralContainers": [{"name": "d", "image": "i", "targetContainerName": "app"}]});
        let pod: Pod = serde_json::from_value(json!({"metadata": {"name": "p", "uid": "u"}, "spec": spec})).unwrap();
        let container = pod.spec.ephemeral_containers[0].container();
        let (mut config, _) = config(&pod, &container, 0, &[], &BTreeMap::new()).unwrap();
        assert!(aim(&mut config, &pod, &BTreeMap::new()).unwrap_err().contains("target container \"app\""));
        aim(&mut config, &pod, &BTreeMap::from([("app".to_owned(), "abc".to_owned())])).unwrap();
        let options = config.linux.unwrap().security_context.unwrap().namespace_options.unwrap();
        assert_eq!((options.pid(), options.target_id.as_str()), (NamespaceMode::Target, "abc"));
    }

    #[test]
    fn signals_have_words() {
        let of = |name: &str| of(json!({"name": "a", "lifecycle": {"stopSignal": name}})).map(|config| config.stop_signal());
        assert_eq!(of("SIGUSR1"), Ok(cri::Signal::Sigusr1));
        assert_eq!(of("SIGRTMIN+1"), Ok(cri::Signal::Sigrtminplus1));
        assert_eq!(of("SIGRTMAX-2"), Ok(cri::Signal::Sigrtmaxminus2));
        assert!(of("SIGNO").unwrap_err().contains("SIGNO"));
    }

    #[test]
    fn huge_pages_have_the_kernels_names() {
        let limits = json!({"hugepages-2Mi": "4Mi", "hugepages-1Gi": "1Gi", "memory": "1Gi"});
        let config = of(json!({"name": "a", "resources": {"limits": limits}})).unwrap();
        let all = config.linux.unwrap().resources.unwrap().hugepage_limits;
        let all: Vec<_> = all.into_iter().map(|of| (of.page_size, of.limit)).collect();
        assert_eq!(all, [("1GB".to_owned(), 1 << 30), ("2MB".to_owned(), 4 << 20)]);
    }

    #[test]
    fn who_asks_for_least_memory_is_killed_first() {
        assert_eq!(oom_score_adj("Guaranteed", 0, 100), -997);
        assert_eq!(oom_score_adj("BestEffort", 0, 100), 1000);
        assert_eq!((oom_score_adj("Burstable", 25, 100), oom_score_adj("Burstable", 100, 100)), (750, 3));
    }
}
