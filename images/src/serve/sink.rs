//! A file that is written and hashed in a thread while the next bytes come in. At most two gatherings are in memory.

use std::fs::File;
use std::io::{self, Write};
use std::sync::Arc;

use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::Digest;
use crate::unpack::hash::{Algorithm, Hasher};

/// So many bytes are written at once.
const GATHER: usize = 512 << 10;

/// Where bytes go.
pub(super) struct Sink {
    file: Arc<File>,
    algorithm: Algorithm,
    state: State,
    gathered: Vec<Bytes>,
    waiting: usize,
    /// Bytes that came in.
    length: u64,
    /// Those of them that are written.
    written: u64,
}

enum State {
    Idle(Hasher),
    /// Writing so many bytes.
    Busy(JoinHandle<io::Result<Hasher>>, usize),
    /// A write failed: what the file has is not known.
    Broken,
}

impl Sink {
    pub(super) fn new(file: File, algorithm: Algorithm) -> Self {
        let state = State::Idle(Hasher::new(algorithm));
        Sink { file: Arc::new(file), algorithm, state, gathered: Vec::new(), waiting: 0, length: 0, written: 0 }
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }

    /// Bytes that a reader finds in the file.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Takes a piece.
    pub(super) async fn put(&mut self, piece: Bytes) -> io::Result<()> {
        self.length += piece.len() as u64;
        self.waiting += piece.len();
        self.gathered.push(piece);
        if self.waiting >= GATHER { self.write().await } else { Ok(()) }
    }

    /// Waits until all that was put is written.
    pub(super) async fn flush(&mut self) -> io::Result<()> {
        if self.waiting > 0 {
            self.write().await?;
        }
        let hasher = self.idle().await?;
        self.state = State::Idle(hasher);
        Ok(())
    }

    async fn write(&mut self) -> io::Result<()> {
        let mut hasher = self.idle().await?;
        let pieces = std::mem::take(&mut self.gathered);
        let size = std::mem::take(&mut self.waiting);
        let file = self.file.clone();
        let writing = tokio::task::spawn_blocking(move || {
            for piece in &pieces {
                (&*file).write_all(piece)?;
                hasher.update(piece);
            }
            Ok(hasher)
        });
        self.state = State::Busy(writing, size);
        Ok(())
    }

    async fn idle(&mut self) -> io::Result<Hasher> {
        match std::mem::replace(&mut self.state, State::Broken) {
            State::Idle(hasher) => Ok(hasher),
            State::Busy(writing, size) => {
                let hasher = writing.await.map_err(io::Error::other)??;
                self.written += size as u64;
                Ok(hasher)
            }
            State::Broken => Err(io::Error::other("an earlier write failed")),
        }
    }

    /// The digest of all, made the way `like` was, and the file.
    pub(super) async fn finish(mut self, like: &Digest) -> io::Result<(Digest, Arc<File>)> {
        self.flush().await?;
        let file = self.file.clone();
        let wanted = Algorithm::of(like.as_str());
        let made = match std::mem::replace(&mut self.state, State::Broken) {
            State::Idle(hasher) if wanted == self.algorithm => hasher.finish(),
            // Which algorithm counts is told at the end only.
            _ => {
                let file = file.clone();
                tokio::task::spawn_blocking(move || digest_of(&file, wanted)).await.map_err(io::Error::other)??
            }
        };
        Ok((made.parse().map_err(io::Error::other)?, file))
    }
}

fn digest_of(file: &File, algorithm: Algorithm) -> io::Result<String> {
    use std::os::unix::fs::FileExt as _;
    let mut hasher = Hasher::new(algorithm);
    let mut buffer = vec![0; GATHER];
    let mut at = 0;
    loop {
        let length = file.read_at(&mut buffer, at)?;
        if length == 0 {
            return Ok(hasher.finish());
        }
        hasher.update(&buffer[..length]);
        at += length as u64;
    }
}
