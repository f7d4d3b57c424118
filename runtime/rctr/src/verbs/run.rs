//! `rctr run`.

use std::io;

use anyhow::Result;
use engine::{Attach, Engine, StartOptions};

use crate::context::Context;
use crate::session::{self, Signals};
use crate::terminal;
use crate::verbs::create::{self, CreateArgs};

/// Create a container and start it
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true, override_usage = "rctr run [OPTIONS] IMAGE [COMMAND] [ARG...]")]
pub(crate) struct Args {
    /// Leave it in the background and print its id
    #[arg(short, long)]
    detach: bool,
    /// Pass signals on to it
    #[arg(long = "sig-proxy", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    sig_proxy: bool,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

/// Runs a container; in the foreground its exit code is ours.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let (tty, interactive, remove) = (args.create.tty, args.create.interactive, args.create.rm);
    if tty && interactive && !args.detach && !rustix::termios::isatty(io::stdin()) {
        anyhow::bail!("-t with -i needs a terminal as standard input: leave -t out in a script");
    }
    let record = create::create(context, &engine, args.create)?;
    let options =
        StartOptions { attach: (!args.detach).then_some(Attach { stdin: interactive }), size: terminal::size(io::stdout()) };
    if args.detach {
        drop(started(&engine, &record.id, remove, &options)?);
        println!("{}", record.id);
        return Ok(0);
    }
    let signals = Signals::take(args.sig_proxy)?;
    let mut session = started(&engine, &record.id, remove, &options)?;
    session::follow(&mut session, &signals, interactive, tty)
}

/// Starts the container. One that is to be removed does not outlive a failed start.
fn started(engine: &Engine, id: &str, remove: bool, options: &StartOptions) -> Result<engine::Session> {
    engine.start(id, options).map_err(|error| {
        if remove {
            let _ = engine.remove(id, true);
        }
        error.into()
    })
}
