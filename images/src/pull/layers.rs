//! The layers of an image, several at once.

use std::collections::BTreeSet;

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use super::Progress;
use super::layer::Fetch;
use crate::Reference;
use crate::error::{Error, Result};
use crate::image::Layer;
use crate::manifest::Descriptor;
use crate::store::Store;

/// Layers on their way at once. More than there are cores: what they wait for is mostly the network.
const PARALLEL: usize = 6;

/// How to bring layers into a store.
pub(crate) struct Layers<'a> {
    pub(crate) store: &'a Store,
    pub(crate) progress: &'a dyn Progress,
    /// The repository they come from, if they do.
    pub(crate) source: Option<&'a Reference>,
    /// Whether their blobs are kept too.
    pub(crate) keep: bool,
}

impl<'a> Layers<'a> {
    /// Fetches those of `blobs` (lowest first) that are missing, biggest first. Answers whether there were any. `config` tells
    /// what the config says about them, which may have to arrive; when one of them fails, or somebody says `stop`, the others stop.
    pub(crate) async fn fetch<S, B, F>(
        &self,
        blobs: &'a [Descriptor],
        config: &watch::Receiver<Option<Vec<Layer>>>,
        stop: &watch::Sender<bool>,
        download: impl Fn(&'a Descriptor) -> F,
    ) -> Result<bool>
    where
        F: Future<Output = std::result::Result<S, B>>,
        S: Stream<Item = std::result::Result<Bytes, B>>,
        Error: From<B>,
    {
        let mut seen = BTreeSet::new();
        let mut layers: Vec<_> = blobs.iter().enumerate().filter(|(_, blob)| seen.insert(&blob.digest)).collect();
        layers.sort_by_key(|(_, blob)| std::cmp::Reverse(blob.size));
        let fetch = |(index, blob)| {
            let (config, stopped) = (config.clone(), stop.subscribe());
            let Layers { store, progress, source, keep } = *self;
            Fetch { store, progress, blob, index, config, stopped, source, keep }.run(|| download(blob))
        };
        let mut running = futures_util::stream::iter(layers.into_iter().map(fetch)).buffer_unordered(PARALLEL);
        // All are waited for: nothing may write any more when their folders are removed.
        let mut first: Result<bool> = Ok(false);
        while let Some(done) = running.next().await {
            match (&mut first, done) {
                (Ok(any), Ok(downloaded)) => *any |= downloaded,
                (Ok(_), Err(error)) => {
                    first = Err(error);
                    let _ = stop.send_replace(true);
                }
                (Err(_), _) => {}
            }
        }
        first
    }
}
