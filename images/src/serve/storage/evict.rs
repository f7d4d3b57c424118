//! What a mirror forgets. When content was last asked for is the time of its file's last change.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use super::{Kind, Repository, Storage};
use crate::Digest;
use crate::error::Result;
use crate::serve::Keep;
use crate::store::list;

/// So much later a use is noted again: a pull asks for one thing many times.
const NOTED: Duration = Duration::from_secs(60);

/// Something that is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Content {
    digest: Digest,
    size: u64,
    /// Since somebody asked for it.
    unused: Duration,
}

impl Storage {
    /// Notes that content is asked for. Where that cannot be noted it goes sooner, and is fetched again.
    pub(in crate::serve) fn note_use(file: &File) {
        let now = SystemTime::now();
        let noted = file.metadata().and_then(|metadata| metadata.modified());
        if noted.is_ok_and(|noted| now.duration_since(noted).is_ok_and(|age| age > NOTED)) {
            let _ = file.set_modified(now);
        }
    }

    /// Removes what is too much, with the tags that mean it. Whoever is being sent some of it gets all of it.
    pub(in crate::serve) fn evict(&self, keep: &Keep) -> Result<()> {
        let gone = too_much(self.contents()?, keep);
        if gone.is_empty() {
            return Ok(());
        }
        for name in self.repository_page("", usize::MAX, &['@', '+'])? {
            let Ok(repository) = Repository::parse(&name) else { continue };
            for name in list(&self.folder(&repository))? {
                let of = |kind: Kind| name.strip_prefix(kind.sigil())?.parse().ok().filter(|digest| gone.contains(digest));
                if let Some(digest) = of(Kind::Blob) {
                    self.remove_blob(&repository, &digest)?;
                } else if let Some(digest) = of(Kind::Manifest) {
                    self.remove_manifest(&repository, &digest)?;
                }
            }
        }
        Ok(())
    }

    fn contents(&self) -> Result<Vec<Content>> {
        let (now, mut found) = (SystemTime::now(), Vec::new());
        let blobs = self.root.join("blobs");
        for algorithm in list(&blobs)? {
            for hex in list(&blobs.join(&algorithm))? {
                // One that has just gone is not there to go.
                let Ok(metadata) = fs::symlink_metadata(blobs.join(&algorithm).join(&hex)) else { continue };
                let unused = metadata.modified().ok().and_then(|used| now.duration_since(used).ok()).unwrap_or_default();
                if let Ok(digest) = format!("{algorithm}:{hex}").parse() {
                    found.push(Content { digest, size: metadata.len(), unused });
                }
            }
        }
        Ok(found)
    }
}

/// What has to go.
fn too_much(mut all: Vec<Content>, keep: &Keep) -> BTreeSet<Digest> {
    all.sort_by(|a, b| b.unused.cmp(&a.unused).then_with(|| a.digest.cmp(&b.digest)));
    let mut left: u64 = all.iter().map(|content| content.size).sum();
    let goes = |content: &Content| {
        let goes = keep.unused.is_some_and(|unused| content.unused > unused) || keep.bytes.is_some_and(|bytes| left > bytes);
        if goes {
            left -= content.size;
        }
        goes
    };
    all.into_iter().filter(goes).map(|content| content.digest).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_asked_for_longest_ago_goes_first() {
        let content = |name: &str, size, unused| Content {
            digest: Digest::sha256(name.as_bytes()),
            size,
            unused: Duration::from_secs(unused),
        };
        let all = || vec![content("a", 10, 50), content("b", 20, 500), content("c", 5, 5)];
        let gone = |bytes, unused: Option<u64>| {
            let gone = too_much(all(), &Keep { bytes, unused: unused.map(Duration::from_secs) });
            ["a", "b", "c"].into_iter().filter(|name| gone.contains(&Digest::sha256(name.as_bytes()))).collect::<String>()
        };
        assert_eq!((gone(None, None), gone(Some(35), None), gone(Some(34), None)), ("".into(), "".into(), "b".into()));
        assert_eq!((gone(Some(15), None), gone(Some(14), None), gone(Some(0), None)), ("b".into(), "ab".into(), "abc".into()));
        assert_eq!((gone(None, Some(500)), gone(None, Some(49)), gone(Some(5), Some(400))), ("".into(), "ab".into(), "ab".into()));
    }
}
