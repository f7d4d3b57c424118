//! Image layers: a deterministic tar of given entries, compressed, with both of its digests.
//!
//! Names go into the headers byte by byte, so that hostile ones (`../x`, `/etc/x`) can be written too.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use flate2::write::GzEncoder;
use sha2::{Digest, Sha256};

/// The modification time of every entry that does not say otherwise: 2024-01-01.
pub const MTIME: u64 = 1_704_067_200;

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A file with these bytes.
    File(Vec<u8>),
    /// A file copied from this path of the host.
    Copy(PathBuf),
    /// A GNU sparse file: a hole of this many bytes, then these bytes.
    Sparse(u64, Vec<u8>),
    /// A symbolic link.
    Symlink(String),
    /// A hard link to an earlier entry.
    Hardlink(String),
    /// A character device.
    Device(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry of a layer.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The name as written into the header.
    pub path: String,
    /// What it is.
    pub kind: Kind,
    /// Permission bits, setuid, setgid and sticky bit.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u64, u64),
    /// Modification time, seconds since 1970.
    pub mtime: u64,
    /// Extended attributes.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

impl Entry {
    /// An entry with the usual mode, owned by root.
    #[must_use]
    pub fn new(path: &str, kind: Kind) -> Self {
        let mode = match kind {
            Kind::Dir => 0o755,
            Kind::Symlink(_) => 0o777,
            _ => 0o644,
        };
        Self { path: path.to_owned(), kind, mode, owner: (0, 0), mtime: MTIME, xattrs: Vec::new() }
    }

    /// A folder.
    #[must_use]
    pub fn dir(path: &str) -> Self {
        Self::new(path, Kind::Dir)
    }

    /// A file.
    #[must_use]
    pub fn file(path: &str, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(path, Kind::File(bytes.into()))
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(path: &str, target: &str) -> Self {
        Self::new(path, Kind::Symlink(target.to_owned()))
    }

    /// A hard link.
    #[must_use]
    pub fn hardlink(path: &str, target: &str) -> Self {
        Self::new(path, Kind::Hardlink(target.to_owned()))
    }

    /// The OCI mark "this name of a lower layer is gone".
    #[must_use]
    pub fn whiteout(path: &str) -> Self {
        let path = Path::new(path);
        let name = format!(".wh.{}", path.file_name().unwrap_or_default().to_string_lossy());
        Self::file(&path.with_file_name(name).to_string_lossy(), "")
    }

    /// The OCI mark "nothing of the lower layers shows in this folder".
    #[must_use]
    pub fn opaque(folder: &str) -> Self {
        Self::file(&format!("{folder}/.wh..wh..opq"), "")
    }

    /// With this mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// With this owner and group.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        self.owner = (uid, gid);
        self
    }

    /// With this modification time.
    #[must_use]
    pub fn mtime(mut self, seconds: u64) -> Self {
        self.mtime = seconds;
        self
    }

    /// With an extended attribute.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.xattrs.push((name.to_owned(), value.to_owned()));
        self
    }

    fn append(&self, tar: &mut tar::Builder<impl Write>) -> Result<()> {
        let mut header = tar::Header::new_gnu();
        header.set_mode(self.mode);
        header.set_uid(self.owner.0);
        header.set_gid(self.owner.1);
        header.set_mtime(self.mtime);
        header.set_size(0);
        let mut link = None;
        let mut data: Box<dyn Read + '_> = Box::new(io::empty());
        match &self.kind {
            Kind::Dir => header.set_entry_type(tar::EntryType::Directory),
            Kind::File(bytes) => {
                header.set_size(bytes.len() as u64);
                data = Box::new(bytes.as_slice());
            }
            Kind::Copy(path) => {
                let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
                header.set_size(file.metadata()?.len());
                data = Box::new(file);
            }
            Kind::Sparse(hole, bytes) => {
                sparse(&mut header, *hole, bytes.len() as u64);
                data = Box::new(bytes.as_slice());
            }
            Kind::Symlink(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                link = Some(target);
            }
            Kind::Hardlink(target) => {
                header.set_entry_type(tar::EntryType::Link);
                link = Some(target);
            }
            Kind::Device(major, minor) => {
                header.set_entry_type(tar::EntryType::Char);
                header.set_device_major(*major)?;
                header.set_device_minor(*minor)?;
            }
            Kind::Fifo => header.set_entry_type(tar::EntryType::Fifo),
        }
        let mut records = Vec::new();
        let old = header.as_old_mut();
        name(&mut old.name, &self.path, "path", &mut records);
        if let Some(link) = link {
            name(&mut old.linkname, link, "linkpath", &mut records);
        }
        let xattrs = self.xattrs.iter().map(|(name, value)| (format!("SCHILY.xattr.{name}"), value.clone()));
        records.extend(xattrs);
        if !records.is_empty() {
            tar.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
        }
        header.set_cksum();
        tar.append(&header, data).with_context(|| format!("entry {}", self.path))
    }
}

