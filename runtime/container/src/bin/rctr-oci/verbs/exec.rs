//! `exec`: a further process in a running container.

use std::os::fd::OwnedFd;
use std::path::Path;

use container::{Host, capabilities, compile_process};
use launch::{Inherited, Target, exec_with};
use oci_spec::runtime::{Process, User};
use rustix::stdio::stdin;
use rustix::termios::tcgetwinsize;
use sys::ns::kind::USER;

use super::Verb;
use super::status::{Status, init, of};
use crate::args::{Args, Flag, Order, switch, value};
use crate::error::{Doing, Failed, Result};
use crate::foreground::{self, Foreground};
use crate::record::{Folder, Record};
use crate::store::open;
use crate::{Context, make, notify, program, rootless, spec};

pub(super) const VERB: Verb = Verb {
    name: "exec",
    usage: "[FLAGS] ID COMMAND [ARGS] | exec [FLAGS] -p FILE ID",
    about: "run a further process in a container",
    flags: FLAGS,
    flags_come: Order::First,
    run,
};

const FLAGS: &[Flag] = &[
    value(&["process", "p"], "FILE", "the process as JSON, instead of a command"),
    value(&["env", "e"], "KEY=VALUE", "add to its environment"),
    value(&["user", "u"], "UID[:GID]", "its user"),
    value(&["cwd"], "DIR", "its working folder"),
    switch(&["tty", "t"], "a terminal"),
    switch(&["detach", "d"], "do not wait for its end"),
    value(&["cap", "c"], "CAP", "add a capability"),
    switch(&["no-new-privs"], "it cannot gain privileges"),
    value(&["additional-gids", "g"], "GID", "add a group"),
    switch(&["ignore-paused"], "let it wait in a paused container"),
    value(&["process-label"], "LABEL", "its SELinux label"),
    value(&["apparmor"], "PROFILE", "its AppArmor profile"),
    value(&["cgroup"], "[CONTROLLER,…:]PATH", "put it into this cgroup below the container's, which exists"),
    make::CONSOLE_SOCKET,
    make::PIDFD_SOCKET,
    make::PID_FILE,
    make::PRESERVE_FDS,
];

fn run(context: &Context, args: &Args) -> Result<u8> {
    // As runc: a process may well end with 1.
    exec(context, args).doing(|| "exec failed").map_err(|failed| Failed { code: 255, ..failed })
}

fn exec(context: &Context, args: &Args) -> Result<u8> {
    let id = args.rest.first().ok_or_else(|| Failed::new("container id is missing"))?;
    program::seal_self()?;
    let (entry, record) = open(&context.root, id)?;
    match of(&entry, &record) {
        Status::Stopped => return Err(Failed::new(format!("container {id:?}: cannot exec in a stopped container"))),
        Status::Paused if !args.on("ignore-paused") => {
            return Err(Failed::new(format!(
                "container {id:?}: cannot exec in a paused container (use --ignore-paused to override)"
            )));
        }
        Status::Creating => return Err(Failed::not_running(id)),
        _ => {}
    }
    let (process, detach) = (process(context, args, &record)?, args.on("detach"));
    crate::console::check(process.terminal() == Some(true), detach, args.get("console-socket"))?;
    let host = Host::gather()?.asked_process(&process);
    let host = if record.rctr.namespaces & USER == 0 { host } else { host.in_user_namespace() };
    let mut compiled = compile_process(&process, &host)?;
    compiled.groups_denied = record.rootless && rootless::groups_denied();
    if record.rctr.shared {
        entry.shared()?.give(&mut compiled);
        notify::address(compiled.seccomp.as_mut(), &record, Some(record.init_process_pid));
    }
    if compiled.terminal == Some((0, 0))
        && let Ok(size) = tcgetwinsize(stdin())
    {
        compiled.terminal = Some((size.ws_row, size.ws_col));
    }
    let signals = if detach { None } else { Some(foreground::prepare(false)?) };
    let target = target(args, &record)?;
    let inherited = Inherited { keyring: record.rctr.callers_keyring, ..make::inherited(args)? };
    let mut executed = exec_with(&compiled, &target, inherited)?;
    let terminal = executed.terminal.as_ref();
    let given = make::Given { pid: executed.pid, process: &executed.pidfd, terminal, word: "setns" };
    if let Err(failed) = make::hand_out(args, &given) {
        let _ = sys::process::signal(&executed.pidfd, 9);
        return Err(failed);
    }
    match signals {
        Some(signals) => Foreground { process: &executed.pidfd, terminal: executed.terminal.take(), signals }.wait(),
        None => Ok(0),
    }
}

