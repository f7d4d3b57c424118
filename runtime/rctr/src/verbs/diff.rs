//! `rctr diff`.

use anyhow::Result;

use crate::context::Context;

/// Show what a container has added (A), changed (C) and deleted (D) of its image's files
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Name or id
    container: String,
}

/// Prints one path a line.
pub(crate) fn run(context: &Context, args: &Args) -> Result<i32> {
    for difference in context.engine()?.differences(&args.container)? {
        println!("{} {}", difference.kind, difference.path.display());
    }
    Ok(0)
}
