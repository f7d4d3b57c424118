//! `rctr wait`.

use anyhow::Result;

use crate::context::Context;
use crate::exit;

/// Wait until containers have ended, and print their exit codes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Names or ids
    #[arg(required = true, value_name = "CONTAINER")]
    containers: Vec<String>,
}

/// Waits for each container in turn.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let mut code = 0;
    for name in &args.containers {
        match engine.wait(name) {
            Ok(exit) => println!("{}", exit.code),
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}
