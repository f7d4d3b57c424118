//! `rctr load`.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use images::{LoadOptions, Platform, Reference};

use super::sync;
use crate::context::{Context, policy};
use crate::output::{progress, told};

/// Load images from a tar archive: an OCI layout, or what `docker save` writes
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Read this file instead of standard input; it may be compressed with gzip or zstd
    #[arg(short, long, value_name = "FILE")]
    input: Option<PathBuf>,
    /// Only the images for these machines, and not all that are there: OS/ARCHITECTURE[/VARIANT], several with commas
    #[arg(long, value_delimiter = ',')]
    platform: Vec<Platform>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
}

/// Loads all images of the archive, and prints their names.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    let input = match &args.input {
        Some(path) => File::open(path).with_context(|| format!("--input: open {}", path.display()))?,
        None if io::stdin().is_terminal() => bail!("load: this is a terminal: give --input FILE, or lead an archive here"),
        None => io::stdin().as_fd().try_clone_to_owned().context("read standard input")?.into(),
    };
    let progress = progress::shown(progress::LOAD, args.quiet);
    // As it is, whatever links lead there.
    let path = args.input.as_deref().map(std::fs::canonicalize).transpose().context("--input")?;
    let options = LoadOptions { platforms: args.platform, policy: policy()?, path };
    let mut fresh = false;
    for loaded in images::load(engine.images(), input, &options, progress.as_ref())? {
        fresh |= loaded.fresh;
        let image = loaded.image;
        told::image(&engine, "load", image.id.as_str(), image.id.as_str());
        image.names.iter().map(Reference::familiar).for_each(|name| println!("Loaded image: {name}"));
        if image.names.is_empty() {
            println!("Loaded image ID: {}", image.id);
        }
    }
    if fresh {
        sync::behind(context)?;
    }
    Ok(0)
}
