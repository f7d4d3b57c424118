//! Which endpoint to ask next, and when.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::Inner;
use super::endpoint::Endpoint;
use super::error::{Error, Failure, Way, chain};
use super::registries::PullFrom;
use crate::pull::Event;

/// The tries of one request, over all endpoints.
pub(super) struct Attempts<'a> {
    registry: Arc<Inner<'a>>,
    /// Endpoints by their place in the registry; the first one is being asked.
    left: Vec<usize>,
    /// Failures of this endpoint in a row.
    failed: u32,
    tried: Vec<(String, Failure)>,
    pub(super) what: String,
    way: Way,
}

impl<'a> Attempts<'a> {
    /// For a request by digest or by tag. `what` is for messages.
    pub(super) fn new(registry: Arc<Inner<'a>>, what: String, by_digest: bool) -> Self {
        let tagged = registry.reference.digest().is_none();
        let suits = |endpoint: &Endpoint| match endpoint.pull {
            PullFrom::All => true,
            PullFrom::DigestOnly => by_digest,
            PullFrom::TagOnly => tagged,
        };
        let endpoints = registry.endpoints.iter().enumerate().filter(|(_, endpoint)| suits(endpoint));
        let mut left: Vec<usize> = endpoints.map(|(index, _)| index).collect();
        let up: Vec<usize> =
            left.iter().copied().filter(|index| !registry.endpoints[*index].down.load(Ordering::Relaxed)).collect();
        if !up.is_empty() {
            left = up;
        }
        Attempts { registry, left, failed: 0, tried: Vec::new(), what, way: Way::From }
    }

    /// The same for what goes to the registry.
    pub(super) fn writing(registry: Arc<Inner<'a>>, what: String) -> Self {
        Attempts { way: Way::To, ..Self::new(registry, what, true) }
    }

    /// The one to ask.
    pub(super) fn endpoint(&self) -> &Endpoint {
        &self.registry.endpoints[self.left[0]]
    }

    /// Things went well: failures count from here.
    pub(super) fn progressed(&mut self) {
        self.failed = 0;
    }

    /// After a failure: waits, if the same endpoint is to be asked again, or goes to the next one. The last one is asked
    /// patiently, those before it are left quickly.
    pub(super) async fn failed(&mut self, failure: Failure) -> Result<(), Error> {
        self.failed += 1;
        self.endpoint().note(&failure);
        let pause = match self.left.len() {
            1 => self.registry.patience.next(self.failed, &failure),
            // A broken connection says nothing about the next one.
            _ => (self.failed == 1 && matches!(failure, Failure::Lost(_))).then_some(Duration::ZERO),
        };
        if let Some(after) = pause {
            let what = format!("{} {} {}", self.what, self.way.word(), self.endpoint().name());
            self.registry.progress.event(Event::Retrying { what, why: chain(&failure), after });
            self.registry.patience.wait(after).await;
            return Ok(());
        }
        self.tried.push((self.endpoint().name(), failure));
        self.failed = 0;
        if self.left.len() > 1 {
            self.left.remove(0);
            return Ok(());
        }
        Err(Error::of(self.what.clone(), self.way, std::mem::take(&mut self.tried)))
    }
}
