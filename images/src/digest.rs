//! Digests of content, as registries write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::unpack::hash::{Algorithm, Hasher};

/// A digest such as `sha256:e3b0…`: SHA-256 or SHA-512, in lower-case hexadecimal. Anything else does not parse, so a digest
/// is safe as the name of a file (image-spec, descriptor.md).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

impl Digest {
    /// The SHA-256 digest of `bytes`.
    pub fn sha256(bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(bytes);
        Digest(hasher.finish())
    }

    /// The digest of `bytes`, made the way this one was.
    pub fn same_kind(&self, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(Algorithm::of(&self.0));
        hasher.update(bytes);
        Digest(hasher.finish())
    }

    /// As it is written, with its algorithm.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// `sha256` or `sha512`.
    pub fn algorithm(&self) -> &str {
        &self.0[..6]
    }

    /// The digits.
    pub fn hex(&self) -> &str {
        &self.0[7..]
    }

    /// The first 12 digits, as lists show them.
    pub fn short(&self) -> &str {
        &self.hex()[..12]
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl From<Digest> for String {
    fn from(digest: Digest) -> String {
        digest.0
    }
}

/// Text that is no digest.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid digest {text:?}: {problem}")]
pub struct InvalidDigest {
    text: String,
    pub(crate) problem: &'static str,
}

impl FromStr for Digest {
    type Err = InvalidDigest;

    fn from_str(text: &str) -> Result<Self, InvalidDigest> {
        match problem(text) {
            None => Ok(Digest(text.to_owned())),
            Some(problem) => Err(InvalidDigest { text: text.chars().take(160).collect(), problem }),
        }
    }
}

impl TryFrom<String> for Digest {
    type Error = InvalidDigest;

    fn try_from(text: String) -> Result<Self, InvalidDigest> {
        text.parse()
    }
}

fn problem(text: &str) -> Option<&'static str> {
    let Some((algorithm, hex)) = text.split_once(':') else { return Some("it has no algorithm, such as sha256:") };
    let (length, wrong) = match algorithm {
        "sha256" => (64, "sha256 has 64 digits"),
        "sha512" => (128, "sha512 has 128 digits"),
        _ => return Some("the algorithm is neither sha256 nor sha512"),
    };
    if hex.len() != length {
        return Some(wrong);
    }
    let lower = hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    (!lower).then_some("its digits are 0 to 9 and a to f")
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    #[test]
    fn parts() {
        let digest: Digest = EMPTY.parse().unwrap();
        assert_eq!(digest.to_string(), EMPTY);
        assert_eq!(digest.algorithm(), "sha256");
        assert_eq!(digest.hex(), &EMPTY[7..]);
        assert_eq!(digest.short(), "e3b0c44298fc");
        assert_eq!(Digest::sha256(b""), digest);
        let long: Digest = format!("sha512:{}", "0".repeat(128)).parse().unwrap();
        assert!(long.same_kind(b"").as_str().starts_with("sha512:cf83e1357eefb8bd"));
    }

    #[test]
    fn what_is_no_digest() {
        let upper = EMPTY.to_uppercase();
        let path = format!("sha256:../{}", &EMPTY[10..]);
        for text in ["", "sha256", "sha256:", "sha256:abc", "md5:abc", &EMPTY[7..], &upper, &path, &format!("{EMPTY}0")] {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
        let error = "sha256:abc".parse::<Digest>().unwrap_err();
        assert_eq!(error.to_string(), "invalid digest \"sha256:abc\": sha256 has 64 digits");
    }

    #[test]
    fn in_json_a_string() {
        let json = format!("{EMPTY:?}");
        let digest: Digest = serde_json::from_str(&json).unwrap();
        assert_eq!(serde_json::to_string(&digest).unwrap(), json);
        assert!(serde_json::from_str::<Digest>("\"sha256:0\"").is_err());
    }
}
