//! `rctr kill`.

use anyhow::Result;

use crate::context::Context;
use crate::exit;

/// Send a signal to the first process of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The signal, by name or number
    #[arg(short, long, default_value = "KILL", value_parser = crate::parse::signal)]
    signal: i32,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Signals each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    Ok(exit::each(&args.containers, |name| Ok(engine.kill(name, args.signal)?)))
}
