//! How the container is reached, and what it reaches.

use anyhow::{Result, bail};
use engine::{CreateRequest, NetworkMode, Port};

use crate::parse;

#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// bridge, host or none
    #[arg(long, visible_alias = "net", value_name = "NETWORK", default_value = "bridge", value_parser = network)]
    network: NetworkMode,
    /// Publish a port: [[IP:][HOST]:]CONTAINER[/tcp|/udp]
    #[arg(short, long, value_name = "PORT", value_parser = parse::ports)]
    publish: Vec<Vec<Port>>,
    /// Host name
    #[arg(short = 'h', long, value_name = "NAME")]
    hostname: Option<String>,
}

impl Args {
    pub(super) fn apply(self, request: &mut CreateRequest) -> Result<()> {
        request.hostname = self.hostname;
        request.network = published(self.network, !self.publish.is_empty())?;
        request.ports = self.publish.into_iter().flatten().collect();
        Ok(())
    }
}

fn published(network: NetworkMode, ports: bool) -> Result<NetworkMode> {
    if ports && network == NetworkMode::None {
        bail!("-p needs a network: it cannot go with --network none");
    }
    if ports && network == NetworkMode::Host {
        eprintln!("rctr: published ports are discarded with --network host: the container listens on the host itself");
    }
    Ok(network)
}

fn network(text: &str) -> Result<NetworkMode, String> {
    match text {
        "bridge" | "default" => Ok(NetworkMode::Bridge),
        "host" => Ok(NetworkMode::Host),
        "none" => Ok(NetworkMode::None),
        _ => Err(format!("no network {text:?}: there are bridge, host and none")),
    }
}
