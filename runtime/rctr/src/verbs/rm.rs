//! `rctr rm`.

use anyhow::Result;
use engine::Error;

use super::which::Which;
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
    /// Do not mind those that are not there
    #[arg(short, long)]
    ignore: bool,
    #[command(flatten)]
    which: Which,
}

/// Removes each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let names = args.which.names(&engine, |_| true)?;
    Ok(exit::each(&names, |name| match engine.remove(name, args.force, args.volumes) {
        Err(Error::NoSuchContainer(_)) if args.ignore => Ok(()),
        Err(error @ Error::NoSuchContainer(_)) if args.force => {
            eprintln!("rctr: {error}");
            Ok(())
        }
        other => Ok(other?),
    }))
}
