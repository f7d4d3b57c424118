//! A cache that is elsewhere: its steps are read at once, a layer comes when a build has use for it.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use futures_util::TryStreamExt;
use serde_json::{Map, Value};
use sys::Call;
use tokio::sync::watch;

use super::{CONFIG, CachePlace, CacheStep, LIMIT, document, export};
use crate::error::{Doing, Error, Result, brief};
use crate::image::Layer;
use crate::manifest::Descriptor;
use crate::pull::{Layers, Progress};
use crate::push::Part;
use crate::registry::Registry;
use crate::store::{Lease, Store};
use crate::{Digest, ListOptions, Platform};

/// The steps of a cache, and where their layers are.
#[derive(Debug)]
pub struct RemoteCache {
    steps: BTreeMap<Digest, CacheStep>,
    place: CachePlace,
    options: ListOptions,
}

/// Reads a cache: one that was exported to this place, or what an image there has in its config. Blocks until it is read.
///
/// # Errors
/// There is none.
pub fn import_cache(from: &CachePlace, platform: &Platform, options: ListOptions) -> Result<RemoteCache> {
    let steps = match from {
        CachePlace::Registry(_) => blocking(of_registry(from, platform, &options))?,
        CachePlace::Folder(path, tag) => of_folder(path, tag)?,
    };
    let steps = steps.ok_or_else(|| Error::NoCache { place: from.to_string() })?;
    let steps = steps.into_iter().map(|step| (step.key.clone(), step)).collect();
    Ok(RemoteCache { steps, place: from.clone(), options })
}

impl RemoteCache {
    /// The step with this key, if it is known.
    pub fn step(&self, key: &Digest) -> Option<&CacheStep> {
        self.steps.get(key)
    }

    /// Brings a layer of a step into the store, unless it is there. It stays while the lease lives. Blocks until it is there.
    ///
    /// # Errors
    /// The layer is gone, or is not what the cache says.
    pub fn bring(&self, store: &Store, layer: &Layer, progress: &dyn Progress) -> Result<Lease> {
        let lease = store.lease([&layer.digest].into_iter())?;
        let Layer { digest, size, media_type, .. } = layer.clone();
        let blobs = [Descriptor::new(media_type, digest, size)];
        let (_known, known) = watch::channel(Some(vec![layer.clone()]));
        let (stop, _) = watch::channel(false);
        match &self.place {
            CachePlace::Registry(name) => blocking(async {
                let registry = Registry::new(name, &self.options.registries, &self.options.credentials, progress)?;
                let layers = Layers { store, progress, source: Some(name), keep: false };
                layers.fetch(&blobs, &known, &stop, |blob| registry.blob(&blob.digest, blob.size, 0)).await
            })?,
            // No registry has it: its blob is kept.
            CachePlace::Folder(path, _) => blocking(async {
                let layers = Layers { store, progress, source: None, keep: true };
                layers.fetch(&blobs, &known, &stop, |blob| async { Ok::<_, Error>(part(path, blob)?.read(0)) }).await
            })?,
        };
        Ok(lease)
    }
}

async fn of_registry(from: &CachePlace, platform: &Platform, options: &ListOptions) -> Result<Option<Vec<CacheStep>>> {
    let CachePlace::Registry(name) = from else { return Ok(None) };
    let registry = Registry::new(name, &options.registries, &options.credentials, &())?;
    let mut top: Value = parsed(&registry.manifest(&name.what()).await?.bytes)?;
    if let Some(entries) = top["manifests"].as_array() {
        // A cache as an index, as older BuildKits write it: its config is one of the entries, and the others are layers.
        if let Some(config) = entries.iter().find(|entry| entry["mediaType"] == CONFIG) {
            return Ok(document::read(&blob(&registry, config).await?, entries));
        }
        let Some(own) = entries.iter().find(|entry| is_for(entry, platform)) else { return Ok(None) };
        let digest = own["digest"].as_str().unwrap_or_default();
        top = parsed(&registry.manifest(digest).await?.bytes)?;
    }
    let config = blob(&registry, &top["config"]).await?;
    Ok(of_manifest(&top, &config))
}

