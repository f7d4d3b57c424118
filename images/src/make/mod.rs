//! New images: what a container has written becomes a layer, and layers with a config become an image of the store.
//!
//! ```text
//! upper folder of an overlay ──walk──▶ tar ──┬─▶ digest of the tar ─▶ gzip ─▶ digest of the blob, kept beside the layer
//!                                            └─▶ EROFS image, or a copy of the folder
//! layers + config ──▶ config blob, manifest, record, names
//! ```
//!
//! Everything is read once. Where layers are folders and the upper folder may be given away ([`Upper::into_layer`]), it *is* the
//! layer afterwards, by a rename. The archive is the same bytes whenever the same files are packed: names are sorted, times are whole
//! seconds, owners are numbers (docker's and podman's archives likewise).
//!
//! | who | how |
//! |---|---|
//! | a build step | [`Store::upper`], a container or copied files on top of it, [`Upper::into_layer`], [`Store::make_image`] |
//! | the end of a build that leaves one layer | [`Store::merge`] of those that it made (`merge` has the rule, `stack` reads them) |
//! | `commit` | [`Store::layer_of`] of the container's own folder, which stays, [`Store::make_image`] |
//! | `export` | [`pack`] of a mounted root file system |

mod entry;
mod extract;
mod header;
mod image;
mod layer;
mod merge;
mod owners;
mod stack;
mod walk;

#[cfg(test)]
mod tests;

use std::io::{self, Write};
use std::os::fd::BorrowedFd;

use entry::{Failed, Reading};

use crate::error::{Error, Result};
use crate::unpack::path::show;

pub use extract::{archive, unpack};
pub use image::NewImage;
pub use layer::{LayerOptions, NewLayer, Passing, Upper};
pub use owners::Owners;

/// Writes the whole folder `root`, such as a mounted root file system, to `out` as a tar archive: what `export` does. `owners` says whose the
/// files are there.
///
/// # Errors
/// [`Error::WriteArchive`]: `out` takes no more; [`Error::Store`] names a file that cannot be read.
pub fn pack(root: BorrowedFd<'_>, owners: Owners, out: &mut dyn Write) -> Result<()> {
    let mut out = io::BufWriter::with_capacity(256 << 10, out);
    walk::pack(root, Reading { owners, ..Reading::default() }, &mut out).map_err(|failed| match failed {
        Failed::Write(error) => Error::WriteArchive(error),
        Failed::Call(path, source) => Error::Store { what: format!("pack {}", show(&path)), source },
    })?;
    out.flush().map_err(Error::WriteArchive)
}
