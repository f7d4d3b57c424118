//! Layers that builds remember by what made them.
//!
//! `cache/HEX` says which layer came of the step with this key. It keeps the layer in the store until it is forgotten: a sweep spares it.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};
use sys::Call;

use super::refs::list;
use super::{Lease, Store, create};
use crate::Digest;
use crate::error::{Doing, Error, Result};
use crate::image::Layer;

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct CacheFile {
    layer: Option<LayerEntry>,
    /// The instruction, for people.
    what: String,
    /// When it was done, as RFC 3339 has it.
    created: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LayerEntry {
    digest: Digest,
    size: u64,
    diff_id: Digest,
    media_type: String,
}

/// A step that was remembered.
#[derive(Debug)]
pub struct Cached {
    /// Its layer; nothing if it changed no file.
    pub layer: Option<Layer>,
    /// Keeps the layer while it lives.
    pub lease: Option<Lease>,
    /// When the step was done, as RFC 3339 has it.
    pub created: String,
}

/// An entry of the cache, as lists show it.
#[derive(Debug, Clone)]
pub struct CacheEntry {
    /// The step's key.
    pub key: String,
    /// Its instruction.
    pub what: String,
    /// Its layer.
    pub layer: Option<Digest>,
    /// Unpacked bytes of the layer.
    pub bytes: u64,
    /// When a build last used it.
    pub used: SystemTime,
    /// An image has the layer, too: forgetting the entry frees nothing.
    pub shared: bool,
}

impl Store {
    /// What came of the step with this key, if it is known and its layer is still there.
    pub fn cached(&self, key: &Digest) -> Result<Option<Cached>> {
        let path = self.cache().join(key.hex());
        let Some(file) = self.read_cached(&path)? else { return Ok(None) };
        let Some(entry) = file.layer else { return Ok(Some(Cached { layer: None, lease: None, created: file.created })) };
        // First the lease, then the look: what is there now stays.
        let lease = self.lease([&entry.digest].into_iter())?;
        match self.find_layer(&entry.digest) {
            Err(Error::Damaged { .. }) => return Ok(None),
            found => drop(found?),
        }
        // Whatever is forgotten for its age is what nobody has used for long.
        if let Ok(used) = File::options().write(true).open(&path) {
            let _ = used.set_modified(SystemTime::now());
        }
        let LayerEntry { digest, size, diff_id, media_type } = entry;
        let layer = Layer { digest, size, diff_id, media_type, urls: Vec::new() };
        Ok(Some(Cached { layer: Some(layer), lease: Some(lease), created: file.created }))
    }

    /// Remembers what came of a step, whose layer something holds.
    pub fn remember(&self, key: &Digest, layer: Option<&Layer>, what: &str, created: &str) -> Result<()> {
        let folder = self.cache();
        create(&folder)?;
        let layer =
            layer.cloned().map(|Layer { digest, size, diff_id, media_type, .. }| LayerEntry { digest, size, diff_id, media_type });
        let file = CacheFile { layer, what: what.chars().take(200).collect(), created: created.to_owned() };
        let bytes = serde_json::to_vec(&file).map_err(|source| Error::Document { what: format!("cache {key}"), source })?;
        let write = || sys::fs::replace(sys::fs::open_dir(&folder)?, key.hex(), &bytes);
        write().map_err(|source| self.full_or(source, || "remember a build step"))
    }

    /// All that builds remember, the least recently used first.
    pub fn cache_entries(&self) -> Result<Vec<CacheEntry>> {
        let used: std::collections::BTreeSet<Digest> =
            self.all_records()?.unwrap_or_default().into_iter().flat_map(|record| record.layers).collect();
        let mut entries = Vec::new();
        for key in list(&self.cache())? {
            let path = self.cache().join(&key);
            let (Ok(Some(file)), Ok(metadata)) = (self.read_cached(&path), fs::metadata(&path)) else { continue };
            let layer = file.layer.map(|layer| layer.digest);
            let bytes = layer.as_ref().map_or(Ok(0), |digest| self.unpacked_size(digest))?;
            let shared = layer.as_ref().is_some_and(|digest| used.contains(digest));
            let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            entries.push(CacheEntry { key, what: file.what, layer, bytes, used, shared });
        }
        entries.sort_by_key(|entry| entry.used);
        Ok(entries)
    }

    /// Forgets what no build has used for `unused`, and answers it. [`Store::sweep`] then frees the layers.
    pub fn forget(&self, unused: Duration) -> Result<Vec<CacheEntry>> {
        let now = SystemTime::now();
        let mut entries = self.cache_entries()?;
        entries.retain(|entry| now.duration_since(entry.used).unwrap_or_default() >= unused);
        for entry in &entries {
            let path = self.cache().join(&entry.key);
            match fs::remove_file(&path) {
                Err(error) if error.kind() != ErrorKind::NotFound => {
                    return Err(error).call(|| format!("unlink({path:?})")).doing(|| "forget a build step");
                }
                _ => {}
            }
        }
        Ok(entries)
    }

    /// Whether a build remembers the layer.
    pub(super) fn is_cached(&self, digest: &Digest) -> Result<bool> {
        for key in list(&self.cache())? {
            // One that cannot be read needs nothing.
            let file = self.read_cached(&self.cache().join(key))?;
            if file.is_some_and(|file| file.layer.is_some_and(|layer| layer.digest == *digest)) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn read_cached(&self, path: &std::path::Path) -> Result<Option<CacheFile>> {
        match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error).call(|| format!("read({path:?})")).doing(|| "read a build step"),
            Ok(bytes) => Ok(serde_json::from_slice(&bytes).ok()),
        }
    }

    fn cache(&self) -> PathBuf {
        self.root.join("cache")
    }
}
