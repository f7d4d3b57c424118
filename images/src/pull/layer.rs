//! One layer: wait for its lock, download into the unpacker, compare the digests, publish.
//! And several of them side by side.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{Stream, StreamExt};
use tokio::sync::watch;

use super::{Event, Progress};
use crate::Reference;
use crate::error::{Error, Result};
use crate::image::Layer;
use crate::manifest::Descriptor;
use crate::store::{LayerFile, Lock, Staged, Store};
use crate::unpack::hash::Algorithm;
use crate::unpack::{self, Outcome, Unpacking, escape};

/// How often a download is told of to other processes that wait for it, and how often they look.
const TELL: Duration = Duration::from_millis(100);

/// What it takes to fetch a layer.
pub(super) struct Fetch<'a> {
    pub(super) store: &'a Store,
    pub(super) progress: &'a dyn Progress,
    pub(super) blob: &'a Descriptor,
    /// Its place in the image.
    pub(super) index: usize,
    pub(super) config: watch::Receiver<Option<Vec<Layer>>>,
    /// True when another layer failed.
    pub(super) stopped: watch::Receiver<bool>,
    /// The repository it comes from.
    pub(super) source: Option<&'a Reference>,
    /// Whether the blob is kept too; one that is in the manifest is, as no registry may have it.
    pub(super) keep: bool,
}

