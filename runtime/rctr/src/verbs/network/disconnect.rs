//! `rctr network disconnect`.

use anyhow::Result;

use crate::context::Context;

/// Take a container out of a network, whether it runs or not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// It is no error when it is not in the network
    #[arg(short, long)]
    force: bool,
    /// Name or id
    network: String,
    /// Name or id
    container: String,
}

/// Disconnects it; says nothing, as Docker.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    context.engine()?.disconnect_network(&args.container, &args.network, args.force)?;
    Ok(0)
}
