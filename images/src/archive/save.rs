//! From the store into an archive.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use futures_util::TryStreamExt;
use futures_util::stream::LocalBoxStream;
use serde_json::{Value, json};
use tokio::runtime::Runtime;

use super::members::path;
use super::{IMAGE_NAME, INDEX, MANIFEST, REF_NAME};
use crate::error::{Error, Result};
use crate::image::{Image, Layer};
use crate::pull::{Event, Progress};
use crate::push::{Access, Blob};
use crate::registry::Content;
use crate::store::Store;
use crate::unpack::hash::{Algorithm, Hasher};
use crate::{Credentials, Digest, Platform, Reference, Registries};

/// How to save.
#[derive(Debug, Default)]
pub struct SaveOptions {
    /// Where layers may be fetched from that are not kept.
    pub registries: Registries,
    /// Who fetches them.
    pub credentials: Credentials,
    /// The images for these machines.
    pub platform: Option<Platform>,
}

/// Writes images to `out`, as one tar archive which is an OCI layout and Docker's form at once. Those given by name have this name
/// in it, those by id none. Layers are the blobs of the registry, byte for byte: those that are not kept are fetched again.
///
/// # Errors
/// What was written by then is no archive.
pub fn save(store: &Store, names: &[String], options: &SaveOptions, out: &mut dyn Write, progress: &dyn Progress) -> Result<()> {
    let images = wanted(store, names, options.platform.as_ref())?;
    let leases = images.iter().map(|(image, _)| store.hold(image)).collect::<Result<Vec<_>>>()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Error::Runtime)?;
    let access = Access { registries: &options.registries, credentials: &options.credentials, progress };
    let mut saving = Saving { runtime: &runtime, tar: tar::Builder::new(out), written: BTreeSet::new() };
    saving.text("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    saving.text(INDEX, &index(store, &images)?)?;
    saving.text(MANIFEST, &docker(&images))?;
    for (image, _) in &images {
        saving.document(&image.manifest, store.manifest_bytes(image)?)?;
        saving.document(&image.id, store.config_bytes(image)?)?;
        let sizes: Vec<_> = image.layers.iter().map(|layer| (layer.digest.clone(), layer.size)).collect();
        progress.event(Event::Layers(&sizes));
        for layer in &image.layers {
            saving.layer(store, layer, &access)?;
        }
    }
    saving.tar.into_inner().and_then(Write::flush).map_err(Error::WriteArchive)?;
    drop(leases);
    Ok(())
}

type Wanted = Vec<(Image, Vec<Reference>)>;

/// Each image once, with the names it was asked for by.
fn wanted(store: &Store, names: &[String], platform: Option<&Platform>) -> Result<Wanted> {
    let mut images: BTreeMap<Digest, (Image, Vec<Reference>)> = BTreeMap::new();
    for name in names {
        let image = store.image_for(name, platform)?;
        let tags: Vec<Reference> = image.names.iter().filter(|name| name.tag().is_some()).cloned().collect();
        images.entry(image.manifest.clone()).or_insert_with(|| (image, Vec::new())).1.extend(tags);
    }
    Ok(images.into_values().collect())
}

fn index(store: &Store, images: &Wanted) -> Result<Value> {
    let mut manifests = Vec::new();
    for (image, names) in images {
        let mut entry = store.entry(image)?;
        if names.is_empty() {
            manifests.push(entry.clone());
        }
        for name in names {
            entry["annotations"] = json!({IMAGE_NAME: name.to_string(), REF_NAME: name.tag()});
            manifests.push(entry.clone());
        }
    }
    let media_type = "application/vnd.oci.image.index.v1+json";
    Ok(json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests}))
}

fn docker(images: &Wanted) -> Value {
    let image = |(image, names): &(Image, Vec<Reference>)| {
        let names: Vec<_> = names.iter().map(Reference::familiar).collect();
        let layers: Vec<_> = image.layers.iter().map(|layer| path(&layer.digest)).collect();
        json!({"Config": path(&image.id), "RepoTags": (!names.is_empty()).then_some(names), "Layers": layers})
    };
    images.iter().map(image).collect()
}

/// An archive in the making.
struct Saving<'a> {
    runtime: &'a Runtime,
    tar: tar::Builder<&'a mut dyn Write>,
    /// Blobs that are in it.
    written: BTreeSet<Digest>,
}

impl Saving<'_> {
    fn text(&mut self, name: &str, value: &Value) -> Result<()> {
        let bytes = value.to_string();
        self.member(name, bytes.len() as u64, bytes.as_bytes()).map_err(Error::WriteArchive)
    }

    fn document(&mut self, digest: &Digest, bytes: Vec<u8>) -> Result<()> {
        if !self.written.insert(digest.clone()) {
            return Ok(());
        }
        self.member(&path(digest), bytes.len() as u64, &bytes[..]).map_err(Error::WriteArchive)
    }

    fn layer(&mut self, store: &Store, layer: &Layer, access: &Access<'_>) -> Result<()> {
        let Layer { digest, size, .. } = layer;
        if !self.written.insert(digest.clone()) {
            return Ok(());
        }
        let blob = Blob::of(store, layer, access)?;
        let stream = self.runtime.block_on(blob.read(0))?;
        let hasher = Hasher::new(Algorithm::of(digest.as_str()));
        let mut reader = Reading {
            runtime: self.runtime,
            stream,
            piece: Bytes::new(),
            hasher,
            size: 0,
            failed: None,
            heard: &|bytes| access.progress.event(Event::Downloaded { digest, bytes }),
        };
        let written = self.member(&path(digest), *size, &mut reader);
        let Reading { hasher, size: found, failed, .. } = reader;
        if let Some(error) = failed {
            return Err(error);
        }
        written.map_err(Error::WriteArchive)?;
        let what = format!("layer {digest}");
        if found != *size {
            return Err(Error::Truncated { what, expected: *size, found });
        }
        let found = hasher.finish();
        if found != digest.to_string() {
            return Err(Error::DigestMismatch { what, expected: digest.to_string(), found });
        }
        access.progress.event(Event::Done(digest));
        Ok(())
    }

    /// The same bytes whenever it is written.
    fn member(&mut self, name: &str, size: u64, bytes: impl Read) -> io::Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(size);
        self.tar.append_data(&mut header, name, bytes)
    }
}

/// A stream as the archive wants it, hashed and counted.
struct Reading<'a> {
    runtime: &'a Runtime,
    stream: LocalBoxStream<'a, Result<Bytes>>,
    piece: Bytes,
    hasher: Hasher,
    size: u64,
    failed: Option<Error>,
    heard: &'a dyn Fn(u64),
}

impl Read for Reading<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.piece.is_empty() {
            match self.runtime.block_on(self.stream.try_next()) {
                Ok(Some(piece)) => {
                    self.hasher.update(&piece);
                    self.size += piece.len() as u64;
                    (self.heard)(self.size);
                    self.piece = piece;
                }
                Ok(None) => return Ok(0),
                Err(error) => {
                    self.failed = Some(error);
                    return Err(io::Error::other("the layer cannot be read"));
                }
            }
        }
        let length = self.piece.len().min(into.len());
        self.piece.copy_to_slice(&mut into[..length]);
        Ok(length)
    }
}
