//! From names and ids to images.

use std::collections::BTreeMap;

use super::Store;
use super::refs::Record;
use crate::error::{Error, Result, brief};
use crate::image::{Image, Layer};
use crate::manifest::{self, Document};
use crate::{Digest, ImageConfig, Reference};

/// All that is in a store.
#[derive(Debug, Default)]
pub struct Listing {
    /// One per manifest, by id.
    pub images: Vec<Image>,
    /// Names whose image cannot be read.
    pub damaged: Vec<Damage>,
}

/// An image that cannot be read. It can still be removed by its name.
#[derive(Debug)]
pub struct Damage {
    /// A name, or the manifest's digest.
    pub name: String,
    /// What is wrong.
    pub error: Error,
}

impl Store {
    /// The image `name`: a reference, or the beginning of an id with or without `sha256:`.
    pub fn image(&self, name: &str) -> Result<Image> {
        let (record, reference) = self.resolve(name)?;
        self.load(&record, reference.into_iter().collect())
    }

    /// All images that can be read; [`Store::list`] names the others too.
    pub fn images(&self) -> Result<Vec<Image>> {
        Ok(self.list()?.images)
    }

    /// All images, with all their names, and what is damaged. Of several platforms under one name, only the one that it means without a
    /// platform: [`Store::variants`] has the others.
    pub fn list(&self) -> Result<Listing> {
        let mut listing = Listing::default();
        let mut images: BTreeMap<Digest, (Record, Vec<Reference>)> = BTreeMap::new();
        for file in self.records()? {
            match self.read_record(&file) {
                Ok(record) => images.extend(record.map(|record| (record.manifest.clone(), (record, Vec::new())))),
                Err(error) => listing.damaged.push(Damage { name: file.display().to_string(), error }),
            }
        }
        for (name, file) in self.names()? {
            match self.read_record(&file) {
                Ok(Some(record)) => {
                    let (known, names) = images.entry(record.manifest.clone()).or_insert_with(|| (record.clone(), Vec::new()));
                    // The manifest's own record knows no index.
                    if record.target != record.manifest {
                        *known = record;
                    }
                    names.push(name);
                }
                Ok(None) => {}
                Err(error) => listing.damaged.push(Damage { name: name.to_string(), error }),
            }
        }
        // Those are no images of their own.
        if images.values().any(|(_, names)| names.is_empty()) {
            let indexed = self.indexed()?;
            images.retain(|manifest, (_, names)| !names.is_empty() || !indexed.contains(manifest));
        }
        for (manifest, (record, names)) in images {
            let name = names.first().map_or_else(|| manifest.to_string(), ToString::to_string);
            match self.load(&record, names) {
                Ok(image) => listing.images.push(image),
                Err(error) => listing.damaged.push(Damage { name, error }),
            }
        }
        listing.images.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(listing)
    }

    /// What `name` stands for, and the reference if it was one.
    pub(super) fn resolve(&self, name: &str) -> Result<(Record, Option<Reference>)> {
        let prefix = name.strip_prefix("sha256:");
        if prefix.is_none()
            && let Ok(reference) = name.parse::<Reference>()
        {
            if let Some(record) = self.read_record(&self.ref_file(&reference))? {
                return Ok((record, Some(reference)));
            }
            if let Some(found) = self.by_digest(&reference)? {
                return Ok(found);
            }
        }
        let hex = prefix.unwrap_or(name);
        let some = |record: Option<Record>| record.ok_or_else(|| Error::NotFound { name: name.to_owned() });
        if hex.is_empty() || hex.len() > 64 || !hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
            return some(None).map(|record| (record, None));
        }
        Ok((some(self.by_id(hex)?)?, None))
    }

    /// A name with a digest also fits an image that came by tag.
    fn by_digest(&self, wanted: &Reference) -> Result<Option<(Record, Option<Reference>)>> {
        let Some(digest) = wanted.digest() else { return Ok(None) };
        let folder = self.ref_file(wanted);
        let folder = folder.parent().unwrap_or(&self.root);
        for leaf in super::refs::list(folder)?.iter().filter(|leaf| leaf.starts_with([':', '@'])) {
            match self.read_record(&folder.join(leaf)) {
                Ok(Some(record)) if [&record.target, &record.manifest].contains(&digest) => return Ok(Some((record, None))),
                _ => {}
            }
        }
        Ok(None)
    }

    fn by_id(&self, prefix: &str) -> Result<Option<Record>> {
        let mut found: BTreeMap<Digest, Record> = BTreeMap::new();
        for file in self.records()? {
            // One that cannot be read is no reason not to find another.
            if let Ok(Some(record)) = self.read_record(&file)
                && record.config.hex().starts_with(prefix)
            {
                found.insert(record.config.clone(), record);
            }
        }
        if found.len() > 1 {
            return Err(Error::Ambiguous { id: prefix.to_owned(), matches: found.into_keys().collect() });
        }
        Ok(found.into_values().next())
    }

    /// Reads an image. A layer that is missing only lacks in the size: [`Store::check_layers`] tells.
    pub(crate) fn load(&self, record: &Record, names: Vec<Reference>) -> Result<Image> {
        let manifest = self.read_blob("manifest", &record.manifest)?;
        let Document::Manifest { layers, .. } = manifest::parse(&manifest, &record.media_type)? else {
            return Err(Error::NotAnImage { what: format!("manifest {}", record.manifest) });
        };
        let config = parse_config(&record.config, &self.read_blob("config", &record.config)?)?;
        let layers = layers_of(&record.config, &layers, &config)?;
        let sizes = layers.iter().map(|layer| self.read_layer(&layer.digest).map(|layer| layer.map_or(0, |layer| layer.size)));
        let size = sizes.collect::<Result<Vec<_>>>()?.iter().sum();
        let (id, manifest, target) = (record.config.clone(), record.manifest.clone(), record.target.clone());
        Ok(Image { id, manifest, target, names, layers, config, size })
    }
}

/// Most layers of an image: overlayfs takes no more (OVL_MAX_STACK in the kernel's fs/overlayfs/params.h).
pub(crate) const LAYERS: usize = 500;

/// Reads a config.
pub(crate) fn parse_config(digest: &Digest, bytes: &[u8]) -> Result<ImageConfig> {
    serde_json::from_slice(bytes).map_err(|source| Error::Document { what: format!("config {digest}"), source: brief(source) })
}

/// Brings the manifest's blobs and the config's diff ids together.
pub(crate) fn layers_of(id: &Digest, blobs: &[manifest::Descriptor], config: &ImageConfig) -> Result<Vec<Layer>> {
    let diff_ids = &config.rootfs.diff_ids;
    if blobs.len() > LAYERS {
        return Err(Error::TooManyLayers { id: id.clone(), layers: blobs.len() });
    }
    if blobs.len() != diff_ids.len() {
        return Err(Error::LayerCount { id: id.clone(), layers: blobs.len(), diff_ids: diff_ids.len() });
    }
    let layer = |(blob, diff_id): (&manifest::Descriptor, &Digest)| Layer {
        digest: blob.digest.clone(),
        size: blob.size,
        diff_id: diff_id.clone(),
        media_type: blob.media_type.clone(),
        urls: blob.urls.clone(),
    };
    Ok(blobs.iter().zip(diff_ids).map(layer).collect())
}
