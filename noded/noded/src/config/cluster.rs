//! `[agent]` and `[control]`: this host as a part of a cluster.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use control::store::{Address, Files};
use engine::Ipv4Net;
use serde::Deserialize;

use crate::agent::pressure::{Images, Reserve};

/// `[agent]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Agent {
    pub(crate) name: String,
    pub(crate) folder: PathBuf,
    pub(crate) address: Option<IpAddr>,
    pub(crate) cgroup: String,
    pub(crate) logs: PathBuf,
    pub(crate) log_size: u64,
    pub(crate) log_files: u32,
    pub(crate) static_pods: PathBuf,
    pub(crate) reserve_memory: u64,
    pub(crate) reserve_disk: u64,
    pub(crate) reserve_inodes: u64,
    pub(crate) image_high: u64,
    pub(crate) image_low: u64,
    pub(crate) image_age: u64,
    pub(crate) heartbeat: u64,
    pub(crate) pods: u32,
    pub(crate) sysctls: Vec<String>,
    pub(crate) shutdown: u64,
    pub(crate) shutdown_critical: u64,
}

impl Default for Agent {
    fn default() -> Self {
        let (cgroup, logs) = ("/kubepods".to_owned(), "/var/log/pods".into());
        Agent {
            name: String::new(),
            folder: "/var/lib/noded/agent".into(),
            address: None,
            cgroup,
            logs,
            log_size: 10 << 20,
            log_files: 5,
            static_pods: "/etc/noded/manifests".into(),
            reserve_memory: 100 << 20,
            reserve_disk: 15,
            reserve_inodes: 5,
            image_high: 85,
            image_low: 80,
            image_age: 120,
            heartbeat: 1,
            pods: 500,
            sysctls: Vec::new(),
            shutdown: 30,
            shutdown_critical: 10,
        }
    }
}

impl Agent {
    pub(super) fn check(&self) -> Result<()> {
        ensure!(self.folder.is_absolute(), "agent.folder: {:?} is not an absolute path", self.folder);
        ensure!(self.logs.is_absolute(), "agent.logs: {:?} is not an absolute path", self.logs);
        ensure!(self.static_pods.is_absolute(), "agent.static_pods: {:?} is not an absolute path", self.static_pods);
        ensure!(self.log_size >= 1024, "agent.log_size: {} is less than 1024 bytes", self.log_size);
        ensure!((2..=1000).contains(&self.log_files), "agent.log_files: {} is not from 2 to 1000", self.log_files);
        for (key, percent) in
            [("reserve_disk", self.reserve_disk), ("reserve_inodes", self.reserve_inodes), ("image_high", self.image_high)]
        {
            ensure!(percent <= 100, "agent.{key}: {percent} is more than 100 percent");
        }
        ensure!(self.image_low <= self.image_high, "agent.image_low: {} is more than image_high", self.image_low);
        let plain = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let one = self.cgroup.strip_prefix('/').is_some_and(plain);
        ensure!(one, "agent.cgroup: {:?} is not of the form /name, with letters, digits and '_'", self.cgroup);
        ensure!((1..=60).contains(&self.heartbeat), "agent.heartbeat: {} is not from 1 to 60", self.heartbeat);
        ensure!(self.shutdown <= 86400, "agent.shutdown: {} is more than 86400", self.shutdown);
        let (all, part) = (self.shutdown, self.shutdown_critical);
        ensure!(part <= all, "agent.shutdown_critical: {part} is more than all pods have, agent.shutdown: {all}");
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

    /// What of the host has to be left.
    pub(crate) fn reserve(&self) -> Reserve {
        Reserve { memory: self.reserve_memory, disk: self.reserve_disk, inodes: self.reserve_inodes }
    }

    /// When unused images go.
    pub(crate) fn images(&self) -> Images {
        Images { high: self.image_high, low: self.image_low, age: self.image_age }
    }

    /// How often the node says that it lives.
    pub(crate) fn heartbeat(&self) -> Duration {
        Duration::from_secs(self.heartbeat)
    }
}

/// Names of nodes are parts of paths and certificates.
fn node_name(name: &str) -> Result<()> {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || matches!(byte, b'-' | b'.');
    let good = !name.is_empty() && name.len() <= 253 && name.bytes().all(plain) && !name.starts_with(['-', '.']);
    ensure!(good, "{name:.80?}: names of nodes have small letters, digits, '-' and '.'");
    Ok(())
}

/// Seconds.
const HOUR: u64 = 3600;

/// Ports of nodes, from the first to the last, such as `30000-32767`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Ports(u16, u16);

impl std::str::FromStr for Ports {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parsed = text.split_once('-').and_then(|(first, last)| Some(Ports(first.parse().ok()?, last.parse().ok()?)));
        parsed.filter(|ports| ports.0 > 0 && ports.0 <= ports.1).ok_or("not two ports, such as 30000-32767")
    }
}

