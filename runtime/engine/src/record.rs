//! A container as it was made: the request merged with the image, written once into `config.json`.

use std::collections::BTreeMap;

use images::{Digest, Image};
use launch::Nanos;
use monitor::{OnFailure, Policy};
use serde::{Deserialize, Serialize};

use crate::environment::{environment, merged};
use crate::request::{
    CreateRequest, Dns, Endpoint, HealthRecord, Mount, Namespaces, NetworkMode, Port, Resources, RootFs, SecretUse, Security,
    Tuning, VolumesFrom,
};
use crate::{Error, signals, spec};

/// `config.json` of one container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Nanos,
    /// Where its root file system comes from.
    pub image: ImageRecord,
    /// Program and arguments that start a command line; with `cmd` the whole of it.
    pub entrypoint: Vec<String>,
    /// The command, or the entrypoint's arguments.
    pub cmd: Vec<String>,
    /// `KEY=VALUE`.
    pub env: Vec<String>,
    /// Working folder.
    pub workdir: String,
    /// `user[:group]`, empty for root.
    pub user: String,
    /// Host name.
    pub hostname: String,
    /// It has a terminal.
    pub tty: bool,
    /// Standard input is kept open.
    pub stdin: bool,
    /// The image's labels and its own.
    pub labels: BTreeMap<String, String>,
    /// What is mounted in it, each place once.
    #[serde(default)]
    pub mounts: Vec<Mount>,
    /// Containers that some of it is from.
    #[serde(default)]
    pub volumes_from: Vec<VolumesFrom>,
    /// Bytes of shared memory.
    #[serde(default)]
    pub shm_size: Option<u64>,
    /// The network.
    pub network: NetworkMode,
    /// With [`NetworkMode::Bridge`] the networks; the default one when empty.
    #[serde(default)]
    pub networks: Vec<Endpoint>,
    /// How it finds others by name.
    #[serde(default)]
    pub dns: Dns,
    /// Ports to publish.
    pub ports: Vec<Port>,
    /// All that is exposed is published, too, each on any free port.
    #[serde(default)]
    pub publish_all: bool,
    /// What it listens on as the image or the request says, such as `8080/tcp`.
    pub exposed: Vec<String>,
    /// Limits.
    pub resources: Resources,
    /// Privileges.
    pub security: Security,
    /// It is removed when it has ended.
    pub remove: bool,
    /// The folder with its `upper` and `work`, if that is not its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upper: Option<std::path::PathBuf>,
    /// The folder of the host that it has instead of an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<RootFs>,
    /// Signal that asks it to end.
    pub stop_signal: i32,
    /// Seconds from that to SIGKILL, where it has a wish; -1 waits for ever.
    #[serde(default)]
    pub stop_timeout: Option<i64>,
    /// What happens when it has ended.
    #[serde(default)]
    pub restart: Policy,
    /// Whether it is well.
    #[serde(default)]
    pub health: Option<HealthRecord>,
    /// What it shares with others.
    #[serde(default)]
    pub namespaces: Namespaces,
    /// What is set for it.
    #[serde(default)]
    pub tuning: Tuning,
    /// The pod that it is in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod: Option<crate::PodMember>,
    /// Secrets that it gets, without their bytes.
    #[serde(default)]
    pub secrets: Vec<SecretUse>,
}

/// The image behind a container, by content: it stays right when names move.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageRecord {
    /// As the user wrote it.
    pub name: String,
    /// The image's id.
    pub id: Digest,
    /// Its manifest.
    pub manifest: Digest,
    /// Its layers, lowest first, by the digest of the blob.
    pub layers: Vec<Digest>,
}

/// What neither the request nor the image says.
pub(crate) struct Own {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) hostname: String,
    pub(crate) created: Nanos,
    pub(crate) mounts: Vec<Mount>,
}

