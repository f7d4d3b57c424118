//! The images that an archive says it has.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::members::{Members, digest, path};
use super::{IMAGE_NAME, INDEX, InvalidArchive, MANIFEST, REF_NAME};
use crate::error::{Error, Result, brief};
use crate::manifest::{self, Descriptor, Document, Entry};
use crate::pull::CONFIG_LIMIT;
use crate::push::Part;
use crate::store::{LAYERS, parse_config};
use crate::{Digest, Platform, Reference};

pub(super) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// An image in an archive.
pub(super) struct Packed {
    pub(super) names: Vec<Reference>,
    /// What the names mean: the manifest, or the index that has it.
    pub(super) target: (Digest, Bytes),
    pub(super) manifest: (Digest, Bytes),
    pub(super) config: (Digest, Bytes),
    /// Lowest first.
    pub(super) layers: Vec<Descriptor>,
    /// The blobs of those that are in the archive.
    pub(super) parts: BTreeMap<Digest, Part>,
}

/// `index.json`, as far as it says more than an index.
#[derive(Deserialize)]
struct Named {
    manifests: Vec<Annotated>,
}

#[derive(Deserialize)]
struct Annotated {
    annotations: Option<BTreeMap<String, String>>,
}

/// An entry of `manifest.json`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Listed {
    config: String,
    repo_tags: Option<Vec<String>>,
    layers: Option<Vec<String>>,
}

/// All images for `platform`; without one, of several platforms of an image this host's, and an only one whatever it is.
pub(super) fn images(members: &Members, platform: Option<&Platform>) -> Result<Vec<Packed>> {
    let listed: Vec<Listed> = if members.has(MANIFEST) { json(members, MANIFEST)? } else { Vec::new() };
    let mut images = if members.has(INDEX) { layout(members, platform)? } else { Vec::new() };
    if images.is_empty() {
        images = listed.iter().map(|listed| docker(members, listed)).collect::<Result<_>>()?;
    } else {
        // Names may be in one of the lists only.
        for image in &mut images {
            let own = listed.iter().filter(|listed| ends_with(&listed.config, &image.config.0));
            for listed in own {
                image.names.extend(names(listed)?);
            }
        }
    }
    for image in &mut images {
        image.names.sort();
        image.names.dedup();
    }
    if images.is_empty() { Err(InvalidArchive::NoImages.into()) } else { Ok(images) }
}

fn layout(members: &Members, platform: Option<&Platform>) -> Result<Vec<Packed>> {
    let bytes = members.small(INDEX, manifest::LIMIT)?;
    let Document::Index(entries) = manifest::parse(&bytes, "")? else { return Ok(Vec::new()) };
    let named: Named = parse(&bytes, INDEX)?;
    let mut images: Vec<Packed> = Vec::new();
    let mut others = Vec::new();
    for (entry, named) in entries.iter().zip(named.manifests).filter(|(entry, _)| !entry.attestation) {
        let fits = |wanted: &Platform| entry.platform.as_ref().is_none_or(|own| wanted.accepts(own));
        if !platform.is_none_or(fits) {
            others.extend(entry.platform.clone());
            continue;
        }
        let names = annotated(&named.annotations.unwrap_or_default())?;
        let known = images.iter_mut().find(|image| image.target.0 == entry.digest);
        match known {
            Some(known) => known.names.extend(names),
            None => images.push(packed(members, entry, names, platform)?),
        }
    }
    match platform {
        Some(wanted) if images.is_empty() && !others.is_empty() => {
            Err(Error::WrongPlatform { reference: "the archive".into(), wanted: wanted.clone(), have: others })
        }
        _ => Ok(images),
    }
}

