//! What a build remembers for other hosts, and what it knows from them.

use std::sync::{Arc, Mutex, PoisonError};

use images::{CacheStep, Cached, Digest, NewLayer, RemoteCache};

use super::Built;
use super::job::{Job, Shown};
use super::state::State;

/// The steps of a build that made layers, or might have.
#[derive(Debug, Default)]
pub(super) struct Steps(Mutex<Vec<CacheStep>>);

impl Steps {
    /// Notes what came of a step on top of `state`.
    pub(super) fn add(&self, key: Digest, layer: Option<images::Layer>, state: &State, what: String, created: &str) {
        let parent = state.layers.last().map(|layer| layer.digest.clone());
        let step = CacheStep { key, layer, parent, what, created: created.to_owned() };
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(step);
    }

    /// All of them, and whether `state` has their layers.
    pub(super) fn of(&self, state: &State) -> Vec<(CacheStep, bool)> {
        let own =
            |step: &CacheStep| step.layer.as_ref().is_none_or(|own| state.layers.iter().any(|layer| layer.digest == own.digest));
        let steps = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        steps.iter().map(|step| (step.clone(), own(step))).collect()
    }
}

impl Built {
    /// The steps of the build, for [`images::export_cache`]: those whose layers are in the result, or `all`.
    pub fn cache(&self, all: bool) -> Vec<CacheStep> {
        self.steps.iter().filter(|(_, own)| all || *own).map(|(step, _)| step.clone()).collect()
    }

    /// Adds the steps of another build, such as one for other machines.
    pub fn join(&mut self, other: Built) {
        self.steps.extend(other.steps);
    }
}

/// What came of a step somewhere else: its layer is brought here and remembered. Nothing if no cache knows it, or the one that does has it no
/// more, which is no reason not to do the step.
pub(super) fn elsewhere(job: &Job<'_>, caches: &[Arc<RemoteCache>], key: &Digest, shown: &Shown<'_>) -> Option<Cached> {
    let images = job.engine.images();
    for (cache, step) in caches.iter().filter_map(|cache| Some((cache, cache.step(key)?))) {
        let brought = step.layer.as_ref().map(|layer| cache.bring(images, layer, &())).transpose();
        let remembered = brought.and_then(|lease| {
            images.remember(key, step.layer.as_ref(), &step.what, &step.created)?;
            let known = images.cached(key)?;
            drop(lease);
            Ok(known)
        });
        match remembered {
            Ok(Some(known)) => return Some(known),
            Ok(None) => {}
            Err(error) => shown.says(&format!("a layer of the cache cannot be had: {error}")),
        }
    }
    None
}

/// The layer that was made.
pub(super) fn layer_of(made: Option<&NewLayer>) -> Option<images::Layer> {
    made.map(|made| made.layer.clone())
}
