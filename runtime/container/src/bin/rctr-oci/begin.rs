//! The beginnings of a container: its configuration read and compiled, its folder, its record, its cgroup. What `create`, `run` and
//! `restore` have in common.

use std::path::PathBuf;

use container::cgroup::systemd::{self, Unit};
use container::cgroup::{self, Cgroup};
use container::{Compiled, Host, Shared, compile, rdt};
use launch::Inherited;
use oci_spec::runtime::{LinuxResources, Spec};

use crate::args::Args;
use crate::error::{Doing, Failed, Result};
use crate::record::{Folder, Record};
use crate::rootless::{self, Rootless};
use crate::spec::Bundle;
use crate::store::{self, Entry};
use crate::{Context, Systemd, devices, hooks, notify, spec};

/// A container of which all is made but its processes. Dropping it undoes that.
pub(crate) struct Begun {
    pub(crate) bundle: Bundle,
    /// Its configuration, with what the caller adds.
    pub(crate) spec: Spec,
    pub(crate) host: Host,
    pub(crate) compiled: Compiled,
    pub(crate) record: Record,
    pub(crate) undo: Undo,
}

/// In the order in which it is undone: fields are dropped as they are written.
pub(crate) struct Undo {
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
    /// What is there.
    pub(crate) fn made(&self) -> Result<(&Entry, &Cgroup)> {
        self.entry.as_ref().zip(self.cgroup.as_ref()).ok_or_else(|| Failed::new("the container is gone"))
    }

    /// Undoes it now, for a container whose hooks have run, or some of them: those for its end do, too (runtime-spec, "Lifecycle").
    pub(crate) fn stopped(&mut self, context: &Context, record: &Record) {
        drop(Undo { rdt: self.rdt.take(), cgroup: self.cgroup.take(), entry: self.entry.take() });
        hooks::poststop(&context.log, record);
    }

    /// Lets everything stay. Still locked.
    pub(crate) fn keep(mut self) -> Entry {
        if let Some(cgroup) = self.cgroup.take() {
            cgroup.keep();
        }
        if let Some(groups) = self.rdt.take() {
            groups.keep();
        }
        // It is only ever taken here.
        self.entry.take().expect("an entry")
    }
}

/// Begins the container `id`: it is recorded, and has its cgroup and its groups of Intel RDT.
pub(crate) fn begin(
    context: &Context,
    rootless: Rootless,
    args: &Args,
    inherited: &Inherited,
    id: &str,
    detached: bool,
) -> Result<Begun> {
    let bundle = spec::bundle(args.get("bundle"))?;
    hooks::check(&bundle.hooks).map_err(Failed::new)?;
    let terminal = bundle.spec.process().as_ref().is_some_and(|process| process.terminal() == Some(true));
    crate::console::check(terminal, detached, args.get("console-socket"))?;
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
    Ok(Begun { bundle, spec, host, compiled, record, undo })
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
