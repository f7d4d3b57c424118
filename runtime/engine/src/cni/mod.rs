//! The network of pods by plugins of CNI, where the host has a configuration for them, in place of the bridge of our own.
//!
//! ```text
//! folder ─list.rs─▶ List ──call.rs──▶ Call (environment, input) ──run.rs──▶ answer ──result.rs──▶ NetworkState
//!                    └─ with the pod (cni.json), so that what was added is deleted by the same configuration
//! ```
//!
//! The protocol is that of the CNI specification, versions 0.3.0 to 1.1.0.

mod call;
mod list;
mod result;
mod run;

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use sys::Call as _;

use crate::config::Config;
use crate::create::RECORD;
use crate::error::During;
use crate::network::NetworkState;
use crate::pod::PodRecord;
use crate::{Engine, Error, state};
use call::{Call, Verb};

pub(crate) use list::List;
pub(crate) use result::check;

/// Where the plugins of a host are, and how they are to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cni {
    /// The folder with configurations, usually `/etc/cni/net.d`. The first one by name counts; without any the bridge of our own does.
    pub folder: PathBuf,
    /// Folders of programs, such as `/opt/cni/bin`: the `CNI_PATH`.
    pub programs: Vec<PathBuf>,
    /// How long one plugin may take before it is killed.
    pub patience: Duration,
}

/// What was added for a pod, or began to be: `cni.json` in its folder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Added {
    list: List,
    /// The answer of the last plugin.
    result: Option<Value>,
}

/// The interface that plugins make.
const INTERFACE: &str = "eth0";

impl Engine {
    /// Whether pods can have a network: the configuration of CNI, if there is one, can be read, its plugins are there, and say that they
    /// are ready (from version 1.1.0 on they are asked).
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn network_condition(&self) -> Result<(), Error> {
        let Some((cni, list)) = chosen(&self.config)? else { return Ok(()) };
        programs(cni, &list)?;
        if list.asks_status() {
            let call = Call { verb: Verb::Status, list: &list, pod: None, netns: Path::new(""), result: None, ranges: &[] };
            call.each(cni)?;
        }
        Ok(())
    }

    /// Asks the plugins of a pod whether its network is as they have made it. A pod that plugins have nothing to do with is fine.
    ///
    /// # Errors
    /// What they say of it.
    pub fn check_pod_network(&self, given: &str) -> Result<(), Error> {
        let (config, pod) = (&self.config, self.pod(given)?);
        let (Some(cni), Some(Added { list, result })) = (&config.cni, added(config, &pod.record.id)?) else { return Ok(()) };
        if list.disable_check || !list.has_check() {
            return Ok(());
        }
        let netns = crate::pod::pinned(config, &pod.record.id, "net");
        let ranges = ranges(config)?;
        let call = Call {
            verb: Verb::Check,
            list: &list,
            pod: Some(&pod.record),
            netns: &netns,
            result: result.as_ref(),
            ranges: &ranges,
        };
        call.each(cni)
    }
}

/// The configuration that counts; `None` when there is none, and pods are on the bridge of our own.
pub(crate) fn chosen(config: &Config) -> Result<Option<(&Cni, List)>, Error> {
    let Some(cni) = &config.cni else { return Ok(None) };
    Ok(list::first(&cni.folder)?.map(|list| (cni, list)))
}

/// Has the plugins connect a pod whose network namespace is pinned. What they have done so far is known by [`delete`] whenever this ends.
pub(crate) fn add(config: &Config, cni: &Cni, list: List, pod: &PodRecord, netns: &Path) -> Result<NetworkState, Error> {
    programs(cni, &list)?;
    let mut added = Added { list, result: None };
    write(config, &pod.id, &added)?;
    let ranges = ranges(config)?;
    let call = Call { verb: Verb::Add, list: &added.list, pod: Some(pod), netns, result: None, ranges: &ranges };
    let last = call.chain(cni)?;
    let network = result::network(&added.list, &last)?;
    added.result = Some(last);
    write(config, &pod.id, &added)?;
    Ok(network)
}

/// Has the plugins undo what they have done for a pod, if they have. It may be repeated, also after a reboot, when there is no namespace.
pub(crate) fn delete(config: &Config, id: &str) -> Result<bool, Error> {
    let Some(Added { list, result }) = added(config, id)? else { return Ok(false) };
    let no_plugins = || Error::Cni { what: format!("disconnect pod {}", &id[..12]), why: "no plugins are configured".to_owned() };
    let cni = config.cni.as_ref().ok_or_else(no_plugins)?;
    let netns = crate::pod::pinned(config, id, "net");
    // Where there is none, nothing is asked to look for it.
    let netns = if netns.exists() { netns } else { PathBuf::new() };
    let ranges = ranges(config)?;
    // A damaged record has no labels to tell; what plugins go by is the id.
    let record = state::read::<PodRecord>(&config.pod(id).join(RECORD)).ok().flatten();
    let unknown = || PodRecord { id: id.to_owned(), created: 0, request: crate::PodRequest::default() };
    let pod = record.unwrap_or_else(unknown);
    Call { verb: Verb::Delete, list: &list, pod: Some(&pod), netns: &netns, result: result.as_ref(), ranges: &ranges }.back(cni)?;
    let path = file(config, id);
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        removed => removed.call(|| format!("unlink({path:?})")).during(|| "forget what plugins have done").map(|()| true),
    }
}

/// All plugins are there.
fn programs(cni: &Cni, list: &List) -> Result<(), Error> {
    list.plugins.iter().try_for_each(|plugin| run::program(cni, plugin.program()).map(drop))
}

/// Something of plugins may be left of a pod.
pub(crate) fn has(config: &Config, id: &str) -> bool {
    file(config, id).exists()
}

fn file(config: &Config, id: &str) -> PathBuf {
    config.pod(id).join("cni.json")
}

fn added(config: &Config, id: &str) -> Result<Option<Added>, Error> {
    state::read(&file(config, id))
}

fn write(config: &Config, id: &str, added: &Added) -> Result<(), Error> {
    let text = serde_json::to_vec(added).unwrap_or_default();
    let written = sys::fs::open_dir(config.pod(id)).and_then(|folder| sys::fs::replace(&folder, "cni.json", &text));
    written.during(|| "note what plugins do")
}

/// The addresses that pods are to have, for plugins that want to be told.
fn ranges(config: &Config) -> Result<Vec<String>, Error> {
    let network = crate::network::default(config)?;
    Ok([Some(network.subnet.to_string()), network.v6.map(|v6| v6.subnet.to_string())].into_iter().flatten().collect())
}
