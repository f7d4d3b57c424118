//! `rctr stop`.

use anyhow::Result;
use engine::Grace;

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
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Stops all containers at once, as Docker does: the times of grace do not add up.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let grace = args.time.unwrap_or_default();
    Ok(exit::at_once(&args.containers, |name| Ok(engine.stop(name, args.signal, grace)?)))
}
