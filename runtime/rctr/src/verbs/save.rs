//! `rctr save`.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufWriter, IsTerminal, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use engine::Engine;
use images::SaveOptions;

use crate::context::Context;
use crate::output::{progress, told};

/// Write images to a tar archive
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Names or ids
    #[arg(required = true, value_name = "IMAGE")]
    images: Vec<String>,
}

/// Writes an archive that is an OCI layout and Docker's form at once.
pub(crate) fn run(context: &Context, args: Args) -> Result<i32> {
    let images::PullOptions { registries, credentials, .. } = context.pull_options(None)?;
    let options = SaveOptions { registries, credentials };
    let engine = context.engine()?;
    match &args.output {
        Some(path) => whole(path, |out| save(&engine, &args.images, &options, out))?,
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

/// Fills a file that appears under its name only once it is whole. What is no file, such as `/dev/null`, is written to as it is.
fn whole(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let create = |path: &Path| {
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        opened.with_context(|| format!("write {}", path.display()))
    };
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fill(&mut create(path)?);
    }
    let Some(name) = path.file_name() else { bail!("write {}: no name of a file", path.display()) };
    let temporary = path.with_file_name(format!(".{}.{}", name.to_string_lossy(), std::process::id()));
    let mut file: File = create(&temporary)?;
    let filled = fill(&mut file).and_then(|()| {
        fs::rename(&temporary, path).with_context(|| format!("rename {} to {}", temporary.display(), path.display()))
    });
    if filled.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    filled
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_as_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.tar");
        fs::write(&path, "before").unwrap();
        assert!(whole(&path, |out| out.write_all(b"half").map_err(Into::into).and_then(|()| bail!("broke"))).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        whole(&path, |out| Ok(out.write_all(b"after")?)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        whole(Path::new("/dev/null"), |out| Ok(out.write_all(b"gone")?)).unwrap();
    }
}
