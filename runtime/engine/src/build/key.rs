//! What a step depends on, as one digest: the same key, the same result.

use images::Digest;
use sha2::{Digest as _, Sha256};

/// A key in the making. Each part has its length before it, so that no two lists of parts look the same.
pub(super) struct Key(Sha256);

impl Key {
    /// `kind` says what follows. The number goes up when the same step comes to mean something else.
    pub(super) fn new(kind: &str) -> Key {
        const VERSION: u8 = 1;
        let mut key = Key(Sha256::new());
        key.part([VERSION]);
        key.part(kind);
        key
    }

    pub(super) fn part(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = bytes.as_ref();
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    pub(super) fn parts<S: AsRef<[u8]>>(&mut self, parts: impl IntoIterator<Item = S>) {
        let parts: Vec<S> = parts.into_iter().collect();
        self.part((parts.len() as u64).to_le_bytes());
        parts.into_iter().for_each(|part| self.part(part));
    }

    pub(super) fn finish(self) -> Digest {
        // A digest of the digest: images has the type, and this needs no way around its parser.
        Digest::sha256(&self.0.finalize())
    }
}

/// The digest of a stream.
pub(super) struct Content(Sha256);

impl Content {
    pub(super) fn new() -> Content {
        Content(Sha256::new())
    }

    pub(super) fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    pub(super) fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let key = |parts: &[&str]| {
            let mut key = Key::new("x");
            key.parts(parts);
            key.finish()
        };
        assert_eq!(key(&["a", "b"]), key(&["a", "b"]));
        assert_ne!(key(&["a", "b"]), key(&["ab"]));
        assert_ne!(key(&["a", ""]), key(&["", "a"]));
        assert_ne!(key(&["a"]), {
            let mut key = Key::new("y");
            key.parts(["a"]);
            key.finish()
        });
    }
}
