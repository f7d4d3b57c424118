//! Digests of streams.

use sha2::{Digest as _, Sha256, Sha512};

/// How a digest is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha256,
    Sha512,
}

impl Algorithm {
    /// The algorithm of a written digest such as `sha256:…`.
    pub(crate) fn of(digest: &str) -> Self {
        if digest.starts_with("sha512:") { Algorithm::Sha512 } else { Algorithm::Sha256 }
    }
}

/// A digest in the making.
pub(crate) enum Hasher {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    pub(crate) fn new(algorithm: Algorithm) -> Self {
        match algorithm {
            Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
            Algorithm::Sha512 => Hasher::Sha512(Box::default()),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        match self {
            Hasher::Sha256(hasher) => hasher.update(bytes),
            Hasher::Sha512(hasher) => hasher.update(bytes),
        }
    }

    /// The digest as it is written, `sha256:…`.
    pub(crate) fn finish(self) -> String {
        match self {
            Hasher::Sha256(hasher) => written("sha256:", &hasher.finalize()),
            Hasher::Sha512(hasher) => written("sha512:", &hasher.finalize()),
        }
    }
}

fn written(name: &str, bytes: &[u8]) -> String {
    bytes.iter().fold(name.to_owned(), |mut text, byte| {
        for nibble in [byte >> 4, byte & 15] {
            text.extend(char::from_digit(nibble.into(), 16));
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_others_write_it() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Hasher::new(Algorithm::of(empty)).finish(), empty);
        assert!(Hasher::new(Algorithm::of("sha512:0")).finish().starts_with("sha512:cf83e1357eefb8bd"));
    }
}
