//! `rctr network connect`.

use std::net::{Ipv4Addr, Ipv6Addr};

use anyhow::Result;
use engine::Endpoint;

use crate::context::Context;
use crate::parse;

/// Connect a container to a network, whether it runs or not
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Another name in the network
    #[arg(long, value_name = "NAME", value_parser = parse::alias)]
    alias: Vec<String>,
    /// IPv4 address
    #[arg(long, value_name = "ADDRESS", value_parser = parse::ip)]
    ip: Option<Ipv4Addr>,
    /// IPv6 address
    #[arg(long, value_name = "ADDRESS", value_parser = parse::ip6)]
    ip6: Option<Ipv6Addr>,
    /// Hardware address
    #[arg(long, value_name = "ADDRESS", value_parser = parse::mac)]
    mac_address: Option<[u8; 6]>,
    /// Name or id
    network: String,
    /// Name or id
    container: String,
}

/// Connects it; says nothing, as Docker.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let end =
        Endpoint { network: args.network, aliases: args.alias, ip: args.ip, ip6: args.ip6, mac: args.mac_address, interface: None };
    context.engine()?.connect_network(&args.container, end)?;
    Ok(0)
}
