//! What may be typed.

use std::path::PathBuf;

/// The node daemon: containers for Kubernetes
#[derive(Debug, clap::Parser)]
#[command(name = "noded", version, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) verb: Verb,
}

#[derive(Debug, clap::Subcommand)]
pub(crate) enum Verb {
    /// Serve Kubernetes' CRI v1 until SIGTERM
    Run(Args),
    /// Check the configuration, and say nothing if it is right
    Config(Args),
    /// Serve the Kubernetes API, place pods and keep them running, until SIGTERM
    ControlPlane(crate::control_plane::Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; by default /etc/noded/noded.toml, if it is there
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}
