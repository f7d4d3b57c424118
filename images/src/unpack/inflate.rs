//! Decompression, by what the first bytes say: media types are wrong often enough.

use std::io;

use bytes::{Buf, Bytes, BytesMut};
use flate2::{Decompress, FlushDecompress, Status};
use tokio::sync::mpsc;
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::Error;
use super::hash::Hasher;
use super::ring::{Closed, Writer};

/// The compressed side of a layer.
#[derive(Debug)]
pub(super) struct Inflated {
    /// Digest and size, if the end was seen.
    pub(super) blob: Option<(String, u64)>,
    pub(super) failed: Option<Error>,
}

/// Why the stream stopped.
enum Stop {
    /// The thread that writes files failed, and says so itself.
    Closed,
    Bad(&'static str, io::Error),
}

impl From<Closed> for Stop {
    fn from(_: Closed) -> Self {
        Stop::Closed
    }
}

/// Reads the blob's pieces up to the empty one, and fills the ring. When that fails the rest is read all the same: whether
/// the blob is what its digest says matters more.
pub(super) fn run(mut input: mpsc::Receiver<Bytes>, hasher: Hasher, out: Writer) -> Inflated {
    let mut source = Source { input: &mut input, hasher, size: 0, ended: false };
    let stopped = inflate(&mut source, out).err();
    while !source.ended && source.next().is_some() {}
    let failed = match stopped {
        Some(Stop::Bad(format, error)) => Some(Error::Compressed { format, source: error }),
        // The download broke, or the other thread failed and says so itself.
        Some(Stop::Closed) | None => None,
    };
    Inflated { blob: source.ended.then(|| (source.hasher.finish(), source.size)), failed }
}

/// The blob's pieces, counted and hashed.
struct Source<'a> {
    input: &'a mut mpsc::Receiver<Bytes>,
    hasher: Hasher,
    size: u64,
    /// The empty piece came.
    ended: bool,
}

impl Source<'_> {
    fn next(&mut self) -> Option<Bytes> {
        let piece = self.input.blocking_recv()?;
        self.hasher.update(&piece);
        self.size += piece.len() as u64;
        self.ended = piece.is_empty();
        Some(piece)
    }
}

fn inflate(source: &mut Source<'_>, mut out: Writer) -> Result<(), Stop> {
    let mut start = BytesMut::new();
    let mut format: Option<Format> = None;
    loop {
        let piece = source.next().ok_or(Stop::Closed)?;
        match &mut format {
            // Nothing is no input: the zstd decoder would begin another frame.
            Some(_) if piece.is_empty() => {}
            Some(format) => format.push(&piece, &mut out)?,
            None => start.extend_from_slice(&piece),
        }
        let end = piece.is_empty();
        if format.is_none() && (start.len() >= 4 || end) {
            format.insert(Format::of(&start)?).push(&start.split(), &mut out)?;
        }
        if end {
            format.take().map_or(Ok(()), Format::end)?;
            return Ok(out.end()?);
        }
    }
}

/// A decoder in the middle of its work.
enum Format {
    Plain,
    Gzip { decoder: Decompress, inside: bool, members: u64 },
    Zstd { decoder: Decoder<'static>, inside: bool },
}

impl Format {
    fn of(start: &[u8]) -> Result<Self, Stop> {
        match start {
            [0x1f, 0x8b, ..] => Ok(Format::Gzip { decoder: Decompress::new_gzip(15), inside: false, members: 0 }),
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
                Ok(Format::Zstd { decoder: Decoder::new().map_err(|error| Stop::Bad("zstd", error))?, inside: false })
            }
            [0xfd, b'7', b'z', b'X', ..] => Err(Stop::Bad("xz", io::ErrorKind::Unsupported.into())),
            [b'B', b'Z', b'h', b'1'..=b'9', ..] => Err(Stop::Bad("bzip2", io::ErrorKind::Unsupported.into())),
            _ => Ok(Format::Plain),
        }
    }

    fn push(&mut self, bytes: &[u8], out: &mut Writer) -> Result<(), Stop> {
        match self {
            Format::Plain => Ok(out.write(bytes)?),
            Format::Gzip { decoder, inside, members } => gunzip(decoder, inside, members, bytes, out),
            Format::Zstd { decoder, inside } => unzstd(decoder, inside, bytes, out),
        }
    }

    /// Nothing more comes.
    fn end(self) -> Result<(), Stop> {
        let cut = || io::ErrorKind::UnexpectedEof.into();
        match self {
            Format::Gzip { inside: true, .. } => Err(Stop::Bad("gzip", cut())),
            Format::Zstd { inside: true, .. } => Err(Stop::Bad("zstd", cut())),
            _ => Ok(()),
        }
    }
}

/// A gzip file is one member after another (RFC 1952; pigz and eStargz make many). Zeros may pad it.
fn gunzip(decoder: &mut Decompress, inside: &mut bool, members: &mut u64, mut bytes: &[u8], out: &mut Writer) -> Result<(), Stop> {
    while !bytes.is_empty() {
        if !*inside && *members > 0 {
            let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
            bytes.advance(zeros);
            if bytes.is_empty() {
                break;
            }
            *decoder = Decompress::new_gzip(15);
        }
        *inside = true;
        let (before_in, before_out) = (decoder.total_in(), decoder.total_out());
        let space = out.space()?;
        let status = decoder.decompress(bytes, space, FlushDecompress::None);
        let status = status.map_err(|error| Stop::Bad("gzip", io::Error::new(io::ErrorKind::InvalidData, error)))?;
        let (read, wrote) = ((decoder.total_in() - before_in) as usize, (decoder.total_out() - before_out) as usize);
        bytes.advance(read);
        out.filled(wrote)?;
        if status == Status::StreamEnd {
            (*inside, *members) = (false, *members + 1);
        } else if read == 0 && wrote == 0 {
            return Err(Stop::Bad("gzip", io::ErrorKind::InvalidData.into()));
        }
    }
    Ok(())
}

/// Frames follow each other; those that are to be skipped carry an index (zstd:chunked).
fn unzstd(decoder: &mut Decoder<'static>, inside: &mut bool, bytes: &[u8], out: &mut Writer) -> Result<(), Stop> {
    let mut input = InBuffer::around(bytes);
    loop {
        let space = out.space()?;
        let room = space.len();
        let mut output = OutBuffer::around(space);
        let hint = decoder.run(&mut input, &mut output).map_err(|error| Stop::Bad("zstd", error))?;
        let wrote = output.pos();
        out.filled(wrote)?;
        *inside = hint != 0;
        // A full buffer may mean that more output waits inside.
        if input.pos() == bytes.len() && (wrote < room || hint == 0) {
            return Ok(());
        }
    }
}
