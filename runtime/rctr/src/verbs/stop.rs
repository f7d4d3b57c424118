//! `rctr stop`.

use anyhow::Result;
use engine::{Container, Error, Grace};

use super::which::Which;
use crate::context::Context;
use crate::{exit, parse};

/// Stop containers: ask them to end, and kill them after a time of grace
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds of grace, -1 waits for ever [default: the container's own, or 10]
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS", value_parser = parse::grace, allow_negative_numbers = true)]
    time: Option<Grace>,
    /// The signal that asks; the container's own by default
    #[arg(short, long, value_parser = crate::parse::signal)]
    signal: Option<i32>,
    /// Do not mind those that are not there
    #[arg(short, long)]
    ignore: bool,
    #[command(flatten)]
    which: Which,
}

/// Stops all containers at once, as Docker does: the times of grace do not add up.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let grace = args.time.unwrap_or_default();
    let names = args.which.names(&engine, Container::is_running)?;
    Ok(exit::at_once(&names, |name| match engine.stop(name, args.signal, grace) {
        Err(Error::NoSuchContainer(_)) if args.ignore => Ok(()),
        other => Ok(other?),
    }))
}
