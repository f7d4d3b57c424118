//! The namespaces of a pod, pinned by bind mounts: they stay without a process in them.

use std::fs::{DirBuilder, File};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, open};
use rustix::io::Errno;
use rustix::mount::{MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags, move_mount, open_tree, unmount};
use sys::Call;
use sys::mount::Filesystem;
use sys::ns::{kind, setns, unshare};

use super::record::PodRecord;
use super::request::{PodNetwork, PodSharing};
use crate::config::Config;
use crate::error::During;
use crate::network::NetworkState;
use crate::request::Port;
use crate::{EndpointState, Error, spec};

/// What may be mounted in a pod's runtime folder.
const PINS: [&str; 4] = ["net", "ipc", "uts", "shm"];

/// Bytes of shared memory, as Docker and Kubernetes have them.
const SHM_SIZE: u64 = 64 << 20;

/// Makes and pins the namespaces of a pod, with its network, in a thread that ends with that. After a failure some may be pinned: see [`unmake`].
pub(super) fn make(config: &Config, record: &PodRecord, hostname: &str) -> Result<Option<NetworkState>, Error> {
    let made = std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().name("pod".to_owned());
        let thread = thread.spawn_scoped(scope, || apart(config, record, hostname));
        thread.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    made.call(|| "clone3(CLONE_THREAD)").during(|| "make the namespaces of a pod")?
}

fn apart(config: &Config, record: &PodRecord, hostname: &str) -> Result<Option<NetworkState>, Error> {
    let (runtime, request) = (config.pod_runtime(&record.id), &record.request);
    let what = || "make the namespaces of a pod";
    let (own_network, own_ipc) = (record.has_network(), request.ipc == PodSharing::Pod);
    let kinds = [(own_ipc, kind::IPC, "ipc"), (own_network, kind::UTS, "uts")].into_iter().filter(|(own, ..)| *own);
    let flags = kinds.clone().fold(0, |all, (_, flag, _)| all | flag);
    if flags != 0 {
        unshare(flags as i32).during(what)?;
    }
    if own_network {
        let named = rustix::system::sethostname(hostname.as_bytes()).call(|| format!("sethostname({hostname:?})"));
        named.during(|| "name a pod")?;
    }
    for (_, _, name) in kinds {
        let path = format!("/proc/thread-self/ns/{name}");
        let own = open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("open({path:?})"));
        own.and_then(|own| pin(&own, &runtime.join(name))).during(what)?;
    }
    if own_ipc {
        shared_memory(&runtime.join("shm")).during(|| "make the shared memory of a pod")?;
    }
    let network = match &request.network {
        PodNetwork::Host => None,
        PodNetwork::Own { ports } => Some(network(config, record, ports, &runtime.join("net"))?),
    };
    let usual = if own_network { spec::NETWORK_SYSCTLS.as_slice() } else { &[] };
    let usual = usual.iter().filter(|(key, _)| !request.sysctls.contains_key(*key)).map(|(key, value)| (*key, *value));
    let asked = request.sysctls.iter().map(|(key, value)| (key.as_str(), value.as_str()));
    let settings: Vec<_> = usual.chain(asked).map(|(key, value)| (key.to_owned(), value.to_owned())).collect();
    launch::set_sysctls(&settings).map_err(|failure| Error::Start { kind: failure.kind, message: failure.message })?;
    Ok(network)
}

/// Connects the pod to the default network, and lets this thread enter it. The sockets that have reserved its ports go: from here on the
/// packet rules alone keep other containers and pods from them, as is the case with the port mapping of Kubernetes everywhere.
fn network(config: &Config, record: &PodRecord, ports: &[Port], at: &Path) -> Result<NetworkState, Error> {
    let network = crate::network::default(config)?;
    let on = |port: &Port| Port { host_ip: port.host_ip.or(config.publish_on), ..*port };
    let ports: Vec<_> = ports.iter().map(on).collect();
    let attached = net::attach(&[net::Wish::plain(&network)], &record.id, &ports).map_err(Error::Network)?;
    let what = || "pin the network of a pod";
    pin(&attached.netns, at).during(what)?;
    setns(&attached.netns, kind::NET as i32).during(what)?;
    let networks = attached.ends.iter().map(|end| EndpointState::new("bridge", &[], end)).collect();
    let state = NetworkState { networks, ports: attached.ports.clone() };
    // From here on what is pinned says that there is something to undo.
    drop(attached.keep());
    Ok(state)
}

/// Keeps a namespace at `path` (namespaces(7)).
fn pin(namespace: impl AsFd, path: &Path) -> sys::Result<()> {
    File::create_new(path).call(|| format!("open({path:?}, O_CREAT)"))?;
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(namespace, "", flags).call(|| format!("open_tree({path:?}, {flags:?})"))?;
    mount(&tree, path)
}

fn shared_memory(path: &Path) -> sys::Result<()> {
    DirBuilder::new().mode(0o700).create(path).call(|| format!("mkdir({path:?})"))?;
    let flags = MountAttrFlags::MOUNT_ATTR_NOSUID | MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOEXEC;
    let memory = Filesystem::open("tmpfs")?;
    memory.set("source", "shm")?.set("mode", "1777")?.set("size", SHM_SIZE.to_string())?;
    mount(&memory.mount(flags)?, path)
}

fn mount(tree: &OwnedFd, path: &Path) -> sys::Result<()> {
    move_mount(tree, "", CWD, path, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH).call(|| format!("move_mount({path:?})"))
}

/// Lets go of a pod's addresses, its namespaces and its runtime folder, whatever there is of them. Nothing may run in it any more.
pub(super) fn unmake(config: &Config, id: &str, own_network: bool) -> Result<(), Error> {
    let runtime = config.pod_runtime(id);
    if !runtime.exists() {
        return Ok(());
    }
    if own_network {
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
    if let PodNetwork::Own { ports } = &request.network
        && let Some(port) = ports.iter().find(|port| port.container_port == 0)
    {
        let what = format!("port {}/{}", port.container_port, port.protocol);
        return Err(Error::Invalid { what, why: "it needs to be from 1 to 65535".to_owned() });
    }
    Ok(())
}