impl TryFrom<String> for Ports {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

/// `[control]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Control {
    pub(crate) folder: PathBuf,
    pub(crate) store: String,
    pub(crate) store_ca: PathBuf,
    pub(crate) store_certificate: PathBuf,
    pub(crate) store_key: PathBuf,
    pub(crate) listen: SocketAddr,
    pub(crate) names: Vec<String>,
    pub(crate) tokens: PathBuf,
    pub(crate) service_cidr: Ipv4Net,
    pub(crate) pod_cidr: Ipv4Net,
    pub(crate) node_prefix: u8,
    pub(crate) node_ports: Ports,
    pub(crate) node_certificate: u64,
    pub(crate) node_silence: u64,
    pub(crate) eviction: u64,
}

impl Default for Control {
    fn default() -> Self {
        let times = control::controllers::Times::default();
        Control {
            folder: "/var/lib/noded/control".into(),
            store: String::new(),
            store_ca: PathBuf::new(),
            store_certificate: PathBuf::new(),
            store_key: PathBuf::new(),
            listen: SocketAddr::from((Ipv4Addr::UNSPECIFIED, 6443)),
            names: Vec::new(),
            tokens: PathBuf::new(),
            service_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 96, 0, 0), 16),
            pod_cidr: Ipv4Net::new_assert(Ipv4Addr::new(10, 244, 0, 0), 16),
            node_prefix: 24,
            node_ports: Ports(30000, 32767),
            node_certificate: control::certs::NODE.as_secs() / HOUR,
            node_silence: times.node_silence.as_secs(),
            eviction: times.eviction.as_secs(),
        }
    }
}

impl Control {
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(self.folder.is_absolute(), "control.folder: {:?} is not an absolute path", self.folder);
        for (key, range) in [("service_cidr", self.service_cidr), ("pod_cidr", self.pod_cidr)] {
            let usable = (8..=29).contains(&range.prefix_len()) && range.trunc() == range;
            ensure!(usable, "control.{key}: {range} is not the first address of a range and its prefix, from 8 to 29");
        }
        ensure!((2..=3600).contains(&self.node_silence), "control.node_silence: {} is not from 2 to 3600", self.node_silence);
        ensure!(self.eviction <= 86400, "control.eviction: {} is more than 86400", self.eviction);
        ensure!(
            (1..=8760).contains(&self.node_certificate),
            "control.node_certificate: {} is not from 1 to 8760",
            self.node_certificate
        );
        let (pods, services) = (self.pod_cidr, self.service_cidr);
        let apart = !pods.contains(&services.network()) && !services.contains(&pods.network());
        ensure!(apart, "control.pod_cidr: {pods} overlaps the addresses of services, {services}");
        let (least, part) = (pods.prefix_len().max(9), self.node_prefix);
        let fits = (least..=30).contains(&part);
        ensure!(fits, "control.node_prefix: {part} is not from {least} to 30, so that the range of all pods has room for a node's");
        Ok(())
    }

    /// The etcd that has the objects, if one has.
    fn etcd(&self) -> Result<Option<Address>> {
        let files = Files { authority: &self.store_ca, certificate: &self.store_certificate, key: &self.store_key };
        if self.store.is_empty() {
            let unused = [files.authority, files.certificate, files.key].iter().all(|path| path.as_os_str().is_empty());
            ensure!(unused, "control.store: it names no etcd, for which there are certificates");
            return Ok(None);
        }
        Address::read(&self.store, files).map(Some).context("control.store")
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
        let node_ports = (self.node_ports.0, self.node_ports.1);
        let settings = control::objects::Settings { service_range, node_ports, pod_range, node_prefix, ..Default::default() };
        Ok(control::Config {
            folder: self.folder.clone(),
            etcd: self.etcd()?,
            listen: self.listen,
            names,
            tokens: tokens(&self.tokens)?,
            settings,
            times: self.times(),
            node_certificates: Duration::from_secs(self.node_certificate * HOUR),
        })
    }
}

fn tokens(file: &Path) -> Result<String> {
    if file.as_os_str().is_empty() {
        return Ok(String::new());
    }
    std::fs::read_to_string(file).with_context(|| format!("control.tokens: read {}", file.display()))
}
