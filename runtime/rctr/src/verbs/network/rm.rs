//! `rctr network rm`.

use anyhow::Result;
use engine::Error;

use crate::context::Context;
use crate::exit;

/// Remove networks that no container runs in
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// It is no error when one is not there
    #[arg(short, long)]
    force: bool,
    /// Names or ids
    #[arg(required = true, value_name = "NETWORK")]
    networks: Vec<String>,
}

/// Removes them and prints what was given.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let mut code = 0;
    for name in &args.networks {
        match engine.remove_network(name) {
            Ok(_) => println!("{name}"),
            Err(Error::NoSuchNetwork(_)) if args.force => {}
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}
