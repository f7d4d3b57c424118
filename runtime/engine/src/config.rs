//! Where an engine keeps things. The edge (a command line, a daemon) fills this in; nothing here reads the environment.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

/// An engine's places and names. Two engines with different values share nothing and do not disturb each other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// State on disk, usually `/var/lib/rctr`.
    pub root: PathBuf,
    /// State that a reboot clears, usually `/run/rctr`: sockets, address leases, name files of running containers.
    pub run: PathBuf,
    /// The default bridge, usually `rctr0`. Also names the table of packet rules and the folder of leases.
    pub bridge: String,
    /// Parent of all container cgroups, such as `/rctr`.
    pub cgroup: String,
    /// The program `rctr-monitor`.
    pub monitor: PathBuf,
    /// The command that starts a container again by its restart policy, up to the container's id. It calls [`crate::Engine::start_again`].
    /// Without one no container is.
    pub starter: Vec<String>,
    /// The host's resolver configuration, usually `/etc/resolv.conf`.
    pub resolv_conf: PathBuf,
    /// What a resolver of the host itself is configured by, `/etc/resolv.conf`: it may name the host's loopback.
    pub own_resolv_conf: PathBuf,
    /// Ports that name no address are published on this one; on any when there is none.
    pub publish_on: Option<IpAddr>,
    /// Plugins that make the network of pods, where they are configured.
    pub cni: Option<crate::Cni>,
    /// The home of an ordinary user, if it is one that this engine runs for.
    pub home: Option<crate::Home>,
    /// How layers of images are kept that come from now on.
    pub storage: images::Driver,
}

impl Config {
    /// Names of all that an engine keeps in its folder of state.
    pub const IN_ROOT: [&str; 11] =
        ["containers", "names", "pods", "pod-names", "users", "networks", "volumes", "secrets", "build", "images", "base"];
    /// Names of all that an engine keeps in its folder of what a reboot clears.
    pub const IN_RUN: [&str; 7] = ["containers", "pods", "layers", "images", "net", "build", monitor::EVENTS];

    /// Another program of this project: beside the program `own`, else where packages put it.
    pub fn program(own: &Path, name: &str) -> PathBuf {
        const INSTALLED: &str = "/usr/libexec/rctr";
        let beside = own.with_file_name(name);
        if beside.exists() { beside } else { Path::new(INSTALLED).join(name) }
    }

    /// The host's real resolvers: systemd-resolved's own list, where `/etc/resolv.conf` names only its stub.
    pub fn host_resolvers() -> PathBuf {
        const RESOLVED: &str = "/run/systemd/resolve/resolv.conf";
        let usual = PathBuf::from("/etc/resolv.conf");
        let stub = |text: String| text.lines().any(|line| line.trim() == "nameserver 127.0.0.53");
        let only_stub = std::fs::read_to_string(&usual).is_ok_and(stub);
        if only_stub && Path::new(RESOLVED).exists() { PathBuf::from(RESOLVED) } else { usual }
    }

    /// The folder of all containers.
    pub(crate) fn containers(&self) -> PathBuf {
        self.root.join("containers")
    }

    /// The folder of networks.
    pub(crate) fn networks(&self) -> PathBuf {
        self.root.join("networks")
    }

    /// The lowest layer of every container: the folders and files that are mounted over, so that no container has to make them.
    pub(crate) fn base(&self) -> PathBuf {
        self.root.join("base")
    }

    /// The folder of one container.
    pub(crate) fn container(&self, id: &str) -> PathBuf {
        self.containers().join(id)
    }

    /// What lives only as long as one run of the container.
    pub(crate) fn runtime(&self, id: &str) -> PathBuf {
        self.run.join("containers").join(id)
    }

    /// Where images of layers are mounted for all containers.
    pub(crate) fn layers(&self) -> PathBuf {
        self.run.join("layers")
    }

    /// Where images are mounted to be looked at.
    pub(crate) fn views(&self) -> PathBuf {
        self.run.join("images")
    }

    /// The folder of names.
    pub(crate) fn names(&self) -> PathBuf {
        self.root.join("names")
    }

    /// The folder of volumes.
    pub(crate) fn volumes(&self) -> PathBuf {
        self.root.join("volumes")
    }

    /// The folder of secrets.
    pub(crate) fn secrets(&self) -> PathBuf {
        self.root.join("secrets")
    }

    /// The folder of ids of the host that containers have taken.
    pub(crate) fn users(&self) -> PathBuf {
        self.root.join("users")
    }

    /// The file that all events are appended to.
    pub(crate) fn events(&self) -> PathBuf {
        self.run.join(monitor::EVENTS)
    }

    /// The cgroup of all monitors.
    pub(crate) fn monitors(&self) -> String {
        format!("{}/monitors", self.cgroup.trim_end_matches('/'))
    }

    /// The cgroup of a container.
    pub(crate) fn cgroup_of(&self, record: &crate::Record) -> String {
        match &record.tuning.cgroup_parent {
            Some(parent) if record.tuning.scope => format!("{parent}/{}", crate::scope::name(&record.id)),
            Some(parent) => format!("{}/{}", parent.trim_end_matches('/'), record.id),
            None => self.cgroup(&record.id),
        }
    }

    /// The cgroup of a container that was made without a wish for it.
    pub(crate) fn cgroup(&self, id: &str) -> String {
        format!("{}/{id}", self.cgroup.trim_end_matches('/'))
    }
}
