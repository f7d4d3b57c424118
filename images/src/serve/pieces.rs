//! Memory for what is read from files to be sent, used again and again: memory that is given back to the kernel and taken anew costs as
//! much as the copy into it.

use std::sync::{Mutex, PoisonError};

use bytes::Bytes;

/// Bytes of a piece.
pub(super) const SIZE: usize = 256 << 10;

/// Pieces that are kept: two of each connection of a busy moment.
const KEPT: usize = 32;

static FREE: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

/// Room for a piece.
pub(super) fn take() -> Vec<u8> {
    let free = FREE.lock().unwrap_or_else(PoisonError::into_inner).pop();
    free.unwrap_or_else(|| Vec::with_capacity(SIZE))
}

/// What was read into it. The room is free again when nobody has the bytes any more.
pub(super) fn bytes(piece: Vec<u8>) -> Bytes {
    Bytes::from_owner(Piece(piece))
}

struct Piece(Vec<u8>);

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let mut room = std::mem::take(&mut self.0);
        room.clear();
        let mut free = FREE.lock().unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT && room.capacity() == SIZE {
            free.push(room);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_comes_back_empty() {
        let mut piece = take();
        piece.extend_from_slice(b"some bytes");
        let sent = bytes(piece);
        let part = sent.slice(5..);
        drop(sent);
        assert_eq!(part, &b"bytes"[..]);
        drop(part);
        assert!(take().is_empty());
    }
}
