//! `rctr pause` and `rctr unpause`.

use anyhow::Result;

use crate::context::Context;
use crate::exit;

/// Freeze all processes of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Let the processes of paused containers go on
#[derive(Debug, clap::Args)]
pub(crate) struct Unpause {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Pauses each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    Ok(exit::each(&args.containers, |name| Ok(engine.pause(name)?)))
}

/// Ends the pause of each container.
pub(crate) fn unpause(context: &Context, args: Unpause) -> Result<i32> {
    let engine = context.engine()?;
    Ok(exit::each(&args.containers, |name| Ok(engine.unpause(name)?)))
}
