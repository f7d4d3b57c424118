//! `rctr container prune`.

use anyhow::Result;
use engine::{Engine, Error};

use super::prune::{Pruned, confirmed};
use crate::context::Context;
use crate::exit;
use crate::output::amount;
use crate::parse::{self, PruneFilter};

/// Remove all containers that do not run
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: until=TIME, label=KEY[=VALUE], label!=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE", value_parser = parse::prune_filter)]
    filter: Vec<PruneFilter>,
}

/// Removes the containers, and prints their ids and what that freed.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if !args.force && !confirmed("containers that do not run")? {
        return Ok(0);
    }
    let pruned = prune(&engine, &args.filter)?;
    pruned.print("Containers");
    println!("Total reclaimed space: {}", amount::size(pruned.freed));
    Ok(pruned.code)
}

/// Removes the containers that do not run and fit.
pub(crate) fn prune(engine: &Engine, filters: &[PruneFilter]) -> Result<Pruned> {
    let mut pruned = Pruned::default();
    for container in engine.containers()? {
        let record = &container.record;
        if container.is_running() || !filters.iter().all(|filter| filter.fits(record.created, &record.labels)) {
            continue;
        }
        let size = engine.written_size(record);
        match engine.remove(&record.id, false, false) {
            Ok(()) => {
                pruned.freed += size;
                pruned.lines.push(container.record.id);
            }
            // Somebody else was faster, or has started it.
            Err(Error::NoSuchContainer(_) | Error::Running(_)) => {}
            Err(error) => pruned.code = exit::report(&error.into()),
        }
    }
    Ok(pruned)
}
