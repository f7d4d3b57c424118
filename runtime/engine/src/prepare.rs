//! What a run needs, made side by side and given away as one message with descriptors: dropped before that, it is all undone.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use container::cgroup::{self, Cgroup, Devices};
use launch::Slot;
use monitor::{Cleanup, Hooks, Launch, LogFile, LogFormat, LogLimits, Restart};
use oci_spec::runtime::Spec;
use rustix::fs::{Mode, OFlags};
use rustix::process::Pid;
use sys::Call;
use sys::fs::open_dir;

use crate::ahead::{Ahead, Coming};
use crate::error::During;
use crate::files::append;
use crate::network::Network;
use crate::request::{HostsBase, LogConfig, NetworkMode};
use crate::scope::{self, Holder};
use crate::spec::{self, user};
use crate::start::StartOptions;
use crate::wait::SOCKET;
use crate::{
    Engine, Error, Record, create, events, hold, home, lognotes, mounts, overlay, owners, rootfs, runtime, secret, used, volume,
};

/// All that a start needs.
pub(crate) struct Prepared {
    /// For the monitor.
    pub(crate) launch: Launch,
    /// The descriptors it names.
    pub(crate) table: Table,
    /// To be enforced before the container's program runs.
    pub(crate) devices: Devices,
    /// What keeps its cgroup until the container is in it.
    pub(crate) holder: Option<Holder>,
}

impl Engine {
    /// Prepares a start, and returns it with the monitor's socket and number.
    pub(crate) fn prepare(
        &self,
        record: &Record,
        runtime: &Path,
        options: &StartOptions,
        ahead: Ahead,
    ) -> Result<((OwnedFd, Pid), Prepared), Error> {
        let Ahead { network, monitor, .. } = ahead;
        let prepared = self.prepare_on(network, record, runtime, options);
        // Whatever has become of it: a child of this process is waited for.
        let monitor = monitor.wait().inspect(|(_, pid)| self.children.add(*pid));
        let prepared = prepared?;
        Ok((monitor?, prepared))
    }

