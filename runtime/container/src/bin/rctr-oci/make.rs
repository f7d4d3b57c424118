//! Making a container up to the point where its init waits: what `create` and `run` have in common.
//!
//! A process that is killed on the way leaves a folder whose lock nobody holds, with a record of what may exist, and an init that ends
//! by itself because nobody tells it to wait. `delete` removes both.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use container::cgroup::systemd::{self, Unit};
use container::cgroup::{self, Cgroup};
use container::{Host, Shared, compile, prepare, prepare_late, rdt};
use launch::{Created, Gate, Inherited, create_with};
use oci_spec::runtime::{Hooks, LinuxResources, Spec};

use crate::args::{Args, Flag, switch, value};
use crate::error::{Doing, Failed, Result};
use crate::record::{Folder, Record};
use crate::rootless::{self, Rootless, Trees};
use crate::spec::Bundle;
use crate::store::{self, Entry, GATE};
use crate::{Context, Systemd, devices, hooks, notify, program, spec};

/// The flags of `create`, which `run` has too.
pub(crate) const BUNDLE: Flag = value(&["bundle", "b"], "DIR", "the bundle; the working folder if it is not given");
pub(crate) const CONSOLE_SOCKET: Flag = value(&["console-socket"], "SOCKET", "send the terminal's master there");
pub(crate) const PIDFD_SOCKET: Flag = value(&["pidfd-socket"], "SOCKET", "send a descriptor of the process there");
pub(crate) const PID_FILE: Flag = value(&["pid-file"], "FILE", "write the process number there");
pub(crate) const NO_PIVOT: Flag = switch(&["no-pivot"], "change the root by chroot(2), which is less safe; for an initramfs");
pub(crate) const NO_KEYRING: Flag = switch(&["no-new-keyring"], "stay in the caller's session keyring");
pub(crate) const PRESERVE_FDS: Flag = value(&["preserve-fds"], "N", "hand N descriptors from 3 on to the process");

/// A container whose init waits. Dropping it undoes everything.
pub(crate) struct Made {
    pub(crate) created: Created,
    pub(crate) record: Record,
    pub(crate) hooks: Hooks,
    undo: Undo,
}

/// In the order in which it is undone: fields are dropped as they are written.
struct Undo {
    rdt: Option<rdt::Made>,
    cgroup: Option<Cgroup>,
    entry: Option<Entry>,
}

impl Drop for Undo {
    fn drop(&mut self) {
        drop(self.rdt.take());
        drop(self.cgroup.take());
        if let Some(entry) = self.entry.take() {
            let _ = entry.remove();
        }
    }
}

impl Undo {
    /// Undoes it now, for a container whose hooks have run, or some of them: those for its end do, too (runtime-spec, "Lifecycle").
    fn stopped(&mut self, context: &Context, record: &Record) {
        drop(Undo { rdt: self.rdt.take(), cgroup: self.cgroup.take(), entry: self.entry.take() });
        hooks::poststop(&context.log, record);
    }
}

impl Made {
    /// Lets everything stay. Still locked.
    pub(crate) fn keep(self) -> (Created, Record, Hooks, Entry) {
        let Made { created, record, hooks, mut undo } = self;
        if let Some(cgroup) = undo.cgroup.take() {
            cgroup.keep();
        }
        if let Some(groups) = undo.rdt.take() {
            groups.keep();
        }
        let entry = undo.entry.take();
        // It is only ever taken here.
        (created, record, hooks, entry.expect("an entry"))
    }
}

/// Makes the container `id` from a bundle. Its record is complete; init waits for a word.
pub(crate) fn make(context: &Context, args: &Args, id: &str, detached: bool) -> Result<Made> {
    match make_as(context, context.rootless, args, id, detached) {
        Err(failed) if context.rootless.after(&failed) => make_as(context, Rootless::Yes, args, id, detached),
        made => made,
    }
}

