//! The store with made-up images: layers are empty folders, manifests and configs are real.

mod adopting;
mod keeping;
mod names;
mod whole;

use std::fs;
use std::path::Path;

use super::{LayerFile, Publication, Record, Staged, Store};
use crate::{Digest, Image, Reference};

/// A store in a folder that goes away with it.
struct Fixture {
    store: Store,
    folder: tempfile::TempDir,
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn nobody(_: &Image) -> Vec<String> {
    Vec::new()
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Fixture { store: Store::open(&folder.path().join("images")).unwrap(), folder }
    }

    fn layer(&self, layer: &str) {
        let digest = digest(layer);
        let lock = self.store.lock_layer(&digest).unwrap();
        if self.store.read_layer(&digest).unwrap().is_none() {
            let staged = Staged::new(&self.store, &digest, lock).unwrap();
            fs::create_dir(self.store.beside(&digest, "part").join("tree")).unwrap();
            fs::write(self.store.beside(&digest, "part").join("tree/file"), layer).unwrap();
            staged.publish(&layer_file(layer)).unwrap();
        }
    }

    /// Publishes an image of these layers. The config is made unique by `seed`.
    fn image(&self, reference: &str, seed: &str, layers: &[&str]) -> Image {
        let lease = self.store.lease([].into_iter()).unwrap();
        layers.iter().for_each(|layer| self.layer(layer));
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(&format!("diff {layer}"))).collect();
        let config = serde_json::json!({"os": "linux", "architecture": "amd64", "author": seed, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = config.to_string().into_bytes();
        let blob = |kind: &str, digest: &Digest, size| serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type,
            "config": blob("config.v1+json", &Digest::sha256(&config), config.len()),
            "layers": layers.iter().map(|layer| blob("layer.v1.tar+gzip", &digest(layer), 7)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let record = Record {
            target: Digest::sha256(&manifest),
            manifest: Digest::sha256(&manifest),
            media_type: media_type.into(),
            config: Digest::sha256(&config),
            layers: layers.iter().map(|layer| digest(layer)).collect(),
        };
        let reference = name(reference);
        let blobs = vec![(&record.config, &config[..]), (&record.manifest, &manifest[..])];
        self.store.publish(&Publication { names: std::slice::from_ref(&reference), record: &record, blobs }, &lease).unwrap();
        self.store.load(&record, vec![reference]).unwrap()
    }

    fn has_layer(&self, layer: &str) -> bool {
        self.store.layer(&digest(layer)).exists()
    }

    /// Files and folders below the store, without the empty frame.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, base: &Path, files: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, base, files);
                } else {
                    files.push(path.strip_prefix(base).unwrap().display().to_string());
                }
            }
        }
        let mut files = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut files);
        files
    }
}

fn layer_file(layer: &str) -> LayerFile {
    LayerFile {
        diff_id: digest(&format!("diff {layer}")).to_string(),
        blob_size: 7,
        size: 100,
        entries: 1,
        implicit: Vec::new(),
        foreign: Vec::new(),
        base: None,
        sources: Vec::new(),
        erofs: None,
        sums: None,
    }
}
