//! From the store to where other hosts find it.

use std::fs::{self, File};
use std::io::Write;
use std::path::Path;

use bytes::Bytes;
use futures_util::TryStreamExt;
use serde_json::{Value, json};
use sys::Call;

use super::{CachePlace, CacheStep, MANIFEST, document};
use crate::error::{Doing, Error, Result};
use crate::image::Layer;
use crate::pull::{Event, Progress};
use crate::push::{Access, Blob};
use crate::registry::{Content, Registry, Upload, Uploaded};
use crate::store::Store;
use crate::unpack::hash::{Algorithm, Hasher};
use crate::{Digest, PushOptions};

/// Writes steps with their layers to a place, where they replace what was there. Blocks until that is done.
///
/// # Errors
/// A layer is neither kept nor known to be in a repository; the place takes nothing.
pub fn export_cache(
    store: &Store,
    steps: &[CacheStep],
    to: &CachePlace,
    options: &PushOptions,
    progress: &dyn Progress,
) -> Result<Digest> {
    let (config, manifest, layers) = document::write(steps);
    let _lease = store.lease(layers.iter().map(|layer| &layer.digest))?;
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let access = Access { registries: &options.registries, credentials: &options.credentials, progress };
    let export = Export { store, config, manifest, layers: &layers, access: &access };
    let done = match to {
        CachePlace::Registry(name) => runtime.block_on(export.push(name)),
        CachePlace::Folder(path, tag) => runtime.block_on(export.write(path, tag)),
    };
    runtime.shutdown_background();
    done
}

struct Export<'a> {
    store: &'a Store,
    config: String,
    manifest: String,
    layers: &'a [Layer],
    access: &'a Access<'a>,
}

impl Export<'_> {
    async fn push(&self, name: &crate::Reference) -> Result<Digest> {
        let Access { registries, credentials, progress } = *self.access;
        let registry = Registry::to_push(name, registries, credentials, Vec::new(), progress)?;
        let sizes: Vec<_> = self.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
        progress.event(Event::Layers(&sizes));
        for layer in self.layers {
            let content = Blob::of(self.store, layer, self.access)?;
            let upload = Upload { digest: &layer.digest, size: layer.size, mounts: &[], content: &content };
            match registry.upload(&upload).await? {
                Uploaded::Existed => progress.event(Event::Exists(&layer.digest)),
                _ => progress.event(Event::Done(&layer.digest)),
            }
        }
        let content = Blob::Here(Bytes::from(self.config.clone()));
        let digest = Digest::sha256(self.config.as_bytes());
        registry.upload(&Upload { digest: &digest, size: self.config.len() as u64, mounts: &[], content: &content }).await?;
        let digest = Digest::sha256(self.manifest.as_bytes());
        registry.put_manifest(&name.what(), &digest, MANIFEST, self.manifest.as_bytes()).await?;
        Ok(digest)
    }

    /// An OCI layout. Its index comes last: what is in it is there.
    async fn write(&self, folder: &Path, tag: &str) -> Result<Digest> {
        let blobs = folder.join("blobs/sha256");
        fs::create_dir_all(&blobs).call(|| format!("mkdir({blobs:?})")).doing(|| "export the cache")?;
        for layer in self.layers {
            self.layer(&blobs, layer).await?;
        }
        let digest = Digest::sha256(self.manifest.as_bytes());
        whole(&blobs.join(Digest::sha256(self.config.as_bytes()).hex()), self.config.as_bytes())?;
        whole(&blobs.join(digest.hex()), self.manifest.as_bytes())?;
        whole(&folder.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#)?;
        let entry = json!({
            "mediaType": MANIFEST, "digest": digest, "size": self.manifest.len(),
            "annotations": { "org.opencontainers.image.ref.name": tag },
        });
        let mut entries = listed(folder);
        entries.retain(|other| other["annotations"]["org.opencontainers.image.ref.name"] != *tag);
        entries.push(entry);
        whole(&folder.join("index.json"), crate::store::index(&entries).as_bytes())?;
        Ok(digest)
    }

    async fn layer(&self, blobs: &Path, layer: &Layer) -> Result<()> {
        let path = blobs.join(layer.digest.hex());
        if fs::metadata(&path).is_ok_and(|there| there.len() == layer.size) {
            return Ok(());
        }
        let blob = Blob::of(self.store, layer, self.access)?;
        let mut stream = blob.read(0).await?;
        let mut hasher = Hasher::new(Algorithm::of(layer.digest.as_str()));
        let part = part(&path);
        let mut fill = async || -> Result<()> {
            let mut file = File::create(&part).call(|| format!("open({part:?}, O_CREAT)")).doing(|| "export the cache")?;
            while let Some(piece) = stream.try_next().await? {
                hasher.update(&piece);
                file.write_all(&piece).call(|| format!("write({part:?})")).doing(|| "export the cache")?;
            }
            Ok(())
        };
        let filled = fill().await;
        let (expected, found) = (layer.digest.to_string(), hasher.finish());
        let filled = filled.and_then(|()| match found == expected {
            true => fs::rename(&part, &path).call(|| format!("rename({path:?})")).doing(|| "export the cache"),
            false => Err(Error::DigestMismatch { what: format!("layer {expected}"), expected, found }),
        });
        filled.inspect_err(|_| drop(fs::remove_file(&part)))
    }
}

/// The entries of a layout's index, if there is one.
pub(super) fn listed(folder: &Path) -> Vec<Value> {
    let bytes = fs::read(folder.join("index.json")).unwrap_or_default();
    let index: Value = serde_json::from_slice(&bytes).unwrap_or_default();
    index["manifests"].as_array().cloned().unwrap_or_default()
}

fn part(path: &Path) -> std::path::PathBuf {
    path.with_file_name(format!(".{}.{}", path.file_name().unwrap_or_default().display(), std::process::id()))
}

/// Writes a file that is whole or not there.
fn whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = part(path);
    let written = fs::write(&part, bytes).and_then(|()| fs::rename(&part, path));
    written.call(|| format!("write({path:?})")).doing(|| "export the cache").inspect_err(|_| drop(fs::remove_file(&part)))
}
