//! The thread that decompresses a layer's blob.

use bytes::Bytes;
use tokio::sync::mpsc;

use super::Error;
use super::hash::Hasher;
use super::ring::{Closed, Writer};
use crate::decode::{Decoder, Stop};

/// The compressed side of a layer.
#[derive(Debug)]
pub(super) struct Inflated {
    /// Digest and size, if the end was seen.
    pub(super) blob: Option<(String, u64)>,
    pub(super) failed: Option<Error>,
}

/// Reads the blob's pieces up to the empty one, and fills the ring. When that fails the rest is read all the same: whether
/// the blob is what its digest says matters more.
pub(super) fn run(mut input: mpsc::Receiver<Bytes>, hasher: Hasher, out: Writer) -> Inflated {
    let mut source = Source { input: &mut input, hasher, size: 0, ended: false };
    let stopped = inflate(&mut source, out).err();
    while !source.ended && source.next().is_some() {}
    let failed = match stopped {
        Some(Stop::Bad(format, error)) => Some(Error::Compressed { format, source: error }),
        // The download broke, or the thread that writes files failed and says so itself.
        Some(Stop::Full(Closed)) | None => None,
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

fn inflate(source: &mut Source<'_>, mut out: Writer) -> Result<(), Stop<Closed>> {
    let mut decoder = Decoder::default();
    loop {
        let piece = source.next().ok_or(Closed)?;
        if piece.is_empty() {
            decoder.end(&mut out)?;
            return Ok(out.end()?);
        }
        decoder.push(&piece, &mut out)?;
    }
}
