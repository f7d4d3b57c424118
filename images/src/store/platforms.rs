//! Images of several platforms under one name.
//!
//! A name stands for one manifest, that of the platform it was pulled or built for last. When it came with an index, the other images of that
//! index which are here belong to the name as well: they are found by their platform, need no name of their own, and go with the last name
//! whose index has them.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::{Publication, Store};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::manifest::{self, Document, Entry};
use crate::store::Record;
use crate::{Digest, Platform, Reference};

/// An image of an index.
#[derive(Debug, Clone)]
pub struct Variant {
    /// Which machines it is for, as far as that is known.
    pub platform: Option<Platform>,
    /// Its manifest.
    pub manifest: Digest,
    /// The image, if it is here.
    pub image: Option<Image>,
}

impl Store {
    /// [`Store::image`], for these machines.
    ///
    /// # Errors
    /// [`Error::OtherPlatform`]: the image is here, but for others.
    pub fn image_for(&self, name: &str, platform: Option<&Platform>) -> Result<Image> {
        let own = self.image(name)?;
        let Some(platform) = platform.filter(|asked| !asked.takes(&own.config.platform())) else { return Ok(own) };
        let mut here = Vec::new();
        for variant in self.variants(&own)?.into_iter().filter_map(|variant| variant.image) {
            if platform.takes(&variant.config.platform()) {
                return Ok(variant);
            }
            here.push(variant.config.platform().to_string());
        }
        Err(Error::OtherPlatform { name: name.to_owned(), platform: platform.to_string(), here: here.join(", ") })
    }

    /// All images of the index that `image` came with, in its order; `image` alone where it came with none. Those that are here have its names.
    pub fn variants(&self, image: &Image) -> Result<Vec<Variant>> {
        let mut all = Vec::new();
        for entry in self.entries(&image.target, &image.manifest)?.into_iter().filter(|entry| !entry.attestation) {
            let here = match self.read_record(&self.record_file(&entry.digest))? {
                _ if entry.digest == image.manifest => Some(image.clone()),
                Some(record) => Some(Image { target: image.target.clone(), ..self.load(&record, image.names.clone())? }),
                None => None,
            };
            let platform = here.as_ref().map(|image| image.config.platform()).or(entry.platform);
            all.push(Variant { platform, manifest: entry.digest, image: here });
        }
        if all.is_empty() {
            all.push(Variant {
                platform: Some(image.config.platform()),
                manifest: image.manifest.clone(),
                image: Some(image.clone()),
            });
        }
        Ok(all)
    }

    /// Puts images of several platforms under `names`, as an index of them. A name without a platform means the first one.
    ///
    /// # Errors
    /// There is no image; one was removed meanwhile.
    pub fn make_index(&self, images: &[Image], names: &[Reference]) -> Result<Image> {
        let first = images.first().ok_or_else(|| Error::NotFound { name: "an index of no images".to_owned() })?;
        // Until the names are there.
        let _held = images.iter().map(|image| self.hold(image)).collect::<Result<Vec<_>>>()?;
        let entries = images.iter().map(|image| self.entry(image)).collect::<Result<Vec<_>>>()?;
        let bytes = index(&entries);
        let target = Digest::sha256(bytes.as_bytes());
        let known = self.read_record(&self.record_file(&first.manifest))?;
        let known = known.ok_or_else(|| Error::NotFound { name: first.id.to_string() })?;
        let record = Record { target: target.clone(), ..known };
        let lease = self.lease([&target].into_iter())?;
        self.publish(&Publication { names, record: &record, blobs: vec![(&target, bytes.as_bytes())] }, &lease)?;
        self.load(&record, names.to_vec())
    }

    /// An image as an index names it.
    pub(crate) fn entry(&self, image: &Image) -> Result<Value> {
        let bytes = self.manifest_bytes(image)?;
        let platform = image.config.platform();
        let mut entry = json!({
            "mediaType": manifest::media_type(&bytes, "")?,
            "digest": image.manifest,
            "size": bytes.len(),
            "platform": {"architecture": platform.architecture, "os": platform.os},
        });
        if let Some(variant) = platform.variant {
            entry["platform"]["variant"] = variant.into();
        }
        Ok(entry)
    }

    /// The manifests that belong to names by an index. They are in use as long as those names are there.
    pub(super) fn indexed(&self) -> Result<BTreeSet<Digest>> {
        let mut targets = BTreeSet::new();
        for (_, file) in self.names()? {
            if let Ok(Some(record)) = self.read_record(&file)
                && record.target != record.manifest
            {
                targets.insert((record.target, record.manifest));
            }
        }
        let mut all = BTreeSet::new();
        for (target, manifest) in targets {
            all.extend(self.entries(&target, &manifest)?.into_iter().map(|entry| entry.digest));
        }
        Ok(all)
    }

    /// What an index names; nothing where `target` is the manifest itself, or cannot be read: then it keeps nothing.
    pub(super) fn entries(&self, target: &Digest, manifest: &Digest) -> Result<Vec<Entry>> {
        if target == manifest {
            return Ok(Vec::new());
        }
        match self.read_blob("index", target).ok().and_then(|bytes| manifest::parse(&bytes, "").ok()) {
            Some(Document::Index(entries)) => Ok(entries),
            _ => Ok(Vec::new()),
        }
    }
}

/// An index of these entries.
pub(crate) fn index(entries: &[Value]) -> String {
    json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": entries}).to_string()
}

impl Platform {
    /// Whether an image for `offered` is what somebody means who asks for this platform. Who names no variant takes any.
    pub fn takes(&self, offered: &Platform) -> bool {
        let (asked, offered) = (self.normalized(), offered.normalized());
        let variant = asked.variant.is_none() || offered.variant.is_none() || asked.variant == offered.variant;
        (asked.os, asked.architecture) == (offered.os, offered.architecture) && variant
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_by_a_platform() {
        let takes = |asked: &str, offered: &str| asked.parse::<Platform>().unwrap().takes(&offered.parse().unwrap());
        assert!(takes("linux/arm64", "linux/arm64/v8") && takes("amd64", "linux/amd64") && takes("linux/arm/v7", "linux/arm"));
        assert!(
            !takes("linux/arm/v6", "linux/arm/v7") && !takes("linux/arm64", "linux/arm/v7") && !takes("linux/amd64", "linux/386")
        );
    }
}
