//! `rctr rm`.

use std::collections::BTreeSet;

use anyhow::Result;
use engine::{Engine, Error};

use super::which::Which;
use crate::context::Context;
use crate::exit;

/// Remove containers and their files
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Kill those that run, and do not mind those that are not there
    #[arg(short, long)]
    force: bool,
    /// With the volumes that were their own
    #[arg(short, long)]
    volumes: bool,
    /// Do not mind those that are not there
    #[arg(short, long)]
    ignore: bool,
    /// With all containers that have the network, namespaces or mounts of these, whoever asked for them
    #[arg(long)]
    depend: bool,
    #[command(flatten)]
    which: Which,
}

/// Removes each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let mut names = args.which.names(&engine, |_| true)?;
    if args.depend {
        names = with_dependents(&engine, &names)?;
    }
    Ok(exit::each(&names, |name| match engine.remove(name, args.force, args.volumes) {
        Err(Error::NoSuchContainer(_)) if args.ignore => Ok(()),
        Err(error @ Error::NoSuchContainer(_)) if args.force => {
            eprintln!("rctr: {error}");
            Ok(())
        }
        other => Ok(other?),
    }))
}

/// The containers, each once and after those that depend on it. One that is not there is left to those who remove it.
fn with_dependents(engine: &Engine, names: &[String]) -> Result<Vec<String>> {
    let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
    for name in names {
        let above = match engine.dependents(name) {
            Err(Error::NoSuchContainer(_)) => Vec::new(),
            other => other?,
        };
        let own = engine.container(name).map_or_else(|_| name.clone(), |container| container.record.id);
        for (id, shown) in above.into_iter().map(|id| (id.clone(), id)).chain([(own, name.clone())]) {
            if seen.insert(id) {
                all.push(shown);
            }
        }
    }
    Ok(all)
}
