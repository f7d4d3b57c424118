//! Protocol buffers: fields one after the other, each a number and a value (protobuf.dev, "Encoding").

/// Wire types.
const VARINT: u64 = 0;
const FIXED64: u64 = 1;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

/// A message on its way out.
#[derive(Debug, Default)]
pub(super) struct Message(Vec<u8>);

impl Message {
    /// Adds a number: an `int32`, `uint32` or a value of an `enum`. Negative ones take ten bytes.
    pub(super) fn number(&mut self, field: u32, value: i64) {
        self.varint(u64::from(field) << 3 | VARINT);
        self.varint(value as u64);
    }

    /// Adds a `bool`, if it is true: all are false where nothing is said.
    pub(super) fn switch(&mut self, field: u32, on: bool) {
        if on {
            self.number(field, 1);
        }
    }

    /// Adds a `string`.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        self.bytes(field, text.as_bytes());
    }

    /// Adds a message.
    pub(super) fn message(&mut self, field: u32, fill: impl FnOnce(&mut Message)) {
        let mut inner = Message::default();
        fill(&mut inner);
        self.bytes(field, &inner.0);
    }

    /// What is sent.
    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.varint(u64::from(field) << 3 | LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// A value that was received.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Value<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

impl<'a> Value<'a> {
    /// As an `int32`; 0 for what is none.
    pub(super) fn number(self) -> i32 {
        match self {
            Value::Number(number) => number as i32,
            Value::Bytes(_) => 0,
        }
    }

    /// As a `bool`.
    pub(super) fn on(self) -> bool {
        self.number() != 0
    }

    /// As a `string`, or the bytes of a message.
    pub(super) fn bytes(self) -> &'a [u8] {
        match self {
            Value::Bytes(bytes) => bytes,
            Value::Number(_) => &[],
        }
    }

    /// As a `string`.
    pub(super) fn text(self) -> String {
        String::from_utf8_lossy(self.bytes()).into_owned()
    }
}

/// The fields of a message; `None` when it is none.
pub(super) fn fields(bytes: &[u8]) -> Option<Vec<(u32, Value<'_>)>> {
    let mut rest = bytes;
    let mut all = Vec::new();
    while !rest.is_empty() {
        let key = varint(&mut rest)?;
        let field = u32::try_from(key >> 3).ok().filter(|field| *field != 0)?;
        let value = match key & 7 {
            VARINT => Value::Number(varint(&mut rest)?),
            LENGTH => {
                let length = usize::try_from(varint(&mut rest)?).ok()?;
                Value::Bytes(take(&mut rest, length)?)
            }
            // criu has none today.
            FIXED64 => Value::Bytes(take(&mut rest, 8)?),
            FIXED32 => Value::Bytes(take(&mut rest, 4)?),
            _ => return None,
        };
        all.push((field, value));
    }
    Some(all)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(taken)
}

fn varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0u64;
    for at in 0..10 {
        let byte = take(rest, 1)?[0];
        value |= u64::from(byte & 0x7f) << (7 * at);
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn as_the_documentation_has_it() {
        let mut message = Message::default();
        message.number(1, 150);
        message.text(2, "testing");
        message.message(3, |inner| inner.number(1, 150));
        message.number(4, -2);
        message.switch(5, false);
        let bytes = message.into_bytes();
        assert_eq!(bytes[..3], [0x08, 0x96, 0x01]);
        assert_eq!(bytes[3..12], *b"\x12\x07testing");
        assert_eq!(bytes[12..17], [0x1a, 0x03, 0x08, 0x96, 0x01]);
        assert_eq!(bytes[17..], *b"\x20\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01");
        let read = fields(&bytes).unwrap();
        assert_eq!(read.iter().map(|(field, _)| *field).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!((read[0].1.number(), read[1].1.text().as_str(), read[3].1.number()), (150, "testing", -2));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_is_written_is_read(numbers in prop::collection::vec((1u32..1000, any::<i32>()), 0..8), text in ".{0,40}") {
            let mut message = Message::default();
            numbers.iter().for_each(|(field, value)| message.number(*field, i64::from(*value)));
            message.text(7, &text);
            let bytes = message.into_bytes();
            let read = fields(&bytes).unwrap();
            prop_assert_eq!(read.len(), numbers.len() + 1);
            for ((field, value), (known, number)) in read.iter().zip(&numbers) {
                prop_assert_eq!((*field, value.number()), (*known, *number));
            }
            prop_assert_eq!(read.last().unwrap().1.text(), text);
        }

        #[test]
        fn nothing_makes_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = fields(&bytes);
        }
    }
}
