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
use crate::manifest;
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
    /// For which machines; all that are here when there is none.
    pub platforms: Vec<Platform>,
}

/// Writes images to `out`, as one tar archive which is an OCI layout and Docker's form at once. Those given by name have this name
/// in it, those by id none. Layers are the blobs of the registry, byte for byte: those that are not kept are fetched again.
///
/// Images for several machines under one name come with the whole index that they are of. Docker's list has room for one of them: this
/// host's, if it is there.
///
/// # Errors
/// What was written by then is no archive.
pub fn save(store: &Store, names: &[String], options: &SaveOptions, out: &mut dyn Write, progress: &dyn Progress) -> Result<()> {
    let wanted = wanted(store, names, &options.platforms)?;
    let images = || wanted.iter().flat_map(|wanted| &wanted.images);
    let leases = images().map(|image| store.hold(image)).collect::<Result<Vec<_>>>()?;
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let access = Access { registries: &options.registries, credentials: &options.credentials, progress };
    let mut saving = Saving { runtime: &runtime, tar: tar::Builder::new(out), written: BTreeSet::new() };
    saving.text("oci-layout", &json!({"imageLayoutVersion": "1.0.0"}))?;
    saving.text(INDEX, &index(store, &wanted)?)?;
    saving.text(MANIFEST, &docker(&wanted))?;
    for (digest, bytes) in wanted.iter().filter_map(|wanted| wanted.index.as_ref()) {
        saving.document(digest, bytes.clone())?;
    }
    for image in images() {
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

/// What names stand for.
struct Wanted {
    /// The first is what Docker's list has.
    images: Vec<Image>,
    names: BTreeSet<Reference>,
    /// The index of several images.
    index: Option<(Digest, Vec<u8>)>,
}

/// Each once, with the names it was asked for by.
fn wanted(store: &Store, names: &[String], platforms: &[Platform]) -> Result<Vec<Wanted>> {
    let mut all: BTreeMap<Digest, Wanted> = BTreeMap::new();
    for name in names {
        let images = images(store, name, platforms)?;
        let Some(first) = images.first() else { continue };
        let tags: Vec<Reference> = first.names.iter().filter(|name| name.tag().is_some()).cloned().collect();
        let index = match images.len() {
            1 => None,
            _ => Some((first.target.clone(), store.read_blob("index", &first.target)?)),
        };
        let digest = index.as_ref().map_or(&first.manifest, |(digest, _)| digest).clone();
        all.entry(digest).or_insert(Wanted { images, names: BTreeSet::new(), index }).names.extend(tags);
    }
    Ok(all.into_values().collect())
}

/// The images of a name for these machines, without any for all that are here. The name's own comes first.
fn images(store: &Store, name: &str, platforms: &[Platform]) -> Result<Vec<Image>> {
    let own = store.image(name)?;
    let mut images = match platforms {
        [] => store.variants(&own)?.into_iter().filter_map(|variant| variant.image).collect(),
        some => some.iter().map(|platform| store.image_for(name, Some(platform))).collect::<Result<Vec<_>>>()?,
    };
    let mut seen = BTreeSet::new();
    images.retain(|image| seen.insert(image.manifest.clone()));
    images.sort_by_key(|image| image.manifest != own.manifest);
    Ok(images)
}

fn index(store: &Store, all: &[Wanted]) -> Result<Value> {
    let mut manifests = Vec::new();
    for Wanted { images, names, index } in all {
        let mut entry = match (index, &images[..]) {
            (Some((digest, bytes)), _) => {
                json!({"mediaType": manifest::media_type(bytes, "")?, "digest": digest, "size": bytes.len()})
            }
            (None, [image, ..]) => store.entry(image)?,
            (None, []) => continue,
        };
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

fn docker(all: &[Wanted]) -> Value {
    let image = |Wanted { images, names, .. }: &Wanted| {
        let image = images.first()?;
        let names: Vec<_> = names.iter().map(Reference::familiar).collect();
        let layers: Vec<_> = image.layers.iter().map(|layer| path(&layer.digest)).collect();
        Some(json!({"Config": path(&image.id), "RepoTags": (!names.is_empty()).then_some(names), "Layers": layers}))
    };
    all.iter().filter_map(image).collect()
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
