//! gzip: one member after another (RFC 1952; pigz and eStargz make many).

use std::io;

use flate2::{Decompress, FlushDecompress, Status};

use super::{Room, Stop};

/// The largest window there is, and a gzip header.
const WINDOW_BITS: u8 = 15;

pub(super) struct Gzip {
    decoder: Decompress,
    inside: bool,
    members: u64,
}

impl Gzip {
    pub(super) fn new() -> Self {
        Gzip { decoder: Decompress::new_gzip(WINDOW_BITS), inside: false, members: 0 }
    }

    /// Whether a member is not at its end.
    pub(super) fn is_inside(&self) -> bool {
        self.inside
    }

    pub(super) fn push<R: Room>(&mut self, mut bytes: &[u8], out: &mut R) -> Result<(), Stop<R::Full>> {
        while !bytes.is_empty() {
            if !self.inside && self.members > 0 {
                // Zeros may pad it.
                let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                bytes = &bytes[zeros..];
                if bytes.is_empty() {
                    break;
                }
                self.decoder = Decompress::new_gzip(WINDOW_BITS);
            }
            self.inside = true;
            let (before_in, before_out) = (self.decoder.total_in(), self.decoder.total_out());
            let status = self.decoder.decompress(bytes, out.space()?, FlushDecompress::None);
            let status = status.map_err(|error| Stop::Bad("gzip", io::Error::new(io::ErrorKind::InvalidData, error)))?;
            let (read, wrote) = (self.decoder.total_in() - before_in, self.decoder.total_out() - before_out);
            bytes = &bytes[read as usize..];
            out.filled(wrote as usize)?;
            if status == Status::StreamEnd {
                (self.inside, self.members) = (false, self.members + 1);
            } else if read == 0 && wrote == 0 {
                return Err(Stop::Bad("gzip", io::ErrorKind::InvalidData.into()));
            }
        }
        Ok(())
    }
}
