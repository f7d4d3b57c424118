//! What a document says beside its blobs.

use serde::Deserialize;

use super::InvalidManifest;
use crate::Digest;

/// What a document says about itself and others beside its blobs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct About {
    subject: Option<Subject>,
    artifact_type: Option<String>,
    config: Option<Config>,
    #[serde(default)]
    annotations: Option<serde_json::Map<String, serde_json::Value>>,
}

#[derive(Debug, Deserialize)]
struct Subject {
    digest: Digest,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Config {
    media_type: Option<String>,
}

impl About {
    /// Of a document that [`parse`] takes.
    pub(crate) fn read(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        serde_json::from_slice(bytes).map_err(super::malformed)
    }

    /// The manifest that this one is about.
    pub(crate) fn subject(&self) -> Option<&Digest> {
        self.subject.as_ref().map(|subject| &subject.digest)
    }

    /// What kind of thing it is, if it is no image (image-spec, "Guidelines for Artifact Usage").
    pub(crate) fn artifact_type(&self) -> Option<&str> {
        let config = || self.config.as_ref().and_then(|config| config.media_type.as_deref());
        self.artifact_type.as_deref().filter(|own| !own.is_empty()).or_else(config)
    }

    pub(crate) fn annotations(&self) -> Option<&serde_json::Map<String, serde_json::Value>> {
        self.annotations.as_ref()
    }
}
