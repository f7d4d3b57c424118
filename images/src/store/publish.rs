//! The last step of a pull.

use super::locks::Lock;
use super::refs::Record;
use super::{Lease, Store};
use crate::error::{Error, Result};
use crate::image::Image;
use crate::{Digest, Reference};

/// All that makes an image visible.
pub(crate) struct Publication<'a> {
    /// None: the image is found by its id only.
    pub(crate) names: &'a [Reference],
    pub(crate) record: &'a Record,
    /// Index, manifest and config, verified.
    pub(crate) blobs: Vec<(&'a Digest, &'a [u8])>,
}

impl Store {
    /// Publishes an image under its names, which may have meant other images before. Its layers are in the store, and `_lease`
    /// keeps them there until the record does. Answers whether a name, or an image without one, is new or moved.
    pub(crate) fn publish(&self, publication: &Publication<'_>, _lease: &Lease) -> Result<bool> {
        let Publication { names, record, blobs } = publication;
        let known = self.record_file(&record.manifest);
        let _lock = self.lock_publish()?;
        for layer in &record.layers {
            self.read_layer(layer)?.ok_or_else(|| Error::Damaged { what: format!("layer {layer}") })?;
        }
        for (digest, bytes) in blobs {
            self.write_blob(digest, bytes)?;
        }
        // A record or name that cannot be read is replaced.
        let new = self.read_record(&known).ok().flatten().is_none();
        if new {
            self.write_record(&known, record)?;
        }
        let mut moved = new && names.is_empty();
        for file in names.iter().map(|name| self.ref_file(name)) {
            if self.read_record(&file).ok().flatten().as_ref() != Some(*record) {
                self.write_record(&file, record)?;
                moved = true;
            }
        }
        Ok(moved)
    }

    /// Whether the image is here as the record says, with its documents.
    pub(crate) fn has_image(&self, record: &Record) -> bool {
        let known = self.read_record(&self.record_file(&record.manifest)).ok().flatten();
        let there = [&record.config, &record.manifest].into_iter().all(|digest| self.blob(digest).exists());
        known.as_ref() == Some(record) && there
    }

    /// Gives an image a further name, or moves that name to it.
    pub fn tag(&self, image: &Image, name: &Reference) -> Result<()> {
        let _lock = self.lock_publish()?;
        let record = self.read_record(&self.record_file(&image.manifest))?;
        let record = record.ok_or_else(|| Error::NotFound { name: image.id.to_string() })?;
        // With the index that the image was found by, and so with the other platforms, unless that has gone meanwhile.
        let target = if self.blob(&image.target).exists() { image.target.clone() } else { record.target.clone() };
        let record = Record { target, ..record };
        self.write_record(&self.ref_file(name), &record)
    }

    /// Held for a few file operations by whoever publishes or removes an image. No run waits for it.
    pub(super) fn lock_publish(&self) -> Result<Lock> {
        Lock::wait(&self.leases().join("publish.lock"))
    }
}
