//! `rctr volume prune`.

use anyhow::Result;
use engine::Engine;

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
    let (gone, freed) = prune(&engine, all, &args.filter)?;
    if !gone.is_empty() {
        println!("Deleted Volumes:\n{}\n", gone.join("\n"));
    }
    println!("Total reclaimed space: {}", amount::size(freed));
    Ok(0)
}

/// Removes volumes that fit and that no container has, those with names if `all` or a filter says so. Answers the names of those that went, and
/// their bytes.
pub(crate) fn prune(engine: &Engine, all: bool, filters: &[filter::Filter]) -> Result<(Vec<String>, u64)> {
    let all = all || filters.iter().any(filter::Filter::means_all);
    engine.volume_sweep();
    let volumes = engine.volumes()?;
    remove_unused(engine, volumes.iter().filter(|volume| (all || volume.record.anonymous) && filter::fit(filters, volume)))
}
