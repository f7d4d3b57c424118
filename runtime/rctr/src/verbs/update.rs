//! `rctr update`.

use anyhow::{Context as _, Result};
use engine::{Change, Policy, Port, Protocol};

use super::create::limits::Limits;
use crate::context::Context;
use crate::{exit, parse};

/// Change limits, restart policy, labels and ports of containers
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    limits: Limits,
    /// What happens when it has ended: no, always, unless-stopped, or on-failure[:TIMES]
    #[arg(long, value_name = "POLICY", value_parser = parse::policy)]
    restart: Option<Policy>,
    /// Add or change a label
    #[arg(short, long, value_name = "KEY[=VALUE]", value_parser = parse::label)]
    label: Vec<(String, String)>,
    /// Take a label away
    #[arg(long, value_name = "KEY")]
    label_rm: Vec<String>,
    /// Publish a port from the next start on: [[IP:][HOST]:]CONTAINER[/tcp|/udp]
    #[arg(short, long, value_name = "PORT", value_parser = parse::ports)]
    publish: Vec<Vec<Port>>,
    /// Publish a port no more from the next start on: CONTAINER[/tcp|/udp]
    #[arg(long, value_name = "PORT", value_parser = parse::ports)]
    publish_rm: Vec<Vec<Port>>,
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Changes each container.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let gone: Vec<(u16, Protocol)> =
        args.publish_rm.into_iter().flatten().map(|port| (port.container_port, port.protocol)).collect();
    let change = Change {
        resources: args.limits.resources(),
        restart: args.restart,
        labels: args.label,
        labels_gone: args.label_rm,
        ports: args.publish.into_iter().flatten().collect(),
        ports_gone: gone,
    };
    if change == Change::default() {
        anyhow::bail!("nothing to change: give a limit, --restart, --label or --publish");
    }
    Ok(exit::each(&args.containers, |name| {
        if engine.update(name, &change).with_context(|| format!("update {name}"))? {
            eprintln!("rctr: {name}: its ports are published as wished from its next start on");
        }
        Ok(())
    }))
}
