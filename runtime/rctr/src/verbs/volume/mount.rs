//! `rctr volume mount` and `rctr volume unmount`.

use anyhow::Result;

use crate::context::Context;
use crate::exit;

/// Show the files of volumes on the host, and print where
#[derive(Debug, clap::Args)]
pub(crate) struct Mount {
    /// Their names
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

/// Undo that
#[derive(Debug, clap::Args)]
pub(crate) struct Unmount {
    /// Their names
    #[arg(required = true, value_name = "VOLUME")]
    volumes: Vec<String>,
}

/// Prints where each one is.
pub(super) fn mount(context: &Context, args: &Mount) -> Result<i32> {
    let engine = context.engine()?;
    let mut code = 0;
    for name in &args.volumes {
        match engine.volume_mount(name) {
            Ok(path) => println!("{}", path.display()),
            Err(error) => code = exit::report(&error.into()),
        }
    }
    Ok(code)
}

/// Prints the name of each one.
pub(super) fn unmount(context: &Context, args: &Unmount) -> Result<i32> {
    let engine = context.engine()?;
    Ok(exit::each(&args.volumes, |name| Ok(engine.volume_unmount(name)?)))
}
