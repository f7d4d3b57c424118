//! `rctr logout`.

use anyhow::Result;

use crate::context::{Context, login_file};

/// Log out from a registry
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// HOST[:PORT]
    #[arg(default_value = "docker.io")]
    server: String,
}

/// Forgets the login.
pub(crate) fn run(_context: &Context, args: Args) -> Result<i32> {
    match images::logout(&args.server, &login_file()?)? {
        true => println!("Removing login credentials for {}", args.server),
        false => println!("Not logged in to {}", args.server),
    }
    Ok(0)
}
