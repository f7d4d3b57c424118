//! What is known of a container: `state.json`, with runc's names where other programs read it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use container::cgroup::Hierarchies;
use container::cgroup::systemd::Unit;
use oci_spec::runtime::{Hooks, LinuxNamespaceType, LinuxResources, Spec};
use serde::{Deserialize, Serialize};

use crate::error::{Failed, Result};

/// Written twice: before anything is made, and when init waits.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) id: String,
    /// 0 until there is one.
    pub(crate) init_process_pid: u32,
    pub(crate) init_process_start: u64,
    pub(crate) created: String,
    pub(crate) config: Config,
    pub(crate) rootless: bool,
    /// The cgroup folder of each controller; the v2 one has no name.
    pub(crate) cgroup_paths: BTreeMap<String, PathBuf>,
    pub(crate) namespace_paths: BTreeMap<String, String>,
    /// What runc has no name for.
    pub(crate) rctr: Own,
}

/// The part of the configuration that others look at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Config {
    pub(crate) rootfs: PathBuf,
    pub(crate) readonlyfs: bool,
    pub(crate) hostname: String,
    pub(crate) labels: Vec<String>,
    pub(crate) namespaces: Vec<Namespace>,
    pub(crate) cgroups: Cgroups,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Namespace {
    #[serde(rename = "type")]
    pub(crate) kind: String,
    pub(crate) path: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Cgroups {
    /// Below the root of each hierarchy.
    pub(crate) path: String,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Own {
    pub(crate) oci_version: String,
    pub(crate) bundle: PathBuf,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) annotations: BTreeMap<String, String>,
    /// `CLONE_NEW*` of those in which it differs from its maker.
    pub(crate) namespaces: u64,
    /// It has a pid namespace of its own, with which all its processes end.
    pub(crate) own_pids: bool,
    /// The unit of systemd that its cgroup belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unit: Option<Unit>,
    /// Its limits as they are now, without rules about devices.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) resources: Option<LinuxResources>,
    /// Its cgroup folders, v1 before v2.
    pub(crate) folders: Vec<Folder>,
    /// What its processes have in common is in a file beside this one.
    pub(crate) shared: bool,
    /// Its processes stay in the session keyring of whoever makes them.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) callers_keyring: bool,
    /// It was made from a checkpoint: its processes never executed their programs, and yet they run.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) restored: bool,
    /// Its groups of Intel RDT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) rdt: Option<container::rdt::Groups>,
    /// Its filter has a listener.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) listener: bool,
    /// What that one is told beside what is known here.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) listener_metadata: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hooks: Option<Hooks>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Folder {
    pub(crate) path: PathBuf,
    pub(crate) v2: bool,
}

impl Record {
    /// What is known before anything is made.
    pub(crate) fn new(id: &str, bundle: PathBuf, rootfs: PathBuf, spec: &Spec) -> Record {
        let namespaces = spec.linux().as_ref().and_then(|linux| linux.namespaces().clone()).unwrap_or_default();
        let namespace = |namespace: &oci_spec::runtime::LinuxNamespace| Namespace {
            kind: upper(namespace.typ()).to_owned(),
            path: namespace.path().as_ref().map_or_else(String::new, |path| path.display().to_string()),
        };
        let annotations = spec.annotations().clone().unwrap_or_default();
        let mut labels = vec![format!("bundle={}", bundle.display())];
        labels.extend(annotations.iter().map(|(key, value)| format!("{key}={value}")));
        let own_pids = namespaces.iter().any(|one| one.typ() == LinuxNamespaceType::Pid && one.path().is_none());
        Record {
            id: id.to_owned(),
            created: crate::time::now(),
            config: Config {
                rootfs,
                readonlyfs: spec.root().as_ref().is_some_and(|root| root.readonly() == Some(true)),
                hostname: spec.hostname().clone().unwrap_or_default(),
                labels,
                namespaces: namespaces.iter().map(namespace).collect(),
                cgroups: Cgroups::default(),
            },
            rctr: Own {
                oci_version: spec.version().clone(),
                bundle,
                annotations: annotations.into_iter().collect(),
                own_pids,
                ..Own::default()
            },
            ..Record::default()
        }
    }

    /// The hierarchies that it has a cgroup in.
    pub(crate) fn hierarchies(&self) -> Result<Hierarchies> {
        let all = Hierarchies::detect()?;
        if !self.rootless {
            return Ok(all);
        }
        if self.rctr.folders.is_empty() {
            return Err(Failed::new(format!("container {:?} has no cgroup: none was delegated to who made it", self.id)));
        }
        Ok(all.only(&self.config.cgroups.path, |folder| self.rctr.folders.iter().any(|own| own.path == folder)))
    }

    /// Notes the process.
    pub(crate) fn born(&mut self, pid: u32, start: u64) {
        self.init_process_pid = pid;
        self.init_process_start = start;
        let paths = [
            ("NEWNS", "mnt"),
            ("NEWNET", "net"),
            ("NEWIPC", "ipc"),
            ("NEWPID", "pid"),
            ("NEWUTS", "uts"),
            ("NEWUSER", "user"),
            ("NEWCGROUP", "cgroup"),
            ("NEWTIME", "time"),
        ];
        self.namespace_paths = paths.iter().map(|(kind, name)| ((*kind).to_owned(), format!("/proc/{pid}/ns/{name}"))).collect();
    }
}

/// runc's name of a namespace.
fn upper(kind: LinuxNamespaceType) -> &'static str {
    match kind {
        LinuxNamespaceType::Mount => "NEWNS",
        LinuxNamespaceType::Cgroup => "NEWCGROUP",
        LinuxNamespaceType::Uts => "NEWUTS",
        LinuxNamespaceType::Ipc => "NEWIPC",
        LinuxNamespaceType::User => "NEWUSER",
        LinuxNamespaceType::Pid => "NEWPID",
        LinuxNamespaceType::Network => "NEWNET",
        LinuxNamespaceType::Time => "NEWTIME",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Of a disk that lost something, or of who may write to the folder: an error, and never a panic.
        #[test]
        fn a_spoilt_record_never_panics(at in any::<prop::sample::Index>(), bytes in prop::collection::vec(any::<u8>(), 0..8)) {
            let record = Record { id: "x".into(), init_process_pid: 7, ..Record::default() };
            let mut text = serde_json::to_vec(&record).unwrap();
            let at = at.index(text.len());
            prop_assert!(serde_json::from_slice::<Record>(&text[..at]).is_err());
            text.splice(at..at, bytes);
            let _ = serde_json::from_slice::<Record>(&text);
        }
    }
}
