//! Blobs that a document has within, as base64, so that nobody has to ask for them (image-spec, descriptor.md, "Embedded Content").
//! A document is at most [`super::LIMIT`] bytes large, and so they are less.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use serde::Deserialize;

use super::InvalidManifest;
use crate::Digest;

/// The blobs of a document, in the order in which it names them.
#[derive(Deserialize)]
pub(super) struct Inline {
    pub(super) config: Option<Data>,
    pub(super) layers: Option<Vec<Data>>,
    pub(super) manifests: Option<Vec<Data>>,
}

/// One of them.
#[derive(Default, Deserialize)]
pub(super) struct Data {
    data: Option<String>,
}

impl Inline {
    pub(super) fn read(bytes: &[u8]) -> Result<Self, InvalidManifest> {
        serde_json::from_slice(bytes).map_err(super::malformed)
    }
}

impl Data {
    /// The blob with this digest and size, if it is there.
    ///
    /// # Errors
    /// It is another one.
    pub(super) fn verified(self, digest: &Digest, size: u64) -> Result<Option<Bytes>, InvalidManifest> {
        let Some(text) = self.data.filter(|text| !text.is_empty()) else { return Ok(None) };
        let wrong = |problem| InvalidManifest::Data { digest: digest.clone(), problem };
        let bytes = BASE64_STANDARD.decode(text).map_err(|_| wrong("it is not base64"))?;
        if bytes.len() as u64 != size {
            return Err(wrong("it has another size"));
        }
        if digest.same_kind(&bytes) != *digest {
            return Err(wrong("it has another digest"));
        }
        Ok(Some(bytes.into()))
    }
}
