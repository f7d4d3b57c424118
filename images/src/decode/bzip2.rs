//! bzip2: one stream after another (pbzip2 makes many).

use std::io;

use bzip2::{Decompress, Status};

use super::{Room, Stop};

pub(super) struct Bzip2 {
    decoder: Decompress,
    /// Whether the decoder has seen a byte of a stream whose end it has not seen.
    inside: bool,
    ended: bool,
}

impl Bzip2 {
    pub(super) fn new() -> Self {
        Bzip2 { decoder: Decompress::new(false), inside: false, ended: false }
    }

    /// Whether a stream is not at its end.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    pub(super) fn push<R: Room>(&mut self, mut bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
        loop {
            if self.ended {
                if bytes.is_empty() {
                    return Ok(());
                }
                *self = Bzip2::new();
            }
            self.inside = true;
            let space = out.space()?;
            let room = space.len();
            let (before_in, before_out) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self.decoder.decompress(bytes, space);
            let status = status.map_err(|error| Stop::Bad("bzip2", io::Error::new(io::ErrorKind::InvalidData, error)))?;
            let read = (self.decoder.total_in() - before_in) as usize;
            let wrote = (self.decoder.total_out() - before_out) as usize;
            bytes = &bytes[read..];
            out.filled(wrote)?;
            if status == Status::StreamEnd {
                (self.inside, self.ended) = (false, true);
            } else if bytes.is_empty() && wrote < room {
                // A full buffer may mean that more output waits inside.
                return Ok(());
            } else if read == 0 && wrote == 0 {
                return Err(Stop::Bad("bzip2", io::ErrorKind::InvalidData.into()));
            }
        }
    }
}
