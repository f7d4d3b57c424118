//! A few buffers that go round between the two threads of a layer.

use std::io::{self, BufRead, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::hash::{Algorithm, Hasher};
use crate::decode::Room;

/// Bytes of a buffer: small enough to be in a core's cache still when the other thread reads it.
pub(crate) const SIZE: usize = 256 << 10;

/// Buffers of a layer.
const COUNT: usize = 4;

/// The writing end and the reading end, which hashes all that passes.
pub(crate) fn ring(algorithm: Algorithm) -> (Writer, Reader) {
    let (full, filled) = sync_channel(COUNT + 1);
    let (empty, emptied) = sync_channel(COUNT + 1);
    for _ in 0..COUNT {
        let _ = empty.send(Vec::new());
    }
    let reader = Reader { filled, empty, hasher: Hasher::new(algorithm), buffer: Vec::new(), at: 0, ended: false };
    (Writer { full, emptied, buffer: None, at: 0 }, reader)
}

/// Fills buffers.
pub(crate) struct Writer {
    full: SyncSender<Vec<u8>>,
    emptied: Receiver<Vec<u8>>,
    buffer: Option<Vec<u8>>,
    at: usize,
}

/// The other end stopped.
#[derive(Debug)]
pub(crate) struct Closed;

impl Room for Writer {
    type Full = Closed;

    /// Waits for a buffer if need be.
    fn space(&mut self) -> Result<&mut [u8], Closed> {
        let buffer = match self.buffer.take() {
            Some(buffer) => buffer,
            None => {
                let mut buffer = self.emptied.recv().map_err(|_| Closed)?;
                buffer.resize(SIZE, 0);
                buffer
            }
        };
        Ok(&mut self.buffer.insert(buffer)[self.at..])
    }

    fn filled(&mut self, length: usize) -> Result<(), Closed> {
        self.at += length;
        if self.at == SIZE { self.pass_on() } else { Ok(()) }
    }
}

impl Writer {
    pub(crate) fn write(&mut self, mut bytes: &[u8]) -> Result<(), Closed> {
        while !bytes.is_empty() {
            let space = self.space()?;
            let length = space.len().min(bytes.len());
            space[..length].copy_from_slice(&bytes[..length]);
            self.filled(length)?;
            bytes = &bytes[length..];
        }
        Ok(())
    }

    /// Says that all is written. A writer that is dropped without is a broken stream.
    pub(crate) fn end(mut self) -> Result<(), Closed> {
        if self.at > 0 {
            self.pass_on()?;
        }
        self.full.send(Vec::new()).map_err(|_| Closed)
    }

    fn pass_on(&mut self) -> Result<(), Closed> {
        let mut buffer = self.buffer.take().unwrap_or_default();
        buffer.truncate(self.at);
        self.at = 0;
        self.full.send(buffer).map_err(|_| Closed)
    }
}

/// Reads buffers.
pub(crate) struct Reader {
    filled: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
    hasher: Hasher,
    buffer: Vec<u8>,
    at: usize,
    ended: bool,
}

impl Reader {
    /// Reads what is left, and answers the digest of everything.
    pub(crate) fn drain(mut self) -> io::Result<String> {
        loop {
            let length = self.fill_buf()?.len();
            if length == 0 {
                return Ok(self.hasher.finish());
            }
            self.consume(length);
        }
    }
}

impl BufRead for Reader {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        if self.at == self.buffer.len() && !self.ended {
            let used = std::mem::take(&mut self.buffer);
            if used.capacity() > 0 {
                // The writer may have ended already, and wants none back.
                let _ = self.empty.send(used);
            }
            self.at = 0;
            self.buffer = self.filled.recv().map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))?;
            self.ended = self.buffer.is_empty();
            self.hasher.update(&self.buffer);
        }
        Ok(&self.buffer[self.at..])
    }

    fn consume(&mut self, length: usize) {
        self.at += length;
    }
}

impl Read for Reader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let bytes = self.fill_buf()?;
        let length = bytes.len().min(into.len());
        into[..length].copy_from_slice(&bytes[..length]);
        self.consume(length);
        Ok(length)
    }
}