fn make_as(context: &Context, rootless: Rootless, args: &Args, id: &str, detached: bool) -> Result<Made> {
    store::check_id(id)?;
    program::seal_self()?;
    let bundle = spec::bundle(args.get("bundle"))?;
    hooks::check(&bundle.hooks).map_err(Failed::new)?;
    let terminal = bundle.spec.process().as_ref().is_some_and(|process| process.terminal() == Some(true));
    crate::console::check(terminal, detached, args.get("console-socket"))?;
    let inherited = inherited(args)?;
    let mut spec = bundle.spec.clone();
    crate::console::listen_environment(&mut spec, inherited.preserved);
    bundle.warnings.iter().for_each(|warning| context.log.warn(warning));
    let host = Host::gather()?;
    let mut host = host.asked(&spec);
    let rootless = rootless.now(&host);
    let unit = context.systemd.as_ref().map(|systemd| unit(id, &spec, systemd)).transpose()?;
    let place = unit.as_ref().map_or_else(|| Ok(cgroup_path(id, &spec, rootless)), Unit::path)?;
    // A unit of a user's is delegated as a whole.
    if rootless && unit.is_none() {
        host.cgroup = host.cgroup.delegated(&place, &rootless::own_cgroup());
    }
    let mut compiled = compile(&spec, &host)?;
    compiled.plan.no_pivot = args.on("no-pivot");
    compiled.plan.process.groups_denied = rootless && rootless::groups_denied();
    compiled.warnings.iter().for_each(|warning| context.log.warn(warning));
    let mut undo = Undo { rdt: None, cgroup: None, entry: Some(store::create(&context.root, id)?) };
    let entry = undo.entry.as_ref().ok_or_else(|| Failed::missing(id))?;
    let mut record = record(id, &bundle, &host, &compiled.plan, place);
    record.rctr.unit = unit;
    record.rootless = rootless;
    record.rctr.callers_keyring = inherited.keyring;
    record.rctr.rdt = groups(id, &spec, &host)?;
    notify::address(compiled.plan.process.seccomp.as_mut(), &record, None);
    entry.write(&record)?;
    if record.rctr.shared {
        entry.keep_shared(&Shared::of(&compiled.plan.process))?;
    }
    if let Some(groups) = &record.rctr.rdt {
        undo.rdt = Some(groups.make()?);
        groups.enter.iter().for_each(|folder| compiled.enter(folder.clone()));
    }
    let asked = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    cgroup::ignored(&host.cgroup, asked.unwrap_or(&LinuxResources::default())).iter().for_each(|warning| context.log.warn(warning));
    let resources = if rootless { rootless::limits(asked) } else { devices::with_defaults(asked) };
    let cgroup = match &record.rctr.unit {
        None => cgroup::create_or_use(&host.cgroup, &record.config.cgroups.path, &resources).map_err(Failed::from),
        Some(unit) => scope(&description(context, id), &host, unit, &resources, &bundle),
    };
    let cgroup = if rootless { cgroup.doing(|| "as far as cgroups are delegated to this user")? } else { cgroup? };
    note_cgroup(&mut record, &cgroup);
    let cgroup = undo.cgroup.insert(cgroup);
    if let Some(owner) = cgroup::owner(&spec).filter(|_| !rootless) {
        cgroup.delegate(&host.cgroup, owner)?;
    }
    let mut trees = None;
    let (plan, fds) = if host.mounts() {
        prepare(compiled, spec::tree(&bundle.rootfs, &spec)?, cgroup)?
    } else {
        let (plan, fds, late) = prepare_late(compiled, &bundle.rootfs, cgroup)?;
        trees = Some(Trees { late, rootfs: bundle.rootfs.clone(), spec: &spec });
        (plan, fds)
    };
    let gate = detached.then(|| Gate::new(&entry.folder, GATE)).transpose()?;
    let staged = hooks::Staged { hooks: &bundle.hooks, record: &record, trees: trees.as_ref() };
    let stages = (trees.is_some() || hooks::before_start(&bundle.hooks)).then_some(&staged as &dyn launch::Stages);
    let created = match create_with(&plan, &fds, inherited, gate, stages) {
        Ok(created) => created,
        Err(failure) => {
            undo.stopped(context, &record);
            return Err(failure.into());
        }
    };
    record.born(created.pid, created.start_time);
    entry.write(&record)?;
    context.log.debug(|| format!("init of {id} is process {}", created.pid));
    Ok(Made { created, record, hooks: bundle.hooks, undo })
}

fn record(id: &str, bundle: &Bundle, host: &Host, plan: &launch::Plan, path: String) -> Record {
    let mut record = Record::new(id, bundle.path.clone(), bundle.rootfs.clone(), &bundle.spec);
    let folders = cgroup::paths(&host.cgroup, &path);
    let v1 = folders.len().saturating_sub(usize::from(host.cgroup.kind() != cgroup::Kind::V1));
    record.rctr.folders = folders.into_iter().enumerate().map(|(at, path)| Folder { path, v2: at >= v1 }).collect();
    record.config.cgroups.path = path;
    record.rctr.resources = limits(bundle);
    record.rctr.namespaces = plan.join.iter().fold(plan.unshare, |all, (which, _)| all | which);
    record.rctr.listener = plan.process.seccomp.as_ref().is_some_and(|filter| filter.listener.is_some());
    let seccomp = bundle.spec.linux().as_ref().and_then(|linux| linux.seccomp().as_ref());
    record.rctr.listener_metadata =
        seccomp.and_then(|seccomp| seccomp.listener_metadata().clone()).filter(|_| record.rctr.listener);
    record.rctr.shared = Shared::of(&plan.process) != Shared::default();
    record.rctr.hooks = Some(bundle.hooks.clone()).filter(|hooks| hooks.poststart().is_some() || hooks.poststop().is_some());
    record
}

/// The unit that the configuration asks for.
fn unit(id: &str, spec: &Spec, systemd: &Systemd) -> Result<Unit> {
    let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref()).map(|path| path.to_string_lossy());
    Ok(Unit::new(asked.as_deref(), "rctr-oci", id, systemd.user.clone())?)
}

