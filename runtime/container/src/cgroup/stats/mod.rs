//! What a cgroup uses, under the names that `runc events` prints.

mod parse;
mod types;
mod usage;
mod v1;
mod v2;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::hierarchies::clean;
use super::{Error, Hierarchies};
pub use types::*;
pub use usage::{Usage, usage};

/// Reads what a cgroup uses: the folder of each v1 controller by its name, that of v2 by none. What cannot be read is left out; a
/// container may end meanwhile.
pub fn stats(folders: &BTreeMap<String, PathBuf>) -> Stats {
    let mut stats = Stats::default();
    if let Some(folder) = folders.get("") {
        // On a hybrid host it has few controllers, or none.
        v2::read(folder, &mut stats);
    }
    for (controller, folder) in folders {
        v1::read(controller, folder, &mut stats);
    }
    stats
}

/// Reads what the cgroup `path` uses.
///
/// # Errors
/// [`Error::Path`].
pub fn stats_of(hierarchies: &Hierarchies, path: &str) -> Result<Stats, Error> {
    let path = clean(path)?;
    let named = hierarchies.all().iter().flat_map(|hierarchy| {
        let folder = hierarchy.folder(&path);
        let names = if hierarchy.v2 { vec![String::new()] } else { hierarchy.controllers.clone() };
        names.into_iter().map(move |name| (name, folder.clone()))
    });
    Ok(stats(&named.collect()))
}

/// A file as text; empty when there is none.
fn text(folder: &Path, file: &str) -> String {
    sys::fs::open_dir(folder).and_then(|fd| super::files::read_at(fd, folder, file).map_err(|_| gone())).unwrap_or_default()
}

fn gone() -> sys::Error {
    sys::Error::new("read()", rustix::io::Errno::NOENT)
}

/// A file of one number; `max` is the greatest.
fn number(folder: &Path, file: &str) -> u64 {
    parse::number(&text(folder, file))
}

/// The page sizes of the files `hugetlb.SIZE.SUFFIX`.
fn page_sizes(folder: &Path, suffix: &str) -> Vec<String> {
    let names = sys::fs::open_dir(folder).and_then(sys::fs::list).unwrap_or_default();
    let size = |name: &std::ffi::OsString| {
        let size = name.to_str()?.strip_prefix("hugetlb.")?.strip_suffix(suffix)?;
        (!size.contains('.')).then(|| size.to_owned())
    };
    names.iter().filter_map(size).collect()
}

#[cfg(test)]
mod tests;
