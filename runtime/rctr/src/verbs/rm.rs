//! `rctr rm`.

use anyhow::Result;
use engine::Error;

use crate::context::Context;
use crate::exit;

/// Remove containers and their files
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kill those that run, and do not mind those that are not there
    #[arg(short, long)]
    force: bool,
    /// With the volumes that were their own
    #[arg(short, long)]
    volumes: bool,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Removes each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    Ok(exit::each(&args.containers, |name| match engine.remove(name, args.force, args.volumes) {
        Err(error @ Error::NoSuchContainer(_)) if args.force => {
            eprintln!("rctr: {error}");
            Ok(())
        }
        other => Ok(other?),
    }))
}