/// What no other container's unit is said to be.
pub(crate) fn description(context: &Context, id: &str) -> String {
    format!("container {id} of {}", context.root.display())
}

/// A cgroup that systemd makes.
fn scope(description: &str, host: &Host, unit: &Unit, resources: &LinuxResources, bundle: &Bundle) -> Result<Cgroup> {
    let annotations = bundle.spec.annotations().iter().flatten().map(|(key, value)| (key.as_str(), value.as_str()));
    let extra = systemd::annotations(annotations)?;
    Ok(systemd::create(&host.cgroup, unit, description, resources, &extra)?)
}

/// Its groups of Intel RDT, if the configuration has some.
fn groups(id: &str, spec: &Spec, host: &Host) -> Result<Option<rdt::Groups>> {
    let asked = spec.linux().as_ref().and_then(|linux| linux.intel_rdt().as_ref());
    let plan = |(asked, root): (_, &PathBuf)| rdt::plan(root, id, asked);
    Ok(asked.zip(host.resctrl.as_ref()).map(plan).transpose()?)
}

/// The limits that a later `update` starts from.
fn limits(bundle: &Bundle) -> Option<LinuxResources> {
    let mut limits = bundle.spec.linux().as_ref()?.resources().clone()?;
    limits.set_devices(None);
    Some(limits)
}

/// Where the container is accounted. A relative path is ours to place (runtime-spec, "Cgroups Path").
fn cgroup_path(id: &str, spec: &Spec, rootless: bool) -> String {
    let asked = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_deref());
    if rootless {
        return rootless::cgroup_path(id, asked, &rootless::own_cgroup());
    }
    match asked.map(|path| path.to_string_lossy()).filter(|path| !path.is_empty()) {
        None => format!("/rctr-oci/{id}"),
        Some(path) if path.starts_with('/') => path.into_owned(),
        Some(path) => format!("/rctr-oci/{path}"),
    }
}

/// Where it really is, which systemd decides.
fn note_cgroup(record: &mut Record, cgroup: &Cgroup) {
    record.config.cgroups.path = cgroup.path().to_owned();
    record.rctr.folders = cgroup.folders().iter().map(|folder| Folder { path: folder.path.clone(), v2: folder.v2 }).collect();
    for folder in cgroup.folders() {
        let names = if folder.v2 { vec![String::new()] } else { folder.controllers.clone() };
        record.cgroup_paths.extend(names.into_iter().map(|name| (name, folder.path.clone())));
    }
}

/// What the process takes over, as the flags say.
pub(crate) fn inherited(args: &Args) -> Result<Inherited> {
    let asked: u32 = args.number("preserve-fds")?.unwrap_or(0);
    // As sd_listen_fds(3): descriptors of sockets that the caller listens at come first.
    let listening: u32 = std::env::var("LISTEN_FDS").ok().and_then(|count| count.parse().ok()).unwrap_or(0);
    let preserved = asked.saturating_add(listening);
    if preserved > 1024 {
        return Err(Failed::new(format!("--preserve-fds: {preserved} are too many")));
    }
    for fd in 3..3 + preserved {
        if !Path::new(&format!("/proc/self/fd/{fd}")).exists() {
            return Err(Failed::new(format!("--preserve-fds: descriptor {fd} is not open")));
        }
    }
    // What else the caller has left open is for nobody, hooks neither.
    sys::fds::close_on_exec_from(3 + preserved)?;
    Ok(Inherited { stdio: None, preserved, keyring: args.on("no-new-keyring") })
}

/// What a caller is given of a process.
pub(crate) struct Given<'a> {
    pub(crate) pid: u32,
    pub(crate) process: &'a OwnedFd,
    pub(crate) terminal: Option<&'a OwnedFd>,
    /// runc's word for a container's first process, or a later one.
    pub(crate) word: &'static str,
}

impl<'a> Given<'a> {
    pub(crate) fn init(created: &'a Created) -> Self {
        Given { pid: created.pid, process: &created.pidfd, terminal: created.terminal.as_ref(), word: "standard" }
    }
}

/// Hands out what `create`, `run` and `exec` give to their callers.
pub(crate) fn hand_out(args: &Args, given: &Given<'_>) -> Result<()> {
    if let (Some(socket), Some(terminal)) = (args.get("console-socket"), given.terminal) {
        crate::console::send_terminal(socket, terminal)?;
    }
    if let Some(socket) = args.get("pidfd-socket") {
        crate::console::send_process(socket, given.word, given.process)?;
    }
    match args.get("pid-file") {
        Some(path) => pid_file(Path::new(path), given.pid).doing_to(Path::new(path), || format!("write the pid file {path:?}")),
        None => Ok(()),
    }
}

/// Whoever waits for the file finds the number in it.
fn pid_file(path: &Path, pid: u32) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name = path.file_name().ok_or_else(|| Failed::new("not a file name"))?.to_string_lossy();
    let folder = sys::fs::open_dir(folder)?;
    Ok(sys::fs::replace(folder, &name, pid.to_string().as_bytes())?)
}
