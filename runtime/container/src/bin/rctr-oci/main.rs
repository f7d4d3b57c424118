//! `rctr-oci`: the command line of runc over the crates `container` and `launch`.
//!
//! ```text
//!   create ─▶ <root>/ID/{state.json, start, shared}    init waits at the socket `start`; create ends
//!   start  ─▶ knocks there
//!   state, list, kill, ps, pause, …                    read state.json, look at the process, hold nothing
//!   delete ─▶ cgroup and folder are gone
//! ```
//!
//! There is no daemon and nothing to keep in step: what a container does is asked of the kernel each time. A process is its number and
//! its start time, and signals go through a pidfd. Verbs that change something hold a lock on the container's folder, which a
//! process that was killed does not.
//!
//! The parser is a table, not a library: this program starts once per verb, hundreds of times a second on a busy node.

#![forbid(unsafe_code)]

mod args;
mod begin;
mod console;
mod devices;
mod error;
mod foreground;
mod hooks;
mod images;
mod log;
mod make;
mod notify;
mod output;
mod program;
mod record;
mod rootless;
mod spec;
mod store;
mod time;
mod verbs;

use std::path::PathBuf;
use std::process::ExitCode;

use args::{Args, Flag, Order, switch, value};
use error::{Failed, Result};
use log::Log;
use rootless::Rootless;

/// What holds for all verbs.
#[derive(Debug)]
struct Context {
    /// Where containers are.
    root: PathBuf,
    log: Log,
    rootless: Rootless,
    /// Cgroups of new containers are made by systemd.
    systemd: Option<Systemd>,
}

/// Which systemd.
#[derive(Debug)]
struct Systemd {
    /// The runtime folder of the user whose manager it is; the system's if there is none.
    user: Option<PathBuf>,
}

const FLAGS: &[Flag] = &[
    value(&["root"], "DIR", "folder of the containers' state, which should be a tmpfs"),
    value(&["log"], "FILE", "where to write messages, instead of standard error"),
    value(&["log-format"], "FORMAT", "text or json"),
    switch(&["debug"], "log what is done"),
    switch(&["systemd-cgroup"], "let systemd make cgroups; linux.cgroupsPath is slice:prefix:name then"),
    value(&["rootless"], "BOOL", "true, false or auto: use cgroups only as far as this user may"),
    switch(&["help", "h"], "show this text"),
    switch(&["version", "v"], "show the version"),
];

fn main() -> ExitCode {
    let name = program::name();
    match run(&name) {
        Ok(code) => ExitCode::from(code),
        Err((log, failed)) => {
            log.error(&failed);
            ExitCode::from(failed.code)
        }
    }
}

fn run(name: &str) -> std::result::Result<u8, (Log, Failed)> {
    let early = |failed| (Log::open(name, None, None, false).unwrap_or_default(), failed);
    let words = program::words().map_err(early)?;
    let global = Args::parse(&words, FLAGS, Order::First).map_err(early)?;
    let log = Log::open(name, global.get("log"), global.get("log-format"), global.on("debug")).map_err(early)?;
    let root = global.get("root").map_or_else(|| program::default_root(name), PathBuf::from);
    let systemd = global.on("systemd-cgroup").then(|| Systemd { user: program::user() });
    let context = match Rootless::parse(global.get("rootless")) {
        Ok(rootless) => Context { root, log, rootless, systemd },
        Err(failed) => return Err((log, failed)),
    };
    verb(name, &context, &global).map_err(|failed| (context.log, failed))
}

fn verb(name: &str, context: &Context, global: &Args) -> Result<u8> {
    if global.on("version") {
        return output::print(&program::version(name));
    }
    let Some((word, words)) = global.rest.split_first().filter(|(word, _)| !global.on("help") && *word != "help") else {
        return output::print(&usage(name));
    };
    let Some(verb) = verbs::ALL.iter().find(|verb| verb.name == word) else {
        return Err(Failed::new(format!("no verb {word:?}: {name} --help lists them")));
    };
    if words.first().is_some_and(|word| matches!(word.as_str(), "--help" | "-help" | "-h")) {
        return output::print(&format!(
            "{} - {}\n\nusage: {name} {0} {}\n\n{}",
            verb.name,
            verb.about,
            verb.usage,
            args::help(verb.flags)
        ));
    }
    let args = Args::parse(words, verb.flags, verb.flags_come)
        .map_err(|failed| Failed::new(format!("{}: {}", verb.name, failed.message)))?;
    (verb.run)(context, &args)
}

fn usage(name: &str) -> String {
    let verbs: String = verbs::ALL.iter().map(|verb| format!("  {:10}  {}\n", verb.name, verb.about)).collect();
    format!("{name} - run containers from OCI bundles\n\nusage: {name} [FLAGS] VERB [ARGS]\n\n{verbs}\n{}", args::help(FLAGS))
}
