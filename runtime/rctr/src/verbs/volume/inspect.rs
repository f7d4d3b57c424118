//! `rctr volume inspect`.

use anyhow::Result;

use super::shape;
use crate::context::Context;
use crate::verbs::inspect;

/// Print everything about volumes as JSON
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// A Go template, such as '{{.Mountpoint}}'
    #[arg(short, long, value_name = "FORMAT")]
    format: Option<String>,
    /// Names
    #[arg(required = true, value_name = "VOLUME")]
    names: Vec<String>,
}

/// Prints one JSON array of all that was found.
pub(super) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    inspect::each(&args.names, args.format.as_deref(), |name| Ok(shape(&engine.volume(name)?)))
}
