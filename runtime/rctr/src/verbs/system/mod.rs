//! `rctr system …`: the whole of what is here.

pub(crate) mod df;
mod migrate;
mod prune;
mod reset;
mod service;

use anyhow::Result;
use clap::Subcommand;

use super::{events, info};
use crate::context::Context;

/// See how much there is, and remove what nobody needs
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum System {
    Df(df::Args),
    Prune(prune::Args),
    Info(info::Args),
    Events(events::Args),
    Service(service::Args),
    Migrate(migrate::Args),
    Reset(reset::Args),
}

pub(crate) fn run(context: &Context, verb: System) -> Result<i32> {
    match verb {
        System::Df(args) => df::run(context, &args),
        System::Prune(args) => prune::run(context, &args),
        System::Info(args) => info::run(context, args),
        System::Events(args) => events::run(context, args),
        System::Service(args) => service::run(context, &args),
        System::Migrate(_) => migrate::run(context),
        System::Reset(args) => reset::run(context, &args),
    }
}
