//! `rctr network reload`.

use anyhow::Result;

use crate::context::Context;

/// Make the packet rules of all running containers again, after a firewall has flushed them
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Of all containers, which is what is done anyway
    #[arg(short, long)]
    all: bool,
}

/// Restores the rules.
pub(crate) fn run(context: &Context, _: Args) -> Result<i32> {
    context.engine()?.reload_networks()?;
    Ok(0)
}
