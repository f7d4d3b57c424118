//! `checkpoint`: the state of a container, written down by criu(8).

use std::os::fd::{AsFd, OwnedFd};
use std::path::{Component, Path};

use container::cgroup;
use container::criu::{self, Features, Notification, Options, Request, Start};
use container::{Host, compile};
use oci_spec::runtime::Spec;

use super::Verb;
use super::status::{Status, locked};
use crate::args::{Args, Flag, Order, switch, value};
use crate::error::{Doing, Failed, Result};
use crate::images::{self, DESCRIPTORS, Images};
use crate::record::Record;
use crate::store::lock;
use crate::{Context, program, spec};

pub(super) const VERB: Verb = Verb {
    name: "checkpoint",
    usage: "[FLAGS] ID",
    about: "write the state of a running container down, and end it",
    flags: FLAGS,
    flags_come: Order::Anywhere,
    run,
};

const FLAGS: &[Flag] = &[
    images::IMAGE_PATH,
    images::WORK_PATH,
    value(&["parent-path"], "DIR", "images of an earlier dump, as seen from these: only what has changed since is written"),
    switch(&["leave-running"], "let the container run on"),
    images::TCP_ESTABLISHED,
    switch(&["tcp-skip-in-flight"], "leave out TCP connections that are being made"),
    switch(&["link-remap"], "give a name to files that have none any more"),
    images::EXT_UNIX_SK,
    images::SHELL_JOB,
    images::LAZY_PAGES,
    value(&["status-fd"], "FD", "with --lazy-pages: write a zero byte there once memory can be asked for"),
    value(&["page-server"], "ADDRESS:PORT", "send memory there, or with --lazy-pages offer it there"),
    images::FILE_LOCKS,
    switch(&["pre-dump"], "write only memory, and let the container run on"),
    images::MANAGE_CGROUPS,
    images::EMPTY_NS,
    images::AUTO_DEDUP,
];

const LOG: &str = "dump.log";

fn run(context: &Context, args: &Args) -> Result<u8> {
    let id = args.only("container id")?;
    images::rootless(context);
    let (pre_dump, lazy) = (args.on("pre-dump"), args.on("lazy-pages"));
    let status_fd = status_fd(args, lazy)?;
    let page_server = args.get("page-server").filter(|text| !text.is_empty()).map(page_server).transpose()?;
    let (entry, record) = lock(&context.root, id)?;
    let before = locked(&record);
    if !matches!(before, Status::Running | Status::Paused) {
        return Err(Failed::new(format!("container {id:?}: cannot be checkpointed in {before} state")));
    }
    let program = images::program()?;
    let images = Images::open(args, LOG, true)?;
    let bundle = spec::bundle(record.rctr.bundle.to_str())?;
    let options = Options {
        parent: parent(args, &images)?,
        leave_running: args.on("leave-running"),
        tcp_skip_in_flight: args.on("tcp-skip-in-flight"),
        link_remap: args.on("link-remap"),
        page_server,
        config: images::config(&bundle.spec),
        ..of(&record, &bundle.spec, images.options(args)?)?
    };
    if !pre_dump {
        descriptors(&record, &images)?;
    }
    let needed = Features { memory_tracking: pre_dump, lazy_pages: lazy };
    let start = Start { program: &program, environment: program::environment()?, ground: None, streams: false, inherited: &[] };
    let criu = images::start(context, start, needed)?;
    let mut ready = status_fd;
    let mut note = |told: &Notification, _: Option<OwnedFd>| {
        context.log.debug(|| format!("criu: {}", told.script));
        if told.script == "status-ready"
            && let Some(fd) = ready.take()
        {
            sys::fs::write_all(fd, &[0]).map_err(|error| format!("--status-fd: {error}"))?;
        }
        Ok(())
    };
    let what = if pre_dump { Request::PreDump } else { Request::Dump };
    if let Err(error) = criu.run(what, &options, &mut note) {
        go_on(context, &record, before);
        return Err(images.failed(context, error));
    }
    if !pre_dump && !args.on("leave-running") {
        super::delete::remove(context, &entry)?;
    }
    Ok(0)
}

