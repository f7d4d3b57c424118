//! `rctr pause` and `rctr unpause`.

use anyhow::Result;
use engine::{Container, Status};

use super::which::Which;
use crate::context::Context;
use crate::exit;

/// Freeze all processes of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    which: Which,
}

/// Let the processes of paused containers go on
#[derive(Debug, clap::Args)]
pub(crate) struct Unpause {
    #[command(flatten)]
    which: Which,
}

/// Pauses each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let names = args.which.names(&engine, |one| one.is_running() && !is_paused(one))?;
    Ok(exit::each(&names, |name| Ok(engine.pause(name)?)))
}

/// Ends the pause of each container.
pub(crate) fn unpause(context: &Context, args: Unpause) -> Result<i32> {
    let engine = context.engine()?;
    let names = args.which.names(&engine, is_paused)?;
    Ok(exit::each(&names, |name| Ok(engine.unpause(name)?)))
}

fn is_paused(container: &Container) -> bool {
    matches!(container.status, Status::Paused { .. })
}
