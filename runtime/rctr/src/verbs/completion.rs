//! `rctr completion`.

use std::io;

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::Shell;

use crate::cli::Cli;

/// Print a completion script for a shell
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Prints the script, made from the same definitions as the help.
pub(crate) fn run(args: Args) -> Result<i32> {
    clap_complete::generate(args.shell, &mut Cli::command(), "rctr", &mut io::stdout());
    Ok(0)
}
