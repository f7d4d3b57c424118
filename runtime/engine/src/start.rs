//! `start`: everything a run needs is prepared here, undone if anything fails, and handed to one monitor.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use container::cgroup::{self, Cgroup};
use launch::Slot;
use monitor::{Cleanup, Launch, LogLimits, Request};
use sys::Call;
use sys::fs::open_dir;

use crate::config::Config;
use crate::create::{Folder, folder, take_charge};
use crate::error::During;
use crate::request::{NetworkMode, Port, Protocol};
use crate::session::Session;
use crate::spec::{self, files, user};
use crate::wait::SOCKET;
use crate::{Engine, Error, NetworkState, Record, names, overlay, recover, state};

/// How to start.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StartOptions {
    /// Listen to the container from its first byte.
    pub attach: Option<Attach>,
    /// Rows and columns of its terminal.
    pub size: Option<(u16, u16)>,
}

/// How to listen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attach {
    /// Feed its standard input, too.
    pub stdin: bool,
}

impl Engine {
    /// Starts a container that does not run. Returns when its program has been executed.
    ///
    /// # Errors
    /// [`Error::Running`] when it runs already; [`Error::Start`] with the kind that decides the exit code. After an error nothing is
    /// left of the start.
    pub fn start(&self, given: &str, options: &StartOptions) -> Result<Session, Error> {
        let id = names::resolve(&self.config, given)?;
        let lock = Folder::lock(&self.config, &id)?;
        let container = state::load(&self.config, &id)?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        if container.is_running() {
            return Err(Error::Running(names::short(&container.record)));
        }
        let charge = take_charge(&lock)?;
        recover::leftovers(&self.config, &id, Some(&container.record))?;
        let runtime = Runtime::make(&self.config, &id)?;
        let (server, client) = sys::socket::pair().during(|| "make the monitor's socket")?;
        spawn(&self.config, &id, server)?;
        let mut session = Session::new(&id, client);
        let (mut launch, mut table) = self.prepare(&container.record, &runtime.path, options)?;
        launch.hold.push(table.add(charge));
        let borrowed: Vec<_> = table.fds.iter().map(AsFd::as_fd).collect();
        session.send(&Request::Launch(Box::new(launch)), &borrowed)?;
        // From here on the monitor undoes what was prepared.
        runtime.keep();
        drop(table);
        if let Some(Attach { stdin }) = options.attach {
            session.send(&Request::Attach { stdin }, &[])?;
        }
        session.send(&Request::Start, &[])?;
        session.started()?;
        Ok(session)
    }

    /// Makes the network, the root file system and the cgroup, side by side, and opens what the monitor needs of the host.
    fn prepare(&self, record: &Record, runtime: &Path, options: &StartOptions) -> Result<(Launch, Table), Error> {
        let (network, local) = std::thread::scope(|scope| {
            let bridge = record.network == NetworkMode::Bridge;
            let network = bridge.then(|| scope.spawn(|| attach(&self.config, record)));
            let local = self.local(record);
            (network.map(|thread| thread.join()), local)
        });
        let network = match network {
            None => None,
            Some(Ok(attached)) => Some(attached?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        };
        let Local { rootfs, identity, host, cgroup } = local?;
        let state = network.as_ref().map(described);
        write_files(&self.config, record, state.as_ref(), runtime)?;
        let netns = network.as_ref().map(|attached| proc_path(&attached.netns));
        let facts =
            spec::Facts { identity: &identity, netns, files: runtime, cgroup: &self.config.cgroup(&record.id), size: options.size };
        let spec = spec::spec(record, facts)?;
        bind_sources(record)?;
        let compiled = container::compile(&spec, &host).map_err(Error::Container)?;
        let (plan, fds) = container::prepare(compiled, rootfs, &cgroup).map_err(Error::Container)?;
        let mut table = Table { fds };
        let launch = self.launch(record, plan, runtime, &mut table, network, cgroup)?;
        Ok((launch, table))
    }

    /// What needs no network.
    fn local(&self, record: &Record) -> Result<Local, Error> {
        let host = container::Host::gather().map_err(Error::Container)?;
        let layers = record.image.layers.iter().rev();
        let mut lower = layers.map(|digest| self.images.layer_folder(digest)).collect::<Result<Vec<_>, _>>()?;
        lower.push(self.config.base());
        let rootfs = overlay::mount(&lower, &self.config.container(&record.id), record.remove)?;
        let identity = user::identify(&rootfs, &record.user)?;
        let resources = spec::resources(record)?;
        let cgroup = cgroup::create(&host.cgroup, &self.config.cgroup(&record.id), &resources).map_err(Error::Cgroup)?;
        Ok(Local { rootfs, identity, host, cgroup })
    }

    fn launch(
        &self,
        record: &Record,
        plan: launch::Plan,
        runtime: &Path,
        table: &mut Table,
        network: Option<net::Attached>,
        cgroup: Cgroup,
    ) -> Result<Launch, Error> {
        let config = &self.config;
        let socket_folder = open_dir(runtime).during(|| "open the runtime folder")?;
        let listener = sys::socket::listen_at(&socket_folder, SOCKET).during(|| "make the monitor's socket")?;
        let container = open_dir(config.container(&record.id)).during(|| "open the container's folder")?;
        let (memory, unified) = (cgroup.memory(), cgroup.unified());
        let mut cleanup = Cleanup { trees: vec![runtime.to_owned()], ..Cleanup::default() };
        let (mut hold, mut netfilter) = (Vec::new(), None);
        if let Some(attached) = network {
            let kept = attached.keep();
            cleanup.nftables = kept.undo.nftables;
            cleanup.unlink = kept.undo.unlink;
            hold = kept.reserved.into_iter().map(|socket| table.add(socket)).collect();
            netfilter = kept.netfilter.map(|socket| table.add(socket));
        }
        let folders: Vec<_> = cgroup.keep();
        cleanup.cgroups = folders.iter().map(|folder| folder.path.clone()).collect();
        let slots: Vec<Slot> = folders.into_iter().map(|folder| table.add(folder.fd)).collect();
        if record.remove {
            cleanup.discard.push(config.container(&record.id));
            cleanup.unlink.push(config.names().join(&record.name));
        }
        Ok(Launch {
            id: record.id.clone(),
            plan,
            folder: table.add(container),
            listener: table.add(listener),
            hold,
            netfilter,
            log: LogLimits::default(),
            stdin: record.stdin,
            memory: memory.map(|at| slots[at]),
            kill: unified.map(|at| slots[at]),
            cleanup,
        })
    }
}

struct Local {
    rootfs: OwnedFd,
    identity: user::Identity,
    host: container::Host,
    cgroup: Cgroup,
}

/// The descriptors that travel to the monitor.
struct Table {
    fds: Vec<OwnedFd>,
}

impl Table {
    fn add(&mut self, fd: OwnedFd) -> Slot {
        self.fds.push(fd);
        Slot((self.fds.len() - 1) as u32)
    }
}

/// The runtime folder: the first thing a start makes and the last that is removed, so that its presence means that something may be
/// left.
struct Runtime {
    path: PathBuf,
    kept: bool,
}

impl Runtime {
    fn make(config: &Config, id: &str) -> Result<Runtime, Error> {
        let path = config.runtime(id);
        folder(&path).during(|| format!("make the folder {}", path.display()))?;
        Ok(Runtime { path, kept: false })
    }

