//! `rctr restart`.

use anyhow::Result;
use engine::Grace;

use super::which::Which;
use crate::context::Context;
use crate::{exit, parse};

/// Stop containers and start them again
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Seconds of grace, -1 waits for ever [default: the container's own, or 10]
    #[arg(short, long, visible_alias = "timeout", value_name = "SECONDS", value_parser = parse::grace, allow_negative_numbers = true)]
    time: Option<Grace>,
    /// The signal that asks; the container's own by default
    #[arg(short, long, value_parser = parse::signal)]
    signal: Option<i32>,
    #[command(flatten)]
    which: Which,
}

/// Restarts all containers at once, so that the times of grace do not add up.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let grace = args.time.unwrap_or_default();
    let names = args.which.names(&engine, |_| true)?;
    Ok(exit::at_once(&names, |name| Ok(engine.restart(name, args.signal, grace)?)))
}
