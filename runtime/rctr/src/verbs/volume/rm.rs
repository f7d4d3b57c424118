//! `rctr volume rm`.

use anyhow::Result;
use engine::Error;

use crate::context::Context;
use crate::exit;

/// Remove volumes with their files
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not mind those that are not there
    #[arg(short, long)]
    force: bool,
    /// Names
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
}

/// Removes each volume that no container has.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    Ok(exit::each(&args.names, |name| match engine.volume_remove(name) {
        Err(Error::NoSuchVolume(_)) if args.force => Ok(()),
        other => Ok(other.map(drop)?),
    }))
}
