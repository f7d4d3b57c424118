//! `rctr network prune`.

use anyhow::Result;
use engine::{Error, Record};

use super::filter::{self, Filter};
use crate::context::Context;
use crate::exit;
use crate::verbs::prune::confirmed;

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
    let users: Vec<Record> = engine.containers()?.into_iter().map(|container| container.record).collect();
    let (mut code, mut gone) = (0, Vec::new());
    for network in engine.networks()?.iter().filter(|network| !network.is_predefined()) {
        if users.iter().any(|user| filter::uses(user, network)) || !filter::all(&args.filter, network, &users) {
            continue;
        }
        match engine.remove_network(&network.name) {
            Ok(record) => gone.push(record.name),
            // A container has just started in it, or somebody else was faster.
            Err(Error::NetworkInUse { .. } | Error::NoSuchNetwork(_)) => {}
            Err(error) => code = exit::report(&error.into()),
        }
    }
    if !gone.is_empty() {
        println!("Deleted Networks:\n{}\n", gone.join("\n"));
    }
    Ok(code)
}
