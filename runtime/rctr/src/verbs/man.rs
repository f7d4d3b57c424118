//! `rctr man`: for who makes packages.

use std::path::PathBuf;

use anyhow::{Context as _, Result};
use clap::CommandFactory;

use crate::cli::Cli;

/// Write a manual page for each verb into a folder
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The folder, which is there
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,
}

/// Writes the pages, made from the same definitions as the help.
pub(crate) fn run(args: Args) -> Result<i32> {
    clap_mangen::generate_to(Cli::command(), &args.folder).with_context(|| args.folder.display().to_string())?;
    Ok(0)
}
