//! `[agent]` and `[control]`: this host as a part of a cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use engine::Ipv4Net;
use serde::Deserialize;

/// `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) address: Option<IpAddr>,
    pub(crate) cgroup: String,
    pub(crate) logs: PathBuf,
    pub(crate) heartbeat: u64,
    pub(crate) pods: u32,
}

impl Default for Agent {
    fn default() -> Self {
        let (cgroup, logs) = ("/kubepods".to_owned(), "/var/log/pods".into());
        Agent { name: String::new(), address: None, cgroup, logs, heartbeat: 1, pods: 500 }
    }
}

impl Agent {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.logs.is_absolute(), "agent.logs: {:?} is not an absolute path", self.logs);
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let one = self.cgroup.strip_prefix('/').is_some_and(plain);
        ensure!(one, "agent.cgroup: {:?} is not of the form /name, with letters, digits and '_'", self.cgroup);
        ensure!((1..=60).contains(&self.heartbeat), "agent.heartbeat: {} is not from 1 to 60", self.heartbeat);
        if !self.name.is_empty() {
            node_name(&self.name).context("agent.name")?;
        }
        Ok(())
    }

    /// The node's name: the one that is set, else the host's.
    pub(crate) fn node_name(&self) -> Result<String> {
        let own = rustix::system::uname().nodename().to_string_lossy().to_lowercase();
        let name = if self.name.is_empty() { own } else { self.name.clone() };
        node_name(&name).with_context(|| "this host's name cannot be a node's: set agent.name")?;
        Ok(name)
    }

    /// How often the node says that it lives.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat)
    }
}

/// Names of nodes are parts of paths and certificates.
pub(crate) fn node_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let good = !name.is_empty() && name.len() <= 253 && name.bytes().all(plain) && !name.starts_with(['-', '.']);
    ensure!(good, "{name:.80?}: names of nodes have small letters, digits, '-' and '.'");
    Ok(())
}

/// `[control]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Control {
    pub(crate) folder: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) names: Vec<String>,
    pub(crate) tokens: PathBuf,
    pub(crate) service_cidr: Ipv4Net,
    pub(crate) pod_cidr: Ipv4Net,
    pub(crate) node_prefix: u8,
    pub(crate) node_silence: u64,
    pub(crate) eviction: u64,
}

impl Default for Control {
    fn default() -> Self {
        let times = control::controllers::Times::default();
        Control {
            folder: "/var/lib/noded/control".into(),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 6443)),
            names: Vec::new(),
            tokens: PathBuf::new(),
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
            node_prefix: 24,
            node_silence: times.node_silence.as_secs(),
            eviction: times.eviction.as_secs(),
        }
    }
}

impl Control {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.folder.is_absolute(), "control.folder: {:?} is not an absolute path", self.folder);
        let usable = (8..=28).contains(&self.service_cidr.prefix_len());
        ensure!(usable, "control.service_cidr: {}: its prefix is not from 8 to 28", self.service_cidr);
        let (pods, services) = (self.pod_cidr, self.service_cidr);
        let apart = !pods.contains(&services.network()) && !services.contains(&pods.network());
        ensure!(apart, "control.pod_cidr: {pods} overlaps the addresses of services, {services}");
        crate::control_plane::node_prefix(pods.prefix_len(), self.node_prefix)
            .map_err(anyhow::Error::msg)
            .context("control.node_prefix")?;
        Ok(())
    }

    fn times(&self) -> control::controllers::Times {
        let seconds = Duration::from_secs;
        control::controllers::Times { node_silence: seconds(self.node_silence), eviction: seconds(self.eviction) }
    }

    /// How the control plane is to be run; `own` is how this host is reached from outside, where it listens there.
    pub(crate) fn plane(&self, own: Option<IpAddr>) -> Result<control::Config> {
        let ip = self.listen.ip();
        let own = if ip.is_unspecified() { own.map(|ip| ip.to_string()) } else { Some(ip.to_string()) };
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let names = self.names.iter().cloned().chain(own).chain([host]).collect();
        let service_range = (self.service_cidr.network(), self.service_cidr.prefix_len());
        let pod_range = (self.pod_cidr.network(), self.pod_cidr.prefix_len());
        let node_prefix = self.node_prefix;
        let settings = control::objects::Settings { service_range, pod_range, node_prefix, ..Default::default() };
        Ok(control::Config {
            folder: self.folder.clone(),
            listen: self.listen,
            names,
            tokens: tokens(&self.tokens)?,
            settings,
            times: self.times(),
        })
    }
}

fn tokens(file: &Path) -> Result<String> {
    if file.as_os_str().is_empty() {
        return Ok(String::new());
    }
    std::fs::read_to_string(file).with_context(|| format!("control.tokens: read {}", file.display()))
}
