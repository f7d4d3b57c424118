//! From a name to the manifest for this platform.

use crate::Digest;
use crate::error::{Error, Result};
use crate::manifest::{self, Descriptor, Document};
use crate::pull::{Event, Pull};
use crate::registry::Fetched;

/// An image whose layers are known.
pub(super) struct Resolved {
    /// What the name points to.
    pub(super) target: Fetched,
    /// The same, or the one which was chosen in it.
    pub(super) manifest: Fetched,
    pub(super) config: Descriptor,
    /// Lowest first.
    pub(super) layers: Vec<Descriptor>,
}

impl Pull<'_> {
    pub(super) async fn resolve(&self) -> Result<Resolved> {
        let what = match self.reference.digest() {
            Some(digest) => digest.to_string(),
            None => self.reference.tag().unwrap_or("latest").to_owned(),
        };
        let target = match self.unchanged(&what).await {
            Some(target) => target,
            None => self.registry.manifest(&what).await?,
        };
        self.progress.event(Event::Resolved { digest: &target.digest });
        let entries = match manifest::parse(&target.bytes, &target.media_type)? {
            Document::Manifest { config, layers } => {
                return Ok(Resolved { manifest: target.clone(), target, config, layers });
            }
            Document::Index(entries) => entries,
        };
        let Some(chosen) = manifest::choose(&entries, self.platform) else {
            let have = entries.iter().filter_map(|entry| entry.platform.clone()).collect();
            return Err(Error::WrongPlatform { reference: self.reference.familiar(), wanted: self.platform.clone(), have });
        };
        let fetched = match self.stored(&chosen.digest) {
            Some(fetched) => fetched,
            None => self.registry.entry(chosen).await?,
        };
        match manifest::parse(&fetched.bytes, &fetched.media_type)? {
            Document::Manifest { config, layers } => Ok(Resolved { target, manifest: fetched, config, layers }),
            Document::Index(_) => Err(Error::NotAnImage { what: format!("manifest {}", chosen.digest) }),
        }
    }

    /// The document behind a name which the store has, if it still means the same: looking costs nothing on Docker Hub, fetching
    /// counts.
    async fn unchanged(&self, what: &str) -> Option<Fetched> {
        let known = self.store.image(&self.reference.to_string()).ok()?.target;
        let document = self.stored(&known)?;
        (self.registry.current(what).await? == known).then_some(document)
    }

    fn stored(&self, digest: &Digest) -> Option<Fetched> {
        let bytes = self.store.read_blob("manifest", digest).ok()?;
        let media_type = manifest::media_type(&bytes, "").ok()?;
        Some(Fetched { bytes, digest: digest.clone(), media_type })
    }
}
