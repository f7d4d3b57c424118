//! A result that is more, or other, than an image of the store.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use engine::Engine;
use engine::build::Built;
use images::{Reference, SaveOptions};

use super::values::Output;
use crate::context::Context;

/// Writes what was asked for.
pub(crate) fn write(context: &Context, engine: &Engine, built: &Built, output: &Output, names: &[Reference]) -> Result<()> {
    match output {
        Output::Image => Ok(()),
        Output::Folder(path) => Ok(built.write_folder(engine, path)?),
        Output::Tar(path) => to(path.as_deref(), |out| Ok(built.write_tar(engine, out)?)),
        Output::Archive(path) => {
            let Some(image) = &built.image else { return Ok(()) };
            let names = if names.is_empty() { vec![image.id.to_string()] } else { names.iter().map(ToString::to_string).collect() };
            let images::PullOptions { registries, credentials, .. } = context.pull_options(None)?;
            let options = SaveOptions { registries, credentials, platforms: Vec::new() };
            to(path.as_deref(), |out| Ok(images::save(engine.images(), &names, &options, out, &())?))
        }
    }
}

/// Writes to a file, which is not there if that fails, or to standard output.
fn to(path: Option<&Path>, write: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let Some(path) = path else {
        if io::stdout().is_terminal() {
            bail!("standard output is a terminal: name a file with dest=");
        }
        return write(&mut io::stdout().lock());
    };
    let mut file = File::create(path).with_context(|| format!("make {}", path.display()))?;
    write(&mut file).inspect_err(|_| drop(std::fs::remove_file(path)))
}
