//! xz: streams, each of blocks (the .xz file format, section 2).

use std::io;

use liblzma::stream::{Action, CONCATENATED, Error, Status, Stream};

use super::{Room, Stop};

/// Bytes of memory that a stream may want for its dictionary and all else; its header says how many, up to 4 GiB. `xz -9` wants 65 MiB.
pub(super) const MEMORY: u64 = 128 << 20;

pub(super) struct Xz {
    stream: Stream,
}

impl Xz {
    pub(super) fn new<F>() -> Result<Self, Stop<F>> {
        Ok(Xz { stream: Stream::new_stream_decoder(MEMORY, CONCATENATED).map_err(bad)? })
    }

    pub(super) fn push<R: Room>(&mut self, mut bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
        loop {
            let (read, wrote, room, _) = self.step(bytes, out, Action::Run)?;
            bytes = &bytes[read..];
            // A full buffer may mean that more output waits inside.
            if bytes.is_empty() && wrote < room {
                return Ok(());
            }
            if read == 0 && wrote == 0 {
                return Err(Stop::Bad("xz", io::ErrorKind::InvalidData.into()));
            }
        }
    }

    /// Nothing more comes: only now it is known that no other stream follows.
    pub(super) fn end<R: Room>(mut self, out: &mut R) -> Result<(), Stop<R::Full>> {
        loop {
            match self.step(&[], out, Action::Finish)? {
                (_, _, _, Status::StreamEnd) => return Ok(()),
                (_, 0, _, _) => return Err(Stop::Bad("xz", io::ErrorKind::UnexpectedEof.into())),
                _ => {}
            }
        }
    }

    /// Bytes read and written, how many could have been written, and what is the matter.
    fn step<R: Room>(&mut self, bytes: &[u8], out: &mut R, action: Action) -> Result<(usize, usize, usize, Status), Stop<R::Full>> {
        let space = out.space()?;
        let room = space.len();
        let (before_in, before_out) = (self.stream.total_in(), self.stream.total_out());
        let status = self.stream.process(bytes, space, action).map_err(bad)?;
        let read = (self.stream.total_in() - before_in) as usize;
        let wrote = (self.stream.total_out() - before_out) as usize;
        out.filled(wrote)?;
        Ok((read, wrote, room, status))
    }
}

fn bad<F>(error: Error) -> Stop<F> {
    let source = match error {
        Error::MemLimit => io::Error::other(format!("it wants more than {} MiB of memory", MEMORY >> 20)),
        Error::Mem => io::ErrorKind::OutOfMemory.into(),
        Error::Options => io::Error::new(io::ErrorKind::Unsupported, "it was made with options that are not known"),
        _ => io::ErrorKind::InvalidData.into(),
    };
    Stop::Bad("xz", source)
}
