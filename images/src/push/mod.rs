//! Sending an image: layers and config side by side, then the manifest, then the index, so that nothing is named before it is
//! there.
//!
//! ```text
//! each layer: is it there? ─> does another repository of the registry have it? ─> the kept blob, or fetched again and passed on
//! ```

mod content;
mod several;

use std::collections::BTreeSet;

use futures_util::{StreamExt, TryStreamExt};

pub(crate) use content::{Access, Blob, Part};

use crate::error::{Error, Result};
use crate::image::{Image, Layer};
use crate::manifest::{self, Document};
use crate::pull::{Event, Progress};
use crate::registry::{Registry, Upload, Uploaded};
use crate::store::Store;
use crate::{Credentials, Digest, Platform, Reference, Registries, Stop};

/// Layers on their way at once.
const PARALLEL: usize = 4;

/// How to push.
#[derive(Debug, Default)]
pub struct PushOptions {
    /// Insecure and blocked registries. Nothing is pushed to a mirror, unless `hosts.toml` gives it the capability `push`.
    pub registries: Registries,
    /// Who pushes, also where a layer has to be fetched from.
    pub credentials: Credentials,
    /// Only the image for these machines, without an index.
    pub platform: Option<Platform>,
    /// Also layers that may not be given to others (image-spec, "Non-distributable layers").
    pub nondistributable: bool,
    /// Ends it early.
    pub stop: Stop,
}

/// A pushed image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// What the name means in the registry now: an index or a manifest.
    pub digest: Digest,
    /// Bytes of that document.
    pub size: u64,
    /// Other platforms of the image, when their manifests are not in the repository: the name then means this
    /// platform alone. Those without a name are given by their digest.
    pub without: Vec<String>,
}

/// Sends the image with the name `reference` to where that name leads. Blocks until it is there.
///
/// An image with an index goes with the other images of the index that are here, and keeps it if the repository then has the manifests of all
/// platforms; otherwise the name means an index of those that are here, or this image alone.
pub fn push(store: &Store, reference: &Reference, options: &PushOptions, progress: &dyn Progress) -> Result<Pushed> {
    let image = store.image_for(&reference.to_string(), options.platform.as_ref())?;
    let others = if options.platform.is_none() { several::others(store, &image)? } else { Vec::new() };
    let _leases = [&image].into_iter().chain(&others).map(|image| store.hold(image)).collect::<Result<Vec<_>>>()?;
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let access = Access { registries: &options.registries, credentials: &options.credentials, progress };
    let pushed = runtime.block_on(options.stop.or(async {
        let mounts = |image: &Image| mounts(store, image, reference);
        let every = [&image].into_iter().chain(&others).map(mounts).collect::<Result<Vec<_>>>()?;
        let from = every.into_iter().flatten().flatten().collect::<BTreeSet<_>>().into_iter().collect();
        let registry = Registry::to_push(reference, &options.registries, &options.credentials, from, progress)?;
        let push = |image| {
            let all = options.nondistributable;
            Ok::<_, Error>(Push { store, reference, image, mounts: mounts(image)?, registry: &registry, access: &access, all })
        };
        for other in &others {
            push(other)?.entry().await?;
        }
        push(&image)?.run(&others, options.platform.is_some()).await
    }));
    runtime.shutdown_background();
    pushed
}

/// For each layer the other repositories of the same registry that are known to have it.
fn mounts(store: &Store, image: &Image, to: &Reference) -> Result<Vec<Vec<String>>> {
    let of = |layer: &Layer| -> Result<Vec<String>> {
        let sources = store.sources(&layer.digest)?.into_iter();
        let others = sources.filter(|from| from.registry() == to.registry() && from.repository() != to.repository());
        Ok(others.map(|from| from.repository().to_owned()).collect())
    };
    image.layers.iter().map(of).collect()
}

/// One push.
struct Push<'a> {
    store: &'a Store,
    reference: &'a Reference,
    image: &'a Image,
    mounts: Vec<Vec<String>>,
    registry: &'a Registry<'a>,
    access: &'a Access<'a>,
    /// Also layers that may not be given to others.
    all: bool,
}