    /// Makes the network, the root file system and the cgroup, side by side, and opens what the monitor needs of the host.
    fn prepare_on(
        &self,
        early: Coming<Result<Option<Network>, Error>>,
        record: &Record,
        runtime: &Path,
        options: &StartOptions,
    ) -> Result<Prepared, Error> {
        let owners::Of { user, net } = self.owners(record)?;
        // One that belongs to users of its own cannot be made ahead of them.
        let own = matches!(record.network, NetworkMode::Bridge | NetworkMode::Container(_))
            || net.is_some() && record.network == NetworkMode::None;
        let (attached, local) = std::thread::scope(|scope| {
            let attached = own.then(|| scope.spawn(|| Network::attach(&self.config, record, net)));
            let local = self.local(record, user.as_ref());
            (attached.map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))), local)
        });
        let other = || Error::Invalid { what: "network".to_owned(), why: "the start was begun for another one".to_owned() };
        let network = match attached {
            Some(attached) => attached?,
            None => early.wait()?.ok_or_else(other)?,
        };
        let Local { rootfs, identity, host, cgroup, devices, holder } = local?;
        let state = network.state();
        let files = match (&record.pod, &record.network) {
            (Some(member), _) => self.config.pod(&member.pod),
            // What one writes there the other shall read, as with Docker.
            (None, NetworkMode::Container(other)) => self.config.container(other),
            (None, _) => self.config.container(&record.id),
        };
        if record.pod.is_none() && !matches!(network, Network::Shared(_)) {
            if record.dns.hosts_base == HostsBase::Image {
                runtime::keep_image_hosts(&rootfs, &files)?;
            }
            runtime::write_files(&self.config, record, state, &files)?;
        }
        if let Some(state) = state {
            runtime::describe(record, state, runtime)?;
        }
        let (netns, cgroup_path) = (network.namespace(), self.config.cgroup_of(record));
        let mut joined = self.joined(record)?;
        joined.user = user;
        let facts = spec::Facts {
            identity: &identity,
            netns,
            files: &files,
            home: self.config.home.as_ref().map(|_| home::last_group()),
            cgroup: &cgroup_path,
            joined: &joined,
            init: &self.config.monitor,
            size: options.size,
        };
        let spec = spec::with_devices(record, spec::spec(record, facts)?)?;
        let spec = secret::shown(self, record, runtime, spec)?;
        let mut trees = mounts::open(self, record, &identity, joined.user.as_ref())?;
        trees.extend(joined.shm.take().map(|shm| (spec::shared(&files), shm)));
        let hooks = hooks(record, runtime, &spec)?;
        let own_mounts = trees.is_empty() && own_mounts(&spec, &files);
        let mut compiled = container::compile(&spec, &host).map_err(Error::Container)?;
        compiled.plan.process.groups_denied = self.config.groups_denied();
        spec::confine(&mut compiled.plan.process, &record.security, &host, &self.config.run)?;
        let (plan, fds) = container::prepare_with(compiled, rootfs, trees, &cgroup).map_err(Error::Container)?;
        let mut table = Table { fds };
        let mut launch = self.launch(record, plan, runtime, &mut table, network, cgroup)?;
        launch.health = spec::health(record, &identity, &host, &self.config.run, secret::variables(self, record)?)?;
        launch.own_mounts = own_mounts;
        launch.hooks = hooks;
        Ok(Prepared { launch, table, devices, holder })
    }

    /// The root file system of a container that does not run, attached nowhere.
    /// `users` is its user namespace, if it has one.
    pub(crate) fn rootfs(&self, record: &Record, users: Option<&OwnedFd>) -> Result<OwnedFd, Error> {
        let folder = record.writable(&self.config);
        let copied = record.namespaces.users.as_ref().filter(|_| self.config.home.is_some());
        let mount = |lower: &[_]| match (users, copied) {
            (Some(_), Some(own)) => overlay::mount(&self.shifted(lower, own)?, &folder, record.remove),
            (Some(users), None) => overlay::mount_mapped(lower, &folder, record.remove, users),
            (None, _) => overlay::mount(lower, &folder, record.remove),
        };
        match &record.rootfs {
            Some(own) if !own.overlay => rootfs::folder(own),
            _ => self.below(record, mount),
        }
    }

    /// What needs no network.
    fn local(&self, record: &Record, users: Option<&OwnedFd>) -> Result<Local, Error> {
        let host = self.config.host()?;
        let rootfs = self.rootfs(record, users)?;
        let identity = Self::known(record, &rootfs)?;
        let resources = self.config.enforceable(record, &host, spec::resources(record)?)?;
        if record.tuning.cgroup_parent.is_some() {
            // Found again without the record, which may be damaged by then.
            runtime::note_cgroup(&self.config, record)?;
        }
        let (cgroup, devices, holder) = match scope::unit(record) {
            Some(unit) => {
                let (cgroup, devices, holder) = scope::create(&self.config, record, &unit, &host.cgroup, &resources)?;
                (cgroup, devices, Some(holder))
            }
            None => {
                let path = self.config.cgroup_of(record);
                let (cgroup, devices) = cgroup::create_open(&host.cgroup, &path, &resources).map_err(Error::Cgroup)?;
                (cgroup, devices, None)
            }
        };
        Ok(Local { rootfs, identity, host, cgroup, devices, holder })
    }

    /// Who its first process is; the container's files of users know it from then on, if they are to.
    ///
    /// Lines are added to the files themselves, and not to copies that are mounted on them: programs such as `useradd` put another file in
    /// their place, which cannot be done to a mount. What the container does to them stays for its next start.
    fn known(record: &Record, root: &OwnedFd) -> Result<user::Identity, Error> {
        let identity = user::identify(root, &record.user, &record.tuning)?;
        if record.tuning.entries.is_none() {
            return Ok(identity);
        }
        let files = ["passwd", "group"];
        let [passwd, group] = files.map(|name| user::text(root, &format!("etc/{name}")));
        let missing = spec::missing_entries(record, &identity, [&passwd, &group]);
        if missing.iter().all(String::is_empty) {
            return Ok(identity);
        }
        for (name, lines) in files.iter().zip(&missing).filter(|(_, lines)| !lines.is_empty()) {
            let added = append(root, name, record.namespaces.users.as_ref(), lines);
            added.during(|| format!("name its user in /etc/{name} of container {}", record.name))?;
        }
        user::identify(root, &record.user, &record.tuning)
    }

    fn launch(
        &self,
        record: &Record,
        plan: launch::Plan,
        runtime: &Path,
        table: &mut Table,
        network: Network,
        cgroup: Cgroup,
    ) -> Result<Launch, Error> {
        let config = &self.config;
        let socket_folder = open_dir(runtime).during(|| "open the runtime folder")?;
        let listener = sys::socket::listen_at(&socket_folder, SOCKET).during(|| "make the monitor's socket")?;
        let container = open_dir(config.container(&record.id)).during(|| "open the container's folder")?;
        let (memory, unified) = (cgroup.memory(), cgroup.unified());
        let mut cleanup = Cleanup { trees: vec![runtime.to_owned()], ..Cleanup::default() };
        let using = used::used(config, record, network.state());
        let (mut hold, mut relays, mut netfilter) = (Vec::new(), Vec::new(), None);
        let mut resolver = None;
        if let Network::Bridge { attached, names: config, .. } = network {
            let kept = attached.keep();
            cleanup.nftables = kept.undo.nftables;
            cleanup.unlink = kept.undo.unlink;
            cleanup.folders = kept.undo.folders;
            resolver = kept.resolver.map(|net::dns::Sockets { datagrams, connections }| monitor::Names {
                datagrams: table.add(datagrams),
                connections: table.add(connections),
                config,
            });
            let held = hold::packed(kept.reserved).during(|| "hold the published ports")?;
            hold = held.into_iter().map(|socket| table.add(socket)).collect();
            let relayed = |(socket, relay)| monitor::Relayed { socket: table.add(socket), relay };
            relays = kept.relays.into_iter().map(relayed).collect();
            netfilter = kept.netfilter.map(|socket| table.add(socket));
        }
        let folders: Vec<_> = cgroup.keep();
        cleanup.cgroups = folders.iter().map(|folder| folder.path.clone()).collect();
        let slots: Vec<Slot> = folders.into_iter().map(|folder| table.add(folder.fd)).collect();
        if record.remove {
            cleanup.discard.push(config.container(&record.id));
            cleanup.unlink.push(config.names().join(&record.name));
            cleanup.unlink.extend(owners::note(config, record));
            volume::undo(config, record, &mut cleanup);
        }
        let log_file = match &record.tuning.log {
            LogConfig { path: Some(path), none: false, .. } => {
                Some(LogFile { path: path.clone(), file: table.add(log_file(path)?), limits: rotation(record) })
            }
            _ => None,
        };
        Ok(Launch {
            id: record.id.clone(),
            plan,
            folder: table.add(container),
            listener: table.add(listener),
            hold,
            relay_from: if relays.is_empty() { None } else { config.netns()?.map(|netns| table.add(netns)) },
            relays,
            charge: None,
            own_mounts: false,
            netfilter,
            log: log_limits(record),
            log_file,
            log_notes: match log_limits(record).map(|limits| limits.format) {
                Some(LogFormat::Journal) => lognotes::fields(record)?,
                Some(LogFormat::Json) => lognotes::attributes(record)?,
                _ => Vec::new(),
            },
            stdin: record.stdin,
            memory: memory.map(|at| slots[at]),
            kill: unified.map(|at| slots[at]),
            cleanup,
            restart: Restart::default(),
            health: None,
            names: resolver,
            events: Some((events::actor(record), config.events())),
            using,
            hooks: None,
        })
    }
}

