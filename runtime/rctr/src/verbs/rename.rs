//! `rctr rename`.

use anyhow::Result;

use crate::context::Context;

/// Give a container another name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    container: String,
    /// The new name
    name: String,
}

/// Renames the container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    context.engine()?.rename(&args.container, &args.name)?;
    Ok(0)
}
