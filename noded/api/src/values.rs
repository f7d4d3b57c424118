//! Small values that several kinds share.

use serde::{Deserialize, Serialize};

/// A number or text: a port by number or name, a count or a percentage.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum IntOrString {
    /// A number.
    Int(i32),
    /// Text.
    Text(String),
}

impl Default for IntOrString {
    fn default() -> Self {
        Self::Int(0)
    }
}

impl IntOrString {
    /// The value out of `total`: the number itself, or the share of a percentage, rounded as told. Other text is nothing.
    pub fn of(&self, total: i32, up: bool) -> Option<i32> {
        match self {
            Self::Int(number) => Some(*number),
            Self::Text(text) => {
                let percent: i64 = text.strip_suffix('%')?.parse().ok()?;
                let scaled = i64::from(total) * percent;
                i32::try_from(if up { (scaled + 99).div_euclid(100) } else { scaled.div_euclid(100) }).ok()
            }
        }
    }
}

impl std::fmt::Display for IntOrString {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Int(number) => write!(f, "{number}"),
            Self::Text(text) => f.write_str(text),
        }
    }
}

/// Whether `text` is padded base64 of the standard alphabet; line ends are allowed, as Go allows them.
pub(crate) fn base64_ok(text: &str) -> bool {
    let mut length = 0;
    let mut padding = 0;
    for byte in text.bytes().filter(|b| !matches!(b, b'\r' | b'\n')) {
        length += 1;
        match byte {
            b'=' => padding += 1,
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'+' | b'/' if padding == 0 => {}
            _ => return false,
        }
    }
    length % 4 == 0 && padding <= 2
}

/// Padded base64 of the standard alphabet.
pub(crate) fn base64(bytes: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for piece in bytes.chunks(3) {
        let bits = piece.iter().fold(0u32, |bits, b| bits << 8 | u32::from(*b)) << (8 * (3 - piece.len()));
        for at in 0..4 {
            text.push(if at <= piece.len() { char::from(LETTERS[(bits >> (18 - 6 * at)) as usize & 63]) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_round_as_told() {
        let quarter = IntOrString::Text("25%".into());
        assert_eq!((quarter.of(3, true), quarter.of(3, false)), (Some(1), Some(0)));
        assert_eq!(IntOrString::Text("x".into()).of(3, true), None);
        assert_eq!(IntOrString::Int(2).of(3, true), Some(2));
    }

    #[test]
    fn base64_is_checked_without_decoding() {
        for good in ["", "aGk=", "aGkh", "YQ==", "aGk=\n"] {
            assert!(base64_ok(good), "{good:?}");
        }
        for bad in ["a", "aG=k", "a===", "aGk", "a*kh"] {
            assert!(!base64_ok(bad), "{bad:?}");
        }
    }
}