/// The hooks of a container's devices, with what they read: its configuration, in a folder that goes with the run.
fn hooks(record: &Record, runtime: &Path, spec: &Spec) -> Result<Option<Hooks>, Error> {
    let all = spec::hooks(&record.tuning.cdi)?;
    if all.is_empty() {
        return Ok(None);
    }
    let during = || format!("describe container {} for hooks", record.name);
    let bundle = runtime.join("bundle");
    let (mut shown, root) = (spec.clone(), bundle.join("rootfs"));
    if let Some(own) = shown.root_mut() {
        own.set_path(root.clone());
    }
    create::folder(&root).during(during)?;
    let path = bundle.join(create::RECORD);
    let written = std::fs::write(&path, serde_json::to_vec(&shown).unwrap_or_default());
    written.call(|| format!("write({path:?})")).during(during)?;
    Ok(Some(Hooks { bundle, all }))
}

/// How much of a log outside the container's folder is kept; none where others rotate it.
fn rotation(record: &Record) -> Option<LogLimits> {
    let log = &record.tuning.log;
    let max_files = log.max_files.unwrap_or(LogLimits::default().max_files);
    log.max_size.map(|max_size| LogLimits { max_size, max_files, format: LogFormat::Cri })
}

/// How much of a container's output is kept in its folder, if any.
fn log_limits(record: &Record) -> Option<LogLimits> {
    let (log, usual) = (&record.tuning.log, LogLimits::default());
    let limits = || LogLimits {
        max_size: log.max_size.unwrap_or(usual.max_size),
        max_files: log.max_files.unwrap_or(usual.max_files),
        format: match (log.journal, log.json) {
            (true, _) => LogFormat::Journal,
            (false, true) => LogFormat::Json,
            (false, false) => LogFormat::Text,
        },
    };
    (!log.none && log.path.is_none()).then(limits)
}

