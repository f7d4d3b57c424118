//! `/etc/noded/noded.toml`. The shipped file has every key with its default, which a test compares.

mod cluster;
mod cni;
mod network;
mod registry;

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use engine::Ipv4Net;
use serde::Deserialize;

pub(crate) use cluster::{Agent, Control, Ports};
pub(crate) use cni::Cni;
pub(crate) use network::{Mode, Network};
pub(crate) use registry::Registry;

/// Where it is when nothing else is said.
const FILE: &str = "/etc/noded/noded.toml";

/// The whole file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Config {
    pub(crate) root: PathBuf,
    pub(crate) run: PathBuf,
    pub(crate) bridge: String,
    pub(crate) cgroup: String,
    pub(crate) storage: String,
    pub(crate) monitor: PathBuf,
    pub(crate) cri: Cri,
    pub(crate) cni: Cni,
    pub(crate) streaming: Streaming,
    pub(crate) images: Images,
    pub(crate) agent: Agent,
    pub(crate) network: Network,
    pub(crate) control: Control,
    pub(crate) log: Log,
    pub(crate) registry: Vec<Registry>,
}

/// `[cri]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Cri {
    pub(crate) socket: PathBuf,
    pub(crate) group: u32,
    pub(crate) cgroup_driver: CgroupDriver,
    pub(crate) handlers: Vec<String>,
    pub(crate) pod_cidr: String,
}

/// How cgroups of pods are named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum CgroupDriver {
    Cgroupfs,
    Systemd,
}

/// `[streaming]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Streaming {
    pub(crate) listen: SocketAddr,
}

/// `[images]`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Images {
    pub(crate) registries: Vec<PathBuf>,
    pub(crate) certificates: Vec<PathBuf>,
    pub(crate) logins: Vec<PathBuf>,
    pub(crate) patience: u64,
    pub(crate) pinned: Vec<String>,
}

/// `[log]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Log {
    pub(crate) level: crate::host::log::Level,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            root: "/var/lib/rctr".into(),
            run: "/run/rctr".into(),
            bridge: "rctr0".to_owned(),
            cgroup: "/rctr".to_owned(),
            storage: "auto".to_owned(),
            monitor: PathBuf::new(),
            cri: Cri::default(),
            cni: Cni::default(),
            streaming: Streaming::default(),
            images: Images::default(),
            agent: Agent::default(),
            network: Network::default(),
            control: Control::default(),
            log: Log::default(),
            registry: Vec::new(),
        }
    }
}

impl Default for Cri {
    fn default() -> Self {
        Cri {
            socket: "/run/noded/cri.sock".into(),
            group: 0,
            cgroup_driver: CgroupDriver::Cgroupfs,
            handlers: vec!["rctr".to_owned()],
            pod_cidr: String::new(),
        }
    }
}

impl Default for Streaming {
    fn default() -> Self {
        Streaming { listen: SocketAddr::from(([127, 0, 0, 1], 0)) }
    }
}

impl Default for Images {
    fn default() -> Self {
        let paths = |paths: &[&str]| paths.iter().map(PathBuf::from).collect();
        Images {
            registries: paths(&["/etc/containers/registries.conf", "/etc/rctr/registries.conf"]),
            certificates: paths(&["/etc/docker/certs.d", "/etc/containers/certs.d", "/etc/containerd/certs.d"]),
            logins: paths(&["/etc/noded/auth.json"]),
            patience: 300,
            pinned: Vec::new(),
        }
    }
}

impl Config {
    /// Reads the file `given`, or the usual one, which may be missing.
    pub(crate) fn load(given: Option<&Path>) -> Result<Config> {
        let file = given.unwrap_or(Path::new(FILE));
        let text = match std::fs::read_to_string(file) {
            Err(error) if given.is_none() && error.kind() == ErrorKind::NotFound => return Ok(Config::default()),
            text => text.with_context(|| format!("read {}", file.display()))?,
        };
        Config::parse(&text).with_context(|| file.display().to_string())
    }

    fn parse(text: &str) -> Result<Config> {
        let config: Config = toml::from_str(text)?;
        config.check()?;
        Ok(config)
    }

