//! What registries say about images for a list.

use serde_json::{Map, Value, json};

use super::{Item, ListOptions};
use crate::error::Result;
use crate::manifest::{self, Descriptor, Document, Entry};
use crate::pull::{CONFIG_LIMIT, Progress};
use crate::registry::Registry;
use crate::store::parse_config;
use crate::{Digest, Platform, Reference};

/// The images that a name means.
pub(super) async fn items_of(image: &Reference, options: &ListOptions, progress: &dyn Progress) -> Result<Vec<Item>> {
    let registry = Registry::new(image, &options.registries, &options.credentials, progress)?;
    let top = registry.manifest(&image.what()).await?;
    match manifest::parse(&top.bytes, &top.media_type)? {
        Document::Manifest { config, .. } => {
            let platform = platform_of(&registry, &config).await?;
            Ok(vec![Item::new(image, &top.media_type, &top.digest, top.bytes.len() as u64, &platform)])
        }
        Document::Index(entries) => {
            let images = entries.iter().filter(|entry| !entry.attestation);
            let item = |entry: &Entry| {
                let platform = entry.platform.clone().map(|platform| Item::platform(&platform)).unwrap_or_default();
                Item {
                    platform,
                    ..Item::new(&image.with_digest(&entry.digest), &entry.media_type, &entry.digest, entry.size, &None)
                }
            };
            Ok(images.map(item).collect())
        }
    }
}

impl Item {
    fn new(source: &Reference, media_type: &str, digest: &Digest, size: u64, platform: &Option<Platform>) -> Self {
        let platform = platform.as_ref().map(Item::platform).unwrap_or_default();
        let (source, media_type, digest) = (source.to_string(), media_type.to_owned(), digest.clone());
        Item { source, media_type, digest, size, platform, annotations: Map::new() }
    }

    fn platform(platform: &Platform) -> Map<String, Value> {
        let parts =
            [("architecture", Some(&platform.architecture)), ("os", Some(&platform.os)), ("variant", platform.variant.as_ref())];
        let known = parts.into_iter().filter_map(|(key, value)| Some((key.to_owned(), json!(value?))));
        known.collect()
    }
}

/// What machines an image is for, as its config says; artifacts have no such config.
async fn platform_of(registry: &Registry<'_>, config: &Descriptor) -> Result<Option<Platform>> {
    let bytes = registry.small("config", config, CONFIG_LIMIT).await?;
    let platform = parse_config(&config.digest, &bytes)?.platform();
    Ok((!platform.os.is_empty()).then_some(platform))
}
