//! The namespaces of a pod, pinned by bind mounts: they stay without a process in them.

use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use sys::Call;
use sys::mount::Filesystem;
use sys::ns::{kind, setns, unshare};

use super::member::pinned;
use super::record::{Pod, PodRecord};
use super::request::{PodNetwork, PodSharing};
use crate::cni::{self, Cni};
use crate::config::Config;
use crate::error::During;
use crate::network::NetworkState;
use crate::owners::{self, Own};
use crate::request::{Port, UserMap};
use crate::{EndpointState, Engine, Error, spec};

/// What may be mounted in a pod's runtime folder.
const PINS: [&str; 5] = ["net", "ipc", "uts", "user", "shm"];

/// Those of them that are namespaces, by their names in an OCI configuration.
const NAMESPACES: [(&str, &str); 4] = [("net", "network"), ("ipc", "ipc"), ("uts", "uts"), ("user", "user")];

/// Bytes of shared memory, as Docker and Kubernetes have them.
const SHM_SIZE: u64 = 64 << 20;

impl Engine {
    /// The namespaces that a pod has of its own, by their names in an OCI configuration, and where they are pinned. One that is not ready has none.
    pub fn pod_namespaces(&self, pod: &Pod) -> Vec<(&'static str, PathBuf)> {
        let found = NAMESPACES.map(|(name, kind)| (kind, pinned(&self.config, &pod.record.id, name)));
        found.into_iter().filter(|(_, path)| path.exists()).collect()
    }
}

