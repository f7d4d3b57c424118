//! Decompression, by what the first bytes say: media types and names of files are wrong often enough.
//!
//! A [`Decoder`] takes the compressed bytes as they come and writes to whatever has [`Room`]: the ring of a layer, a file, the first block of what
//! may be an archive. Its memory is bounded whatever the data asks for: 8 MiB for a window of zstd as every encoder makes it (128 MiB at
//! most), 65 MiB for `xz -9` (128 MiB at most), 4 MiB for bzip2.

mod bzip2;
mod gzip;
mod xz;
mod zstd;

#[cfg(test)]
pub(crate) mod tests;

use std::io;

/// Where the decompressed bytes go.
pub(crate) trait Room {
    /// Why there is none.
    type Full;

    /// Room for at least one byte.
    fn space(&mut self) -> Result<&mut [u8], Self::Full>;

    /// `length` bytes of the room were filled.
    fn filled(&mut self, length: usize) -> Result<(), Self::Full>;
}

/// Why the decoder stopped.
#[derive(Debug)]
pub(crate) enum Stop<F> {
    /// Whoever takes the bytes wants no more.
    Full(F),
    /// The data of this format cannot be read.
    Bad(&'static str, io::Error),
}

impl<F> From<F> for Stop<F> {
    fn from(full: F) -> Self {
        Stop::Full(full)
    }
}

/// So many bytes tell the format.
pub(crate) const MAGIC: usize = 4;

/// A stream of bytes that may be compressed.
#[derive(Default)]
pub(crate) struct Decoder {
    /// What came before the format was known.
    start: Vec<u8>,
    format: Option<Format>,
}

enum Format {
    Plain,
    Gzip(gzip::Gzip),
    Zstd(zstd::Zstd),
    Xz(xz::Xz),
    Bzip2(bzip2::Bzip2),
}

/// Whether data that begins like this is compressed.
pub(crate) fn is_compressed(start: &[u8]) -> bool {
    !matches!(kind(start), Kind::Plain)
}

/// Whether data that begins like this is compressed in a way for which a layer has no media type (image-spec, layer.md).
pub(crate) fn is_nameless(start: &[u8]) -> bool {
    matches!(kind(start), Kind::Xz | Kind::Bzip2)
}

enum Kind {
    Plain,
    Gzip,
    Zstd,
    Xz,
    Bzip2,
}

/// zstd may begin with a frame that is to be skipped (RFC 8878, section 3.1.2).
fn kind(start: &[u8]) -> Kind {
    match start {
        [0x1f, 0x8b, ..] => Kind::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Kind::Zstd,
        [0xfd, b'7', b'z', b'X', ..] => Kind::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', ..] => Kind::Bzip2,
        _ => Kind::Plain,
    }
}

impl Decoder {
    /// Decompresses a piece.
    pub(crate) fn push<R: Room>(&mut self, bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
        if let Some(format) = &mut self.format {
            return format.push(bytes, out);
        }
        self.start.extend_from_slice(bytes);
        if self.start.len() < MAGIC { Ok(()) } else { self.begin(out) }
    }

    /// Nothing more comes.
    pub(crate) fn end<R: Room>(mut self, out: &mut R) -> Result<(), Stop<R::Full>> {
        if self.format.is_none() {
            self.begin(out)?;
        }
        self.format.map_or(Ok(()), |format| format.end(out))
    }

    fn begin<R: Room>(&mut self, out: &mut R) -> Result<(), Stop<R::Full>> {
        let start = std::mem::take(&mut self.start);
        self.format.insert(Format::of(&start)?).push(&start, out)
    }
}

impl Format {
    fn of<F>(start: &[u8]) -> Result<Self, Stop<F>> {
        Ok(match kind(start) {
            Kind::Plain => Format::Plain,
            Kind::Gzip => Format::Gzip(gzip::Gzip::new()),
            Kind::Zstd => Format::Zstd(zstd::Zstd::new()?),
            Kind::Xz => Format::Xz(xz::Xz::new()?),
            Kind::Bzip2 => Format::Bzip2(bzip2::Bzip2::new()),
        })
    }

    fn push<R: Room>(&mut self, bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
        match self {
            // Nothing is no input: the zstd decoder would begin another frame.
            _ if bytes.is_empty() => Ok(()),
            Format::Plain => copy(bytes, out),
            Format::Gzip(gzip) => gzip.push(bytes, out),
            Format::Zstd(zstd) => zstd.push(bytes, out),
            Format::Xz(xz) => xz.push(bytes, out),
            Format::Bzip2(bzip2) => bzip2.push(bytes, out),
        }
    }

    fn end<R: Room>(self, out: &mut R) -> Result<(), Stop<R::Full>> {
        let cut = |format| Err(Stop::Bad(format, io::ErrorKind::UnexpectedEof.into()));
        match self {
            Format::Gzip(gzip) if gzip.is_inside() => cut("gzip"),
            Format::Zstd(zstd) if zstd.is_inside() => cut("zstd"),
            Format::Bzip2(bzip2) if bzip2.is_inside() => cut("bzip2"),
            Format::Xz(xz) => xz.end(out),
            _ => Ok(()),
        }
    }
}

fn copy<R: Room>(mut bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
    while !bytes.is_empty() {
        let space = out.space()?;
        let length = space.len().min(bytes.len());
        let (now, later) = bytes.split_at(length);
        space[..length].copy_from_slice(now);
        out.filled(length)?;
        bytes = later;
    }
    Ok(())
}
