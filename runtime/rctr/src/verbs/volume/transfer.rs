//! `rctr volume export` and `rctr volume import`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::output::whole;

/// Write the files of a volume as a tar archive
#[derive(Debug, clap::Args)]
pub(crate) struct Export {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Its name
    volume: String,
}

/// Put what is in an archive into a volume, beside what is there
#[derive(Debug, clap::Args)]
pub(crate) struct Import {
    /// Its name
    volume: String,
    /// The archive, which may be compressed with gzip or zstd; - is standard input
    #[arg(default_value = "-")]
    file: String,
}

/// Writes the archive. A file appears when it is whole.
pub(super) fn export(context: &Context, args: &Export) -> Result<i32> {
    let engine = context.engine()?;
    let write = |out: &mut dyn Write| Ok(engine.volume_export(&args.volume, out)?);
    match &args.output {
        Some(path) => whole::file(path, write)?,
        None if io::stdout().is_terminal() => {
            bail!("volume export: this is a terminal: give a file with -o, or lead the archive elsewhere")
        }
        None => write(&mut io::stdout().lock())?,
    }
    Ok(0)
}

/// Unpacks the archive.
pub(super) fn import(context: &Context, args: &Import) -> Result<i32> {
    let engine = context.engine()?;
    // Before anything is read.
    engine.volume(&args.volume)?;
    let input = match args.file.as_str() {
        "-" if io::stdin().is_terminal() => bail!("volume import: this is a terminal: name a file, or lead an archive here"),
        "-" => io::stdin().as_fd().try_clone_to_owned().context("read standard input")?.into(),
        path => File::open(path).with_context(|| format!("open {path}"))?,
    };
    engine.volume_import(&args.volume, input)?;
    Ok(0)
}