/// Writes a name into its header field, or into a pax record when it does not fit.
fn name(field: &mut [u8; 100], value: &str, key: &str, records: &mut Vec<(String, Vec<u8>)>) {
    let fits = value.len().min(field.len());
    field[..fits].copy_from_slice(&value.as_bytes()[..fits]);
    if value.len() > field.len() {
        records.push((key.to_owned(), value.as_bytes().to_owned()));
    }
}

/// Makes `header` one of GNU's old sparse format with one stretch of data after a hole.
fn sparse(header: &mut tar::Header, hole: u64, len: u64) {
    header.set_entry_type(tar::EntryType::GNUSparse);
    header.set_size(len);
    let octal = |field: &mut [u8; 12], value: u64| field.copy_from_slice(format!("{value:011o}\0").as_bytes());
    if let Some(gnu) = header.as_gnu_mut() {
        octal(&mut gnu.sparse[0].offset, hole);
        octal(&mut gnu.sparse[0].numbytes, len);
        octal(&mut gnu.realsize, hole + len);
    }
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Plain tar.
    None,
    /// gzip at the usual level.
    Gzip,
    /// zstd at the usual level.
    Zstd,
}

/// Where a blob's bytes are.
#[derive(Debug, Clone)]
pub enum Data {
    /// In memory.
    Bytes(Vec<u8>),
    /// In a file of the cache.
    File(PathBuf),
}

impl Data {
    /// All of them.
    ///
    /// # Errors
    /// When the cached file cannot be read.
    pub fn read(&self) -> Result<Vec<u8>> {
        match self {
            Self::Bytes(bytes) => Ok(bytes.clone()),
            Self::File(path) => std::fs::read(path).with_context(|| format!("read {}", path.display())),
        }
    }
}

/// A finished layer.
#[derive(Debug, Clone)]
pub struct Layer {
    /// How it is compressed.
    pub compression: Compression,
    /// `sha256:…` of the compressed bytes.
    pub digest: String,
    /// `sha256:…` of the tar.
    pub diff_id: String,
    /// Bytes, compressed.
    pub size: u64,
    /// The compressed bytes.
    pub data: Data,
}

/// Packs entries into a layer in memory.
///
/// # Errors
/// When a host file to copy cannot be read.
pub fn pack(entries: &[Entry], compression: Compression) -> Result<Layer> {
    let mut bytes = Vec::new();
    let diff_id = write(entries, compression, &mut bytes)?;
    Ok(Layer { compression, digest: digest(&bytes), diff_id, size: bytes.len() as u64, data: Data::Bytes(bytes) })
}

/// Writes entries as a compressed tar and answers the digest of the tar.
///
/// # Errors
/// When writing fails or a host file to copy cannot be read.
pub fn write(entries: &[Entry], compression: Compression, to: &mut dyn Write) -> Result<String> {
    let mut tar = tar::Builder::new(Hashing { to: encoder(compression, to)?, hash: Sha256::new() });
    for entry in entries {
        entry.append(&mut tar)?;
    }
    let Hashing { to, hash } = tar.into_inner()?;
    to.finish()?;
    Ok(format!("sha256:{}", hex(&hash.finalize())))
}

/// The same layer, compressed in another way.
///
/// # Errors
/// When the layer cannot be read.
pub fn recompressed(layer: &Layer, compression: Compression) -> Result<Layer> {
    let tar = uncompressed(layer, Vec::new())?;
    let mut bytes = Vec::new();
    let mut to = encoder(compression, &mut bytes)?;
    to.write_all(&tar)?;
    to.finish()?;
    Ok(Layer { compression, digest: digest(&bytes), size: bytes.len() as u64, data: Data::Bytes(bytes), ..layer.clone() })
}

fn uncompressed<W: Write>(layer: &Layer, mut to: W) -> Result<W> {
    let bytes = layer.data.read()?;
    let mut from: Box<dyn Read + '_> = match layer.compression {
        Compression::None => Box::new(bytes.as_slice()),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(bytes.as_slice())),
        Compression::Zstd => Box::new(zstd::Decoder::new(bytes.as_slice())?),
    };
    io::copy(&mut from, &mut to)?;
    Ok(to)
}

