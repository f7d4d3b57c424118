//! `rctr import`.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;

use anyhow::{Context as _, Result, bail};
use images::{Change, ImportOptions, Platform, Reference};

use super::sync;
use crate::context::Context;
use crate::output::{progress, told};

/// Make an image of a tar archive with a root file system
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Change how the image runs, as a line of a Dockerfile would: CMD, ENTRYPOINT, ENV, EXPOSE, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME,
    /// WORKDIR
    #[arg(short, long, value_name = "INSTRUCTION")]
    change: Vec<Change>,
    /// What the image's history says
    #[arg(short, long, value_name = "TEXT")]
    message: Option<String>,
    /// Which machines it is for, if not this one: OS/ARCHITECTURE[/VARIANT]
    #[arg(long)]
    platform: Option<Platform>,
    /// Show no progress
    #[arg(short, long)]
    quiet: bool,
    /// The archive, which may be compressed with gzip or zstd; - is standard input
    file: String,
    /// [HOST[:PORT]/]NAME[:TAG]
    name: Option<Reference>,
}

/// Makes the image, and prints its id.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let engine = context.engine()?;
    if args.name.as_ref().is_some_and(|name| name.tag().is_none()) {
        bail!("import: a name with a digest cannot be given to a new image");
    }
    let input = match args.file.as_str() {
        "-" if io::stdin().is_terminal() => bail!("import: this is a terminal: name a file, or lead an archive here"),
        "-" => io::stdin().as_fd().try_clone_to_owned().context("read standard input")?.into(),
        address if address.contains("://") => bail!("import: addresses are not fetched: lead what curl gets here, and name -"),
        path => File::open(path).with_context(|| format!("open {path}"))?,
    };
    let progress = progress::shown(progress::LOAD, args.quiet);
    let message = args.message.unwrap_or_else(|| format!("Imported from {}", args.file));
    let options = ImportOptions { name: args.name, platform: args.platform, changes: args.change, message };
    let image = images::import(engine.images(), input, &options, progress.as_ref())?;
    told::image(&engine, "import", image.id.as_str(), image.id.as_str());
    println!("{}", image.id);
    sync::behind(context)?;
    Ok(0)
}
