//! `rctr network …`.

mod connect;
pub(crate) mod create;
mod disconnect;
pub(crate) mod filter;
pub(crate) mod inspect;
mod ls;
pub(crate) mod prune;
mod reload;
mod rm;

use anyhow::Result;
use clap::Subcommand;

use super::exists;
use crate::context::Context;

/// Work with networks
#[derive(Debug, Subcommand)]
#[command(defer = true)]
pub(crate) enum Network {
    Create(create::Args),
    #[command(visible_alias = "list")]
    Ls(ls::Args),
    Inspect(inspect::Args),
    #[command(visible_alias = "remove")]
    Rm(rm::Args),
    Prune(prune::Args),
    Exists(exists::Args),
    Connect(connect::Args),
    Disconnect(disconnect::Args),
    Reload(reload::Args),
}

pub(crate) fn run(context: &Context, verb: Network) -> Result<i32> {
    match verb {
        Network::Create(args) => create::run(context, args),
        Network::Ls(args) => ls::run(context, args),
        Network::Inspect(args) => inspect::run(context, args),
        Network::Rm(args) => rm::run(context, args),
        Network::Exists(args) => exists::run(&context.engine()?, exists::Kind::Network, &args),
        Network::Prune(args) => prune::run(context, args),
        Network::Connect(args) => connect::run(context, args),
        Network::Disconnect(args) => disconnect::run(context, args),
        Network::Reload(args) => reload::run(context, args),
    }
}
