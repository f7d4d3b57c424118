//! `rctr port`.

use anyhow::{Result, bail};
use engine::Port;

use crate::context::Context;
use crate::output::ports;

/// Print where a container's ports are published
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    container: String,
    /// Only this one: PORT[/PROTOCOL]
    port: Option<String>,
}

/// Prints a line for each port, sorted.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let container = context.engine()?.container(&args.container)?;
    let mut published = container.network.map(|network| network.ports).unwrap_or_default();
    published.sort_by_key(|port| (port.container_port, port.protocol.to_string(), port.host_ip, port.host_port));
    let inside = |port: &Port| format!("{}/{}", port.container_port, port.protocol);
    let outside = |port: &Port| format!("{}:{}", ports::address(port), port.host_port);
    let Some(wanted) = args.port else {
        published.iter().for_each(|port| println!("{} -> {}", inside(port), outside(port)));
        return Ok(0);
    };
    let (number, protocol) = wanted.split_once('/').unwrap_or((&wanted, "tcp"));
    if number.parse::<u16>().is_err() {
        bail!("{wanted:?} is no port: the form is PORT[/PROTOCOL], such as 80/tcp");
    }
    let wanted = format!("{number}/{protocol}");
    let found: Vec<_> = published.iter().filter(|port| inside(port) == wanted).collect();
    if found.is_empty() {
        bail!("container {} publishes no port {wanted}", args.container);
    }
    found.iter().for_each(|port| println!("{}", outside(port)));
    Ok(0)
}
