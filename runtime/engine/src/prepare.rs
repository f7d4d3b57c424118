//! What a run needs, made side by side and given away as one message with descriptors: dropped before that, it is all undone.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use container::cgroup::{self, Cgroup};
use launch::Slot;
use monitor::{Cleanup, Launch, LogLimits};
use sys::Call;
use sys::fs::open_dir;

use crate::error::During;
use crate::request::NetworkMode;
use crate::spec::{self, user};
use crate::start::StartOptions;
use crate::wait::SOCKET;
use crate::{Engine, Error, Record, network, overlay, runtime};

impl Engine {
    /// Makes the network, the root file system and the cgroup, side by side, and opens what the monitor needs of the host.
    pub(crate) fn prepare(&self, record: &Record, runtime: &Path, options: &StartOptions) -> Result<(Launch, Table), Error> {
        let (network, local) = std::thread::scope(|scope| {
            let bridge = record.network == NetworkMode::Bridge;
            let network = bridge.then(|| scope.spawn(|| network::attach(&self.config, record)));
            let local = self.local(record);
            (network.map(|thread| thread.join()), local)
        });
        let network = match network {
            None => None,
            Some(Ok(attached)) => Some(attached?),
            Some(Err(panic)) => std::panic::resume_unwind(panic),
        };
        let Local { rootfs, identity, host, cgroup } = local?;
        let state = network.as_ref().map(network::described);
        let files = self.config.container(&record.id);
        runtime::write_files(&self.config, record, state.as_ref(), &files)?;
        if let Some(state) = &state {
            runtime::describe(record, state, runtime)?;
        }
        let netns = network.as_ref().map(|attached| proc_path(&attached.netns));
        let facts =
            spec::Facts { identity: &identity, netns, files: &files, cgroup: &self.config.cgroup(&record.id), size: options.size };
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
pub(crate) struct Table {
    pub(crate) fds: Vec<OwnedFd>,
}

impl Table {
    pub(crate) fn add(&mut self, fd: OwnedFd) -> Slot {
        self.fds.push(fd);
        Slot((self.fds.len() - 1) as u32)
    }
}

fn proc_path(fd: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_raw_fd()))
}

/// A missing folder on the host is made, as Docker makes it for `-v`.
fn bind_sources(record: &Record) -> Result<(), Error> {
    for bind in record.binds.iter().filter(|bind| !bind.source.exists()) {
        let made = fs::create_dir_all(&bind.source).call(|| format!("mkdir({:?})", bind.source));
        made.during(|| format!("make the missing folder {} for -v", bind.source.display()))?;
    }
    Ok(())
}