impl Push<'_> {
    /// `others` are those of its index that are there by now; `alone`: the index is left out.
    async fn run(&self, others: &[Image], alone: bool) -> Result<Pushed> {
        self.content().await?;
        let pushed = self.documents(others, alone).await?;
        self.remember()?;
        Ok(pushed)
    }

    async fn content(&self) -> Result<()> {
        let sizes: Vec<_> = self.image.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
        self.access.progress.event(Event::Layers(&sizes));
        tokio::try_join!(self.layers(), self.config()).map(drop)
    }

    async fn config(&self) -> Result<()> {
        let bytes = self.store.config_bytes(self.image)?;
        let (digest, size) = (&self.image.id, bytes.len() as u64);
        self.registry.upload(&Upload { digest, size, mounts: &[], content: &Blob::Here(bytes.into()) }).await.map(drop)
    }

    /// Biggest first.
    async fn layers(&self) -> Result<()> {
        let mut seen = BTreeSet::new();
        let layers = self.image.layers.iter().zip(&self.mounts);
        let mut layers: Vec<_> = layers.filter(|(layer, _)| self.takes(layer) && seen.insert(&layer.digest)).collect();
        layers.sort_by_key(|(layer, _)| std::cmp::Reverse(layer.size));
        let sending = layers.into_iter().map(|(layer, mounts)| self.layer(layer, mounts));
        futures_util::stream::iter(sending).buffer_unordered(PARALLEL).try_collect().await
    }

    async fn layer(&self, layer: &Layer, mounts: &[String]) -> Result<()> {
        // A layer that is neither kept nor known elsewhere may still be where it is to go.
        let content = Blob::of(self.store, layer, self.access);
        let missing = Blob::Remote { access: self.access, blob: layer.descriptor(), sources: Vec::new() };
        let content = match content {
            Err(Error::NotKept { .. }) => missing,
            content => content?,
        };
        let upload = Upload { digest: &layer.digest, size: layer.size, mounts, content: &content };
        let progress = self.access.progress;
        match self.registry.upload(&upload).await? {
            Uploaded::Existed => progress.event(Event::Exists(&layer.digest)),
            Uploaded::Mounted(from) => progress.event(Event::Mounted { digest: &layer.digest, from: &from }),
            Uploaded::Sent => progress.event(Event::Done(&layer.digest)),
        }
        Ok(())
    }

    /// Manifest and index, the one with the name last.
    async fn documents(&self, others: &[Image], alone: bool) -> Result<Pushed> {
        let what = self.reference.what();
        let manifest = self.store.manifest_bytes(self.image)?;
        let (id, target) = (&self.image.manifest, &self.image.target);
        let mut without = Vec::new();
        if target != id && !alone {
            let index = self.store.read_blob("index", target)?;
            without = self.absent(&index).await?;
            if without.is_empty() {
                self.document(&id.to_string(), id, &manifest).await?;
                return self.document(&what, target, &index).await;
            }
            if !others.is_empty() && what != target.as_str() {
                self.document(&id.to_string(), id, &manifest).await?;
                return self.those_here(&what, others, without).await;
            }
        }
        // A name with the index's digest cannot mean the manifest.
        let what = if what == target.as_str() { id.to_string() } else { what };
        let pushed = self.document(&what, id, &manifest).await?;
        Ok(Pushed { without, ..pushed })
    }

    async fn document(&self, what: &str, digest: &Digest, bytes: &[u8]) -> Result<Pushed> {
        let media_type = manifest::media_type(bytes, "")?;
        self.registry.put_manifest(what, digest, &media_type, bytes).await?;
        Ok(Pushed { digest: digest.clone(), size: bytes.len() as u64, without: Vec::new() })
    }

    /// The entries of an index, but for our own, which the repository has not.
    async fn absent(&self, index: &[u8]) -> Result<Vec<String>> {
        let Document::Index(entries) = manifest::parse(index, "")? else { return Ok(Vec::new()) };
        let mut absent = Vec::new();
        for entry in entries.iter().filter(|entry| entry.digest != self.image.manifest) {
            if !self.registry.has_manifest(&entry.digest).await? {
                let platform = entry.platform.as_ref().filter(|_| !entry.attestation);
                absent.push(platform.map_or_else(|| entry.digest.to_string(), ToString::to_string));
            }
        }
        Ok(absent)
    }

    /// Notes that the repository has the layers now.
    fn remember(&self) -> Result<()> {
        for layer in self.image.layers.iter().filter(|layer| self.takes(layer)) {
            let _lock = self.store.lock_layer(&layer.digest)?;
            self.store.add_source(&layer.digest, self.reference)?;
        }
        Ok(())
    }

    /// Whether a layer is to be in the repository.
    fn takes(&self, layer: &Layer) -> bool {
        self.all || !manifest::is_foreign(&layer.media_type)
    }
}