/// What is to be said about the container itself.
fn of(record: &Record, spec: &Spec, options: Options) -> Result<Options> {
    let pid = record.init_process_pid;
    let folders: Vec<_> = record.rctr.folders.iter().map(|folder| folder.path.clone()).collect();
    let compiled = compile(spec, &Host::gather()?.asked(spec))?;
    let root = sys::fs::open_dir(format!("/proc/{pid}/root")).doing(|| "look at the container's root")?;
    let mounts = criu::mounted(&compiled, &folders).iter().map(|mount| mount.resolved(&root)).map(|at| (at.clone(), at)).collect();
    let external = |(one, name): (&oci_spec::runtime::LinuxNamespace, &str)| {
        let path = one.path().as_deref().unwrap_or(Path::new(""));
        let inode = rustix::fs::stat(path).map(|stat| stat.st_ino);
        inode.map(|inode| format!("{name}[{inode}]:{}", images::external(name))).doing_to(path, || format!("{}", path.display()))
    };
    let joined = images::joined(spec).filter(|(_, name)| matches!(*name, "net" | "pid"));
    // That of v2 goes before the freezer of v1, as for `pause`.
    let v2 = record.rctr.folders.iter().find(|folder| folder.v2).map(|folder| &folder.path);
    let freeze = v2.filter(|folder| folder.join("cgroup.freeze").exists()).or_else(|| record.cgroup_paths.get("freezer"));
    Ok(Options {
        pid: Some(pid),
        root: record.config.rootfs.to_string_lossy().into_owned(),
        mounts,
        external: joined.map(external).collect::<Result<_>>()?,
        freeze: freeze.map(|folder| folder.to_string_lossy().into_owned()),
        ..options
    })
}

/// Where an earlier dump is: below or beside this one, since images refer to it by a link.
fn parent(args: &Args, images: &Images) -> Result<Option<String>> {
    let Some(parent) = args.get("parent-path").filter(|parent| !parent.is_empty()) else { return Ok(None) };
    let path = Path::new(parent);
    if path.components().any(|part| part == Component::RootDir) {
        return Err(Failed::new("--parent-path must be relative"));
    }
    sys::fs::open_dir(images.path.join(path)).doing(|| "invalid --parent-path")?;
    Ok(Some(parent.to_owned()))
}

/// A descriptor that the caller waits at.
fn status_fd(args: &Args, lazy: bool) -> Result<Option<OwnedFd>> {
    let Some(number) = args.number::<i32>("status-fd")?.filter(|number| *number != -1) else { return Ok(None) };
    if !lazy {
        return Err(Failed::new("--status-fd is only of use with --lazy-pages"));
    }
    // A new description of the same file, so that the number stays the caller's.
    let flags = rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::CLOEXEC;
    rustix::fs::open(format!("/proc/self/fd/{number}"), flags, rustix::fs::Mode::empty())
        .map(Some)
        .doing(|| format!("invalid --status-fd argument {number}"))
}

fn page_server(text: &str) -> Result<(String, u16)> {
    let (address, port) = text.rsplit_once(':').unwrap_or((text, ""));
    let address = address.strip_prefix('[').and_then(|address| address.strip_suffix(']')).unwrap_or(address);
    let wrong = || Failed::new(format!("--page-server: {text:?} is not ADDRESS:PORT"));
    match port.parse() {
        Ok(port) if port != 0 && !address.is_empty() => Ok((address.to_owned(), port)),
        _ => Err(wrong()),
    }
}

/// Keeps what the first process reads from and writes to with the images.
fn descriptors(record: &Record, images: &Images) -> Result<()> {
    let processes = match record.rctr.folders.is_empty() {
        true => vec![record.init_process_pid],
        false => cgroup::processes(&record.hierarchies()?, &record.config.cgroups.path)?,
    };
    let text = serde_json::to_vec(&criu::streams(record.init_process_pid, &processes))?;
    Ok(sys::fs::replace(images.folder.as_fd(), DESCRIPTORS, &text)?)
}

/// A criu that fails lets go of what it has stopped; one that was killed may leave it frozen.
fn go_on(context: &Context, record: &Record, before: Status) {
    if before == Status::Running && locked(record) == Status::Paused {
        let thawed = record.hierarchies().and_then(|all| Ok(cgroup::thaw(&all, &record.config.cgroups.path)?));
        if let Err(failed) = thawed {
            context.log.warn(&failed.message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_have_ports() {
        assert_eq!(page_server("127.0.0.1:27").unwrap(), ("127.0.0.1".to_owned(), 27));
        assert_eq!(page_server("[::1]:27000").unwrap(), ("::1".to_owned(), 27000));
        for text in ["", "1.2.3.4", ":5", "x:", "x:0", "x:70000", "x:y"] {
            assert!(page_server(text).unwrap_err().message.contains("is not ADDRESS:PORT"), "{text}");
        }
    }
}
