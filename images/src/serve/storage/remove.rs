//! What goes: by request, because nobody names it or asks for it, or because a killed process left it.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use sys::Call;

use super::{Kind, Repository, Storage, is_missing, unlink};
use crate::error::{Doing, Result};
use crate::store::list;
use crate::{Digest, manifest};

impl Storage {
    /// Removes uploads that nobody goes on with, and content that no repository has.
    pub(super) fn sweep(&self) -> Result<()> {
        for name in list(&self.root.join("uploads"))? {
            unlink(&self.root.join("uploads").join(name))?;
        }
        let blobs = self.root.join("blobs");
        for algorithm in list(&blobs)? {
            for hex in list(&blobs.join(&algorithm))? {
                drop_if_unused(&blobs.join(&algorithm).join(hex))?;
            }
        }
        Ok(())
    }

    /// Removes blobs that no manifest of their repository names, and whose links have not changed for `age`: a push may be about to
    /// name them.
    pub(in crate::serve) fn prune(&self, age: Duration) -> Result<()> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let old = |path: &Path| {
            let changed = fs::symlink_metadata(path).map(|metadata| metadata.ctime()).unwrap_or(i64::MAX);
            u64::try_from(changed).is_ok_and(|changed| now.saturating_sub(age).as_secs() >= changed)
        };
        for name in self.repository_page("", usize::MAX, &['+'])? {
            let Ok(repository) = Repository::parse(&name) else { continue };
            let names = list(&self.folder(&repository))?;
            let digests = |sigil: char| names.iter().filter_map(move |name| name.strip_prefix(sigil)?.parse::<Digest>().ok());
            let mut needed = BTreeSet::new();
            for manifest in digests(Kind::Manifest.sigil()) {
                let bytes = self.manifest(&repository, &manifest)?.unwrap_or_default();
                needed.extend(manifest::parse(&bytes, "")?.names());
            }
            for blob in digests(Kind::Blob.sigil()).filter(|blob| !needed.contains(blob)) {
                if old(&self.member(&repository, Kind::Blob, &blob)) {
                    self.remove_blob(&repository, &blob)?;
                }
            }
        }
        Ok(())
    }

    /// Removes a tag. Answers whether it was there.
    pub(in crate::serve) fn remove_tag(&self, repository: &Repository, tag: &str) -> Result<bool> {
        let _links = self.links();
        let removed = unlink(&self.tag_file(repository, tag))?;
        self.tidy(&self.folder(repository));
        Ok(removed)
    }

    /// Removes a blob from a repository. Answers whether it was there.
    pub(in crate::serve) fn remove_blob(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        let _links = self.links();
        self.take(repository, Kind::Blob, digest)
    }

    /// Removes a manifest with the tags that mean it. Answers whether it was there.
    pub(in crate::serve) fn remove_manifest(&self, repository: &Repository, digest: &Digest) -> Result<bool> {
        let Some(bytes) = self.manifest(repository, digest)? else { return Ok(false) };
        let _links = self.links();
        for tag in self.tags(repository)? {
            if self.tag(repository, &tag)?.as_ref() == Some(digest) {
                unlink(&self.tag_file(repository, &tag))?;
            }
        }
        if let Some(subject) = manifest::About::read(&bytes).ok().and_then(|about| about.subject().cloned()) {
            let folder = self.referrers(repository, &subject);
            unlink(&folder.join(digest.as_str()))?;
            let _ = fs::remove_dir(folder);
        }
        self.take(repository, Kind::Manifest, digest)
    }

    /// The tags of a repository, in no order.
    fn tags(&self, repository: &Repository) -> Result<Vec<String>> {
        let names = list(&self.folder(repository))?;
        Ok(names.into_iter().filter_map(|name| name.strip_prefix(':').map(str::to_owned)).collect())
    }

    /// Removes content from a repository, and altogether if nobody else has it. The lock is held.
    fn take(&self, repository: &Repository, kind: Kind, digest: &Digest) -> Result<bool> {
        if !unlink(&self.member(repository, kind, digest))? {
            return Ok(false);
        }
        drop_if_unused(&self.content(digest))?;
        self.tidy(&self.folder(repository));
        Ok(true)
    }

    /// Removes a repository's folder and those above it, as far as they are empty.
    fn tidy(&self, folder: &Path) {
        let refs = self.root.join("refs");
        let above = folder.ancestors().take_while(|folder| folder.starts_with(&refs) && **folder != refs);
        for folder in above {
            if fs::remove_dir(folder).is_err() {
                break;
            }
        }
    }
}

/// Removes content that has no link but its own.
fn drop_if_unused(path: &Path) -> Result<()> {
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.nlink() == 1 => unlink(path).map(drop),
        Ok(_) => Ok(()),
        Err(error) if is_missing(&error) => Ok(()),
        Err(error) => Err(error).call(|| format!("lstat({path:?})")).doing(|| "remove content"),
    }
}