impl Record {
    /// Merges a request with its image, by the rules of Docker: a new entrypoint drops the image's command, variables are
    /// replaced by key, labels are added.
    ///
    /// # Errors
    /// [`Error::NoCommand`] when neither names a program.
    pub(crate) fn merge(request: &CreateRequest, image: &Image, own: Own) -> Result<Record, Error> {
        let config = &image.config.config;
        check_workdir(request.workdir.as_deref())?;
        let (entrypoint, cmd) = command(request, config.entrypoint.as_deref(), config.cmd.as_deref());
        if entrypoint.is_empty() && cmd.is_empty() {
            return Err(Error::NoCommand { image: request.image.clone() });
        }
        spec::check(request)?;
        let restarts = [
            ("--restart", request.restart != Policy::No || request.health.on_failure == OnFailure::Restart),
            ("--health-startup-retries", request.health.startup.retries.is_some_and(|retries| retries > 0)),
        ];
        if let Some((flag, _)) = restarts.iter().find(|(_, restarts)| request.remove && *restarts) {
            let why = "a container that is removed when it has ended cannot be started again".to_owned();
            return Err(Error::Invalid { what: format!("--rm with {flag}"), why });
        }
        let mut labels = config.labels.clone();
        labels.extend(request.labels.clone());
        let stop_signal = match (request.stop_signal, config.stop_signal.as_deref()) {
            (Some(signal), _) => signal,
            (None, Some(text)) if !text.is_empty() => signals::parse(text)?,
            _ => rustix::process::Signal::TERM.as_raw(),
        };
        Ok(Record {
            id: own.id,
            name: own.name,
            created: own.created,
            hostname: own.hostname,
            image: ImageRecord {
                name: request.image.clone(),
                id: image.id.clone(),
                manifest: image.manifest.clone(),
                layers: image.layers.iter().map(|layer| layer.digest.clone()).collect(),
            },
            entrypoint,
            cmd,
            env: environment(&merged([&request.env_below[..], &config.env].concat(), &request.env_merge)?, &request.env),
            workdir: non_empty(request.workdir.as_deref(), &config.working_dir, "/"),
            user: non_empty(request.user.as_deref(), &config.user, ""),
            tty: request.tty,
            stdin: request.stdin,
            labels,
            mounts: own.mounts,
            volumes_from: request.volumes_from.clone(),
            shm_size: request.shm_size,
            network: request.network.clone(),
            networks: request.networks.clone(),
            dns: request.dns.clone(),
            ports: request.ports.clone(),
            publish_all: request.publish_all,
            exposed: exposed(&config.exposed_ports, &request.exposed),
            resources: request.resources.clone(),
            security: request.security.clone(),
            remove: request.remove,
            upper: request.upper.clone(),
            rootfs: request.rootfs.clone(),
            stop_signal,
            stop_timeout: request.stop_timeout.or(config.stop_timeout.and_then(|seconds| i64::try_from(seconds).ok())),
            restart: request.restart,
            health: HealthRecord::merge(&request.health, config.healthcheck.as_ref())?,
            namespaces: request.namespaces.clone(),
            tuning: request.tuning.clone(),
            pod: request.pod.clone(),
            secrets: request.secrets.clone(),
        })
    }

    /// The folder with its `upper` and `work`.
    pub(crate) fn writable(&self, config: &crate::Config) -> std::path::PathBuf {
        self.upper.clone().unwrap_or_else(|| config.container(&self.id))
    }

    /// The whole command line.
    pub fn args(&self) -> Vec<String> {
        self.entrypoint.iter().chain(&self.cmd).cloned().collect()
    }
}

/// What the image exposes, and what else is asked for.
fn exposed<'a>(image: impl IntoIterator<Item = &'a String>, asked: &[String]) -> Vec<String> {
    let mut all: Vec<String> = image.into_iter().cloned().collect();
    for port in asked {
        if !all.contains(port) {
            all.push(port.clone());
        }
    }
    all
}

fn command(request: &CreateRequest, entrypoint: Option<&[String]>, cmd: Option<&[String]>) -> (Vec<String>, Vec<String>) {
    match &request.entrypoint {
        Some(own) => (own.clone(), request.cmd.clone()),
        None if request.cmd.is_empty() => (entrypoint.unwrap_or_default().to_vec(), cmd.unwrap_or_default().to_vec()),
        None => (entrypoint.unwrap_or_default().to_vec(), request.cmd.clone()),
    }
}

/// A working folder that is asked for begins at the root; there is nothing that it could be relative to.
pub(crate) fn check_workdir(asked: Option<&str>) -> Result<(), Error> {
    match asked {
        Some(path) if !path.starts_with('/') => {
            Err(Error::Invalid { what: format!("working folder {path:?}"), why: "it needs to be an absolute path".to_owned() })
        }
        _ => Ok(()),
    }
}

/// The first of the three that says something; the last may say nothing.
fn non_empty(asked: Option<&str>, image: &str, default: &str) -> String {
    let choices = [asked.unwrap_or_default(), image, default];
    choices.into_iter().find(|text| !text.is_empty()).unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn a_new_entrypoint_drops_the_command_of_the_image() {
        let (image_entrypoint, image_cmd) = (words("node"), words("app.js"));
        let merged = |entrypoint: Option<&str>, cmd: &str| {
            let request = CreateRequest { entrypoint: entrypoint.map(words), cmd: words(cmd), ..CreateRequest::default() };
            let (entrypoint, cmd) = command(&request, Some(&image_entrypoint), Some(&image_cmd));
            [entrypoint, cmd].concat().join(" ")
        };
        assert_eq!(merged(None, ""), "node app.js");
        assert_eq!(merged(None, "other.js"), "node other.js");
        assert_eq!(merged(Some("sh"), ""), "sh");
        assert_eq!(merged(Some("sh"), "-c ls"), "sh -c ls");
        assert_eq!(merged(Some(""), "ls"), "ls");
    }

    #[test]
    fn a_working_folder_is_absolute() {
        assert!(check_workdir(None).is_ok() && check_workdir(Some("/a")).is_ok());
        assert!(check_workdir(Some("a")).is_err() && check_workdir(Some("")).is_err());
    }
}