    /// What the form of the file does not say.
    fn check(&self) -> Result<()> {
        for (key, path) in [("root", &self.root), ("run", &self.run), ("cri.socket", &self.cri.socket)] {
            ensure!(path.is_absolute(), "{key}: {path:?} is not an absolute path");
        }
        ensure!(
            self.monitor.as_os_str().is_empty() || self.monitor.is_absolute(),
            "monitor: {:?} is not an absolute path",
            self.monitor
        );
        let plain =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte));
        // The kernel's names of interfaces have 15 bytes.
        ensure!(plain(&self.bridge) && self.bridge.len() < 16, "bridge: {:?} is no name of an interface", self.bridge);
        let parts = self.cgroup.strip_prefix('/').unwrap_or_default();
        ensure!(
            parts.split('/').all(|part| plain(part) && part != ".."),
            "cgroup: {:?} is not of the form /name/name",
            self.cgroup
        );
        self.storage.parse::<images::Driver>().context("storage")?;
        for handler in &self.cri.handlers {
            ensure!(plain(handler), "cri.handlers: {handler:?}: use letters, digits, '-', '_' and '.'");
        }
        self.pod_cidr()?;
        self.cni.check()?;
        self.agent.check()?;
        self.network.check()?;
        self.control.check()?;
        // Nobody but its token protects a stream.
        let listen = self.streaming.listen;
        ensure!(listen.ip().is_loopback(), "streaming.listen: {listen}: only an address of the loopback interface is safe");
        for name in &self.images.pinned {
            name.parse::<images::Reference>().with_context(|| format!("images.pinned: {name:?}"))?;
        }
        registry::tables(&self.registry, Path::new(FILE)).map(drop)
    }

    /// The addresses of pods, if the file says so. The bridge has IPv4 only.
    pub(crate) fn pod_cidr(&self) -> Result<Option<Ipv4Net>> {
        let text = &self.cri.pod_cidr;
        let parsed = (!text.is_empty()).then(|| text.parse::<Ipv4Net>()).transpose();
        parsed.with_context(|| format!("cri.pod_cidr: {text:?}"))
    }

    /// For a node of a cluster of our own: its pods reach those of other nodes over the bridge, unless another program sees to that.
    pub(crate) fn in_cluster(mut self) -> Config {
        if self.network.mode != Mode::Off {
            self.cni.folder = PathBuf::new();
        }
        self
    }

    /// Where the engine keeps things.
    pub(crate) fn engine(&self) -> Result<engine::Config> {
        let own = std::env::current_exe().context("find this program")?;
        let monitor =
            if self.monitor.as_os_str().is_empty() { engine::Config::program(&own, "rctr-monitor") } else { self.monitor.clone() };
        Ok(engine::Config {
            root: self.root.clone(),
            run: self.run.clone(),
            bridge: self.bridge.clone(),
            cgroup: self.cgroup.clone(),
            monitor,
            // The kubelet starts containers again, not their monitors.
            starter: Vec::new(),
            resolv_conf: engine::Config::host_resolvers(),
            own_resolv_conf: "/etc/resolv.conf".into(),
            publish_on: None,
            home: None,
            cni: self.cni.engine(),
            storage: self.storage.parse().context("storage")?,
        })
    }

    /// Where registries are, and how to reach them.
    pub(crate) fn registries(&self) -> Result<images::Registries> {
        let registries = images::Registries::load(&self.images.registries)?;
        let registries = registries.with_tables(registry::tables(&self.registry, Path::new(FILE))?, Path::new(FILE))?;
        let proxies = images::Proxies::named(|name| std::env::var(name).ok());
        Ok(registries.with_folders(self.images.certificates.clone()).with_proxies(proxies))
    }

    /// What a reload cannot change: names of keys that differ.
    pub(crate) fn fixed_differences(&self, new: &Config) -> Vec<&'static str> {
        let differs = [
            ("root", self.root != new.root),
            ("run", self.run != new.run),
            ("bridge", self.bridge != new.bridge),
            ("cgroup", self.cgroup != new.cgroup),
            ("storage", self.storage != new.storage),
            ("monitor", self.monitor != new.monitor),
            ("[cri]", self.cri != new.cri),
            ("[cni]", self.cni != new.cni),
            ("[streaming]", self.streaming != new.streaming),
            ("[agent]", self.agent != new.agent),
            ("[network]", self.network != new.network),
            ("[control]", self.control != new.control),
        ];
        differs.into_iter().filter_map(|(key, differs)| differs.then_some(key)).collect()
    }
}

#[cfg(test)]
mod tests;
