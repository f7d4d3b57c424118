//! `rctr network prune`.

use anyhow::Result;
use engine::{Engine, Error, NetworkRecord, Record};

use super::filter::{self, Filter};
use crate::context::Context;
use crate::exit;
use crate::verbs::prune::{Pruned, confirmed};

/// Remove networks that no container uses
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Do not ask
    #[arg(short, long)]
    force: bool,
    /// Only those that fit: label, label!, until
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter::parse)]
    filter: Vec<Filter>,
}

/// Removes them and prints their names. One that a container is to run in stays, although it does not run now.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if !args.force && !confirmed("networks that no container uses")? {
        return Ok(0);
    }
    let pruned = prune(&engine, &|network, users| filter::all(&args.filter, network, users))?;
    pruned.print("Networks");
    Ok(pruned.code)
}

/// Removes networks that no container uses and that fit.
pub(crate) fn prune(engine: &Engine, fits: &dyn Fn(&NetworkRecord, &[Record]) -> bool) -> Result<Pruned> {
    let users: Vec<Record> = engine.containers()?.into_iter().map(|container| container.record).collect();
    let mut pruned = Pruned::default();
    for network in engine.networks()?.iter().filter(|network| !network.is_predefined()) {
        if users.iter().any(|user| filter::uses(user, network)) || !fits(network, &users) {
            continue;
        }
        match engine.remove_network(&network.name) {
            Ok(record) => pruned.lines.push(record.name),
            // A container has just started in it, or somebody else was faster.
            Err(Error::NetworkInUse { .. } | Error::NoSuchNetwork(_)) => {}
            Err(error) => pruned.code = exit::report(&error.into()),
        }
    }
    Ok(pruned)
}
