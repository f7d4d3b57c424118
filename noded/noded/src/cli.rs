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
    /// Make, list and delete tokens, with which hosts become nodes
    Token(crate::token::TokenArgs),
    /// Check the configuration, and say nothing if it is right
    Config(Args),
    /// Take out of the kernel what this node has put there for its cluster; its pods stay
    Leave(Args),
    /// Serve the Kubernetes API, place pods and keep them running, until SIGTERM
    ControlPlane(crate::control_plane::ControlPlaneArgs),
    /// Print a completion script for a shell
    Completion(CompletionArgs),
    /// Write manual pages into a folder, for who makes packages
    #[command(hide = true)]
    Man(ManArgs),
}

#[derive(Debug, clap::Args)]
pub(crate) struct CompletionArgs {
    /// The shell
    #[arg(value_enum)]
    pub(crate) shell: clap_complete::Shell,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ManArgs {
    /// The folder, which is there
    #[arg(value_name = "FOLDER")]
    pub(crate) folder: PathBuf,
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

    /// The API of the cluster that this node joins, such as https://cp:6443; of several servers, with commas between them, one is asked
    /// until it does not answer
    #[arg(long, value_name = "URL", conflicts_with = "all_in_one")]
    pub(crate) join: Option<String>,

    #[command(flatten)]
    pub(crate) joining: JoinArgs,

    /// Run a control plane, too, and join it
    #[arg(long)]
    pub(crate) all_in_one: bool,
}

impl RunArgs {
    /// The node runs the pods of a cluster.
    pub(crate) fn in_cluster(&self) -> bool {
        self.all_in_one || self.join.is_some()
    }
}

/// What is needed the first time that a node joins.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct JoinArgs {
    /// What the node comes with the first time; noded token create, on the control plane, says it
    #[arg(long, value_name = "ID.SECRET", requires = "join")]
    pub(crate) token: Option<String>,

    /// The hash of the key of the cluster's authority: whom the node obeys
    #[arg(long, value_name = "sha256:HEX", requires = "join")]
    pub(crate) ca_hash: Option<String>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    #[test]
    fn the_command_line_makes_sense() {
        super::Cli::command().debug_assert();
    }
}
