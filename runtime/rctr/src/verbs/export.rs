//! `rctr export`.

use std::io::{self, BufWriter, IsTerminal, Write};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

use crate::context::Context;
use crate::output::whole;

/// Write a container's files as a tar archive, without what is mounted in it
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Name or id
    container: String,
}

/// Writes the archive. A file appears when it is whole.
pub(crate) fn run(context: &Context, args: &Args) -> Result<i32> {
    let engine = context.engine()?;
    let Some(path) = &args.output else {
        if io::stdout().is_terminal() {
            bail!("export: this is a terminal: give a file with -o, or lead the archive elsewhere");
        }
        let mut out = BufWriter::new(io::stdout().lock());
        engine.export(&args.container, &mut out)?;
        out.flush().context("write the archive")?;
        return Ok(0);
    };
    whole::file(path, |out| {
        let mut out = BufWriter::new(out);
        engine.export(&args.container, &mut out)?;
        out.flush().with_context(|| format!("write {}", path.display()))
    })?;
    Ok(0)
}
