//! An archive without what it is compressed with.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::Arc;

use sys::Call;

use super::InvalidArchive;
use super::members::nameless;
use crate::decode::{self, Decoder, Room, Stop};
use crate::error::{Doing, Error, Result};
use crate::push::Part;
use crate::store::Store;

/// Bytes that are read, and written, at once.
const PIECE: usize = 256 << 10;

/// The archive as a file that can be read anywhere, without compression.
///
/// # Errors
/// It is compressed, and damaged; the disk is full.
pub fn plain(store: &Store, mut input: File) -> Result<File> {
    let is_file = input.metadata().is_ok_and(|metadata| metadata.is_file());
    let mut start = [0; decode::MAGIC];
    let length = fill(&mut input, &mut start).map_err(Error::ReadArchive)?;
    let mut start = &start[..length];
    if is_file && !decode::is_compressed(start) {
        input.rewind().call(|| "lseek(0)").doing(|| "read the archive")?;
        return Ok(input);
    }
    decompressed(store, |piece| match std::mem::take(&mut start) {
        [] => read(&mut input, piece).map_err(Error::ReadArchive),
        start => {
            piece[..start.len()].copy_from_slice(start);
            Ok(start.len())
        }
    })
}

/// A layer that is compressed in a way for which registries have no name, without that; nothing if it is not.
pub(super) fn plain_layer(store: &Store, layer: &Part) -> Result<Option<Part>> {
    if !decode::is_nameless(&layer.piece(0, decode::MAGIC as u64)?) {
        return Ok(None);
    }
    let mut at = 0;
    let file = decompressed(store, |piece| {
        let bytes = layer.piece(at, piece.len() as u64)?;
        piece[..bytes.len()].copy_from_slice(&bytes);
        at += bytes.len() as u64;
        Ok(bytes.len())
    })?;
    let size = file.metadata().call(|| "fstat()").doing(|| "unpack the archive")?.len();
    Ok(Some(Part { file: Arc::new(file.into()), start: 0, size }))
}

/// What `read` gives, until it gives nothing more, decompressed, as a file without a name.
fn decompressed(store: &Store, mut read: impl FnMut(&mut [u8]) -> Result<usize>) -> Result<File> {
    let unwritten = |source| store.full_or(source, || "unpack the archive");
    let stopped = |stop| match stop {
        Stop::Full(source) => unwritten(source),
        Stop::Bad(format, source) => InvalidArchive::Compressed { format, source }.into(),
    };
    let mut out = Output { file: nameless(store)?, buffer: vec![0; PIECE], at: 0 };
    let mut decoder = Decoder::default();
    let mut piece = vec![0; PIECE];
    loop {
        let length = read(&mut piece)?;
        if length == 0 {
            break;
        }
        decoder.push(&piece[..length], &mut out).map_err(stopped)?;
    }
    decoder.end(&mut out).map_err(stopped)?;
    out.flush().map_err(unwritten)?;
    out.file.rewind().call(|| "lseek(0)").doing(|| "read the archive")?;
    Ok(out.file)
}

/// The first bytes of what is in a file, decompressed: as many as there are, up to `buffer.len()`. Nothing if they cannot be had. The file
/// is read from where it is.
pub(crate) fn head<'a>(input: &mut File, buffer: &'a mut [u8]) -> io::Result<Option<&'a [u8]>> {
    let mut out = Head { buffer, at: 0 };
    let mut decoder = Decoder::default();
    let mut piece = vec![0; PIECE];
    let stopped = loop {
        let length = read(input, &mut piece)?;
        if length == 0 {
            break decoder.end(&mut out);
        }
        if let Err(stop) = decoder.push(&piece[..length], &mut out) {
            break Err(stop);
        }
    };
    let Head { buffer, at } = out;
    Ok(match stopped {
        Ok(()) | Err(Stop::Full(())) => Some(&buffer[..at]),
        Err(Stop::Bad(..)) => None,
    })
}

/// Reads once.
pub(crate) fn read(input: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            length => return length,
        }
    }
}

/// Reads until the buffer is full or nothing more comes.
fn fill(input: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut length = 0;
    while length < buffer.len() {
        match read(input, &mut buffer[length..])? {
            0 => break,
            more => length += more,
        }
    }
    Ok(length)
}

/// A file that is being written.
struct Output {
    file: File,
    buffer: Vec<u8>,
    at: usize,
}

impl Output {
    fn flush(&mut self) -> sys::Result<()> {
        let length = std::mem::take(&mut self.at);
        sys::fs::write_all(&self.file, &self.buffer[..length])
    }
}

impl Room for Output {
    type Full = sys::Error;

    fn space(&mut self) -> sys::Result<&mut [u8]> {
        Ok(&mut self.buffer[self.at..])
    }

    fn filled(&mut self, length: usize) -> sys::Result<()> {
        self.at += length;
        if self.at == self.buffer.len() { self.flush() } else { Ok(()) }
    }
}

/// The first bytes.
struct Head<'a> {
    buffer: &'a mut [u8],
    at: usize,
}

impl Room for Head<'_> {
    type Full = ();

    fn space(&mut self) -> std::result::Result<&mut [u8], ()> {
        let space = &mut self.buffer[self.at..];
        if space.is_empty() { Err(()) } else { Ok(space) }
    }

    fn filled(&mut self, length: usize) -> std::result::Result<(), ()> {
        self.at += length;
        Ok(())
    }
}
