//! `rctr oci`: the command line of an OCI runtime.
//!
//! It is a program of its own, `rctr-oci`, and this one becomes it: engines start that hundreds of times a second, and it is small and
//! has no parser to load, while this one stays without its code. The words are passed on as they are, before clap has seen them.

use std::convert::Infallible;
use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::context::program;

/// Create, start and delete containers from OCI bundles, with the verbs and flags of runc
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub(crate) struct Args {
    /// A verb and its flags; `rctr oci --help` lists them
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

pub(crate) fn run(args: Args) -> Result<i32> {
    match become_it(args.words)? {}
}

/// Goes on as `rctr-oci`. Returns only when that fails.
pub(crate) fn become_it(words: impl IntoIterator<Item = OsString>) -> Result<Infallible> {
    let path = program("rctr-oci")?;
    Err(Command::new(&path).arg0("rctr-oci").args(words).exec()).with_context(|| format!("execute {}", path.display()))
}
