//! From layers and a config to an image of the store.

use serde_json::{Map, Value, json};

use crate::error::Result;
use crate::image::{Image, Layer};
use crate::manifest::Descriptor;
use crate::store::{Publication, Record, Store, layers_of, parse_config};
use crate::{Digest, Reference, manifest};

/// An image to be made.
#[derive(Debug)]
pub struct NewImage<'a> {
    /// The whole config (image-spec, config.md) but for `rootfs`, which follows from the layers. Members that this crate does not know are
    /// kept. To continue an image, begin with its [`Store::config_bytes`], change `config` and `created`, and add to `history`; see
    /// [`NewImage::history`].
    pub config: Map<String, Value>,
    /// Lowest first. All of them are in the store, and something keeps them there: a lease on the image that is continued
    /// ([`Store::hold`]), and each [`crate::NewLayer`].
    pub layers: &'a [Layer],
    /// Its names, which may have meant other images before; none: it is found by its id only.
    pub names: &'a [Reference],
}

impl NewImage<'_> {
    /// Adds a step to the history of a config: what was done, and whether it has made no layer.
    pub fn history(config: &mut Map<String, Value>, entry: Value) {
        match config.entry("history").or_insert_with(|| json!([])) {
            Value::Array(entries) => entries.push(entry),
            other => *other = json!([entry]),
        }
    }
}

impl Store {
    /// Puts an image of layers that are here into the store: config, manifest, record and names, in this order. Nobody sees half of it.
    ///
    /// # Errors
    /// A layer is gone; the store is full.
    pub fn make_image(&self, new: &NewImage<'_>) -> Result<Image> {
        let mut config = new.config.clone();
        let diff_ids: Vec<_> = new.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        config.insert("rootfs".to_owned(), json!({"type": "layers", "diff_ids": diff_ids}));
        complete_history(&mut config, new.layers.len());
        let config = Value::Object(config).to_string();
        let id = Digest::sha256(config.as_bytes());
        let descriptors: Vec<_> = new.layers.iter().map(descriptor).collect();
        let (digest, bytes) = manifest::made(&id, config.len(), &descriptors);
        let layers = layers_of(&id, &descriptors, &parse_config(&id, config.as_bytes())?)?;
        let digests: Vec<Digest> = layers.into_iter().map(|layer| layer.digest).collect();
        let lease = self.lease(digests.iter().chain([&id]))?;
        self.adopt(&digests)?;
        let media_type = manifest::media_type(&bytes, "")?;
        let record = Record { target: digest.clone(), manifest: digest, media_type, config: id, layers: digests };
        // What is here already, as after a build in which nothing was new, is not written again.
        let blobs = match self.has_image(&record) {
            true => Vec::new(),
            false => vec![(&record.config, config.as_bytes()), (&record.manifest, &bytes[..])],
        };
        self.publish(&Publication { names: new.names, record: &record, blobs }, &lease)?;
        self.load(&record, new.names.to_vec())
    }
}

/// A layer as an OCI manifest names it: Docker's manifests have other words for the same.
fn descriptor(layer: &Layer) -> Descriptor {
    let media_type = match layer.media_type.as_str() {
        "application/vnd.docker.image.rootfs.diff.tar" => "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip" => "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.docker.image.rootfs.diff.tar.zstd" => "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip" => {
            "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip"
        }
        other => other,
    };
    Descriptor { media_type: media_type.to_owned(), ..layer.descriptor() }
}

/// Whoever reads a history matches its steps with the layers, from the first on. An image that came without one, or with too short a one, gets
/// steps of which nothing is known.
fn complete_history(config: &mut Map<String, Value>, layers: usize) {
    let Some(Value::Array(history)) = config.get_mut("history") else { return };
    let made = |entry: &&Value| !entry.get("empty_layer").and_then(Value::as_bool).unwrap_or_default();
    let missing = layers.saturating_sub(history.iter().filter(made).count());
    for _ in 0..missing {
        history.insert(0, json!({"comment": "not recorded"}));
    }
}
