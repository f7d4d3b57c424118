//! `rctr save`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Result, bail};
use engine::Engine;
use images::{Platform, SaveOptions};

use crate::context::Context;
use crate::output::{progress, told, whole};

/// Write images to a tar archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Only the images for these machines, and not all that are here: OS/ARCHITECTURE[/VARIANT], several with commas
    #[arg(long, value_delimiter = ',')]
    platform: Vec<Platform>,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Writes an archive that is an OCI layout and Docker's form at once.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let images::PullOptions { registries, credentials, .. } = context.pull_options(None)?;
    let options = SaveOptions { registries, credentials, platforms: args.platform.clone() };
    let engine = context.engine()?;
    match &args.output {
        Some(path) => whole::file(path, |out| save(&engine, &args.images, &options, out))?,
        None if io::stdout().is_terminal() => bail!("save: this is a terminal: give --output FILE, or lead the output elsewhere"),
        None => save(&engine, &args.images, &options, &mut io::stdout().lock())?,
    }
    Ok(0)
}

fn save(engine: &Engine, names: &[String], options: &SaveOptions, out: &mut dyn Write) -> Result<()> {
    let mut out = BufWriter::with_capacity(1 << 18, out);
    let progress = progress::shown(progress::SAVE, false);
    images::save(engine.images(), names, options, &mut out, progress.as_ref())?;
    names.iter().for_each(|name| told::image(engine, "save", name, name));
    Ok(())
}
