//! From a container's configuration to a request to the engine. Nothing of the host is looked at.

mod mounts;
mod resources;
mod security;

use std::path::{Path, PathBuf};

use cri::{CdiDevice, ContainerConfig, Device, KeyValue, NamespaceMode, NamespaceOption, PodSandboxConfig, UserNamespace};
use engine::{CreateRequest, LogConfig, Namespaces, PodMember, Sharing, Tuning};

pub(super) use resources::resources;
pub(super) use security::Seccomp;

use super::signal;
use crate::cri::local::{Beyond, Rotation};
use crate::cri::{Answer, check, status::invalid};

/// What a container is to be, but for what has to be read from the host.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) request: CreateRequest,
    pub(super) seccomp: Seccomp,
    /// The image, as the kubelet names it.
    pub(super) image: String,
}

/// Checks a configuration for a container in the pod `pod`, which was made by `pod_config`.
pub(super) fn wanted(pod: &str, pod_config: &PodSandboxConfig, config: &ContainerConfig, beyond: &Beyond) -> Answer<Wanted> {
    let metadata = check::there("metadata", config.metadata.as_ref())?;
    check::name("metadata.name", &metadata.name)?;
    check::notes("container", &[&config.labels, &config.annotations])?;
    let image = config.image.as_ref().map(|spec| spec.image.clone()).filter(|name| !name.is_empty());
    let image = check::there("image", image)?;
    let linux = config.linux.clone().unwrap_or_default();
    let context = linux.security_context.unwrap_or_default();
    let (security, seccomp) = security::security(pod_config, &context)?;
    let limits = resources(&linux.resources.clone().unwrap_or_default())?;
    let stop_signal = signal::number(check::one_of("stop_signal", config.stop_signal)?);
    let (groups, group_policy) = security::groups(&context)?;
    let words = |words: &[String]| Some(words.to_vec()).filter(|words| !words.is_empty());
    let request = CreateRequest {
        image: config
            .image
            .as_ref()
            .map(|spec| spec.user_specified_image.clone())
            .filter(|name| !name.is_empty())
            .unwrap_or_default(),
        entrypoint: words(&config.command),
        cmd: config.args.clone(),
        env: config.envs.iter().map(variable).collect::<Answer<_>>()?,
        workdir: Some(config.working_dir.clone()).filter(|folder| !folder.is_empty()),
        user: security::user(&context)?,
        tty: config.tty,
        stdin: config.stdin,
        labels: config.labels.clone(),
        mounts: mounts::mounts(&config.mounts, users(pod_config), &beyond.parts)?,
        resources: limits,
        security,
        stop_signal,
        namespaces: namespaces(pod, &context.namespace_options.unwrap_or_default())?,
        tuning: Tuning {
            groups,
            group_policy,
            oom_score_adj: oom_score_adj(linux.resources.map_or(0, |resources| resources.oom_score_adj))?,
            devices: config.devices.iter().map(device).collect::<Answer<_>>()?,
            cdi: config.cdi_devices.iter().map(described).collect::<Answer<_>>()?,
            log: log(pod_config, config, beyond.rotation)?,
            ..Tuning::default()
        },
        pod: Some(PodMember {
            pod: pod.to_owned(),
            name: metadata.name.clone(),
            attempt: metadata.attempt,
            extra: serde_json::Value::Null,
        }),
        ..CreateRequest::default()
    };
    Ok(Wanted { request, seccomp, image })
}

/// The users of a pod that has some of its own.
fn users(pod: &PodSandboxConfig) -> Option<&UserNamespace> {
    let context = pod.linux.as_ref()?.security_context.as_ref()?;
    let users = context.namespace_options.as_ref()?.userns_options.as_ref()?;
    (users.mode == i32::from(NamespaceMode::Pod)).then_some(users)
}

/// Only that of processes is the container's to choose; the others are the pod's, whatever is said here again.
fn namespaces(pod: &str, options: &NamespaceOption) -> Answer<Namespaces> {
    let pid = match check::one_of("namespace_options.pid", options.pid)? {
        NamespaceMode::Pod => Sharing::Pod(pod.to_owned()),
        NamespaceMode::Container => Sharing::Own,
        NamespaceMode::Node => Sharing::Host,
        NamespaceMode::Target if check::is_id(&options.target_id) => Sharing::Container(options.target_id.clone()),
        NamespaceMode::Target => {
            return Err(invalid(format_args!("namespace_options.target_id: {:.100?} is no id", options.target_id)));
        }
    };
    Ok(Namespaces { pid, ..Namespaces::default() })
}

fn variable(pair: &KeyValue) -> Answer<String> {
    let KeyValue { key, value } = pair;
    if key.is_empty() || key.contains(['=', '\0']) {
        return Err(invalid(format_args!("envs: {key:.100?} is no name of a variable")));
    }
    match std::str::from_utf8(value) {
        Ok(value) if !value.contains('\0') => Ok(format!("{key}={value}")),
        _ => Err(invalid(format_args!("envs: the value of {key:.100} is no text"))),
    }
}

fn device(device: &Device) -> Answer<engine::Device> {
    let host = check::absolute("devices.host_path", &device.host_path)?;
    let container = match device.container_path.as_str() {
        "" => host.clone(),
        path => check::absolute("devices.container_path", path)?,
    };
    let access = &device.permissions;
    if access.is_empty() || access.len() > 3 || !access.chars().all(|letter| "rwm".contains(letter)) {
        return Err(invalid(format_args!("devices.permissions: {access:.20?} is not made of r, w and m")));
    }
    Ok(engine::Device { host, container, access: access.clone() })
}

/// A device by its name; whether anything describes it, the engine looks.
fn described(device: &CdiDevice) -> Answer<String> {
    check::name("CDI_devices", &device.name)?;
    Ok(device.name.clone())
}

fn oom_score_adj(score: i64) -> Answer<Option<i32>> {
    match i32::try_from(score) {
        Ok(score @ -1000..=1000) => Ok(Some(score)),
        _ => Err(invalid(format_args!("oom_score_adj: {score} is not from -1000 to 1000"))),
    }
}

/// A container without a path for its log keeps none.
fn log(pod: &PodSandboxConfig, config: &ContainerConfig, rotation: Option<Rotation>) -> Answer<LogConfig> {
    let path = log_path(&pod.log_directory, &config.log_path)?;
    let (max_size, max_files) = (rotation.map(|rotation| rotation.size), rotation.map(|rotation| rotation.files));
    Ok(LogConfig { none: path.is_none(), path, max_size, max_files, ..LogConfig::default() })
}

/// Where the log is, below the pod's folder. Neither may lead out of it.
pub(super) fn log_path(folder: &str, path: &str) -> Answer<Option<PathBuf>> {
    if folder.is_empty() || path.is_empty() {
        return Ok(None);
    }
    Ok(Some(Path::new(folder).join(check::relative("log_path", path)?)))
}

#[cfg(test)]
mod tests;
