//! What lives only as long as one run: the folder on a tmpfs that says so, and files that are made anew for each.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::chown;
use std::path::{Path, PathBuf};

use sys::Call;
use sys::fs::open_dir;

use crate::config::Config;
use crate::create::folder;
use crate::error::During;
use crate::request::{HostsBase, NetworkMode};
use crate::spec::{files, user};
use crate::{EndpointState, Error, NetworkState, Record};

/// The file that describes a running container's networks.
const NETWORK: &str = "network.json";

/// The runtime folder: the first thing a start makes and the last that is removed, so that its presence means that something may be
/// left.
pub(crate) struct Runtime {
    pub(crate) path: PathBuf,
    kept: bool,
}

impl Runtime {
    pub(crate) fn make(config: &Config, id: &str) -> Result<Runtime, Error> {
        let path = config.runtime(id);
        folder(&path).during(|| format!("make the folder {}", path.display()))?;
        Ok(Runtime { path, kept: false })
    }

    pub(crate) fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Runtime {
    fn drop(&mut self) {
        if let (false, Some(parent), Some(name)) = (self.kept, self.path.parent(), self.path.file_name()) {
            let _ = open_dir(parent).and_then(|parent| sys::fs::remove_tree(parent, name));
        }
    }
}

/// The network's state, for readers.
pub(crate) fn describe(record: &Record, network: &NetworkState, runtime: &Path) -> Result<(), Error> {
    let path = runtime.join(NETWORK);
    let written = fs::write(&path, serde_json::to_string(network).unwrap_or_default()).call(|| format!("write({path:?})"));
    written.during(|| format!("describe the network of container {}", record.name))
}

/// The same for a container that runs: readers find the old one or the new one.
pub(crate) fn describe_anew(record: &Record, network: &NetworkState, runtime: &Path) -> Result<(), Error> {
    let json = serde_json::to_vec(network).unwrap_or_default();
    let written = open_dir(runtime).and_then(|folder| sys::fs::replace(&folder, NETWORK, &json));
    written.during(|| format!("describe the network of container {}", record.name))
}

/// Where a container's cgroup is, when it is not where those of others are.
pub(crate) fn note_cgroup(config: &Config, record: &Record) -> Result<(), Error> {
    let path = config.runtime(&record.id).join(CGROUP);
    let written = fs::write(&path, config.cgroup_of(record)).call(|| format!("write({path:?})"));
    written.during(|| format!("note the cgroup of container {}", record.name))
}

/// The cgroup of a container that runs, or has run, by its id alone.
pub(crate) fn noted_cgroup(config: &Config, id: &str) -> String {
    fs::read_to_string(config.runtime(id).join(CGROUP)).unwrap_or_else(|_| config.cgroup(id))
}

const CGROUP: &str = "cgroup";

/// The name files, in the container's own folder. The container may write to them, as with Docker, and they belong where all else is that
/// it writes: on a small tmpfs such as /run it could take the place of everybody.
pub(crate) fn write_files(config: &Config, record: &Record, network: Option<&NetworkState>, folder: &Path) -> Result<(), Error> {
    let own: Vec<IpAddr> = network.iter().flat_map(|network| &network.networks).flat_map(EndpointState::addresses).collect();
    let host_resolver = fs::read_to_string(&config.resolv_conf).unwrap_or_default();
    let write = |name: &str, text: String| {
        let path = folder.join(name);
        let owner = record.namespaces.users.as_ref().and_then(|users| users.outside(0, 0));
        let given = |()| owner.map_or(Ok(()), |(uid, gid)| chown(&path, Some(uid), Some(gid)));
        fs::write(&path, text)
            .and_then(given)
            .call(|| format!("write({path:?})"))
            .during(|| format!("make /etc/{name} of container {}", record.name))
    };
    let mut hosts = match (&record.dns.hosts_base, &record.network) {
        (HostsBase::Usual, NetworkMode::Host) => fs::read_to_string("/etc/hosts").unwrap_or_else(|_| files::hosts(&[], "")),
        (HostsBase::File(base), _) => files::hosts_on(&base_of_hosts(base)?, &own, &record.hostname),
        (HostsBase::Image, _) => files::hosts_on(&base_of_hosts(&folder.join(IMAGE_HOSTS))?, &own, &record.hostname),
        (HostsBase::Usual | HostsBase::None | HostsBase::Kept, _) => files::hosts(&own, &record.hostname),
    };
    hosts.push_str(&files::extra_hosts(&record.dns.hosts, host_address(record, network))?);
    write("hosts", hosts)?;
    let asked = match (&record.network, network) {
        (NetworkMode::Host, _) => files::Asked::AsHost,
        (_, Some(state)) if state.has_names() => files::Asked::Own,
        _ if config.home.is_some() => files::Asked::Home,
        _ => files::Asked::Directly,
    };
    write("resolv.conf", files::resolv_conf(&host_resolver, asked, &record.dns))?;
    write("hostname", format!("{}\n", record.hostname))
}

/// Keeps the image's `/etc/hosts`, which a container's may begin with: below the mount it is not found again.
pub(crate) fn keep_image_hosts(root: &OwnedFd, folder: &Path) -> Result<(), Error> {
    let path = folder.join(IMAGE_HOSTS);
    let written = fs::write(&path, user::text(root, "etc/hosts")).call(|| format!("write({path:?})"));
    written.during(|| "keep the image's /etc/hosts")
}

const IMAGE_HOSTS: &str = "hosts.image";

fn base_of_hosts(path: &Path) -> Result<String, Error> {
    let text = fs::read_to_string(path).call(|| format!("read({path:?})"));
    text.during(|| "read the file that /etc/hosts begins with")
}

/// This host, as the container reaches it.
fn host_address(record: &Record, network: Option<&NetworkState>) -> Option<IpAddr> {
    match record.network {
        NetworkMode::Host => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
        _ => network?.networks.iter().find_map(|end| end.gateway).map(IpAddr::V4),
    }
}