/// Copies of a layer that unpack to the same files and yet are other layers, one for each number: so much more of the
/// zeros that end a tar.
///
/// # Errors
/// When the layer cannot be read.
pub fn variants(layer: &Layer, numbers: std::ops::Range<usize>) -> Result<Vec<Layer>> {
    let original = layer.data.read()?;
    let tar = uncompressed(layer, Hashing { to: io::sink(), hash: Sha256::new() })?;
    let variant = |number: usize| -> Result<Layer> {
        let zeros = vec![0; 512 * (number + 1)];
        let mut hash = tar.hash.clone();
        hash.update(&zeros);
        // One more member, or frame.
        let mut bytes = original.clone();
        let mut end = encoder(layer.compression, &mut bytes)?;
        end.write_all(&zeros)?;
        end.finish()?;
        let diff_id = format!("sha256:{}", hex(&hash.finalize()));
        Ok(Layer { digest: digest(&bytes), diff_id, size: bytes.len() as u64, data: Data::Bytes(bytes), ..layer.clone() })
    };
    numbers.map(variant).collect()
}

/// `sha256:…` of bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> String {
    format!("sha256:{}", hex(&Sha256::digest(bytes)))
}

/// Lower-case hexadecimal.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Passes bytes on and hashes them.
pub struct Hashing<W> {
    /// Where they go.
    pub to: W,
    /// Their hash so far.
    pub hash: Sha256,
}

impl<W: Write> Write for Hashing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.to.write(bytes)?;
        self.hash.update(&bytes[..written]);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}

fn encoder(compression: Compression, to: &mut dyn Write) -> Result<Box<dyn Encoder + '_>> {
    Ok(match compression {
        Compression::None => Box::new(Plain(to)),
        Compression::Gzip => Box::new(GzEncoder::new(to, flate2::Compression::default())),
        Compression::Zstd => Box::new(zstd::Encoder::new(to, 3)?),
    })
}

trait Encoder: Write {
    fn finish(self: Box<Self>) -> io::Result<()>;
}

struct Plain<'a>(&'a mut dyn Write);

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

impl Encoder for Plain<'_> {
    fn finish(mut self: Box<Self>) -> io::Result<()> {
        self.flush()
    }
}

impl<W: Write> Encoder for GzEncoder<W> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        GzEncoder::finish(*self).map(drop)
    }
}

impl<W: Write> Encoder for zstd::Encoder<'_, W> {
    fn finish(self: Box<Self>) -> io::Result<()> {
        zstd::Encoder::finish(*self).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(layer: &Layer) -> Vec<String> {
        let bytes = layer.data.read().unwrap();
        let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(bytes.as_slice()));
        let path = |entry: io::Result<tar::Entry<'_, _>>| entry.unwrap().path().unwrap().to_string_lossy().into_owned();
        archive.entries().unwrap().map(path).collect()
    }

    #[test]
    fn same_entries_same_bytes() {
        let entries = [Entry::dir("etc"), Entry::file("etc/passwd", "root:x:0:0::/root:/bin/sh\n")];
        let (one, two) = (pack(&entries, Compression::Gzip).unwrap(), pack(&entries, Compression::Gzip).unwrap());
        assert_eq!(one.digest, two.digest);
        assert_ne!(one.digest, one.diff_id);
        assert_eq!(pack(&entries, Compression::Zstd).unwrap().diff_id, one.diff_id);
    }

    #[test]
    fn variants_hold_the_same_files() {
        let layer = pack(&[Entry::file("f", "hello")], Compression::Gzip).unwrap();
        let other = recompressed(&layer, Compression::Zstd).unwrap();
        assert!(other.digest != layer.digest && other.diff_id == layer.diff_id);
        for layer in [layer, other] {
            let variants = variants(&layer, 0..2).unwrap();
            assert!(variants[0].digest != variants[1].digest && variants[0].diff_id != layer.diff_id);
            for variant in variants {
                let tar = uncompressed(&variant, Vec::new()).unwrap();
                assert_eq!(digest(&tar), variant.diff_id);
                let name =
                    tar::Archive::new(tar.as_slice()).entries().unwrap().next().unwrap().unwrap().path().unwrap().into_owned();
                assert_eq!(name, Path::new("f"));
            }
        }
    }

    #[test]
    fn names_are_written_as_given() {
        let long = "d/".repeat(80) + "f";
        let entries = [Entry::file("../out", ""), Entry::file("/etc/out", ""), Entry::file(&long, ""), Entry::whiteout("a/b")];
        assert_eq!(names(&pack(&entries, Compression::Gzip).unwrap()), ["../out", "/etc/out", &long, "a/.wh.b"]);
    }

    #[test]
    fn sparse_files_have_their_real_size() {
        let layer = pack(&[Entry::new("s", Kind::Sparse(1 << 20, vec![1; 512]))], Compression::None).unwrap();
        let bytes = layer.data.read().unwrap();
        assert!(bytes.len() < 4096);
        let mut archive = tar::Archive::new(bytes.as_slice());
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.size(), (1 << 20) + 512);
        let mut all = Vec::new();
        entry.read_to_end(&mut all).unwrap();
        assert_eq!((all.len(), all[1 << 20]), ((1 << 20) + 512, 1));
    }
}
