//! A layer against what was written once.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::io::Errno;
use sys::Call;

use super::Store;
use super::kept::BLOB;
use super::layers::{Found, IMAGE, SUMS, Summed, is_of_the_disk};
use crate::Digest;
use crate::erofs::{Sum, Unreadable, Written};
use crate::error::{Doing, Error, Result};
use crate::sums;
use crate::unpack::hash::{Algorithm, Hasher};

/// What is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flaw {
    /// Where: a file in the layer's folder, or a path in the layer behind `tree/`.
    pub path: String,
    /// `content`, `missing`, `owner`, …
    pub what: String,
}

/// What is known of a layer that was looked at.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Examined {
    /// None: it is what was written.
    pub flaws: Vec<Flaw>,
    /// There are sums of what was written. Without them only what is missing altogether is found.
    pub sums: bool,
}

impl Store {
    /// Reads all of a layer, from the disk as far as that can be done, and compares it with its sums. The blob, if it is kept, is compared
    /// with its digest.
    ///
    /// # Errors
    /// It cannot be read for want of memory, descriptors or privilege. What the disk does not give is a flaw.
    pub fn examine_layer(&self, digest: &Digest) -> Result<Examined> {
        let mut examined = Examined::default();
        let mut flaw = |path: String, what: &str| examined.flaws.push(Flaw { path, what: what.to_owned() });
        let found = match self.look_at_layer(digest) {
            Err(Error::Damaged { .. }) => {
                flaw(String::new(), "missing");
                return Ok(examined);
            }
            found => found?,
        };
        let Some(layer) = self.read_layer(digest)? else {
            flaw("layer.json".into(), "content");
            return Ok(examined);
        };
        let read = |error: sys::Error| Err(error).doing(|| format!("read layer {digest}"));
        match (&found, &layer.erofs, &layer.sums) {
            (Found::Image(image), Some(known), _) => {
                examined.sums = true;
                match is_as_written(image, known) {
                    Ok(true) => {}
                    Ok(false) => flaw(IMAGE.into(), "content"),
                    Err(error) if is_of_the_disk(&error) => flaw(IMAGE.into(), "unreadable"),
                    Err(error) => return read(error),
                }
            }
            (Found::Tree(tree), _, Some(known)) => {
                examined.sums = true;
                match self.differences(digest, tree, known) {
                    Ok(all) => all.iter().for_each(|found| flaw(in_tree(&found.path), found.what)),
                    Err(Unreadable::Damaged) => flaw(SUMS.into(), "content"),
                    Err(Unreadable::Call(error)) if error.errno() == Errno::NOENT => flaw(SUMS.into(), "missing"),
                    Err(Unreadable::Call(error)) if is_of_the_disk(&error) => flaw(SUMS.into(), "unreadable"),
                    Err(Unreadable::Call(error)) => return read(error),
                }
            }
            // The other kind was written.
            (Found::Image(_), None, Some(_)) | (Found::Tree(_), Some(_), None) => flaw(String::new(), "missing"),
            _ => {}
        }
        match self.blob_differs(digest) {
            Ok(false) => {}
            Ok(true) => flaw(BLOB.into(), "content"),
            Err(error) if is_of_the_disk(&error) => flaw(BLOB.into(), "unreadable"),
            Err(error) => return read(error),
        }
        Ok(examined)
    }

    fn differences(&self, digest: &Digest, tree: &Path, known: &Summed) -> std::result::Result<Vec<sums::Difference>, Unreadable> {
        let path = self.layer(digest).join(SUMS);
        let text = File::open(&path).call(|| format!("open({path:?})"))?;
        sums::compare(sys::fs::open_dir(tree)?.as_fd(), &text, known.written().ok_or(Unreadable::Damaged)?)
    }

    fn blob_differs(&self, digest: &Digest) -> sys::Result<bool> {
        let Some(blob) = self.open_blob(digest)? else { return Ok(false) };
        blob.forget_cached();
        let mut hasher = Hasher::new(Algorithm::of(digest.as_str()));
        let mut buffer = vec![0; 256 << 10];
        let mut at = 0;
        loop {
            match blob.read_at(&mut buffer, at) {
                Ok(0) => return Ok(hasher.finish() != digest.as_str()),
                Ok(length) => {
                    hasher.update(&buffer[..length]);
                    at += length as u64;
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                // What is left of it does not fit what is there.
                Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidData) => return Ok(true),
                Err(error) => return Err(error).call(|| format!("pread(the blob of {digest})")),
            }
        }
    }
}

fn is_as_written(image: &File, known: &Summed) -> sys::Result<bool> {
    sums::from_disk(image);
    let size = image.metadata().call(|| "fstat()")?.len();
    // A shorter one need not be read.
    Ok(known.size == size && known.written() == Some(Written { size, sum: Sum::of(image)? }))
}

fn in_tree(path: &str) -> String {
    format!("tree/{path}").trim_end_matches('/').to_owned()
}
