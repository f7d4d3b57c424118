//! `rctr volume prune`.

use anyhow::Result;

use super::{filter, remove_unused};
use crate::context::Context;
use crate::output::amount;
use crate::verbs::prune::confirmed;

/// Remove volumes that no container has and that have no name
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also those with names
    #[arg(short, long)]
    all: bool,
    /// Only those that fit: label, label!
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::parse_prune)]
    filter: Vec<filter::Filter>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

/// Removes the volumes, and prints their names and what that freed.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    let all = args.all || args.filter.iter().any(filter::Filter::means_all);
    let which = if all { "volumes that no container has" } else { "volumes without a name that no container has" };
    if !args.force && !confirmed(which)? {
        return Ok(0);
    }
    engine.volume_sweep();
    let volumes = engine.volumes()?;
    let wanted = volumes.iter().filter(|volume| (all || volume.record.anonymous) && filter::fit(&args.filter, volume));
    let (gone, freed) = remove_unused(&engine, wanted)?;
    if !gone.is_empty() {
        println!("Deleted Volumes:\n{}\n", gone.join("\n"));
    }
    println!("Total reclaimed space: {}", amount::size(freed));
    Ok(0)
}
