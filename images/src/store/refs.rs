//! Names of images, and the record of each manifest.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sys::Call;

use super::{Store, create};
use crate::error::{Doing, Error, Result};
use crate::{Digest, Reference};

/// What a name stands for. It lists the layers, so that finding out what is in use needs no manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Record {
    /// Index or manifest, as the registry says.
    pub(crate) target: Digest,
    pub(crate) manifest: Digest,
    pub(crate) media_type: String,
    pub(crate) config: Digest,
    pub(crate) layers: Vec<Digest>,
}

/// Largest record that is read.
const LIMIT: usize = 1 << 20;

impl Store {
    /// The file of a name.
    pub(super) fn ref_file(&self, reference: &Reference) -> PathBuf {
        let leaf = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => format!("@{digest}"),
            (None, tag) => format!(":{}", tag.unwrap_or("latest")),
        };
        self.refs().join(reference.registry()).join(reference.repository()).join(leaf)
    }

    /// The file of a manifest's record.
    pub(super) fn record_file(&self, manifest: &Digest) -> PathBuf {
        self.refs().join("@").join(manifest.to_string())
    }

    /// What `file` says; `None` if it is not there.
    pub(super) fn read_record(&self, file: &Path) -> Result<Option<Record>> {
        let bytes = match File::open(file).map(|open| sys::fs::read_all(open, LIMIT)) {
            Ok(read) => read.doing(|| format!("read {}", file.display()))?,
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(None),
            Err(error) => return Err(error).call(|| format!("open({file:?})")).doing(|| "read a name"),
        };
        match serde_json::from_slice(&bytes) {
            Ok(record) => Ok(Some(record)),
            Err(_) => Err(Error::Damaged { what: format!("name {}", file.display()) }),
        }
    }

    /// Puts a record in place for good: old or new, even after a power cut.
    pub(super) fn write_record(&self, file: &Path, record: &Record) -> Result<()> {
        let folder = file.parent().unwrap_or(file);
        create(folder)?;
        let bytes = serde_json::to_vec(record).map_err(|source| Error::Document { what: "record".into(), source })?;
        let temporary = folder.join(format!(".{}", std::process::id()));
        let write = || -> io::Result<()> {
            let mut open = File::create(&temporary)?;
            open.write_all(&bytes)?;
            open.sync_all()?;
            fs::rename(&temporary, file)?;
            File::open(folder)?.sync_all()
        };
        write().call(|| format!("write({file:?})")).map_err(|source| {
            let _ = fs::remove_file(&temporary);
            self.full_or(source, || format!("write {}", file.display()))
        })
    }

    /// Removes a name, and folders that are empty then. A name that is not there is fine.
    pub(super) fn remove_record(&self, file: &Path) -> Result<()> {
        match fs::remove_file(file) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                return Err(error).call(|| format!("unlink({file:?})")).doing(|| "remove a name");
            }
            _ => {}
        }
        let refs = self.refs();
        let above = file.ancestors().skip(1).take_while(|folder| folder.starts_with(&refs) && **folder != refs);
        for folder in above.filter(|folder| !folder.ends_with("@")) {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
        Ok(())
    }

    /// All names, and what they stand for.
    pub(super) fn names(&self) -> Result<Vec<(Reference, PathBuf)>> {
        let mut names = Vec::new();
        let refs = self.refs();
        for host in list(&refs)?.into_iter().filter(|host| host != "@") {
            walk(&refs, PathBuf::from(host), &mut names)?;
        }
        names.sort_by_key(|(reference, _)| reference.to_string());
        Ok(names)
    }

    /// The record files of all manifests.
    pub(super) fn records(&self) -> Result<Vec<PathBuf>> {
        let folder = self.refs().join("@");
        Ok(list(&folder)?.into_iter().map(|name| folder.join(name)).collect())
    }
}

fn walk(refs: &Path, below: PathBuf, names: &mut Vec<(Reference, PathBuf)>) -> Result<()> {
    let folder = refs.join(&below);
    for name in list(&folder)? {
        if !name.starts_with([':', '@']) {
            walk(refs, below.join(name), names)?;
        } else if let Some(reference) = below.to_str().and_then(|path| format!("{path}{name}").parse().ok()) {
            names.push((reference, folder.join(name)));
        }
    }
    Ok(())
}

/// The entries of a folder but those that begin with a dot, which are being written. A folder that is not there, or is a
/// file, has none.
pub(crate) fn list(folder: &Path) -> Result<Vec<String>> {
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.and_then(Iterator::collect::<io::Result<Vec<_>>>).call(|| format!("getdents64({folder:?})")),
    };
    let entries = entries.doing(|| "list")?;
    let visible = |name: &OsStr| !name.as_bytes().starts_with(b".");
    let names = entries.iter().map(fs::DirEntry::file_name).filter(|name| visible(name));
    Ok(names.filter_map(|name| name.into_string().ok()).collect())
}