/// The container as it was made, with the cgroups that the flags choose.
fn target(args: &Args, record: &Record) -> Result<Target> {
    let asked: Vec<&str> = args.all("cgroup").collect();
    let below = |folder: &Folder| below(&asked, folder, record).map(|below| folder.path.join(below));
    let open = |v2: bool| {
        let folders = record.rctr.folders.iter().filter(move |folder| folder.v2 == v2);
        folders.map(|folder| Ok(sys::fs::open_dir(below(folder)?)?)).collect::<Result<Vec<OwnedFd>>>()
    };
    let mut join = open(false).doing(|| "--cgroup")?;
    for group in record.rctr.rdt.iter().flat_map(|groups| &groups.enter) {
        join.push(sys::fs::open_dir(group)?);
    }
    let into = open(true).doing(|| "--cgroup")?.pop();
    let target = Target::new(init(record)?, record.rctr.namespaces, into, join);
    Ok(if asked.is_empty() { target } else { target.exactly() })
}

/// What the flags `--cgroup` say about one folder: a path below it. Those with controllers are about their hierarchies (v1), others about all.
fn below<'a>(asked: &[&'a str], folder: &Folder, record: &Record) -> Result<&'a str> {
    let mut below = "";
    for word in asked {
        let (controllers, path) = word.split_once(':').map_or((None, *word), |(controllers, path)| (Some(controllers), path));
        let mut about = controllers.is_none();
        for controller in controllers.into_iter().flat_map(|controllers| controllers.split(',')) {
            let own = record.cgroup_paths.get(controller).filter(|_| !controller.is_empty());
            about |= own.ok_or_else(|| Failed::new(format!("{word:?}: unknown controller {controller:?}")))? == &folder.path;
        }
        let path = path.trim_start_matches('/');
        if path.split('/').any(|part| part == "..") {
            return Err(Failed::new(format!("bad sub cgroup path {path:?}: it must stay below the container's cgroup")));
        }
        if about {
            below = path;
        }
    }
    Ok(below)
}

/// The process that the flags describe.
fn process(context: &Context, args: &Args, record: &Record) -> Result<Process> {
    let mut process = match args.get("process") {
        Some(file) => {
            let (process, warnings) = spec::process_file(Path::new(file))?;
            warnings.iter().for_each(|warning| context.log.warn(warning));
            process
        }
        None => {
            let mut process = spec::process(&record.rctr.bundle)?;
            let words = args.rest[1..].to_vec();
            if words.is_empty() {
                return Err(Failed::new("process args cannot be empty"));
            }
            process.set_args(Some(words));
            process.set_terminal(Some(args.on("tty")));
            process
        }
    };
    if args.on("tty") {
        process.set_terminal(Some(true));
    }
    if let Some(cwd) = args.get("cwd") {
        process.set_cwd(cwd.into());
    }
    if args.on("no-new-privs") {
        process.set_no_new_privileges(Some(true));
    }
    if let Some(profile) = args.get("apparmor") {
        process.set_apparmor_profile(Some(profile.to_owned()));
    }
    if let Some(label) = args.get("process-label") {
        process.set_selinux_label(Some(label.to_owned()));
    }
    let mut env = process.env().clone().unwrap_or_default();
    env.extend(args.all("env").map(str::to_owned));
    process.set_env(Some(env));
    user(&mut process, args)?;
    capability(&mut process, args)?;
    Ok(process)
}

/// Numbers only: names are for who has read the image (CVE-2016-3697, CVE-2026-30892).
fn user(process: &mut Process, args: &Args) -> Result<()> {
    let number = |text: &str| text.parse::<u32>().doing(|| format!("user {text:?}"));
    let mut user: User = process.user().clone();
    if let Some(asked) = args.get("user") {
        let (uid, gid) = asked.split_once(':').map_or((asked, None), |(uid, gid)| (uid, Some(gid)));
        user.set_uid(number(uid)?);
        if let Some(gid) = gid {
            user.set_gid(number(gid)?);
        }
    }
    let mut groups = user.additional_gids().clone().unwrap_or_default();
    for group in args.all("additional-gids").flat_map(|groups| groups.split(',')) {
        groups.push(number(group)?);
    }
    user.set_additional_gids(Some(groups));
    process.set_user(user);
    Ok(())
}

/// Adds to all sets but the inheritable one, which stays empty (CVE-2022-24769); to the ambient one only what is inheritable.
fn capability(process: &mut Process, args: &Args) -> Result<()> {
    let mut set = process.capabilities().clone().unwrap_or_default();
    for name in args.all("cap").flat_map(|names| names.split(',')) {
        let add =
            capabilities::to_oci(capabilities::parse(name).ok_or_else(|| Failed::new(format!("unknown capability {name:?}")))?);
        let with = |known: &Option<oci_spec::runtime::Capabilities>| Some(known.iter().flatten().chain(&add).copied().collect());
        let (bounding, effective, permitted) = (with(set.bounding()), with(set.effective()), with(set.permitted()));
        set.set_bounding(bounding);
        set.set_effective(effective);
        set.set_permitted(permitted);
        process.set_capabilities(Some(set.clone()));
    }
    Ok(())
}
