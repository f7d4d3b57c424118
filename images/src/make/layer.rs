//! From an upper folder to a layer of the store.

use std::fs::{DirBuilder, File};
use std::io::{self, BufRead, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::thread::{Builder, ScopedJoinHandle, scope};

use flate2::{Compression, GzBuilder};
use sys::Call;

use super::entry::{Counted, Failed, Reading};
use super::owners::Owners;
use super::walk;
use crate::Digest;
use crate::error::{Doing, Error, Result};
use crate::image::Layer;
use crate::store::{LayerFile, Lease, Making, Store};
use crate::unpack::hash::{Algorithm, Hasher};
use crate::unpack::path::show;
use crate::unpack::ring::{self, Closed};
use crate::unpack::{self, Destination, escape};

/// The media type of what is made here.
const MEDIA_TYPE: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

/// How to make a layer.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LayerOptions {
    /// No file in the layer is newer: seconds since 1970 (`SOURCE_DATE_EPOCH`).
    pub newest: Option<i64>,
    /// Whose files they are.
    pub owners: Owners,
}

/// A layer that was made, and is kept in the store as long as this lives, or as something there names it.
#[derive(Debug)]
pub struct NewLayer {
    /// The layer.
    pub layer: Layer,
    /// Sizes of all its files.
    pub bytes: u64,
    lease: Lease,
}

/// A layer that goes with this value, unless an image, a build's memory or another command needs it by then.
#[derive(Debug)]
pub struct Passing {
    new: Option<NewLayer>,
    store: Store,
}

impl NewLayer {
    /// The layer, for as long as it is needed here.
    pub fn passing(self, store: &Store) -> Passing {
        Passing { new: Some(self), store: store.clone() }
    }
}

impl Drop for Passing {
    fn drop(&mut self) {
        let Some(NewLayer { layer, lease, .. }) = self.new.take() else { return };
        drop(lease);
        // One that cannot be removed now is swept later.
        let _ = self.store.drop_unused(&layer.digest);
    }
}

/// A folder in the store with the folders `upper` and `work`, for an overlay on whose top a layer comes to be. Dropping it removes what is
/// in it; what a killed process leaves, the store's next sweep removes.
#[derive(Debug)]
pub struct Upper {
    making: Making,
}

const UPPER: &str = "upper";
const WORK: &str = "work";

impl Store {
    /// A new folder for an overlay.
    pub fn upper(&self) -> Result<Upper> {
        let making = self.making()?;
        for (name, mode) in [(UPPER, 0o755), (WORK, 0o700)] {
            let path = making.folder().join(name);
            let made = DirBuilder::new().mode(mode).create(&path).call(|| format!("mkdir({path:?})"));
            made.map_err(|source| self.full_or(source, || "make a layer"))?;
        }
        Ok(Upper { making })
    }

    /// Makes a layer of the upper folder of an overlay, which stays as it is. Nothing of it may be changed meanwhile, but for the bytes of
    /// files. `None`: there is nothing in it.
    ///
    /// # Errors
    /// It has something that no layer can have, such as a file whose name begins with `.wh.`; the store is full.
    pub fn layer_of(&self, upper: &Path, options: &LayerOptions) -> Result<Option<NewLayer>> {
        let making = self.making()?;
        let folder = sys::fs::open_dir(upper).doing(|| "make a layer")?;
        let destination = making.destination()?;
        make(making, |out| walk::pack(folder.as_fd(), reading(options, false), out), Some(destination))
    }
}

impl Upper {
    /// The folder that has `upper` and `work` in it.
    pub fn folder(&self) -> &Path {
        self.making.folder()
    }

    /// The layer of what was written. Nothing may write any more; the overlay's mount is gone, or about to go. `None`: nothing was written.
    ///
    /// # Errors
    /// As [`Store::layer_of`].
    pub fn into_layer(self, options: &LayerOptions) -> Result<Option<NewLayer>> {
        let path = self.making.folder().join(UPPER);
        let folder = sys::fs::open_dir(&path).doing(|| "make a layer")?;
        let images = self.making.store().makes_images()?;
        let destination = if images { Some(self.making.destination()?) } else { None };
        make(self.making, |out| walk::pack(folder.as_fd(), reading(options, !images), out), destination)
    }
}

pub(super) fn reading(options: &LayerOptions, clean: bool) -> Reading {
    Reading { newest: options.newest, layer: true, clean, owners: options.owners.clone() }
}

