//! The layers of a result become one.

use std::sync::Arc;

use images::Digest;

use super::failure::BuildError;
use super::job::{Job, Shown};
use super::key::Key;
use super::request::Squash;
use super::state::State;

/// Puts one layer in place of those that are to become one, if they are several. What earlier steps have put into the cache stays there.
pub(super) fn squash(job: &Job<'_>, state: &mut State) -> Result<(), BuildError> {
    let (first, entry) = match job.request.squash {
        Squash::Nothing => return Ok(()),
        Squash::New => (state.found.layers, state.found.history),
        Squash::All => (0, 0),
    };
    let count = state.layers.len().saturating_sub(first);
    if count < 2 {
        return Ok(());
    }
    let shown = job.shown(&format!("merging {count} layers"));
    merge(job, state, (first, entry), &shown).inspect_err(|error| match error {
        BuildError::Canceled => shown.canceled(),
        other => shown.failed(&other.to_string()),
    })
}

fn merge(job: &Job<'_>, state: &mut State, (first, entry): (usize, usize), shown: &Shown<'_>) -> Result<(), BuildError> {
    let images = job.engine.images();
    let key = key(job, state, first);
    let known = if job.uses_cache() { images.cached(&key)? } else { None };
    if let Some(cached) = known {
        shown.cached();
        let created = job.created_or(Some(&cached.created));
        let lease = Arc::new(cached.lease);
        state.squash(first, entry, cached.layer.map(|layer| (layer, lease as Arc<_>)), &created);
        return Ok(());
    }
    let (base, layers) = state.layers.split_at(first);
    let (made, created) = (images.merge(base, layers, &job.layer_options())?, job.created());
    // It takes its time: whoever has ended the build meanwhile wants no image of it.
    if job.is_stopped() {
        return Err(BuildError::Canceled);
    }
    if !job.request.forgetful {
        let what = format!("merge of {} layers", layers.len());
        images.remember(&key, made.as_ref().map(|made| &made.layer), &what, &created)?;
    }
    state.squash(first, entry, made.map(|made| (made.layer.clone(), job.held(made))), &created);
    shown.done();
    Ok(())
}

/// The one layer depends on all layers, and on which of them are merged.
fn key(job: &Job<'_>, state: &State, first: usize) -> Digest {
    let mut key = Key::new("merge");
    state.files(&mut key);
    key.part((first as u64).to_le_bytes());
    key.part(job.epoch_part());
    key.finish()
}
