//! `rctr builder …`: builds, and what they remember.

use std::time::Duration;

use anyhow::Result;
use clap::Subcommand;

use super::build;
use crate::context::Context;
use crate::output::amount;

/// Work with builds and what they remember
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Builder {
    Build(Box<build::Args>),
    Prune(Prune),
}

/// Forget what builds remember
#[derive(Debug, clap::Args)]
pub(crate) struct Prune {
    /// Also the folders of RUN --mount=type=cache
    #[arg(short, long)]
    all: bool,
    /// Only what no build has used for so long: until=24h
    #[arg(long, value_name = "FILTER", value_parser = until)]
    filter: Option<Duration>,
    /// Do not ask
    #[arg(short, long)]
    force: bool,
}

pub(crate) fn run(context: &Context, verb: Builder) -> Result<i32> {
    match verb {
        Builder::Build(args) => build::run(context, *args),
        Builder::Prune(args) => prune(context, &args),
    }
}

/// Prints what was forgotten, and what that freed.
fn prune(context: &Context, args: &Prune) -> Result<i32> {
    let engine = context.engine()?;
    if !args.force && !super::prune::confirmed("what builds remember")? {
        return Ok(0);
    }
    let freed = engine.prune_builds(args.filter.unwrap_or_default(), args.all)?;
    for step in &freed.steps {
        println!("{}  {:>10}  {}", &step.key[..step.key.len().min(12)], amount::size(step.bytes), step.what);
    }
    println!("Total reclaimed space: {}", amount::size(freed.reclaimable()));
    Ok(0)
}

fn until(text: &str) -> Result<Duration, String> {
    let wrong = || format!("{text:?}: the form is until=24h");
    let time = text.strip_prefix("until=").ok_or_else(wrong)?;
    engine::build::duration(time).ok_or_else(wrong)
}
