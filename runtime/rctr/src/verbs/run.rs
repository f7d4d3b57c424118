//! `rctr run`.

use std::path::PathBuf;
use std::{fs, io};

use anyhow::{Context as _, Result};
use engine::{Ahead, Attach, Engine, StartOptions, Status};

use crate::context::Context;
use crate::detach::{self, Keys};
use crate::session::{self, Listening, Signals};
use crate::terminal;
use crate::verbs::create::{CreateArgs, Making};

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
    /// Keys that leave a terminal and let the container go on
    #[arg(long, value_name = "KEYS", default_value = detach::DEFAULT, value_parser = detach::keys)]
    detach_keys: Keys,
    /// Write the number of its first process to a file
    #[arg(long, value_name = "FILE")]
    pidfile: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) create: CreateArgs,
}

/// Runs a container; in the foreground its exit code is ours.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let (tty, interactive, remove) = (args.create.process.tty, args.create.process.interactive, args.create.rm);
    if tty && interactive && !args.detach && !rustix::termios::isatty(io::stdin()) {
        anyhow::bail!("-t with -i needs a terminal as standard input: leave -t out in a script");
    }
    let making = Making::new(context, &engine, args.create)?;
    let options =
        StartOptions { attach: (!args.detach).then_some(Attach { stdin: interactive }), size: terminal::size(io::stdout()) };
    // Before there is a second thread, which would take signals that are meant for the container.
    let signals = if args.detach { None } else { Some(Signals::take(args.sig_proxy)?) };
    let ahead = engine.ahead(&making.request.network)?;
    let record = making.create(|request, image| Ok(engine.create_ahead(&ahead, request, image)?))?;
    let mut session = started(&engine, ahead, &record.id, remove, &options)?;
    if let Some(file) = &args.pidfile
        && let Status::Running { pid, .. } = engine.container(&record.id)?.status
    {
        fs::write(file, pid.to_string()).with_context(|| format!("--pidfile: write the process to {}", file.display()))?;
    }
    match signals {
        Some(signals) => session::follow(&mut session, &signals, Listening { input: interactive, tty, keys: args.detach_keys }),
        None => {
            println!("{}", record.id);
            Ok(0)
        }
    }
}

/// Starts the container. One that is to be removed does not outlive a failed start.
fn started(engine: &Engine, ahead: Ahead, id: &str, remove: bool, options: &StartOptions) -> Result<engine::Session> {
    engine.start_ahead(ahead, options).map_err(|error| {
        if remove {
            let _ = engine.remove(id, true, true);
        }
        error.into()
    })
}
