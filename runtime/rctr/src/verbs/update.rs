//! `rctr update`.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use engine::{Change, Mount, Policy, Port, Protocol};

use super::create::limits::Limits;
use crate::context::Context;
use crate::{exit, parse};

/// Change limits, restart policy, labels, variables, mounts and ports of containers
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
    /// Set a variable from the next start on: KEY=VALUE, or KEY for the caller's value
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read such variables from a file, one per line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// Take a variable away from the next start on
    #[arg(long, value_name = "KEY", value_parser = parse::variable)]
    unsetenv: Vec<String>,
    /// Mount something from the next start on, in place of what is mounted there: [NAME:|/HOST:]/CONTAINER[:OPTION,...]
    #[arg(short, long, value_name = "MOUNT", value_parser = parse::volume)]
    volume: Vec<Mount>,
    /// The same in words: type=bind|volume|tmpfs|image,source=SOURCE,target=/CONTAINER[,KEY=VALUE...]
    #[arg(long, value_name = "MOUNT", value_parser = parse::mount)]
    mount: Vec<Mount>,
    /// Mount nothing there from the next start on
    #[arg(long, value_name = "PATH", value_parser = parse::workdir)]
    volume_rm: Vec<String>,
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
        env: parse::environment(&args.env_file, &args.env, |key| std::env::var(key).ok())?,
        env_gone: args.unsetenv,
        mounts: [args.volume, args.mount].concat(),
        mounts_gone: args.volume_rm.into_iter().map(PathBuf::from).collect(),
        ports: args.publish.into_iter().flatten().collect(),
        ports_gone: gone,
    };
    if change == Change::default() {
        anyhow::bail!("nothing to change: give a limit, --restart, --label, --env, --volume or --publish");
    }
    Ok(exit::each(&args.containers, |name| {
        if engine.update(name, &change).with_context(|| format!("update {name}"))? {
            eprintln!("rctr: {name}: what it has of ports, variables and mounts changes with its next start");
        }
        Ok(())
    }))
}