/// Takes the archive that `pack` writes, once: into the digests, the kept blob, and `destination`, unless the folder that is packed becomes the
/// layer itself.
pub(super) fn make(
    making: Making,
    pack: impl FnOnce(&mut Out) -> std::result::Result<Counted, Failed>,
    destination: Option<Destination>,
) -> Result<Option<NewLayer>> {
    let store = making.store().clone();
    let full = |source, what: &str| store.full_or(source, || what.to_owned());
    let blob = making.keep()?;
    let copied = destination.is_some();
    let (packed, zipped, unpacked) = scope(|scope| -> Result<_> {
        let (tar, input) = ring::ring(Algorithm::Sha256);
        let zip = Builder::new().name("gzip".to_owned()).spawn_scoped(scope, move || gzip(input, blob));
        let zip = zip.call(|| "clone(CLONE_THREAD)").doing(|| "make a layer")?;
        let (mut out, mut unpacking) = (Out { tar, copy: None }, None);
        if let Some(destination) = destination {
            let (copy, input) = ring::ring(Algorithm::Sha256);
            out.copy = Some(copy);
            let thread = Builder::new().name("unpack".to_owned()).spawn_scoped(scope, move || unpack::write(destination, input));
            unpacking = Some(thread.call(|| "clone(CLONE_THREAD)").doing(|| "make a layer")?);
        }
        let packed = pack(&mut out);
        // Writers that are dropped without an end break the streams of those that read.
        let ended = if packed.is_ok() {
            out.end()
        } else {
            drop(out);
            Ok(())
        };
        let (zipped, unpacked) = (join(zip), unpacking.map(join));
        Ok((packed.and_then(|counted| ended.map(|()| counted).map_err(Failed::from)), zipped, unpacked))
    })?;
    // Whoever failed first broke the others' streams.
    let counted = match packed {
        Ok(counted) => counted,
        Err(Failed::Call(path, source)) => return Err(full(source, &format!("make a layer: {}", show(&path)))),
        Err(Failed::Write(error)) => {
            zipped.map_err(|source| full(source, "keep the blob of a layer"))?;
            return Err(match unpacked {
                Some(Err(source)) => not_copied(&store, source),
                _ => Error::Store { what: "make a layer".to_owned(), source: Err::<(), _>(error).call(|| "write()").unwrap_err() },
            });
        }
    };
    let Zipped { diff_id, digest, size } = zipped.map_err(|source| full(source, "keep the blob of a layer"))?;
    let (implicit, foreign, erofs, sums) = match unpacked.transpose().map_err(|source| not_copied(&store, source))? {
        Some((layer, _)) => (layer.implicit, layer.foreign, layer.erofs.map(Into::into), layer.sums.map(Into::into)),
        None => Default::default(),
    };
    if counted.entries == 0 {
        return Ok(None);
    }
    if !copied {
        making.becomes_tree(UPPER)?;
    }
    let file = LayerFile {
        diff_id: diff_id.clone(),
        blob_size: size,
        size: counted.bytes,
        entries: counted.entries,
        implicit: implicit.iter().map(|path| escape(path)).collect(),
        foreign: foreign.iter().map(|(link, target)| (escape(link), escape(target))).collect(),
        base: None,
        sources: Vec::new(),
        erofs,
        sums,
    };
    let parsed = |text: String| text.parse::<Digest>().map_err(|_| Error::Damaged { what: text });
    let (digest, diff_id) = (parsed(digest)?, parsed(diff_id)?);
    let lease = making.publish(&digest, &file)?;
    let layer = Layer { digest, size, diff_id, media_type: MEDIA_TYPE.to_owned(), urls: Vec::new() };
    Ok(Some(NewLayer { layer, bytes: counted.bytes, lease }))
}

fn not_copied(store: &Store, source: unpack::Error) -> Error {
    match source {
        unpack::Error::Entry { source, entry } => store.full_or(source, || format!("make a layer: {entry}")),
        other => Error::Store { what: format!("make a layer: {other}"), source: sys::Error::new("write()", rustix::io::Errno::IO) },
    }
}

fn join<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Hands the archive on to whoever reads it.
pub(super) struct Out {
    tar: ring::Writer,
    copy: Option<ring::Writer>,
}

impl Out {
    fn end(self) -> io::Result<()> {
        self.tar.end().map_err(closed)?;
        self.copy.map_or(Ok(()), |copy| copy.end().map_err(closed))
    }
}

fn closed(_: Closed) -> io::Error {
    io::ErrorKind::BrokenPipe.into()
}

impl Write for Out {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.tar.write(bytes).map_err(closed)?;
        if let Some(copy) = &mut self.copy {
            copy.write(bytes).map_err(closed)?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What became of the archive.
struct Zipped {
    diff_id: String,
    digest: String,
    /// Bytes of the blob.
    size: u64,
}

/// Compresses an archive into `blob`.
fn gzip(mut input: ring::Reader, blob: File) -> sys::Result<Zipped> {
    // Nothing of the host or the hour is in the header, so that the same archive becomes the same blob.
    let out = Hashing { file: blob, hasher: Hasher::new(Algorithm::Sha256), size: 0 };
    let mut zip = GzBuilder::new().write(out, Compression::new(LEVEL));
    let mut run = || -> io::Result<()> {
        loop {
            let length = {
                let bytes = input.fill_buf()?;
                zip.write_all(bytes)?;
                bytes.len()
            };
            if length == 0 {
                return Ok(());
            }
            input.consume(length);
        }
    };
    run().call(|| "write(blob)")?;
    let Hashing { hasher, size, .. } = zip.finish().call(|| "write(blob)")?;
    let diff_id = input.drain().call(|| "read(archive)")?;
    Ok(Zipped { diff_id, digest: hasher.finish(), size })
}

/// How hard to try: a step more takes twice as long, for a hundredth of the size.
const LEVEL: u32 = 5;

struct Hashing {
    file: File,
    hasher: Hasher,
    size: u64,
}

impl Write for Hashing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.file.write(bytes)?;
        self.hasher.update(&bytes[..length]);
        self.size += length as u64;
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