/// The steps of a cache, or those that an image has.
fn of_manifest(manifest: &Value, config: &[u8]) -> Option<Vec<CacheStep>> {
    let layers = manifest["layers"].as_array()?;
    if manifest["config"]["mediaType"] == CONFIG {
        return document::read(config, layers);
    }
    let config: Map<String, Value> = serde_json::from_slice(config).ok()?;
    let diff_ids = config.get("rootfs")?["diff_ids"].as_array()?.clone();
    let layer = |(blob, diff_id): (&Value, &Value)| {
        Some(Layer {
            digest: blob["digest"].as_str()?.parse().ok()?,
            size: blob["size"].as_u64()?,
            diff_id: diff_id.as_str()?.parse().ok()?,
            media_type: blob["mediaType"].as_str()?.to_owned(),
            urls: Vec::new(),
        })
    };
    let layers = layers.iter().zip(&diff_ids).map(layer).collect::<Option<Vec<_>>>()?;
    document::inlined(&config, &layers)
}

fn is_for(entry: &Value, platform: &Platform) -> bool {
    serde_json::from_value::<Platform>(entry["platform"].clone()).is_ok_and(|offered| platform.takes(&offered))
}

/// A small blob, verified.
async fn blob(registry: &Registry<'_>, descriptor: &Value) -> Result<Vec<u8>> {
    let what = || "the config of a cache".to_owned();
    let (digest, size) = named(descriptor)?;
    if size > LIMIT {
        return Err(Error::TooLarge { what: what(), limit: LIMIT });
    }
    let stream = registry.blob(&digest, size, 0).await?;
    let bytes = stream.try_fold(Vec::new(), |mut all, piece| async move {
        all.extend_from_slice(&piece);
        Ok(all)
    });
    let bytes: Vec<u8> = bytes.await?;
    match digest.same_kind(&bytes) {
        found if found == digest => Ok(bytes),
        found => Err(Error::DigestMismatch { what: what(), expected: digest.to_string(), found: found.to_string() }),
    }
}

fn named(descriptor: &Value) -> Result<(Digest, u64)> {
    let digest = descriptor["digest"].as_str().and_then(|digest| digest.parse().ok());
    digest.zip(descriptor["size"].as_u64()).ok_or_else(|| Error::Damaged { what: "the manifest of a cache".to_owned() })
}

fn parsed(bytes: &[u8]) -> Result<Value> {
    serde_json::from_slice(bytes)
        .map_err(|source| Error::Document { what: "manifest of a cache".to_owned(), source: brief(source) })
}

fn of_folder(folder: &Path, tag: &str) -> Result<Option<Vec<CacheStep>>> {
    let entries = export::listed(folder);
    let named_so = |entry: &&Value| entry["annotations"]["org.opencontainers.image.ref.name"] == *tag;
    let Some(entry) = entries.iter().find(named_so) else { return Ok(None) };
    let manifest = parsed(&read(folder, entry)?)?;
    Ok(of_manifest(&manifest, &read(folder, &manifest["config"])?))
}

/// A small blob of a layout, verified.
fn read(folder: &Path, descriptor: &Value) -> Result<Vec<u8>> {
    let (digest, size) = named(descriptor)?;
    let part = part(folder, &Descriptor::new("", digest.clone(), size.min(LIMIT)))?;
    let bytes = part.piece(0, LIMIT)?;
    match digest.same_kind(&bytes) {
        found if found == digest => Ok(bytes.into()),
        found => {
            let what = format!("blob {digest} of {}", folder.display());
            Err(Error::DigestMismatch { what, expected: digest.to_string(), found: found.to_string() })
        }
    }
}

/// A blob of a layout.
fn part(folder: &Path, blob: &Descriptor) -> Result<Part> {
    let path = folder.join("blobs").join(blob.digest.algorithm()).join(blob.digest.hex());
    let file = File::open(&path).call(|| format!("open({path:?})")).doing(|| "read a cache")?;
    Ok(Part { file: std::sync::Arc::new(file.into()), start: 0, size: blob.size })
}

fn blocking<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let done = runtime.block_on(work);
    runtime.shutdown_background();
    done
}
