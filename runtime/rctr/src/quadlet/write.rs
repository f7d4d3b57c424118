//! Units and links as files.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context as _, Result};

use super::units::Service;

/// Writes a unit and its links. None that is there is replaced: it is another file's, or another generator's.
pub(super) fn service(folder: &Path, service: &Service) -> Result<()> {
    let path = folder.join(&service.name);
    let file = fs::File::create_new(&path).and_then(|mut file| file.write_all(service.text.as_bytes()));
    file.with_context(|| format!("write {}", path.display()))?;
    for (link, to) in &service.links {
        let path = folder.join(link);
        let made = path.parent().map_or(Ok(()), fs::create_dir_all).and_then(|()| symlink(to, &path));
        made.with_context(|| format!("link {}", path.display()))?;
    }
    Ok(())
}
