//! Files that are whole or not there.

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use anyhow::{Context as _, Result, bail};

/// Fills the file of `--output`, which appears under its name only once it is whole. What is no file, such as `/dev/null`, is written to as it is.
pub(crate) fn file(path: &Path, fill: impl FnOnce(&mut dyn Write) -> Result<()>) -> Result<()> {
    let create = |path: &Path| {
        let opened = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        opened.with_context(|| format!("--output: write {}", path.display()))
    };
    if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
        return fill(&mut create(path)?);
    }
    let Some(name) = path.file_name() else { bail!("--output: write {}: no name of a file", path.display()) };
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
        assert!(file(&path, |out| out.write_all(b"half").map_err(Into::into).and_then(|()| bail!("broke"))).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "before");
        file(&path, |out| Ok(out.write_all(b"after")?)).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "after");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
        file(Path::new("/dev/null"), |out| Ok(out.write_all(b"gone")?)).unwrap();
    }
}