/// Makes and pins the namespaces of a pod, with its network, in a thread that ends with that; with a network of its own come the sockets that
/// reserve its ports. After a failure some may be pinned: see [`unmake`].
pub(super) fn make(config: &Config, record: &PodRecord, hostname: &str) -> Result<Option<Connected>, Error> {
    let plugins = if record.has_network() { cni::chosen(config)? } else { None };
    let made: std::io::Result<_> = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pod".to_owned());
        let (asks, asked) = channel();
        let (answers, answered) = channel();
        let outside = plugins.is_some().then_some(Outside { asks, answered });
        let thread = thread.spawn_scoped(scope, || apart(config, record, hostname, outside))?;
        // Plugins are run by this thread, which is in none of the pod's namespaces.
        if let (Some((cni, list)), Ok(())) = (plugins, asked.recv()) {
            let _ = answers.send(by_plugins(config, cni, list, record));
        }
        Ok(thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    made.call(|| "clone3(CLONE_THREAD)").during(|| "make the namespaces of a pod")?
}

/// What comes of a pod's network: its addresses, and sockets that reserve its ports.
type Connected = (NetworkState, Vec<OwnedFd>);

/// How the pod's thread has plugins connect what it has pinned.
struct Outside {
    asks: Sender<()>,
    answered: Receiver<Result<Connected, Error>>,
}

fn apart(config: &Config, record: &PodRecord, hostname: &str, outside: Option<Outside>) -> Result<Option<Connected>, Error> {
    let (runtime, request) = (config.pod_runtime(&record.id), &record.request);
    let what = || "make the namespaces of a pod";
    let (own_network, own_ipc) = (record.has_network(), request.ipc == PodSharing::Pod);
    let netns = match &request.users {
        Some(users) => Some(of_users(config, users, &runtime)?),
        None => {
            let kinds = [(own_ipc, kind::IPC, "ipc"), (own_network, kind::UTS, "uts")];
            of_thread(&kinds.into_iter().filter(|(own, ..)| *own).collect::<Vec<_>>(), &runtime).during(what)?;
            None
        }
    };
    if own_network {
        let named = rustix::system::sethostname(hostname.as_bytes()).call(|| format!("sethostname({hostname:?})"));
        named.during(|| "name a pod")?;
    }
    if own_ipc {
        shared_memory(&runtime.join("shm"), request.users.as_ref()).during(|| "make the shared memory of a pod")?;
    }
    let network = match &request.network {
        PodNetwork::Host => None,
        PodNetwork::Own { ports } => Some(match outside {
            Some(outside) => network_of_plugins(outside, netns, &runtime.join("net"))?,
            None => network(config, record, netns, ports, &runtime.join("net"))?,
        }),
    };
    let usual = if own_network { spec::NETWORK_SYSCTLS.as_slice() } else { &[] };
    let usual = usual.iter().filter(|(key, _)| !request.sysctls.contains_key(*key)).map(|(key, value)| (*key, *value));
    let asked = request.sysctls.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let settings: Vec<_> = usual.chain(asked).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    launch::set_sysctls(&settings).map_err(|failure| Error::Start { kind: failure.kind, message: failure.message })?;
    Ok(network)
}

/// Namespaces that this thread makes and is in from here on.
fn of_thread(kinds: &[(bool, u64, &str)], runtime: &Path) -> sys::Result<()> {
    let flags = kinds.iter().fold(0, |all, (_, flag, _)| all | flag);
    if flags != 0 {
        unshare(flags as i32)?;
    }
    for (.., name) in kinds {
        let path = format!("/proc/thread-self/ns/{name}");
        let own = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"))?;
        pin(&own, &runtime.join(name))?;
    }
    Ok(())
}

/// Namespaces that belong to users of the pod's own. This thread, still the host's root, enters them, but for that of the network, which is
/// returned.
fn of_users(config: &Config, users: &UserMap, runtime: &Path) -> Result<OwnedFd, Error> {
    let what = || "make namespaces with users of their own";
    let Own { user, ipc, uts, net } = owners::make(config, users)?;
    pin(user, &runtime.join("user")).during(what)?;
    for (namespace, flag, name) in [(ipc, kind::IPC, "ipc"), (uts, kind::UTS, "uts")] {
        pin(&namespace, &runtime.join(name)).and_then(|()| setns(&namespace, flag as i32)).during(what)?;
    }
    Ok(net)
}

/// Connects the pod to the default network, and lets this thread enter it. Answers the sockets that reserve its ports, too.
fn network(config: &Config, record: &PodRecord, netns: Option<OwnedFd>, ports: &[Port], at: &Path) -> Result<Connected, Error> {
    let network = crate::network::default(config)?;
    let ports = published(config, ports);
    let wish = net::Wish { reaches_itself: true, ..net::Wish::plain(&network) };
    // Nobody lives as long as a pod who could relay.
    let attached = net::attach_to(netns, &[wish], &record.id, &ports, false).map_err(Error::Network)?;
    crate::network::trust(&attached.made)?;
    let what = || "pin the network of a pod";
    pin(&attached.netns, at).during(what)?;
    setns(&attached.netns, kind::NET as i32).during(what)?;
    let networks = attached.ends.iter().map(|end| EndpointState::new("bridge", &[], end)).collect();
    let state = NetworkState { networks, ports: attached.ports.clone() };
    // From here on what is pinned says that there is something to undo.
    Ok((state, attached.keep().reserved))
}

/// Ports with the address of the host that they are meant for.
fn published(config: &Config, ports: &[Port]) -> Vec<Port> {
    ports.iter().map(|port| Port { host_ip: port.host_ip.or(config.publish_on), ..*port }).collect()
}

/// Has plugins connect the pod, and lets this thread enter its network.
fn network_of_plugins(outside: Outside, netns: Option<OwnedFd>, at: &Path) -> Result<Connected, Error> {
    let netns = net::unconnected(netns).map_err(Error::Network)?;
    pin(&netns, at).during(|| "pin the network of a pod")?;
    let gone = || Error::Cni { what: "connect a pod".to_owned(), why: "nobody runs its plugins".to_owned() };
    outside.asks.send(()).map_err(|_| gone())?;
    let (state, ports) = outside.answered.recv().map_err(|_| gone())??;
    setns(&netns, kind::NET as i32).during(|| "enter the network of a pod")?;
    // Of the thread, whose network is not its process's.
    let interfaces = std::fs::read_to_string("/proc/thread-self/net/dev").unwrap_or_default();
    cni::check(&state, &interfaces)?;
    Ok((state, ports))
}

/// The network of a pod that is pinned, by plugins. Ports that one of them publishes are reserved as those of our own bridge are.
fn by_plugins(config: &Config, cni: &Cni, list: cni::List, record: &PodRecord) -> Result<Connected, Error> {
    let ports = match &record.request.network {
        PodNetwork::Own { ports } if list.maps_ports() => published(config, ports),
        _ => Vec::new(),
    };
    let (sockets, failed) = net::hold(&ports);
    if let Some(error) = failed.into_iter().next() {
        return Err(Error::Network(error));
    }
    let state = cni::add(config, cni, list, record, &pinned(config, &record.id, "net"))?;
    Ok((NetworkState { ports, ..state }, sockets))
}

/// Keeps a namespace at `path` (namespaces(7)).
fn pin(namespace: impl AsFd, path: &Path) -> sys::Result<()> {
    File::create_new(path).call(|| format!("open({path:?}, O_CREAT)"))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(namespace, "", flags).call(|| format!("open_tree({path:?}, {flags:?})"))?;
    mount(&tree, path)
}

fn shared_memory(path: &Path, users: Option<&UserMap>) -> sys::Result<()> {
    DirBuilder::new().mode(0o700).create(path).call(|| format!("mkdir({path:?})"))?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let memory = Filesystem::open("tmpfs")?;
    memory.set("source", "shm")?.set("mode", "1777")?.set("size", SHM_SIZE.to_string())?;
    if let Some((uid, gid)) = users.and_then(|users| users.outside(0, 0)) {
        memory.set("uid", uid.to_string())?.set("gid", gid.to_string())?;
    }
    mount(&memory.mount(flags)?, path)
}

fn mount(tree: &OwnedFd, path: &Path) -> sys::Result<()> {
    move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call(|| format!("move_mount({path:?})"))
}

/// Lets go of a pod's addresses, its namespaces and its runtime folder, whatever there is of them. Nothing may run in it any more.
pub(super) fn unmake(config: &Config, id: &str, own_network: bool) -> Result<(), Error> {
    // While their namespace is there, and also when a reboot has taken it: plugins have files of their own.
    let plugins = cni::delete(config, id)?;
    let runtime = config.pod_runtime(id);
    if !runtime.exists() {
        return Ok(());
    }
    if own_network && !plugins {
        net::recover(&crate::network::default(config)?, id).map_err(Error::Network)?;
    }
    let what = || format!("let go of the namespaces of pod {}", &id[..12]);
    for path in PINS.map(|name| runtime.join(name)) {
        match unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            // Never mounted, or not even made.
            Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
            failed => failed.call(|| format!("umount2({path:?}, MNT_DETACH)")).during(what)?,
        }
    }
    let all = sys::fs::open_dir(config.run.join("pods")).during(what)?;
    sys::fs::remove_tree(all, id).during(what)
}