impl Fetch<'_> {
    /// Brings the layer into the store; `download` is called if it is not there. Answers whether it was.
    pub(super) async fn run<S, B, F>(mut self, download: impl FnOnce() -> F) -> Result<bool>
    where
        F: Future<Output = std::result::Result<S, B>>,
        S: Stream<Item = std::result::Result<Bytes, B>>,
        Error: From<B>,
    {
        let digest = &self.blob.digest;
        let lock = self.lock().await?;
        if let Some(layer) = self.store.settled_layer(digest, &lock)? {
            if let Some(source) = self.source {
                self.store.add_source(digest, source)?;
            }
            drop(lock);
            self.compare_diff_id(&layer.diff_id).await?;
            self.progress.event(Event::Exists(digest));
            return Ok(false);
        }
        let staged = Staged::new(self.store, digest, lock)?;
        let layer = self.unpack(&staged, download).await?;
        self.compare_diff_id(&layer.diff_id).await?;
        staged.publish(&layer)?;
        self.progress.event(Event::Done(digest));
        Ok(true)
    }

    /// Takes the layer's lock, however long another process has it.
    async fn lock(&mut self) -> Result<Lock> {
        let digest = &self.blob.digest;
        if let Some(lock) = self.store.try_lock_layer(digest)? {
            return Ok(lock);
        }
        self.progress.event(Event::Waiting(digest));
        let (store, digest) = (self.store.clone(), digest.clone());
        let mut waiting = tokio::task::spawn_blocking(move || store.lock_layer(&digest));
        let mut seen = None;
        loop {
            tokio::select! {
                lock = &mut waiting => return lock.map_err(|_| Error::Stopped)?,
                _ = self.stopped.wait_for(|stopped| *stopped) => return Err(Error::Stopped),
                () = tokio::time::sleep(TELL) => {}
            }
            // The other one's download is shown as if it were this one's.
            let told = self.store.progress_of(&self.blob.digest);
            if let Some(bytes) = told.filter(|_| told != seen) {
                self.progress.event(Event::Downloaded { digest: &self.blob.digest, bytes });
            }
            seen = told;
        }
    }

    async fn unpack<S, B, F>(&mut self, staged: &Staged<'_>, download: impl FnOnce() -> F) -> Result<LayerFile>
    where
        F: Future<Output = std::result::Result<S, B>>,
        S: Stream<Item = std::result::Result<Bytes, B>>,
        Error: From<B>,
    {
        let digest = self.blob.digest.to_string();
        let stream = download().await?;
        let mut stream = std::pin::pin!(stream);
        let failed = |source| Error::Unpack { digest: self.blob.digest.clone(), source };
        let kept = if self.keep || self.blob.data.is_some() { Some(staged.keep()?) } else { None };
        let mut unpacking = Unpacking::start(staged.destination()?, Algorithm::of(&digest), Algorithm::Sha256).map_err(failed)?;
        let mut bytes = 0;
        let mut told = Instant::now();
        let fed = loop {
            let piece = tokio::select! {
                piece = stream.next() => piece,
                _ = self.stopped.wait_for(|stopped| *stopped) => break Err(Error::Stopped),
            };
            match piece {
                None => break Ok(()),
                Some(Err(error)) => break Err(error.into()),
                Some(Ok(piece)) if piece.is_empty() => {}
                Some(Ok(piece)) => {
                    bytes += piece.len() as u64;
                    self.progress.event(Event::Downloaded { digest: &self.blob.digest, bytes });
                    if told.elapsed() >= TELL {
                        staged.tell(bytes);
                        told = Instant::now();
                    }
                    if let Some(Err(error)) = kept.as_ref().map(|file| sys::fs::write_all(file, &piece)) {
                        break Err(self.store.full_or(error, || format!("keep the blob of {digest}")));
                    }
                    if !unpacking.feed(piece).await {
                        break Ok(());
                    }
                }
            }
        };
        // Also when the download failed: nothing may write any more when the folder is removed.
        let outcome = unpacking.finish(fed.is_ok()).await;
        fed?;
        let places = outcome.tree.as_ref().map(|(layer, _)| layer.places.clone()).unwrap_or_default();
        let layer = self.judge(outcome)?;
        if kept.is_some() && layer.erofs.is_some() && layer.diff_id == digest {
            staged.fold(&places)?;
        }
        Ok(layer)
    }

    /// What is wrong with the blob itself goes before what is wrong with its content.
    fn judge(&self, outcome: Outcome) -> Result<LayerFile> {
        let Descriptor { digest, size, .. } = self.blob;
        let what = || format!("layer {digest}");
        if let Some((found, bytes)) = outcome.blob
            && !outcome.tree.as_ref().is_err_and(|error| error.errno().is_some())
        {
            if bytes < *size {
                return Err(Error::Truncated { what: what(), expected: *size, found: bytes });
            }
            if bytes > *size {
                return Err(Error::TooLarge { what: what(), limit: *size });
            }
            if found != digest.to_string() {
                return Err(Error::DigestMismatch { what: what(), expected: digest.to_string(), found });
            }
        }
        match outcome.tree {
            Ok((layer, diff_id)) => Ok(LayerFile {
                diff_id,
                blob_size: *size,
                size: layer.bytes,
                entries: layer.entries,
                implicit: layer.implicit.iter().map(|path| escape(path)).collect(),
                foreign: layer.foreign.iter().map(|(link, target)| (escape(link), escape(target))).collect(),
                base: None,
                sources: self.source.iter().map(|source| source.name()).collect(),
                erofs: layer.erofs.map(Into::into),
                sums: layer.sums.map(Into::into),
            }),
            Err(unpack::Error::Entry { source, .. } | unpack::Error::Thread(source)) if no_space_call(&source) => {
                Err(Error::NoSpace { folder: self.store.root().to_owned(), source })
            }
            Err(source) => Err(Error::Unpack { digest: digest.clone(), source }),
        }
    }

    /// Compares a tar's digest with what the config says about it, which may have to arrive first.
    async fn compare_diff_id(&mut self, found: &str) -> Result<()> {
        let known = tokio::select! {
            known = self.config.wait_for(Option::is_some) => known.map_err(|_| Error::Stopped)?.clone(),
            _ = self.stopped.wait_for(|stopped| *stopped) => return Err(Error::Stopped),
        };
        let expected = |layers: &Vec<Layer>| layers.get(self.index).map(|layer| layer.diff_id.to_string());
        match known.as_ref().and_then(expected) {
            Some(expected) if expected == found => Ok(()),
            expected => Err(Error::DigestMismatch {
                what: format!("content of layer {}", self.blob.digest),
                expected: expected.unwrap_or_default(),
                found: found.to_owned(),
            }),
        }
    }
}

fn no_space_call(source: &sys::Error) -> bool {
    matches!(source.errno(), rustix::io::Errno::NOSPC | rustix::io::Errno::DQUOT)
}
