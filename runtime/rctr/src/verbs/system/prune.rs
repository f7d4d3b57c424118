//! `rctr system prune`.

use std::time::Duration;

use anyhow::Result;

use crate::context::Context;
use crate::output::amount;
use crate::parse::{self, PruneFilter};
use crate::verbs::{container_prune, prune};

/// Remove containers that do not run, images that nobody needs, and what builds remember
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also images with names that no container uses
    #[arg(short, long)]
    all: bool,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::prune_filter)]
    filter: Vec<PruneFilter>,
}

/// Removes containers first, so that their images are free.
pub(super) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    let images = if args.all { "images that no container uses then" } else { "images without a name" };
    if !args.force && !prune::confirmed(&format!("containers that do not run, {images}, and what builds remember"))? {
        return Ok(0);
    }
    let containers = container_prune::prune(&engine, &args.filter)?;
    containers.print("Containers");
    let images = prune::prune(&engine, args.all, &prune::Which::fitting(&args.filter))?;
    images.print("Images");
    // They have no labels, and are as old as their last use.
    let builds = if args.filter.is_empty() { engine.prune_builds(Duration::ZERO, args.all)? } else { Default::default() };
    if !builds.steps.is_empty() {
        let keys: Vec<_> = builds.steps.iter().map(|step| step.key.as_str()).collect();
        println!("Deleted build cache objects:\n{}\n", keys.join("\n"));
    }
    let freed = containers.freed + images.freed + builds.reclaimable();
    println!("Total reclaimed space: {}", amount::size(freed));
    Ok(containers.code.max(images.code))
}