/// Refuses settings that are not those of the pod's own namespaces.
pub(super) fn check(record: &PodRecord) -> Result<(), Error> {
    let request = &record.request;
    let invalid = |key: &str, why: &str| Err(Error::Invalid { what: format!("sysctl {key}"), why: why.to_owned() });
    for (key, value, flag) in container::sysctls(&request.sysctls).map_err(Error::Container)? {
        match flag {
            kind::NET | kind::UTS if !record.has_network() => return invalid(&key, "it would be the host's own"),
            kind::IPC if request.ipc == PodSharing::Host => return invalid(&key, "it would be the host's own"),
            kind::NET | kind::UTS | kind::IPC => {}
            _ => return invalid(&key, "it belongs to no namespace of a pod"),
        }
        if value.contains(['\n', '\0']) {
            return invalid(&key, "its value is more than a line");
        }
    }
    if let Some(users) = &request.users {
        check_users(users)?;
        if !record.has_network() || request.ipc == PodSharing::Host {
            let why = "a pod with users of its own has a network and shared memory of its own".to_owned();
            return Err(Error::Invalid { what: "namespaces of the host".to_owned(), why });
        }
    }
    if let PodNetwork::Own { ports } = &request.network
        && let Some(port) = ports.iter().find(|port| port.container_port == 0)
    {
        let what = format!("port {}/{}", port.container_port, port.protocol);
        return Err(Error::Invalid { what, why: "it needs to be from 1 to 65535".to_owned() });
    }
    Ok(())
}

/// Root is among them, and none is beyond the largest id.
fn check_users(users: &UserMap) -> Result<(), Error> {
    users.check()?;
    let root = users.outside(0, 0).map(drop);
    root.ok_or_else(|| Error::Invalid { what: "users".to_owned(), why: "a pod's begin with 0".to_owned() })
}

#[cfg(test)]
mod tests {
    use launch::IdRange;

    use super::*;

    #[test]
    fn users_begin_with_root() {
        let range = |inside, outside, size| IdRange { inside, outside, size };
        let check = |uids| check_users(&UserMap { uids: vec![uids], gids: vec![range(0, 1, 1)] });
        assert!(check(range(0, 100_000, 65536)).is_ok() && check(range(0, u32::MAX - 1, 1)).is_ok());
        for bad in [range(1, 100_000, 65536), range(0, 100_000, 0), range(0, u32::MAX, 1), range(0, u32::MAX - 5, 65536)] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
