//! `rctr system prune`.

use std::time::Duration;

use anyhow::Result;

use crate::context::Context;
use crate::output::amount;
use crate::parse::{self, PruneFilter};
use crate::verbs::prune::Pruned;
use crate::verbs::{container_prune, network, prune, volume};

/// Remove containers that do not run, networks and images that nobody needs, and what builds remember
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Also images with names that no container uses
    #[arg(short, long)]
    all: bool,
    /// Also volumes without a name that no container has
    #[arg(long)]
    volumes: bool,
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
    let volumes = if args.volumes { "volumes without a name that no container has, " } else { "" };
    let all = format!("containers that do not run, networks that no container uses, {volumes}{images}, and what builds remember");
    if !args.force && !prune::confirmed(&all)? {
        return Ok(0);
    }
    let containers = container_prune::prune(&engine, &args.filter)?;
    containers.print("Containers");
    let fits = |created, labels: &_| args.filter.iter().all(|filter| filter.fits(created, labels));
    let networks = network::prune::prune(&engine, &|network, _| fits(network.created, &network.labels))?;
    networks.print("Networks");
    let mut in_volumes = 0;
    if args.volumes {
        let all = engine.volumes()?;
        let nameless = all.iter().filter(|volume| volume.record.anonymous && fits(volume.record.created, &volume.record.labels));
        let (lines, bytes) = volume::remove_unused(&engine, nameless)?;
        Pruned { lines, ..Pruned::default() }.print("Volumes");
        in_volumes = bytes;
    }
    let images = prune::prune(&engine, args.all, &prune::Which::fitting(&args.filter))?;
    images.print("Images");
    // They have no labels, and are as old as their last use.
    let builds = if args.filter.is_empty() { engine.prune_builds(Duration::ZERO, args.all)? } else { Default::default() };
    if !builds.steps.is_empty() {
        let keys: Vec<_> = builds.steps.iter().map(|step| step.key.as_str()).collect();
        println!("Deleted build cache objects:\n{}\n", keys.join("\n"));
    }
    let freed = containers.freed + in_volumes + images.freed + builds.reclaimable();
    println!("Total reclaimed space: {}", amount::size(freed));
    Ok(containers.code.max(networks.code).max(images.code))
}
