//! `rctr attach`.

use anyhow::Result;

use crate::context::Context;
use crate::detach::{self, Keys};
use crate::session::{self, Listening, Signals};

/// Show what a running container writes from now on, and feed its standard input; its exit code is ours
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not feed its standard input
    #[arg(long)]
    no_stdin: bool,
    /// Pass signals on to it
    #[arg(long = "sig-proxy", value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set)]
    sig_proxy: bool,
    /// Keys that leave a terminal and let the container go on
    #[arg(long, value_name = "KEYS", default_value = detach::DEFAULT, value_parser = detach::keys)]
    detach_keys: Keys,
    /// Name or id
    container: String,
}

/// Listens until the container ends, or the keys are typed.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let record = engine.container(&args.container)?.record;
    let input = record.stdin && !args.no_stdin;
    let signals = Signals::take(args.sig_proxy)?;
    let (_, mut session) = engine.attach(&record.id, input)?;
    if record.tty {
        // A program that draws draws anew only when the size changes, and it may be what it was for the last client.
        session::redraw(&session);
    }
    session::follow(&mut session, &signals, Listening { input, tty: record.tty, keys: args.detach_keys })
}
