//! Images as one file, written for both worlds at once and read in either form.
//!
//! ```text
//! oci-layout, index.json            an OCI layout (image-spec, image-layout.md); names are annotations
//! manifest.json                     Docker's own list: config, names and layers of each image
//! blobs/sha256/HEX                  manifests, configs and layers, which both of them name
//! ```
//!
//! That is what Docker has written since version 25, and what its older versions read too. What is read may also be an archive
//! by older versions (`HEX/layer.tar`, with links between them), all of it compressed in any way that `crate::decode` knows. Nothing in an archive becomes a
//! path here: members are looked up by name in a list of what there is and where its bytes are.

mod import;
mod load;
mod members;
mod plain;
mod read;
mod save;

#[cfg(test)]
mod tests;

pub(crate) use members::nameless;
pub use plain::plain;
pub(crate) use plain::{head, read};

pub use import::{ImportOptions, import};
pub use load::{LoadOptions, Loaded, load};
pub use save::{SaveOptions, save};

/// Why a file is no archive of images.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidArchive {
    /// Neither of the lists is there.
    #[error("it has neither index.json nor manifest.json: it is no archive of images")]
    NoImages,
    /// It cannot be read as a tar archive.
    #[error("tar archive, after {after} entries: {problem}")]
    Tar {
        /// Members read before.
        after: usize,
        /// What is wrong.
        problem: &'static str,
    },
    /// It is compressed, and cannot be decompressed.
    #[error("{format} data")]
    Compressed {
        /// `gzip`, `zstd`, `xz` or `bzip2`.
        format: &'static str,
        /// What is wrong.
        source: std::io::Error,
    },
    /// It names something that it has not.
    #[error("{name} is missing")]
    Missing {
        /// The member.
        name: String,
    },
    /// A document is not what it should be.
    #[error("{name}")]
    Json {
        /// The member.
        name: String,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// A name is none.
    #[error("a name in it")]
    Name(#[from] crate::InvalidReference),
}

/// The list of an OCI layout.
const INDEX: &str = "index.json";
/// Docker's list.
const MANIFEST: &str = "manifest.json";
/// The whole name of an image, as an annotation in `index.json`.
const IMAGE_NAME: &str = "io.containerd.image.name";
/// Its tag, or its name, as whoever wrote it thinks right.
const REF_NAME: &str = "org.opencontainers.image.ref.name";
