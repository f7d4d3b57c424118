//! `rctr start`.

use std::io;

use anyhow::{Result, bail};
use engine::{Attach, Error, StartOptions};

use crate::context::Context;
use crate::detach::{self, Keys};
use crate::session::{self, Listening, Signals};
use crate::{exit, terminal};

/// Start containers that are stopped or were never started
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Show its output and pass signals on; its exit code is ours
    #[arg(short, long)]
    attach: bool,
    /// Feed its standard input
    #[arg(short, long)]
    interactive: bool,
    /// Pass signals on to it
    #[arg(long = "sig-proxy", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Keys that leave a terminal and let the container go on
    #[arg(long, value_name = "KEYS", default_value = detach::DEFAULT, value_parser = detach::keys)]
    detach_keys: Keys,
    /// All that do not run
    #[arg(long, conflicts_with = "containers")]
    all: bool,
    /// Names or ids
    #[arg(required_unless_present = "all", value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Starts each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let size = terminal::size(io::stdout());
    let mut names = args.containers;
    if args.all {
        names = engine.containers()?.into_iter().filter(|one| !one.is_running()).map(|one| one.record.id).collect();
        // In the order in which they were made.
        names.reverse();
    }
    if !(args.attach || args.interactive) {
        let options = StartOptions { attach: None, size };
        return Ok(exit::each(&names, |name| match engine.start(name, &options) {
            // As with Docker, starting what runs is done already.
            Ok(_) | Err(Error::Running(_)) => Ok(()),
            Err(error) => Err(error.into()),
        }));
    }
    let [name] = &names[..] else { bail!("-a and -i take one container, not {}", names.len()) };
    let record = engine.container(name)?.record;
    let stdin = args.interactive && record.stdin;
    let signals = Signals::take(args.sig_proxy)?;
    let mut session = engine.start(&record.id, &StartOptions { attach: Some(Attach { stdin }), size })?;
    session::follow(&mut session, &signals, Listening { input: stdin, tty: record.tty, keys: args.detach_keys })
}
