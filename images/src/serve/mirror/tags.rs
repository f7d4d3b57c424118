//! Manifests, and what tags mean upstream.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use super::{Known, Mirror, upstream};
use crate::Digest;
use crate::manifest::About;
use crate::serve::refusal::{Code, Refusal};
use crate::serve::route::{Repository, What};
use crate::serve::storage::Kind;
use crate::serve::{Shared, blocking};

/// How long an upstream may take to say what a tag means, when the answer to the last such question is here.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long an upstream that took longer is not asked.
const SILENCE: Duration = Duration::from_secs(30);

impl Mirror {
    /// Brings a manifest here, and what its tag means up to date.
    pub(in crate::serve) async fn refresh(&self, shared: &Shared, repository: &Repository, what: &What) -> Result<(), Refusal> {
        let here = |digest: &Digest| self.storage.has(repository, Kind::Manifest, digest);
        if matches!(what, What::Digest(digest) if here(digest)) {
            return Ok(());
        }
        let known = self.known(repository)?;
        let _turn = known.turn.lock().await;
        let (wanted, tag) = match what {
            What::Digest(digest) if here(digest) => return Ok(()),
            What::Digest(digest) => (Some(digest.clone()), None),
            What::Tag(tag) => {
                let kept = self.kept_tag(repository, tag).await?.filter(here);
                let now = match &kept {
                    Some(_) => self.current_soon(&known, tag).await,
                    None => known.registry.current(tag).await,
                };
                match (now, kept) {
                    // Nobody answers: what was kept is better than nothing.
                    (None, Some(_)) => return Ok(()),
                    (Some(now), Some(kept)) if now == kept => return Ok(()),
                    (now, _) => (now, Some(tag.clone())),
                }
            }
        };
        let asked = wanted.as_ref().map_or_else(|| what.to_string(), Digest::to_string);
        let fetched = known.registry.manifest(&asked).await.map_err(|error| upstream(&error, Code::ManifestUnknown))?;
        let subject = About::read(&fetched.bytes).ok().and_then(|about| about.subject().cloned());
        let tags = tag.into_iter().collect();
        shared.keep_manifest(repository, &fetched.digest, fetched.bytes, subject, tags).await
    }

    /// What a tag means now, if the upstream says so at once.
    async fn current_soon(&self, known: &Known, tag: &str) -> Option<Digest> {
        let silent = || self.silent.lock().unwrap_or_else(PoisonError::into_inner);
        if silent().is_some_and(|until| Instant::now() < until) {
            return None;
        }
        let said = tokio::time::timeout((self.stall / 2).min(PATIENCE), known.registry.current(tag)).await;
        *silent() = said.is_err().then(|| Instant::now() + SILENCE);
        said.ok().flatten()
    }

    async fn kept_tag(&self, repository: &Repository, tag: &str) -> Result<Option<Digest>, Refusal> {
        let (repository, tag) = (repository.clone(), tag.to_owned());
        blocking(&self.storage, move |storage| storage.tag(&repository, &tag)).await
    }
}
