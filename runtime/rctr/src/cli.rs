//! The list of verbs.

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, Subcommand};

use crate::context::Context;
use crate::verbs::{
    completion, create, exec, images, info, inspect, kill, logs, ps, pull, rm, rmi, run, start, stop, version, wait,
};

/// Containers on this host, without a daemon.
#[derive(Debug, Parser)]
#[command(name = "rctr", version, subcommand_required = true, arg_required_else_help = true, max_term_width = 100)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    verb: Verb,
}

/// Where state is kept.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Global {
    /// Images and containers
    #[arg(long, env = "RCTR_ROOT", default_value = "/var/lib/rctr", value_name = "DIR", hide_env_values = true)]
    pub(crate) root: PathBuf,
    /// Sockets and leases of what runs
    #[arg(long, env = "RCTR_RUN", default_value = "/run/rctr", value_name = "DIR", hide_env_values = true)]
    pub(crate) run: PathBuf,
    /// The default bridge
    #[arg(long, env = "RCTR_BRIDGE", default_value = "rctr0", value_name = "NAME", hide_env_values = true)]
    pub(crate) bridge: String,
    /// Parent of the containers' cgroups
    #[arg(long, env = "RCTR_CGROUP_PARENT", default_value = "/rctr", value_name = "PATH", hide_env_values = true)]
    pub(crate) cgroup_parent: String,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Run(Box<run::Args>),
    Create(Box<create::Args>),
    Start(start::Args),
    Stop(stop::Args),
    Kill(kill::Args),
    Rm(rm::Args),
    Ps(ps::Args),
    Logs(logs::Args),
    Exec(exec::Args),
    Wait(wait::Args),
    Inspect(inspect::Args),
    Pull(pull::Args),
    Images(images::Args),
    Rmi(rmi::Args),
    Info(info::Args),
    Version(version::Args),
    Completion(completion::Args),
}

impl Cli {
    /// Runs the verb and returns the exit code.
    pub(crate) fn run(self) -> Result<i32> {
        let context = Context::new(self.global);
        match self.verb {
            Verb::Run(args) => run::run(&context, *args),
            Verb::Create(args) => create::run(&context, *args),
            Verb::Start(args) => start::run(&context, args),
            Verb::Stop(args) => stop::run(&context, args),
            Verb::Kill(args) => kill::run(&context, args),
            Verb::Rm(args) => rm::run(&context, args),
            Verb::Ps(args) => ps::run(&context, args),
            Verb::Logs(args) => logs::run(&context, args),
            Verb::Exec(args) => exec::run(&context, args),
            Verb::Wait(args) => wait::run(&context, args),
            Verb::Inspect(args) => inspect::run(&context, args),
            Verb::Pull(args) => pull::run(&context, args),
            Verb::Images(args) => images::run(&context, args),
            Verb::Rmi(args) => rmi::run(&context, args),
            Verb::Info(args) => info::run(&context, args),
            Verb::Version(args) => version::run(&context, args),
            Verb::Completion(args) => completion::run(args),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_follows_the_image_belongs_to_the_command() {
        let parsed = Cli::try_parse_from(["rctr", "run", "-d", "--name", "a", "busybox", "ls", "-l", "--name", "x"]).unwrap();
        let Verb::Run(args) = parsed.verb else { panic!("not run") };
        assert_eq!(args.create.args, ["busybox", "ls", "-l", "--name", "x"]);
        let parsed = Cli::try_parse_from(["rctr", "run", "busybox", "-l"]).unwrap();
        let Verb::Run(args) = parsed.verb else { panic!("not run") };
        assert_eq!(args.create.args, ["busybox", "-l"]);
        assert!(Cli::try_parse_from(["rctr", "run", "--nme", "a", "busybox"]).is_err());
        assert!(Cli::try_parse_from(["rctr", "run"]).is_err());
    }
}
