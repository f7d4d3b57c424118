//! `rctr kill`.

use anyhow::Result;
use engine::Container;

use super::which::Which;
use crate::context::Context;
use crate::exit;

/// Send a signal to the first process of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_parser = crate::parse::signal)]
    signal: i32,
    #[command(flatten)]
    which: Which,
}

/// Signals each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let names = args.which.names(&engine, Container::is_running)?;
    Ok(exit::each(&names, |name| Ok(engine.kill(name, args.signal)?)))
}
