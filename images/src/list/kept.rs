//! Where lists are kept.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;

use sys::Call;

use super::List;
use crate::Reference;
use crate::error::{Doing, Error, Result};
use crate::store::{Store, create};

/// Largest file of a list that is read.
const LIMIT: usize = 4 << 20;

impl Store {
    /// A list that was made here.
    ///
    /// # Errors
    /// [`Error::NoList`]: there is none of this name.
    pub fn manifest_list(&self, name: &Reference) -> Result<List> {
        let path = self.list_file(name);
        let bytes = match File::open(&path).map(|file| sys::fs::read_all(file, LIMIT)) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Err(Error::NoList { name: name.familiar() });
            }
            read => read.call(|| format!("open({path:?})")).and_then(|read| read).doing(|| "read a list")?,
        };
        serde_json::from_slice(&bytes).map_err(|_| Error::Damaged { what: format!("list {}", name.familiar()) })
    }

    /// Forgets a list that was made here.
    pub fn remove_manifest_list(&self, name: &Reference) -> Result<()> {
        let path = self.list_file(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(Error::NoList { name: name.familiar() }),
            removed => removed.call(|| format!("unlink({path:?})")).doing(|| "remove a list")?,
        }
        let lists = self.root().join("lists");
        let above = path.ancestors().skip(1).take_while(|folder| folder.starts_with(&lists));
        above.take_while(|folder| fs::remove_dir(folder).is_ok()).for_each(drop);
        Ok(())
    }

    pub(super) fn write_list(&self, name: &Reference, list: &List) -> Result<()> {
        let path = self.list_file(name);
        let (Some(folder), Some(leaf)) = (path.parent(), path.file_name().and_then(|leaf| leaf.to_str())) else { return Ok(()) };
        create(folder)?;
        let bytes = serde_json::to_vec(list).map_err(|source| Error::Document { what: "list".into(), source })?;
        let write = || sys::fs::replace(sys::fs::open_dir(folder)?, leaf, &bytes);
        write().map_err(|source| self.full_or(source, || format!("write list {}", name.familiar())))
    }

    fn list_file(&self, name: &Reference) -> PathBuf {
        let folder = self.root().join("lists").join(name.registry()).join(name.repository());
        folder.join(match name.digest() {
            Some(digest) => format!("@{digest}"),
            None => format!(":{}", name.tag().unwrap_or("latest")),
        })
    }
}
