//! zstd: frames follow each other; those that are to be skipped carry an index (zstd:chunked).

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::{Room, Stop};

pub(super) struct Zstd {
    decoder: Decoder<'static>,
    inside: bool,
}

impl Zstd {
    pub(super) fn new<F>() -> Result<Self, Stop<F>> {
        let decoder = Decoder::new().map_err(|error| Stop::Bad("zstd", error))?;
        Ok(Zstd { decoder, inside: false })
    }

    /// Whether a frame is not at its end.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    pub(super) fn push<R: Room>(&mut self, bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
        let mut input = InBuffer::around(bytes);
        loop {
            let space = out.space()?;
            let room = space.len();
            let mut output = OutBuffer::around(space);
            let hint = self.decoder.run(&mut input, &mut output).map_err(|error| Stop::Bad("zstd", error))?;
            let wrote = output.pos();
            out.filled(wrote)?;
            self.inside = hint != 0;
            // A full buffer may mean that more output waits inside.
            if input.pos() == bytes.len() && (wrote < room || hint == 0) {
                return Ok(());
            }
        }
    }
}