/// Opens a log file outside the container's folder, so that one that cannot be written keeps the container from starting.
fn log_file(path: &Path) -> Result<OwnedFd, Error> {
    let what = || format!("open the log {}", path.display());
    let folder = path.parent().map_or(Ok(()), std::fs::create_dir_all);
    folder.call(|| format!("mkdir({:?})", path.parent())).during(what)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::from_raw_mode(0o640));
    file.call(|| format!("open({path:?}, O_APPEND)")).during(what)
}

struct Local {
    rootfs: OwnedFd,
    identity: user::Identity,
    host: container::Host,
    cgroup: Cgroup,
    devices: Devices,
    holder: Option<Holder>,
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

/// Nothing of the host is mounted in the container, but for what is in its own folder `files`. What is no path is a file system's name.
fn own_mounts(spec: &Spec, files: &Path) -> bool {
    let hosts = |source: &PathBuf| source.is_absolute() && !source.starts_with(files);
    !spec.mounts().iter().flatten().any(|mount| mount.source().as_ref().is_some_and(hosts))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_of_the_host_is_not_its_own() {
        let spec = |sources: &[&str]| {
            let mount = |source: &&str| serde_json::json!({"destination": "/x", "source": source, "type": "bind"});
            let mounts: Vec<_> = sources.iter().map(mount).collect();
            serde_json::from_value(serde_json::json!({"ociVersion": "1.0.0", "mounts": mounts})).unwrap()
        };
        let own = |sources: &[&str]| own_mounts(&spec(sources), Path::new("/lib/c/1"));
        assert!(own(&[]) && own(&["proc", "/lib/c/1/hosts"]));
        assert!(!own(&["proc", "/lib/c/1/hosts", "/data"]) && !own(&["/lib/c/11/hosts"]));
    }
}
