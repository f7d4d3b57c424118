//! `restore`: a container made from what `checkpoint` has written.
//!
//! criu(8) makes the processes and everything in them. What is outside is made here, as for `create`: the container's folder, its cgroup,
//! the places for its mounts. In three things this is stricter than runc: with `--manage-cgroups-mode ignore`, where criu leaves cgroups
//! alone, the container still has a cgroup namespace of its own; nothing of it covers a path with the host's null device, whose mode
//! root in the container could change; and the session keyring of the caller stays with the caller.

use std::cell::Cell;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use container::criu::{self, CgroupMode, Features, Mounted, Notification, Options, Request, Start};
use container::prepare;
use launch::{Ground, Inherited};
use sys::ns::kind;

use super::Verb;
use crate::args::{Args, Flag, Order, switch, value};
use crate::begin::{Begun, begin};
use crate::error::{Doing, Failed, Result};
use crate::foreground::{self, Foreground};
use crate::images::{self, DESCRIPTORS, Images};
use crate::make::{self, Given};
use crate::record::Record;
use crate::store::{self, Entry};
use crate::{Context, hooks, program, spec};

pub(super) const VERB: Verb = Verb {
    name: "restore",
    usage: "[FLAGS] ID",
    about: "make a container from a checkpoint, and let it run on",
    flags: FLAGS,
    flags_come: Order::Anywhere,
    run,
};

const FLAGS: &[Flag] = &[
    make::BUNDLE,
    make::CONSOLE_SOCKET,
    make::PID_FILE,
    images::IMAGE_PATH,
    images::WORK_PATH,
    images::TCP_ESTABLISHED,
    switch(&["tcp-close"], "restore TCP connections closed"),
    images::EXT_UNIX_SK,
    images::SHELL_JOB,
    images::FILE_LOCKS,
    images::MANAGE_CGROUPS,
    switch(&["detach", "d"], "do not wait for its end"),
    switch(&["no-subreaper"], "do not adopt processes that the container leaves behind"),
    switch(&["no-pivot"], "refused: criu changes the root by pivot_root(2) alone"),
    images::EMPTY_NS,
    images::AUTO_DEDUP,
    images::LAZY_PAGES,
    value(&["lsm-profile"], "TYPE:NAME", "another label of security modules than the one it had"),
    value(&["lsm-mount-context"], "CONTEXT", "another SELinux context of mounts than the one they had"),
];

const LOG: &str = "restore.log";
/// The folder in a container's own that criu sees its root in.
const GROUND: &str = "criu";

fn run(context: &Context, args: &Args) -> Result<u8> {
    let (id, detach) = (args.only("container id")?, args.on("detach"));
    store::check_id(id)?;
    images::rootless(context);
    if args.on("no-pivot") {
        return Err(Failed::new("--no-pivot is not supported: criu changes the root by pivot_root(2) alone"));
    }
    let program = images::program()?;
    let images = Images::open(args, LOG, false)?;
    let options = images.options(args)?;
    let watch = if detach { None } else { Some(foreground::prepare(!args.on("no-subreaper"))?) };
    let mut begun = begin(context, context.rootless, args, &Inherited::default(), id, detach)?;
    if !begun.host.mounts() {
        return Err(Failed::new("restore needs the right to mount (CAP_SYS_ADMIN)"));
    }
    let hooked = Cell::new(false);
    let restored = restore(context, args, &mut begun, &images, options, &program, &hooked).inspect_err(|_| {
        if hooked.get() {
            begun.undo.stopped(context, &begun.record);
        }
    })?;
    finish(context, args, begun, restored, watch)
}

/// A restored container's first process.
struct Restored {
    process: OwnedFd,
    terminal: Option<OwnedFd>,
}