/// The image behind an entry of the layout's list.
fn packed(members: &Members, target: &Entry, names: Vec<Reference>, platform: Option<&Platform>) -> Result<Packed> {
    let listed = |entry: &Entry| members.named((&entry.digest, entry.size), entry.data.as_ref(), manifest::LIMIT);
    let bytes = listed(target)?;
    let (chosen, manifest) = match manifest::parse(&bytes, &target.media_type)? {
        Document::Manifest { .. } => (target.digest.clone(), bytes.clone()),
        Document::Index(mut entries) => {
            // Docker saves one platform of many, and the index all the same.
            entries.retain(|entry| entry.data.is_some() || members.has(&path(&entry.digest)));
            let wanted = platform.cloned().unwrap_or_else(Platform::host);
            let only = (entries.iter().filter(|entry| !entry.attestation).count() == 1 && platform.is_none())
                .then(|| entries.iter().find(|entry| !entry.attestation));
            let Some(chosen) = only.flatten().or_else(|| manifest::choose(&entries, &wanted)) else {
                let have = entries.iter().filter_map(|entry| entry.platform.clone()).collect();
                return Err(Error::WrongPlatform { reference: target.digest.to_string(), wanted, have });
            };
            (chosen.digest.clone(), listed(chosen)?)
        }
    };
    let Document::Manifest { config, layers } = manifest::parse(&manifest, "")? else {
        return Err(Error::NotAnImage { what: format!("manifest {chosen}") });
    };
    let parts = layers.iter().filter_map(|layer| Some((layer.digest.clone(), members.part(&path(&layer.digest)).ok()?.clone())));
    let parts = parts.collect();
    let config_bytes = members.named((&config.digest, config.size), config.data.as_ref(), CONFIG_LIMIT)?;
    let config = (config.digest, config_bytes);
    Ok(Packed { names, target: (target.digest.clone(), bytes), manifest: (chosen, manifest), config, layers, parts })
}

/// A name is written whole, or with two annotations of which one is only a tag.
fn annotated(annotations: &BTreeMap<String, String>) -> Result<Vec<Reference>> {
    let short = annotations.get(REF_NAME).filter(|name| name.contains([':', '/']));
    match annotations.get(IMAGE_NAME).or(short) {
        Some(name) => Ok(vec![name.parse().map_err(InvalidArchive::from)?]),
        None => Ok(Vec::new()),
    }
}

/// An image without a manifest gets one, always the same.
fn docker(members: &Members, listed: &Listed) -> Result<Packed> {
    let bytes = members.small(&listed.config, CONFIG_LIMIT)?;
    let id = Digest::sha256(&bytes);
    let config = parse_config(&id, &bytes)?;
    let paths = listed.layers.as_deref().unwrap_or_default();
    // Before they are unpacked and hashed.
    if paths.len() > LAYERS {
        return Err(Error::TooManyLayers { id, layers: paths.len() });
    }
    if paths.len() != config.rootfs.diff_ids.len() {
        return Err(Error::LayerCount { id, layers: paths.len(), diff_ids: config.rootfs.diff_ids.len() });
    }
    let (mut layers, mut parts) = (Vec::new(), BTreeMap::new());
    for (path, diff_id) in paths.iter().zip(&config.rootfs.diff_ids) {
        let part = members.layer(path)?;
        let layer = layer(&part, diff_id)?;
        parts.insert(layer.digest.clone(), part);
        layers.push(layer);
    }
    let made = manifest::made(&id, bytes.len(), &layers);
    Ok(Packed { names: names(listed)?, target: made.clone(), manifest: made, config: (id, bytes), layers, parts })
}

/// Most layers in such archives are not compressed: then the config knows the digest already.
fn layer(part: &Part, diff_id: &Digest) -> Result<Descriptor> {
    let start = part.piece(0, 4)?;
    let (digest, ending) = match &start[..] {
        [0x1f, 0x8b, ..] => (digest(part)?, "+gzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => (digest(part)?, "+zstd"),
        _ => (diff_id.clone(), ""),
    };
    Ok(Descriptor::new(format!("{OCI_LAYER}{ending}"), digest, part.size))
}

fn names(listed: &Listed) -> Result<Vec<Reference>> {
    let names = listed.repo_tags.iter().flatten().filter(|name| !name.starts_with("<none>"));
    names.map(|name| Ok(name.parse().map_err(InvalidArchive::from)?)).collect()
}

/// Whether a path in Docker's list is that of a config: `HEX.json` or `blobs/sha256/HEX`.
fn ends_with(path: &str, config: &Digest) -> bool {
    path.trim_end_matches(".json").ends_with(config.hex())
}

fn json<T: DeserializeOwned>(members: &Members, name: &str) -> Result<T> {
    parse(&members.small(name, manifest::LIMIT)?, name)
}

fn parse<T: DeserializeOwned>(bytes: &[u8], name: &str) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|source| InvalidArchive::Json { name: name.to_owned(), source: brief(source) }.into())
}
