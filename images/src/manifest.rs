//! Manifests and indexes. Their bytes are kept as they came, these are views.
//!
//! What a document is, is said three times: by the `Content-Type` it came with, by its own `mediaType`, and by its members. A
//! registry and a client that believe different ones can be shown different images under one digest (CVE-2021-41190), so
//! here all three must agree.

use bytes::Bytes;
use oci_distribution::manifest::{
    IMAGE_MANIFEST_LIST_MEDIA_TYPE, IMAGE_MANIFEST_MEDIA_TYPE, ImageIndexEntry, OCI_IMAGE_INDEX_MEDIA_TYPE, OCI_IMAGE_MEDIA_TYPE,
    OciDescriptor, OciImageIndex, OciImageManifest,
};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::json;

mod about;
mod inline;

pub(crate) use self::about::About;
use self::inline::Inline;
use crate::digest::InvalidDigest;
use crate::error::brief;
use crate::{Digest, Platform};

/// Largest manifest or index in bytes: the size that registries must take (distribution-spec, "Pushing manifests").
pub(crate) const LIMIT: u64 = 4 << 20;

/// What requests for manifests accept, the preferred first.
pub(crate) const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, \
    application/vnd.docker.distribution.manifest.list.v2+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, */*;q=0.1";

/// What a name points to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    /// An OCI index or a Docker manifest list.
    Index(Vec<Entry>),
    /// One image.
    Manifest {
        /// The config blob.
        config: Descriptor,
        /// Lowest first.
        layers: Vec<Descriptor>,
    },
}

/// A blob that a manifest names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Descriptor {
    /// As the manifest says.
    pub media_type: String,
    /// Of the blob.
    pub digest: Digest,
    /// Bytes of the blob.
    pub size: u64,
    /// The blob itself, verified, if the manifest has it within (image-spec, descriptor.md).
    pub data: Option<Bytes>,
    /// Where else it can be had.
    pub urls: Vec<String>,
}

impl Document {
    /// The digests of all that it names.
    pub(crate) fn names(self) -> Vec<Digest> {
        match self {
            Document::Index(entries) => entries.into_iter().map(|entry| entry.digest).collect(),
            Document::Manifest { config, layers } => [config].into_iter().chain(layers).map(|blob| blob.digest).collect(),
        }
    }
}

impl Descriptor {
    /// Of a blob that is nowhere else.
    pub(crate) fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Descriptor { media_type: media_type.into(), digest, size, data: None, urls: Vec::new() }
    }

    /// Whether it must not be given to others (image-spec, "Non-distributable layers").
    pub(crate) fn is_foreign(&self) -> bool {
        is_foreign(&self.media_type)
    }
}

/// Whether a layer with this media type must not be given to others.
pub(crate) fn is_foreign(media_type: &str) -> bool {
    media_type.contains("nondistributable") || media_type.contains("foreign")
}

/// A manifest that an index names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    /// As the index says.
    pub media_type: String,
    /// Of the manifest.
    pub digest: Digest,
    /// Bytes of the manifest.
    pub size: u64,
    /// The manifest itself, verified, if the index has it within.
    pub data: Option<Bytes>,
    /// Which machines it is for, if the index says.
    pub platform: Option<Platform>,
    /// It describes another entry (provenance, bill of materials) and is no image.
    pub attestation: bool,
}

/// Why a document is no manifest.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidManifest {
    /// A web page, such as that of a proxy's login.
    #[error("an HTML page instead of a manifest: is this the address of a registry?")]
    Html,
    /// Neither JSON nor a web page.
    #[error("it is not a JSON object")]
    Json(#[source] serde_json::Error),
    /// An image format that was given up in 2017.
    #[error("schema version 1 is not supported: push the image again with a current tool")]
    Schema1,
    /// Another kind of document.
    #[error("media type {0:?} is neither a manifest nor an index")]
    MediaType(String),
    /// The transport and the document disagree.
    #[error("it came as {content_type:?} and says that it is {media_type:?}")]
    Confused {
        /// What the registry said.
        content_type: String,
        /// What the document says.
        media_type: String,
    },
    /// It has members of another kind of document.
    #[error("it says that it is {media_type:?} and has {member:?}")]
    Member {
        /// What the document or the registry says.
        media_type: String,
        /// What does not belong there.
        member: &'static str,
    },
    /// A member is missing or has the wrong form.
    #[error("it is malformed")]
    Malformed(#[source] serde_json::Error),
    /// A blob's digest is none.
    #[error("it names a blob by something else than a digest")]
    Digest(#[from] InvalidDigest),
    /// A blob's size is none.
    #[error("it gives {digest} a size of {size}")]
    Size {
        /// The blob.
        digest: Digest,
        /// What it says.
        size: i64,
    },
    /// A blob that it has within is not the one that it names.
    #[error("its data for {digest}: {problem}")]
    Data {
        /// The blob.
        digest: Digest,
        /// What is wrong.
        problem: &'static str,
    },
}

/// Which kind of document a media type means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Index,
    Manifest,
}

/// The members that tell what a document is.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<i64>,
    media_type: Option<String>,
    manifests: Option<IgnoredAny>,
    config: Option<IgnoredAny>,
    layers: Option<IgnoredAny>,
    #[serde(rename = "fsLayers")]
    fs_layers: Option<IgnoredAny>,
}

/// Reads a document. `media_type` is the `Content-Type` it came with; empty if there was none.
pub(crate) fn parse(bytes: &[u8], media_type: &str) -> Result<Document, InvalidManifest> {
    match kind(bytes, media_type)?.0 {
        Kind::Index => {
            let index: OciImageIndex = serde_json::from_slice(bytes).map_err(malformed)?;
            let inline = Inline::read(bytes)?.manifests.unwrap_or_default();
            let entries = index.manifests.into_iter().zip(inline).map(|(from, inline)| entry(from, inline));
            Ok(Document::Index(entries.collect::<Result<_, _>>()?))
        }
        Kind::Manifest => {
            let manifest: OciImageManifest = serde_json::from_slice(bytes).map_err(malformed)?;
            let Inline { config, layers, .. } = Inline::read(bytes)?;
            let layers = manifest.layers.into_iter().zip(layers.unwrap_or_default()).map(|(from, inline)| descriptor(from, inline));
            let layers = layers.collect::<Result<_, _>>()?;
            Ok(Document::Manifest { config: descriptor(manifest.config, config.unwrap_or_default())?, layers })
        }
    }
}

/// The media type of a document, once transport, document and members agree.
pub(crate) fn media_type(bytes: &[u8], content_type: &str) -> Result<String, InvalidManifest> {
    kind(bytes, content_type).map(|(_, media_type)| media_type)
}

fn kind(bytes: &[u8], content_type: &str) -> Result<(Kind, String), InvalidManifest> {
    let came_as = essence(content_type);
    if came_as == "text/html" || bytes.trim_ascii_start().starts_with(b"<") {
        return Err(InvalidManifest::Html);
    }
    if came_as.starts_with("application/vnd.docker.distribution.manifest.v1+") {
        return Err(InvalidManifest::Schema1);
    }
    if !bytes.trim_ascii_start().starts_with(b"{") {
        // serde also fills structs from arrays.
        return Err(InvalidManifest::Json(serde::de::Error::custom("no object")));
    }
    let shape: Shape = serde_json::from_slice(bytes).map_err(|error| InvalidManifest::Json(brief(error)))?;
    if shape.schema_version == Some(1) || shape.fs_layers.is_some() {
        return Err(InvalidManifest::Schema1);
    }
    let says = shape.media_type.as_deref().filter(|says| !says.is_empty());
    // Some servers know no media types; what they send is not a statement.
    let came_as =
        (!["", "application/json", "application/octet-stream", "text/plain"].contains(&came_as.as_str())).then_some(came_as);
    if let (Some(came_as), Some(says)) = (came_as.as_deref(), says)
        && came_as != says
    {
        return Err(InvalidManifest::Confused { content_type: shown(came_as), media_type: shown(says) });
    }
    let guess = if shape.manifests.is_some() { OCI_IMAGE_INDEX_MEDIA_TYPE } else { OCI_IMAGE_MEDIA_TYPE };
    let media_type = says.or(came_as.as_deref()).unwrap_or(guess).to_owned();
    let kind = match media_type.as_str() {
        OCI_IMAGE_INDEX_MEDIA_TYPE | IMAGE_MANIFEST_LIST_MEDIA_TYPE => Kind::Index,
        OCI_IMAGE_MEDIA_TYPE | IMAGE_MANIFEST_MEDIA_TYPE => Kind::Manifest,
        _ => return Err(InvalidManifest::MediaType(shown(&media_type))),
    };
    let foreign = match kind {
        Kind::Index => [shape.layers.map(|_| "layers"), shape.config.map(|_| "config")],
        Kind::Manifest => [shape.manifests.map(|_| "manifests"), None],
    };
    match foreign.into_iter().flatten().next() {
        Some(member) => Err(InvalidManifest::Member { media_type, member }),
        None => Ok((kind, media_type)),
    }
}

fn malformed(error: serde_json::Error) -> InvalidManifest {
    InvalidManifest::Malformed(brief(error))
}

/// A media type for messages. RFC 6838 has them end after 255 characters.
fn shown(media_type: &str) -> String {
    media_type.chars().take(255).collect()
}

/// A media type without its parameters.
fn essence(content_type: &str) -> String {
    content_type.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}

fn descriptor(from: OciDescriptor, inline: inline::Data) -> Result<Descriptor, InvalidManifest> {
    let (digest, size) = checked(&from.digest, from.size)?;
    let data = inline.verified(&digest, size)?;
    Ok(Descriptor { media_type: from.media_type, digest, size, data, urls: from.urls.unwrap_or_default() })
}

fn checked(digest: &str, size: i64) -> Result<(Digest, u64), InvalidManifest> {
    let digest: Digest = digest.parse()?;
    match u64::try_from(size) {
        Ok(size) => Ok((digest, size)),
        Err(_) => Err(InvalidManifest::Size { digest, size }),
    }
}

fn entry(from: ImageIndexEntry, inline: inline::Data) -> Result<Entry, InvalidManifest> {
    let (digest, size) = checked(&from.digest, from.size)?;
    let data = inline.verified(&digest, size)?;
    let platform = from.platform.map(|platform| {
        let (os, architecture) = (platform.os.to_string(), platform.architecture.to_string());
        Platform { os, architecture, variant: platform.variant.filter(|variant| !variant.is_empty()) }
    });
    let annotations = from.annotations.unwrap_or_default();
    let unknown = platform.as_ref().is_some_and(|platform| platform.os == "unknown" || platform.architecture == "unknown");
    let attestation = unknown || annotations.contains_key("vnd.docker.reference.type");
    Ok(Entry { media_type: from.media_type, digest, size, data, platform, attestation })
}

/// The manifest of an image that is made here, and its digest.
pub(crate) fn made(config: &Digest, size: usize, layers: &[Descriptor]) -> (Digest, Bytes) {
    const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    let entry = |media_type: &str, digest: &Digest, size: u64| json!({"mediaType": media_type, "digest": digest, "size": size});
    let layer = |layer: &Descriptor| {
        let mut entry = entry(&layer.media_type, &layer.digest, layer.size);
        if !layer.urls.is_empty() {
            entry["urls"] = json!(layer.urls);
        }
        entry
    };
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": OCI_IMAGE_MEDIA_TYPE,
        "config": entry(CONFIG, config, size as u64),
        "layers": layers.iter().map(layer).collect::<Vec<_>>(),
    });
    let bytes = Bytes::from(manifest.to_string());
    (Digest::sha256(&bytes), bytes)
}

/// The entry that suits a platform best; of equals the first. An entry that says no platform is taken if none suits: its config
/// tells.
pub(crate) fn choose<'a>(entries: &'a [Entry], platform: &Platform) -> Option<&'a Entry> {
    let images = || entries.iter().filter(|entry| !entry.attestation);
    let rank = |entry: &&Entry| entry.platform.as_ref().and_then(|offered| platform.rank(offered));
    let best = images().filter(|entry| rank(entry).is_some()).min_by_key(rank);
    best.or_else(|| images().find(|entry| entry.platform.is_none()))
}

#[cfg(test)]
mod tests;
