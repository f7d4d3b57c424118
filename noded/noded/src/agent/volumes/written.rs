//! Writing the files of a volume.

use std::collections::BTreeSet;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, chown, symlink};
use std::path::Path;

use super::files::Files;
use super::folder;

/// Writes the files so that all of them change in one moment. Files that are right already are left alone.
pub(super) fn written(path: &Path, files: &Files, group: Option<i64>) -> io::Result<()> {
    folder(path)?;
    let data = path.join("..data");
    let old = fs::read_link(&data).ok();
    if old.is_some() && is_same(&data, files) {
        return Ok(());
    }
    let new = format!("..{}", engine::now());
    let inside = path.join(&new);
    fs::DirBuilder::new().mode(0o755).create(&inside)?;
    for (name, (mode, value)) in files {
        let file = inside.join(name);
        if let Some(parent) = file.parent() {
            fs::create_dir_all(parent)?;
        }
        fs::write(&file, value)?;
        let group = group.and_then(|group| u32::try_from(group).ok());
        if let Some(group) = group {
            chown(&file, None, Some(group))?;
        }
        // The group reads what the owner does.
        let mode = if group.is_some() { mode | (mode & 0o400) >> 3 } else { *mode };
        fs::set_permissions(&file, fs::Permissions::from_mode(mode))?;
    }
    let link = path.join("..data_tmp");
    let _ = fs::remove_file(&link);
    symlink(&new, &link)?;
    fs::rename(&link, &data)?;
    let tops: BTreeSet<&str> = files.keys().filter_map(|name| name.split('/').next()).collect();
    for entry in fs::read_dir(path)?.flatten() {
        let name = entry.file_name();
        let ours = name.to_str().is_some_and(|name| name.starts_with("..") || tops.contains(name));
        if !ours {
            fs::remove_file(entry.path())?;
        }
    }
    for name in tops {
        match symlink(Path::new("..data").join(name), path.join(name)) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    match old {
        Some(old) => fs::remove_dir_all(path.join(old)),
        None => Ok(()),
    }
}

fn is_same(data: &Path, files: &Files) -> bool {
    fn count(folder: &Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    count(data) == files.len()
        && files.iter().all(|(name, (_, value))| fs::read(data.join(name)).is_ok_and(|there| there == *value))
}