fn restore(
    context: &Context,
    args: &Args,
    begun: &mut Begun,
    images: &Images,
    options: Options,
    program: &Path,
    hooked: &Cell<bool>,
) -> Result<Restored> {
    let Begun { bundle, spec, compiled, record, undo, .. } = begun;
    let (entry, cgroup) = undo.made()?;
    let folders: Vec<_> = cgroup.folders().iter().map(|folder| folder.path.clone()).collect();
    let mounted = criu::mounted(compiled, &folders);
    let (plan, fds) = prepare(compiled.clone(), spec::tree(&bundle.rootfs, spec)?, cgroup)?;
    let apart = options.cgroups == CgroupMode::Ignore;
    let folder = ground(context, entry)?;
    let ground = Ground { plan: &plan, fds: &fds, folder: &folder, cgroups_apart: apart, keyring: false };
    let (inherited, names) = namespaces(spec)?;
    let terminal = plan.process.terminal.is_some();
    let start =
        Start { program, environment: program::environment()?, ground: Some(&ground), streams: !terminal, inherited: &inherited };
    let criu = images::start(context, start, Features { memory_tracking: false, lazy_pages: options.lazy_pages })?;
    let mut inherited: Vec<(String, i32)> = names.into_iter().zip(inherited.iter().map(AsRawFd::as_raw_fd)).collect();
    inherited.extend(streams(images)?);
    let root = sys::fs::open_dir(&bundle.rootfs)?;
    let options = Options {
        root: ground.root().to_string_lossy().into_owned(),
        evasive_devices: true,
        sibling: true,
        tcp_close: args.on("tcp-close"),
        mounts: mounts(&mounted, &root, &ground),
        cgroup_roots: cgroup_roots(criu.pid())?,
        inherited,
        join: join(spec)?,
        config: images::config(spec),
        lsm_profile: args.get("lsm-profile").map(str::to_owned),
        lsm_mount_context: args.get("lsm-mount-context").map(str::to_owned),
        ..options
    };
    let own_network = plan.unshare & kind::NET != 0;
    let (mut process, mut master) = (None, None);
    let mut note = |told: &Notification, fd: Option<OwnedFd>| {
        context.log.debug(|| format!("criu: {}", told.script));
        let pid = || told.pid.ok_or_else(|| "criu does not say which process it is".to_owned());
        match told.script.as_str() {
            "setup-namespaces" => {
                let pid = pid()?;
                process = open(pid).ok();
                if own_network {
                    launch::loopback(pid).map_err(|failure| failure.message)?;
                }
                hooked.set(true);
                hooks::made(&bundle.hooks, record, pid)?;
            }
            "post-restore" => process = Some(born(entry, record, pid()?).map_err(|failed| failed.message)?),
            "orphan-pts-master" => master = fd,
            _ => {}
        }
        Ok(())
    };
    if let Err(error) = criu.run(Request::Restore, &options, &mut note) {
        // criu ends what it has made, if it can.
        process.iter().for_each(end);
        return Err(images.failed(context, error));
    }
    let process = process.ok_or_else(|| Failed::new("criu has restored nothing"))?;
    Ok(Restored { process, terminal: master.filter(|_| terminal) })
}

/// A process that does not end before criu says so.
fn open(pid: u32) -> sys::Result<OwnedFd> {
    sys::process::open(pid, sys::process::start_time(pid).unwrap_or(0))
}

/// Ends a process that is this one's child.
fn end(process: &OwnedFd) {
    let _ = sys::process::signal(process, 9);
    let _ = sys::process::wait(process);
}

/// Notes the first process while criu still holds it.
fn born(entry: &Entry, record: &mut Record, pid: u32) -> Result<OwnedFd> {
    let process = open(pid)?;
    record.born(pid, sys::process::start_time(pid).unwrap_or(0));
    record.rctr.restored = true;
    // criu gives clocks back their time in a time namespace.
    let clock = |pid: &str| rustix::fs::stat(format!("/proc/{pid}/ns/time")).map(|stat| (stat.st_dev, stat.st_ino));
    if let (Ok(theirs), Ok(ours)) = (clock(&pid.to_string()), clock("self"))
        && theirs != ours
    {
        record.rctr.namespaces |= kind::TIME;
    }
    entry.write(record)?;
    Ok(process)
}

