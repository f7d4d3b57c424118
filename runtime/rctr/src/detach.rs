//! Keys that part a client from its container, which goes on.

/// A sequence of keys, looked for in what is typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Keys {
    bytes: Vec<u8>,
    /// How many of them have been typed.
    typed: usize,
}

/// Docker's own.
pub(crate) const DEFAULT: &str = "ctrl-p,ctrl-q";

/// What a piece of input means.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Typed {
    /// What goes on to the container.
    pub(crate) pass: Vec<u8>,
    /// The sequence is complete.
    pub(crate) detach: bool,
}

impl Keys {
    /// Looks for the sequence in what is typed next. A beginning of it is kept back until it is known whether the rest comes.
    pub(crate) fn look(&mut self, bytes: &[u8]) -> Typed {
        let mut pass = Vec::with_capacity(bytes.len());
        for byte in bytes {
            if self.bytes.get(self.typed) == Some(byte) {
                self.typed += 1;
                if self.typed == self.bytes.len() {
                    return Typed { pass, detach: true };
                }
                continue;
            }
            pass.extend_from_slice(&self.bytes[..self.typed]);
            self.typed = usize::from(self.bytes.first() == Some(byte) && self.bytes.len() > 1);
            if self.typed == 0 {
                pass.push(*byte);
            }
        }
        Typed { pass, detach: false }
    }
}

/// A list of keys, each a character or `ctrl-` and one of a-z, @, [, \, ], ^ and _.
pub(crate) fn keys(text: &str) -> Result<Keys, String> {
    let wrong = || format!("{text:?} are no keys: give characters and ctrl-KEY with commas between, such as {DEFAULT}");
    let key = |word: &str| match (word.as_bytes(), word.strip_prefix("ctrl-").map(str::as_bytes)) {
        (_, Some([letter @ b'a'..=b'z'])) => Some(letter - b'a' + 1),
        (_, Some([sign @ (b'@' | b'['..=b'_')])) => Some(sign & 0x1f),
        (b"DEL", _) => Some(127),
        ([one], _) if one.is_ascii() => Some(*one),
        _ => None,
    };
    let text = if text.is_empty() { DEFAULT } else { text };
    let bytes = text.split(',').map(key).collect::<Option<Vec<_>>>().ok_or_else(wrong)?;
    Ok(Keys { bytes, typed: 0 })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_are_read() {
        for (text, expected) in [
            ("ctrl-p,ctrl-q", &[16, 17][..]),
            ("", &[16, 17]),
            ("ctrl-@", &[0]),
            ("a,ctrl-\\,ctrl-_", &[97, 28, 31]),
            ("DEL", &[127]),
        ] {
            assert_eq!(keys(text).map(|keys| keys.bytes).as_deref(), Ok(expected), "{text}");
        }
        for text in ["ctrl-", "ctrl-A", "ctrl-p,", "ab", "é", ",", "ctrl-?"] {
            assert!(keys(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_no_sequence_goes_on() {
        let mut keys = keys("a,b").unwrap();
        let mut said = |text: &str| {
            let typed = keys.look(text.as_bytes());
            (String::from_utf8(typed.pass).unwrap(), typed.detach)
        };
        assert_eq!(said("xa"), ("x".to_owned(), false));
        assert_eq!(said("c"), ("ac".to_owned(), false));
        assert_eq!(said("aa"), ("a".to_owned(), false));
        assert_eq!(said("bx"), (String::new(), true));
    }
}
