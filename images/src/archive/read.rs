//! The images that an archive says it has.

use std::collections::{BTreeMap, BTreeSet};

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
    /// It is for other machines than the image that comes after it, and belongs to the same names.
    pub(super) is_variant: bool,
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

/// All images for these platforms; without any, all.
pub(super) fn images(members: &Members, platforms: &[Platform]) -> Result<Vec<Packed>> {
    let listed: Vec<Listed> = if members.has(MANIFEST) { json(members, MANIFEST)? } else { Vec::new() };
    let mut images = if members.has(INDEX) { layout(members, platforms)? } else { Vec::new() };
    if images.is_empty() {
        images = listed.iter().map(|listed| docker(members, listed)).collect::<Result<_>>()?;
    } else {
        // Names may be in one of the lists only.
        for image in images.iter_mut().filter(|image| !image.is_variant) {
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

fn layout(members: &Members, platforms: &[Platform]) -> Result<Vec<Packed>> {
    let bytes = members.small(INDEX, manifest::LIMIT)?;
    let Document::Index(entries) = manifest::parse(&bytes, "")? else { return Ok(Vec::new()) };
    let named: Named = parse(&bytes, INDEX)?;
    let mut images: Vec<Packed> = Vec::new();
    let mut others = Vec::new();
    for (entry, named) in entries.iter().zip(named.manifests).filter(|(entry, _)| !entry.attestation) {
        let fits = |wanted: &Platform| entry.platform.as_ref().is_none_or(|own| wanted.accepts(own));
        if !platforms.is_empty() && !platforms.iter().any(fits) {
            others.extend(entry.platform.clone());
            continue;
        }
        let names = annotated(&named.annotations.unwrap_or_default())?;
        let known = images.iter_mut().find(|image| image.target.0 == entry.digest && !image.is_variant);
        match known {
            Some(known) => known.names.extend(names),
            None => images.extend(packed(members, entry, names, platforms)?),
        }
    }
    match platforms.first() {
        Some(wanted) if images.is_empty() && !others.is_empty() => {
            Err(Error::WrongPlatform { reference: "the archive".into(), wanted: wanted.clone(), have: others })
        }
        _ => Ok(images),
    }
}

/// The images behind an entry of the layout's list. The last one is what the names mean.
fn packed(members: &Members, target: &Entry, names: Vec<Reference>, platforms: &[Platform]) -> Result<Vec<Packed>> {
    let listed = |entry: &Entry| members.named((&entry.digest, entry.size), entry.data.as_ref(), manifest::LIMIT);
    let bytes = listed(target)?;
    let whole = (&target.digest, &bytes);
    let mut entries = match manifest::parse(&bytes, &target.media_type)? {
        Document::Manifest { .. } => return Ok(vec![image(members, whole, (target.digest.clone(), bytes.clone()), names)?]),
        Document::Index(entries) => entries,
    };
    // Docker saves one platform of many, and the index all the same.
    let is_there = |entry: &Entry| entry.data.is_some() || members.has(&path(&entry.digest));
    entries.retain(|entry| !entry.attestation && is_there(entry));
    let missing = |wanted: &Platform| {
        let have = entries.iter().filter_map(|entry| entry.platform.clone()).collect();
        Error::WrongPlatform { reference: target.digest.to_string(), wanted: wanted.clone(), have }
    };
    let choose = |wanted: &Platform| manifest::choose(&entries, wanted).ok_or_else(|| missing(wanted));
    let mut chosen: Vec<&Entry> = match platforms {
        [] => entries.iter().collect(),
        some => some.iter().map(choose).collect::<Result<_>>()?,
    };
    let host = manifest::choose(&entries, &Platform::host());
    let own = chosen.iter().find(|entry| Some(**entry) == host).or(chosen.first()).copied();
    let own = own.ok_or_else(|| missing(&Platform::host()))?;
    let mut seen = BTreeSet::from([&own.digest]);
    chosen.retain(|entry| seen.insert(&entry.digest));
    let of = |entry: &Entry, names| image(members, whole, (entry.digest.clone(), listed(entry)?), names);
    let variant = |entry: &Entry| Ok(Packed { is_variant: true, ..of(entry, Vec::new())? });
    let mut images = chosen.into_iter().map(variant).collect::<Result<Vec<_>>>()?;
    images.push(of(own, names)?);
    Ok(images)
}

/// The image with this manifest, which `target` is or has.
fn image(members: &Members, target: (&Digest, &Bytes), own: (Digest, Bytes), names: Vec<Reference>) -> Result<Packed> {
    let (chosen, manifest) = own;
    let Document::Manifest { config, layers } = manifest::parse(&manifest, "")? else {
        return Err(Error::NotAnImage { what: format!("manifest {chosen}") });
    };
    let parts = layers.iter().filter_map(|layer| Some((layer.digest.clone(), members.part(&path(&layer.digest)).ok()?.clone())));
    let parts = parts.collect();
    let config_bytes = members.named((&config.digest, config.size), config.data.as_ref(), CONFIG_LIMIT)?;
    let config = (config.digest, config_bytes);
    let target = (target.0.clone(), target.1.clone());
    Ok(Packed { names, target, manifest: (chosen, manifest), config, layers, parts, is_variant: false })
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
    let (target, config) = (made.clone(), (id, bytes));
    Ok(Packed { names: names(listed)?, target, manifest: made, config, layers, parts, is_variant: false })
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