    fn keep(mut self) {
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

/// Starts the monitor, which waits for its first message. It is executed from a descriptor that nobody can write to, so that a
/// container that gets hold of it cannot change the program on the host (CVE-2019-5736).
fn spawn(config: &Config, id: &str, socket: OwnedFd) -> Result<(), Error> {
    let what = || format!("start {}", config.monitor.display());
    let program = launch::seal(&config.monitor).during(what)?;
    let args = [c"rctr-monitor".to_owned(), CString::new(id).unwrap_or_default()];
    sys::spawn::spawn(program, &args, socket).during(what)?;
    Ok(())
}

/// The default network, its subnet chosen at the first use.
pub(crate) fn network(config: &Config) -> Result<net::Network, Error> {
    let file = config.root.join("networks").join(format!("{}.json", config.bridge));
    net::default_network(&config.bridge, &file, &config.run.join("net").join(&config.bridge)).map_err(Error::Network)
}

fn attach(config: &Config, record: &Record) -> Result<net::Attached, Error> {
    let ports: Vec<net::Port> = record.ports.iter().copied().map(port).collect();
    net::attach(&network(config)?, &record.id, &ports).map_err(Error::Network)
}

pub(crate) fn port(port: Port) -> net::Port {
    let protocol = match port.protocol {
        Protocol::Tcp => net::Protocol::Tcp,
        Protocol::Udp => net::Protocol::Udp,
    };
    net::Port { host_ip: port.host_ip, host_port: port.host_port, container_port: port.container_port, protocol }
}

fn described(attached: &net::Attached) -> NetworkState {
    let ports = attached.ports.iter().map(|port| Port {
        host_ip: port.host_ip,
        host_port: port.host_port,
        container_port: port.container_port,
        protocol: match port.protocol {
            net::Protocol::Tcp => Protocol::Tcp,
            net::Protocol::Udp => Protocol::Udp,
        },
    });
    NetworkState {
        address: attached.address.addr(),
        prefix: attached.address.prefix_len(),
        gateway: attached.gateway,
        mac: attached.mac,
        ports: ports.collect(),
    }
}

fn proc_path(fd: &OwnedFd) -> PathBuf {
    use std::os::fd::AsRawFd;
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// The name files, and the network's state for readers. All are on a tmpfs and made anew at each start.
fn write_files(config: &Config, record: &Record, network: Option<&NetworkState>, runtime: &Path) -> Result<(), Error> {
    let own = network.map(|network| (network.address, record.hostname.as_str()));
    let host_resolver = fs::read_to_string(&config.resolv_conf).unwrap_or_default();
    let write = |name: &str, text: String| {
        let path = runtime.join(name);
        fs::write(&path, text)
            .call(|| format!("write({path:?})"))
            .during(|| format!("make /etc/{name} of container {}", record.name))
    };
    let hosts = match record.network {
        NetworkMode::Host => fs::read_to_string("/etc/hosts").unwrap_or_else(|_| files::hosts(None)),
        _ => files::hosts(own),
    };
    write("hosts", hosts)?;
    write("resolv.conf", files::resolv_conf(&host_resolver, record.network != NetworkMode::Host))?;
    write("hostname", format!("{}\n", record.hostname))?;
    if let Some(network) = network {
        write("network.json", serde_json::to_string(network).unwrap_or_default())?;
    }
    Ok(())
}

/// A missing folder on the host is made, as Docker makes it for `-v`.
fn bind_sources(record: &Record) -> Result<(), Error> {
    for bind in record.binds.iter().filter(|bind| !bind.source.exists()) {
        let made = fs::create_dir_all(&bind.source).call(|| format!("mkdir({:?})", bind.source));
        made.during(|| format!("make the missing folder {} for -v", bind.source.display()))?;
    }
    Ok(())
}