/// Hands out what was asked for, and stays or not.
fn finish(context: &Context, args: &Args, begun: Begun, restored: Restored, watch: Option<OwnedFd>) -> Result<u8> {
    let Restored { process, mut terminal } = restored;
    let Begun { record, undo, .. } = begun;
    let given = Given { pid: record.init_process_pid, process: &process, terminal: terminal.as_ref(), word: "standard" };
    let handed = make::hand_out(args, &given);
    let entry = undo.keep();
    let undo = |failed| {
        end(&process);
        let _ = super::delete::remove(context, &entry);
        failed
    };
    handed.map_err(undo)?;
    let Some(signals) = watch else { return Ok(0) };
    // Others may look at it and change it from here on.
    let _ = rustix::fs::flock(&entry.folder, rustix::fs::FlockOperation::Unlock);
    let code = Foreground { process: &process, terminal: terminal.take(), signals }.wait();
    entry.lock(true)?;
    super::delete::remove(context, &entry)?;
    code
}

/// The folder for what criu sees. It is empty outside of its mount namespace, and goes with the container's.
fn ground(context: &Context, entry: &Entry) -> Result<std::path::PathBuf> {
    let made = rustix::fs::mkdirat(&entry.folder, GROUND, rustix::fs::Mode::RWXU);
    made.doing(|| format!("make the folder {GROUND:?} of the container's"))?;
    store::absolute(&context.root.join(&entry.id).join(GROUND)).doing(|| "the container's folder")
}

/// What is mounted from outside, by its name in the images.
fn mounts(mounted: &[Mounted], root: &OwnedFd, ground: &Ground<'_>) -> Vec<(String, String)> {
    let name = |mount: &Mounted| (mount.resolved(root), mount.outside.to_string_lossy().into_owned());
    let null = || ("/dev/null".to_owned(), ground.null().to_string_lossy().into_owned());
    // runc's images have it where paths are masked.
    mounted.iter().map(name).chain([null()]).collect()
}

/// Namespaces of outside that criu takes as descriptors, and their names in the images.
fn namespaces(spec: &oci_spec::runtime::Spec) -> Result<(Vec<OwnedFd>, Vec<String>)> {
    let mut all = (Vec::new(), Vec::new());
    for (one, name) in images::joined(spec).filter(|(_, name)| matches!(*name, "net" | "pid")) {
        let path = one.path().as_deref().unwrap_or(Path::new(""));
        let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
        let open = rustix::fs::open(path, flags, rustix::fs::Mode::empty());
        all.0.push(open.doing_to(path, || format!("requested {name} namespace {}", path.display()))?);
        all.1.push(images::external(name));
    }
    Ok(all)
}

/// Other namespaces, which it joins by itself. A cgroup namespace it cannot.
fn join(spec: &oci_spec::runtime::Spec) -> Result<Vec<(String, String)>> {
    let mut all = Vec::new();
    for (one, name) in images::joined(spec).filter(|(_, name)| !matches!(*name, "net" | "pid")) {
        if name == "cgroup" {
            return Err(Failed::new("linux.namespaces: criu joins no cgroup namespace"));
        }
        all.push((name.to_owned(), one.path().as_ref().map_or_else(String::new, |path| path.display().to_string())));
    }
    Ok(all)
}

/// The pipes of the process that was dumped in whose place are descriptors 0 to 2 of this one.
fn streams(images: &Images) -> Result<Vec<(String, i32)>> {
    const LIMIT: usize = 64 << 10;
    let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::CLOEXEC;
    let read = || -> Result<Vec<String>> {
        let file = rustix::fs::openat(&images.folder, DESCRIPTORS, flags, rustix::fs::Mode::empty())?;
        Ok(serde_json::from_slice(&sys::fs::read_all(file, LIMIT)?)?)
    };
    let path = images.path.join(DESCRIPTORS);
    let names = read().doing_to(&path, || format!("{}", path.display()))?;
    Ok(names.into_iter().zip(0..3).filter(|(name, _)| name.starts_with("pipe:")).collect())
}

/// Where criu is in each hierarchy: that is where it puts what it restores.
fn cgroup_roots(pid: u32) -> Result<Vec<(String, String)>> {
    let path = format!("/proc/{pid}/cgroup");
    let text = std::fs::read_to_string(&path).doing(|| format!("read {path}"))?;
    let lines = text.lines().filter_map(|line| line.split_once(':')?.1.split_once(':'));
    Ok(lines.flat_map(|(names, path)| names.split(',').map(|name| (name.to_owned(), path.to_owned()))).collect())
}
