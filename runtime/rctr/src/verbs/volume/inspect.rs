//! `rctr volume inspect`.

use anyhow::Result;

use super::shape;
use crate::context::Context;
use crate::exit;
use crate::output::template;

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
    let (mut code, mut found) = (0, Vec::new());
    for name in &args.names {
        match engine.volume(name) {
            Ok(volume) => found.push(shape(&volume)),
            Err(error) => code = exit::report(&error.into()),
        }
    }
    match &args.format {
        Some(format) => {
            for value in &found {
                println!("{}", template::one(format, value)?);
            }
        }
        None => println!("{}", serde_json::to_string_pretty(&found)?),
    }
    Ok(code)
}
