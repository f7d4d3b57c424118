//! `rctr exec`.

use std::io;
use std::path::PathBuf;

use anyhow::Result;
use engine::ExecRequest;

use crate::context::Context;
use crate::detach::{self, Keys};
use crate::parse;
use crate::session::{self, Listening, Signals};
use crate::terminal;

/// Run a command in a running container
#[derive(Debug, clap::Args)]
#[command(override_usage = "rctr exec [OPTIONS] CONTAINER COMMAND [ARG...]")]
pub(crate) struct Args {
    /// Leave it in the background
    #[arg(short, long)]
    detach: bool,
    /// Feed its standard input
    #[arg(short, long)]
    interactive: bool,
    /// Give it a terminal
    #[arg(short, long)]
    tty: bool,
    /// Set a variable: KEY=VALUE, or KEY for the caller's value
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// User and group, by name or number: USER[:GROUP]
    #[arg(short, long, value_parser = parse::user)]
    user: Option<String>,
    /// Working folder
    #[arg(short, long, value_name = "DIR", value_parser = parse::workdir)]
    workdir: Option<String>,
    /// Give it all capabilities and no filter
    #[arg(long)]
    privileged: bool,
    /// Keys that leave a terminal and let the command go on
    #[arg(long, value_name = "KEYS", default_value = detach::DEFAULT, value_parser = detach::keys)]
    detach_keys: Keys,
    /// The container, then the command
    #[arg(required = true, num_args = 2.., trailing_var_arg = true, value_names = ["CONTAINER", "COMMAND"])]
    args: Vec<String>,
}

/// Runs the command; in the foreground its exit code is ours.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if args.tty && args.interactive && !args.detach && !rustix::termios::isatty(io::stdin()) {
        anyhow::bail!("-t with -i needs a terminal as standard input: leave -t out in a script");
    }
    let stdin = args.interactive && !args.detach;
    let request = ExecRequest {
        cmd: args.args[1..].to_vec(),
        env: parse::environment(&args.env_file, &args.env, |key| std::env::var(key).ok())?,
        workdir: args.workdir,
        user: args.user,
        tty: args.tty,
        stdin,
        detach: args.detach,
        privileged: args.privileged,
        size: terminal::size(io::stdout()),
    };
    let signals = if args.detach { None } else { Some(Signals::take(true)?) };
    let mut session = engine.exec(&args.args[0], &request)?;
    match signals {
        Some(signals) => session::follow(&mut session, &signals, Listening { input: stdin, tty: args.tty, keys: args.detach_keys }),
        None => Ok(0),
    }
}
