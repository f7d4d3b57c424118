//! Pods by id, by the beginning of one, and by identity.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::symlink;

use rustix::fs::FlockOperation;
use sys::Call;

use super::STOPPED;
use super::record::{Pod, PodRecord};
use super::request::PodRequest;
use crate::config::Config;
use crate::create::RECORD;
use crate::error::During;
use crate::network::NetworkState;
use crate::{Engine, Error, state};

/// Its addresses; it is ready with it.
pub(super) const NETWORK: &str = "network.json";

impl Engine {
    /// The pod with this id or beginning of an id.
    ///
    /// # Errors
    /// [`Error::NoSuchPod`]; several begin like this.
    pub fn pod(&self, given: &str) -> Result<Pod, Error> {
        let id = resolve(&self.config, given)?;
        load(&self.config, &id)?.ok_or_else(|| Error::NoSuchPod(given.to_owned()))
    }

    /// All pods, newest first, but for those whose record is damaged.
    ///
    /// # Errors
    /// They cannot be listed.
    pub fn pods(&self) -> Result<Vec<Pod>, Error> {
        let mut pods: Vec<Pod> = all(&self.config)?.iter().filter_map(|id| load(&self.config, id).ok().flatten()).collect();
        pods.sort_by_key(|pod| std::cmp::Reverse(pod.record.created));
        Ok(pods)
    }
}

/// The pod `id`, or `None` when there is none.
pub(crate) fn load(config: &Config, id: &str) -> Result<Option<Pod>, Error> {
    let Some(record) = state::read::<PodRecord>(&config.pod(id).join(RECORD))? else { return Ok(None) };
    let stopped = config.pod(id).join(STOPPED).exists();
    let network: Option<Option<NetworkState>> = if stopped { None } else { state::read(&config.pod_runtime(id).join(NETWORK))? };
    Ok(Some(Pod { record, ready: network.is_some(), network: network.flatten() }))
}

/// The ids of all pods.
pub(crate) fn all(config: &Config) -> Result<Vec<String>, Error> {
    let folder = config.pods();
    let listing = match fs::read_dir(&folder) {
        // No pod was ever made.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.call(|| format!("open({folder:?})")).during(|| "list pods")?,
    };
    let names = listing.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    Ok(names.filter(|name| !name.starts_with('.')).collect())
}

/// The id meant by a whole one or its beginning.
pub(super) fn resolve(config: &Config, given: &str) -> Result<String, Error> {
    let hexadecimal = !given.is_empty() && given.bytes().all(|digit| digit.is_ascii_hexdigit());
    if !hexadecimal || given.len() > 64 {
        return Err(Error::NoSuchPod(given.to_owned()));
    }
    if given.len() == 64 {
        return if config.pod(given).exists() { Ok(given.to_owned()) } else { Err(Error::NoSuchPod(given.to_owned())) };
    }
    let mut matching = all(config)?.into_iter().filter(|id| id.starts_with(given));
    match (matching.next(), matching.count()) {
        (None, _) => Err(Error::NoSuchPod(given.to_owned())),
        (Some(id), 0) => Ok(id),
        (Some(_), more) => Err(Error::AmbiguousPod { prefix: given.to_owned(), count: more + 1 }),
    }
}

/// A pod's folder, held. `share` is for those who only want it to stay as it is.
///
/// # Errors
/// [`Error::NoSuchPod`], also when it was removed meanwhile.
pub(super) fn lock(config: &Config, id: &str, share: bool) -> Result<File, Error> {
    let (path, what) = (config.pod(id), || format!("lock pod {}", &id[..12]));
    let no_such = || Error::NoSuchPod(id[..12].to_owned());
    let folder = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_such()),
        folder => folder.call(|| format!("open({path:?})")).during(what)?,
    };
    let operation = if share { FlockOperation::LockShared } else { FlockOperation::LockExclusive };
    rustix::io::retry_on_intr(|| rustix::fs::flock(&folder, operation)).call(|| format!("flock({path:?})")).during(what)?;
    if path.exists() { Ok(folder) } else { Err(no_such()) }
}

/// The link that stands for an identity.
fn link(config: &Config, request: &PodRequest) -> std::path::PathBuf {
    let PodRequest { name, namespace, uid, attempt, .. } = request;
    // Such a text is that of one identity only: no part can look like the border between two.
    let identity = format!("{}:{name}{}:{namespace}{}:{uid}{attempt}", name.len(), namespace.len(), uid.len());
    config.pod_names().join(images::Digest::sha256(identity.as_bytes()).hex())
}

/// Takes the identity of `record` for it. A pod that is gone holds none.
///
/// # Errors
/// [`Error::PodExists`].
pub(super) fn claim(config: &Config, record: &PodRecord) -> Result<(), Error> {
    let link = link(config, &record.request);
    let target = format!("../pods/{}", record.id);
    let what = || format!("take the identity of pod {}", record.request.name);
    for _ in 0..8 {
        match symlink(&target, &link) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error).call(|| format!("symlink({target:?}, {link:?})")).during(what),
        }
        if let Some(id) = holder(&link).filter(|id| config.pod(id).exists()) {
            return Err(Error::PodExists { name: record.request.name.clone(), id });
        }
        // Under a lock: or of two who find it stale, one would remove what the other has taken meanwhile.
        let names = File::open(config.pod_names()).and_then(|names| names.lock().map(|()| names));
        let _names = names.call(|| "flock(pod-names)").during(what)?;
        if holder(&link).is_some_and(|id| !config.pod(&id).exists()) {
            let _ = fs::remove_file(&link);
        }
    }
    Err(Error::PodExists { name: record.request.name.clone(), id: "another process".to_owned() })
}

/// Gives the identity back.
pub(super) fn release(config: &Config, record: &PodRecord) {
    let link = link(config, &record.request);
    if holder(&link).as_deref() == Some(&record.id) {
        let _ = fs::remove_file(link);
    }
}

fn holder(link: &std::path::Path) -> Option<String> {
    Some(fs::read_link(link).ok()?.file_name()?.to_str()?.to_owned())
}
