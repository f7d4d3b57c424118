//! An image as the store knows it.

use crate::manifest::Descriptor;
use crate::{Digest, ImageConfig, Reference};

/// A layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layer {
    /// Of the blob in the registry, compressed or not. The store keeps layers by it.
    pub digest: Digest,
    /// Bytes of that blob.
    pub size: u64,
    /// Of the tar archive.
    pub diff_id: Digest,
    /// As the manifest says. What counts are the blob's first bytes.
    pub media_type: String,
    /// Where the manifest says that it can be had. They count for layers only that registries may not give to others.
    pub urls: Vec<String>,
}

impl Layer {
    /// Its blob, as a manifest names it.
    pub(crate) fn descriptor(&self) -> Descriptor {
        let Layer { digest, size, media_type, urls, .. } = self.clone();
        Descriptor { urls, ..Descriptor::new(media_type, digest, size) }
    }
}

/// An image whose layers are all unpacked.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of the config: what Docker and Podman call the image's id.
    pub id: Digest,
    /// The manifest that was chosen for the platform.
    pub manifest: Digest,
    /// What the name points to in the registry: an index, or the manifest itself.
    pub target: Digest,
    /// Names in this store, in order; none is left when the name moved to another image.
    pub names: Vec<Reference>,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// The config, parsed; [`crate::Store::config_bytes`] has its bytes.
    pub config: ImageConfig,
    /// Unpacked bytes of all layers.
    pub size: u64,
}
