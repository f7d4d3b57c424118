//! Images as a registry sees them: blobs, a manifest, and perhaps an index above several manifests.

use serde_json::{Value, json};

use crate::layer::{Compression, Data, Layer, digest};

/// Whose media types the manifest uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Docker's image manifest version 2, schema 2.
    Docker,
    /// The OCI image specification.
    Oci,
}

/// A blob with its digest.
#[derive(Debug, Clone)]
pub struct Blob {
    /// `sha256:…`.
    pub digest: String,
    /// Bytes.
    pub size: u64,
    /// Where they are.
    pub data: Data,
}

/// A manifest or an index.
#[derive(Debug, Clone)]
pub struct Document {
    /// Its media type.
    pub media_type: String,
    /// `sha256:…` of its bytes.
    pub digest: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
}

impl Document {
    /// A document of exactly these bytes.
    #[must_use]
    pub fn new(media_type: &str, bytes: Vec<u8>) -> Self {
        Self { media_type: media_type.to_owned(), digest: digest(&bytes), bytes }
    }

    fn of(media_type: &str, value: &Value) -> Self {
        Self::new(media_type, value.to_string().into_bytes())
    }
}

/// What is pushed: blobs, then documents, the last of which gets the tag.
#[derive(Debug, Clone, Default)]
pub struct Bundle {
    /// Layers and configs.
    pub blobs: Vec<Blob>,
    /// Manifests, and the index last.
    pub documents: Vec<Document>,
}

impl Bundle {
    /// The document that the tag names.
    ///
    /// # Panics
    /// When the bundle is empty.
    #[must_use]
    pub fn top(&self) -> &Document {
        self.documents.last().expect("a bundle has a document")
    }
}

/// The architecture of this machine in OCI's words.
#[must_use]
pub fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

/// An architecture that this machine is not of.
#[must_use]
pub fn foreign_architecture() -> &'static str {
    if architecture() == "s390x" { "amd64" } else { "s390x" }
}

/// One image of one platform.
#[derive(Debug, Clone)]
pub struct Image {
    /// Media types.
    pub format: Format,
    /// In OCI's words.
    pub architecture: String,
    /// Lowest first.
    pub layers: Vec<Layer>,
    /// The `config` object of the config blob.
    pub config: Value,
}

impl Image {
    /// An image of this machine's platform.
    #[must_use]
    pub fn new(format: Format, layers: Vec<Layer>, config: Value) -> Self {
        Self { format, architecture: architecture().to_owned(), layers, config }
    }

    fn config_blob(&self) -> Blob {
        let diff_ids: Vec<_> = self.layers.iter().map(|layer| &layer.diff_id).collect();
        let history: Vec<_> =
            self.layers.iter().map(|_| json!({"created": "2024-01-01T00:00:00Z", "created_by": "integration"})).collect();
        let config = json!({
            "architecture": self.architecture, "os": "linux", "created": "2024-01-01T00:00:00Z",
            "config": self.config, "rootfs": {"type": "layers", "diff_ids": diff_ids}, "history": history,
        });
        let bytes = config.to_string().into_bytes();
        Blob { digest: digest(&bytes), size: bytes.len() as u64, data: Data::Bytes(bytes) }
    }

    fn layer_type(&self, layer: &Layer) -> String {
        let (docker, oci) = match layer.compression {
            Compression::None => ("tar", "tar"),
            Compression::Gzip => ("tar.gzip", "tar+gzip"),
            Compression::Zstd => ("tar.zstd", "tar+zstd"),
        };
        match self.format {
            Format::Docker => format!("application/vnd.docker.image.rootfs.diff.{docker}"),
            Format::Oci => format!("application/vnd.oci.image.layer.v1.{oci}"),
        }
    }

    /// The image's blobs and its manifest.
    #[must_use]
    pub fn bundle(&self) -> Bundle {
        let config = self.config_blob();
        let (kind, config_type) = match self.format {
            Format::Docker => {
                ("application/vnd.docker.distribution.manifest.v2+json", "application/vnd.docker.container.image.v1+json")
            }
            Format::Oci => ("application/vnd.oci.image.manifest.v1+json", "application/vnd.oci.image.config.v1+json"),
        };
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|layer| json!({"mediaType": self.layer_type(layer), "digest": layer.digest, "size": layer.size}))
            .collect();
        let manifest = json!({
            "schemaVersion": 2, "mediaType": kind, "layers": layers,
            "config": {"mediaType": config_type, "digest": config.digest, "size": config.size},
        });
        let mut blobs: Vec<_> = self
            .layers
            .iter()
            .map(|layer| Blob { digest: layer.digest.clone(), size: layer.size, data: layer.data.clone() })
            .collect();
        blobs.push(config);
        Bundle { blobs, documents: vec![Document::of(kind, &manifest)] }
    }
}

/// An OCI index over images, with an attestation entry as build tools add it: a manifest for the platform
/// `unknown/unknown` that is no image and must not be chosen.
#[must_use]
pub fn index(images: &[Image]) -> Bundle {
    let mut all = Bundle::default();
    let mut entries = Vec::new();
    for image in images {
        let bundle = image.bundle();
        let manifest = bundle.top();
        entries.push(json!({
            "mediaType": manifest.media_type, "digest": manifest.digest, "size": manifest.bytes.len(),
            "platform": {"architecture": image.architecture, "os": "linux"},
        }));
        all.blobs.extend(bundle.blobs);
        all.documents.extend(bundle.documents);
    }
    let attestation = attestation(&mut all);
    entries.insert(0, attestation);
    let kind = "application/vnd.oci.image.index.v1+json";
    all.documents.push(Document::of(kind, &json!({"schemaVersion": 2, "mediaType": kind, "manifests": entries})));
    all
}

fn attestation(all: &mut Bundle) -> Value {
    let bytes = br#"{"_type":"https://in-toto.io/Statement/v0.1"}"#.to_vec();
    let blob = Blob { digest: digest(&bytes), size: bytes.len() as u64, data: Data::Bytes(bytes) };
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let manifest = Document::of(
        kind,
        &json!({
            "schemaVersion": 2, "mediaType": kind,
            "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": blob.digest, "size": blob.size},
            "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": blob.digest, "size": blob.size}],
        }),
    );
    let subject = all.documents.first().map(|document| document.digest.clone()).unwrap_or_default();
    let entry = json!({
        "mediaType": kind, "digest": manifest.digest, "size": manifest.bytes.len(),
        "platform": {"architecture": "unknown", "os": "unknown"},
        "annotations": {"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": subject},
    });
    all.blobs.push(blob);
    all.documents.push(manifest);
    entry
}
