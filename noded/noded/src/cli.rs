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
    /// Serve Kubernetes' CRI v1 until SIGTERM, and run the pods of a cluster if asked to
    Run(RunArgs),
    /// Write a kubeconfig for a node to standard output; the control plane of this host vouches for it
    NodeKubeconfig(NodeKubeconfigArgs),
    /// Check the configuration, and say nothing if it is right
    Config(Args),
    /// Take out of the kernel what this node has put there for its cluster; its pods stay
    Leave(Args),
    /// Serve the Kubernetes API, place pods and keep them running, until SIGTERM
    ControlPlane(crate::control_plane::Args),
}

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The configuration; by default /etc/noded/noded.toml, if it is there
    #[arg(long, short, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) common: Args,

    /// The API of the cluster that this node joins, such as https://cp:6443; by default that of the kubeconfig
    #[arg(long, value_name = "URL", conflicts_with = "all_in_one")]
    pub(crate) join: Option<String>,

    /// How the node proves who it is; see node-kubeconfig
    #[arg(long, value_name = "FILE", conflicts_with = "all_in_one")]
    pub(crate) kubeconfig: Option<PathBuf>,

    /// Run a control plane, too, and join it
    #[arg(long)]
    pub(crate) all_in_one: bool,
}

impl RunArgs {
    /// The node runs the pods of a cluster.
    pub(crate) fn in_cluster(&self) -> bool {
        self.all_in_one || self.join.is_some() || self.kubeconfig.is_some()
    }
}

#[derive(Debug, clap::Args)]
pub(crate) struct NodeKubeconfigArgs {
    /// Where the control plane keeps its keys
    #[arg(long, value_name = "FOLDER", default_value = "/var/lib/noded/control")]
    pub(crate) data: PathBuf,

    /// The node's name
    #[arg(value_name = "NAME")]
    pub(crate) name: String,

    /// The address at which the node reaches the API, such as https://cp:6443
    #[arg(long, value_name = "URL")]
    pub(crate) server: String,
}
