//! `run_pod`: namespaces, addresses and files, or nothing at all.

use std::fs::File;

use monitor::Actor;
use sys::Call;

use super::find::{self, NETWORK};
use super::record::{Pod, PodRecord};
use super::request::PodRequest;
use super::{MEMBERS, cgroup, files, namespaces, remove};
use crate::create::{RECORD, claimed, folder, sweep};
use crate::error::During;
use crate::network::NetworkState;
use crate::{Engine, Error, names};

impl Engine {
    /// Makes a pod. It is ready when this returns.
    ///
    /// # Errors
    /// [`Error::PodExists`] names the pod that has this identity; [`Error::Invalid`]. After an error nothing of it is left.
    pub fn run_pod(&self, request: &PodRequest) -> Result<Pod, Error> {
        let config = &self.config;
        let record = PodRecord { id: names::new_id()?, created: monitor::now(), request: request.clone() };
        check(&record)?;
        for folder in [config.pods(), config.pod_names(), config.run.join("pods")] {
            if !folder.exists() {
                crate::create::folder(&folder).during(|| format!("make the folder {}", folder.display()))?;
            }
        }
        let _ = sweep(&config.pods());
        let dir = self.pod_folder(&record)?;
        self.made(&record).inspect_err(|_| drop(remove::all(config, &record.id, Some(&record), &dir)))
    }

    /// Makes the folder of a pod, locked.
    fn pod_folder(&self, record: &PodRecord) -> Result<File, Error> {
        let config = &self.config;
        let what = || format!("make pod {}", record.request.name);
        let new = config.pods().join(format!(".new-{}", record.id));
        let dir = claimed(&new).during(what)?;
        let fill = || {
            folder(&new.join(MEMBERS)).during(what)?;
            let json = serde_json::to_vec(record).map_err(|source| Error::Damaged { path: RECORD.into(), source })?;
            sys::fs::replace(&dir, RECORD, &json).during(what)?;
            std::fs::rename(&new, config.pod(&record.id)).call(|| format!("rename({new:?})")).during(what)
        };
        fill().inspect_err(|_| drop(std::fs::remove_dir_all(&new)))?;
        Ok(dir)
    }

    fn made(&self, record: &PodRecord) -> Result<Pod, Error> {
        let config = &self.config;
        find::claim(config, record)?;
        if let Some(logs) = &record.request.log_directory {
            std::fs::create_dir_all(logs).call(|| format!("mkdir({logs:?})")).during(|| "make the folder for a pod's logs")?;
        }
        let runtime = config.pod_runtime(&record.id);
        // Before anything else: it says that something may be left.
        folder(&runtime).during(|| format!("make the folder {}", runtime.display()))?;
        let hostname = hostname(record);
        let (network, ports) = namespaces::make(config, record, &hostname)?.unzip();
        files::write(config, record, &hostname, network.as_ref())?;
        ready(&runtime, &network)?;
        self.held.keep(&record.id, ports.unwrap_or_default());
        self.note("pod", "start", actor(record));
        Ok(Pod { record: record.clone(), ready: true, network })
    }
}

/// What events say of a pod.
pub(super) fn actor(record: &PodRecord) -> Actor {
    let PodRequest { name, namespace, uid, attempt, .. } = &record.request;
    let parts = [("name", name.clone()), ("namespace", namespace.clone()), ("uid", uid.clone()), ("attempt", attempt.to_string())];
    Actor { id: record.id.clone(), attributes: parts.map(|(key, value)| (key.to_owned(), value)).into() }
}

/// From here on the pod is ready.
fn ready(runtime: &std::path::Path, network: &Option<NetworkState>) -> Result<(), Error> {
    let json = serde_json::to_vec(network).unwrap_or_default();
    let written = sys::fs::open_dir(runtime).and_then(|folder| sys::fs::replace(&folder, NETWORK, &json));
    written.during(|| "describe the network of a pod")
}

/// The host name that containers of the pod see.
pub(super) fn hostname(record: &PodRecord) -> String {
    match record.request.hostname.as_str() {
        name if record.has_network() && !name.is_empty() => name.to_owned(),
        _ => rustix::system::uname().nodename().to_string_lossy().into_owned(),
    }
}

/// Refuses what cannot be, before anything is made.
fn check(record: &PodRecord) -> Result<(), Error> {
    let request = &record.request;
    let invalid = |what: String, why: &str| Err(Error::Invalid { what, why: why.to_owned() });
    if request.name.is_empty() {
        return invalid("a pod's name".to_owned(), "it is empty");
    }
    // sethostname(2) takes 64 bytes.
    if request.hostname.len() > 64 || request.hostname.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return invalid(format!("host name {:?}", request.hostname), "it needs to be one word of at most 64 bytes");
    }
    if let Some(logs) = request.log_directory.as_ref().filter(|logs| !plain(logs)) {
        return invalid(format!("log directory {}", logs.display()), "it needs to be an absolute path without ..");
    }
    if let Some(parent) = &request.cgroup_parent {
        cgroup::path(parent)?;
    }
    files::check(request)?;
    namespaces::check(record)
}

/// An absolute path that leads only down.
pub(crate) fn plain(path: &std::path::Path) -> bool {
    path.is_absolute() && !path.components().any(|part| part == std::path::Component::ParentDir)
}
