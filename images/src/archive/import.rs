//! A root file system as an image of one layer.

use std::collections::BTreeMap;
use std::fs::File;
use std::sync::Arc;

use bytes::Bytes;
use serde_json::{Map, Value, json};
use sys::Call;

use super::load::one;
use super::members::digest;
use super::plain::plain;
use super::read::{OCI_LAYER, Packed};
use crate::change::{self, Change};
use crate::error::{Doing, Error, Result};
use crate::image::Image;
use crate::manifest::{self, Descriptor};
use crate::pull::Progress;
use crate::push::Part;
use crate::store::Store;
use crate::{Digest, Platform, Reference};

/// How to import.
#[derive(Debug, Default)]
pub struct ImportOptions {
    /// The image's name; none: it is found by its id only.
    pub name: Option<Reference>,
    /// For which machines it is; `None`: this host.
    pub platform: Option<Platform>,
    /// How it runs, in the order in which they count.
    pub changes: Vec<Change>,
    /// What the history says about it.
    pub message: String,
}

/// Makes an image of a tar archive with a root file system, however it is compressed. `input` may be a pipe.
///
/// The layer is the plain archive: what it was compressed with is not kept.
pub fn import(store: &Store, input: File, options: &ImportOptions, progress: &dyn Progress) -> Result<Image> {
    let mut run = Map::new();
    change::apply(&options.changes, &mut run)?;
    let file = plain(store, input)?;
    let size = file.metadata().call(|| "fstat()").doing(|| "open the archive")?.len();
    let part = Part { file: Arc::new(file.into()), start: 0, size };
    let diff_id = digest(&part)?;
    let config = config(&diff_id, run, options);
    let (id, bytes) = (Digest::sha256(config.as_bytes()), Bytes::from(config));
    let layers = vec![Descriptor::new(OCI_LAYER, diff_id.clone(), size)];
    let made = manifest::made(&id, bytes.len(), &layers);
    let packed = Packed {
        names: options.name.iter().cloned().collect(),
        target: made.clone(),
        manifest: made,
        config: (id, bytes),
        layers,
        parts: BTreeMap::from([(diff_id, part)]),
        is_variant: false,
    };
    let runtime = crate::waiting::runtime().map_err(Error::Runtime)?;
    let loaded = runtime.block_on(one(store, &packed, progress));
    runtime.shutdown_background();
    loaded.map(|loaded| loaded.image)
}

fn config(diff_id: &Digest, run: Map<String, Value>, options: &ImportOptions) -> String {
    let platform = options.platform.clone().unwrap_or_else(Platform::host);
    let created = jiff::Timestamp::now().to_string();
    let mut config = json!({
        "created": created,
        "architecture": platform.architecture,
        "os": platform.os,
        "config": Value::Object(run),
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "comment": options.message}],
    });
    if let Some(variant) = platform.variant {
        config["variant"] = variant.into();
    }
    config.to_string()
}
