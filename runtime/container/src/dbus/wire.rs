//! Messages of D-Bus as bytes (D-Bus specification, "Message Protocol").

use std::os::fd::OwnedFd;

use super::value::Value;

/// The longest message that is read. Answers of systemd to our calls are short.
const LIMIT: usize = 1 << 20;

/// What a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs, reason = "they are the types of the D-Bus specification, by its own names")]
pub enum Kind {
    Call = 1,
    Return = 2,
    Error = 3,
    Signal = 4,
}

/// A message that was received.
#[derive(Debug)]
pub struct Message {
    /// What it is.
    pub kind: Kind,
    /// Its own number, which its answer names.
    pub serial: u32,
    /// The call that it answers.
    pub reply: u32,
    /// The name of a call, a signal or an error.
    pub name: String,
    /// How many descriptors come with it.
    pub(super) announced: u32,
    /// Those that have come.
    pub fds: Vec<OwnedFd>,
    body: Vec<u8>,
}

/// A message of ours.
#[derive(Debug)]
pub struct Outgoing<'a> {
    /// What it is.
    pub kind: Kind,
    /// Its own number.
    pub serial: u32,
    /// The one of the call that it answers.
    pub reply: Option<u32>,
    /// For whom it is, where a broker passes it on.
    pub destination: &'a str,
    /// The object that is called, or that speaks.
    pub path: &'a str,
    /// The interface of the call or signal.
    pub interface: &'a str,
    /// The method, the signal, or an error's name.
    pub member: &'a str,
    /// What it says.
    pub body: &'a [Value],
}

impl Outgoing<'_> {
    /// It as bytes.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        self.with_descriptors(0)
    }

    /// The same for one with which so many descriptors are sent.
    #[must_use]
    pub fn with_descriptors(&self, count: u32) -> Vec<u8> {
        let mut body = Encoder::default();
        self.body.iter().for_each(|value| body.put(value));
        let signature: String = self.body.iter().map(Value::signature).collect();
        let text = |text: &str| (!text.is_empty()).then(|| Value::string(text));
        let name = if self.kind == Kind::Error { 4 } else { 3 };
        let fields = [
            (1, (!self.path.is_empty()).then(|| Value::ObjectPath(self.path.into()))),
            (2, text(self.interface)),
            (name, text(self.member)),
            (5, self.reply.map(Value::Uint32)),
            (6, text(self.destination)),
            (8, (!signature.is_empty()).then_some(Value::Signature(signature))),
            (9, (count > 0).then_some(Value::Uint32(count))),
        ];
        let field = |(code, value): (u8, Option<Value>)| {
            value.map(|value| Value::Struct(vec![Value::Byte(code), Value::Variant(Box::new(value))]))
        };
        let mut message = Encoder { bytes: vec![b'l', self.kind as u8, 0, 1] };
        message.put(&Value::Uint32(body.bytes.len() as u32));
        message.put(&Value::Uint32(self.serial));
        message.put(&Value::Array("(yv)".into(), fields.into_iter().filter_map(field).collect()));
        message.align(8);
        message.bytes.extend(body.bytes);
        message.bytes
    }
}

#[derive(Default)]
struct Encoder {
    bytes: Vec<u8>,
}

impl Encoder {
    fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    fn fixed<const N: usize>(&mut self, bytes: [u8; N]) {
        self.align(N);
        self.bytes.extend(bytes);
    }

    fn text(&mut self, text: &str) {
        self.fixed((text.len() as u32).to_le_bytes());
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    fn signature(&mut self, signature: &str) {
        self.bytes.push(signature.len() as u8);
        self.bytes.extend(signature.as_bytes());
        self.bytes.push(0);
    }

    fn put(&mut self, value: &Value) {
        match value {
            Value::Boolean(value) => self.fixed(u32::from(*value).to_le_bytes()),
            Value::Byte(value) => self.bytes.push(*value),
            Value::Int16(value) => self.fixed(value.to_le_bytes()),
            Value::Uint16(value) => self.fixed(value.to_le_bytes()),
            Value::Int32(value) => self.fixed(value.to_le_bytes()),
            Value::Uint32(value) => self.fixed(value.to_le_bytes()),
            Value::Int64(value) => self.fixed(value.to_le_bytes()),
            Value::Uint64(value) => self.fixed(value.to_le_bytes()),
            Value::Double(value) => self.fixed(value.to_le_bytes()),
            Value::String(text) | Value::ObjectPath(text) => self.text(text),
            Value::Signature(signature) => self.signature(signature),
            Value::Array(element, values) => self.array(element, values),
            Value::Struct(members) => {
                self.align(8);
                members.iter().for_each(|member| self.put(member));
            }
            Value::DictEntry(entry) => {
                self.align(8);
                self.put(&entry.0);
                self.put(&entry.1);
            }
            Value::Variant(value) => {
                self.signature(&value.signature());
                self.put(value);
            }
        }
    }

    /// The length does not count the padding before the first element.
    fn array(&mut self, element: &str, values: &[Value]) {
        self.fixed(0u32.to_le_bytes());
        let length = self.bytes.len() - 4;
        self.align(match element.as_bytes().first() {
            Some(b'y' | b'g' | b'v') => 1,
            Some(b'n' | b'q') => 2,
            Some(b'x' | b't' | b'd' | b'(' | b'{') => 8,
            _ => 4,
        });
        let start = self.bytes.len();
        values.iter().for_each(|value| self.put(value));
        let size = (self.bytes.len() - start) as u32;
        self.bytes[length..length + 4].copy_from_slice(&size.to_le_bytes());
    }
}

/// Takes the first message out of `bytes`; `None` when it is not there as a whole.
///
/// # Errors
/// What is wrong with it.
pub fn decode(bytes: &mut Vec<u8>) -> Result<Option<Message>, &'static str> {
    let Some(head) = bytes.get(..16) else { return Ok(None) };
    if head[0] != b'l' || head[3] != 1 {
        return Err("a message in an unknown form");
    }
    let word = |at: usize| u32::from_le_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]) as usize;
    let (body, fields) = (word(4), word(12));
    if body > LIMIT || fields > LIMIT {
        return Err("a message that is too long");
    }
    let kind = match head[1] {
        1 => Kind::Call,
        2 => Kind::Return,
        3 => Kind::Error,
        4 => Kind::Signal,
        _ => return Err("a message of an unknown kind"),
    };
    let start = (16 + fields).next_multiple_of(8);
    if bytes.len() < start + body {
        return Ok(None);
    }
    let message: Vec<u8> = bytes.drain(..start + body).collect();
    let (reply, name, announced) = header(&message[..16 + fields]).ok_or("a message with a broken header")?;
    let serial = u32::from_le_bytes([message[8], message[9], message[10], message[11]]);
    Ok(Some(Message { kind, serial, reply, name, announced, fds: Vec::new(), body: message[start..].to_vec() }))
}

/// The serial that is answered, the name, and how many descriptors there are.
fn header(bytes: &[u8]) -> Option<(u32, String, u32)> {
    let mut reader = Reader { bytes, at: 16 };
    let (mut reply, mut name, mut announced) = (0, String::new(), 0);
    while reader.at < bytes.len() {
        reader.align(8);
        let code = reader.byte()?;
        match (code, reader.signature()?) {
            (5, "u") => reply = reader.word()?,
            (9, "u") => announced = reader.word()?,
            (3 | 4, "s") => name = reader.text()?,
            (_, "s" | "o") => drop(reader.text()?),
            (_, "g") => drop(reader.signature()?),
            (_, "u") => drop(reader.word()?),
            _ => return None,
        }
    }
    Some((reply, name, announced))
}

impl Message {
    /// The values of its body, as long as they are numbers of 32 bits (`u`, also for a boolean) or 64 (`t`), texts (`s`, also for paths), or
    /// one of those in a variant (`v`).
    #[must_use]
    pub fn texts(&self, signature: &str) -> Option<Vec<String>> {
        let mut reader = Reader { bytes: &self.body, at: 0 };
        signature.bytes().map(|kind| reader.value(kind)).collect()
    }

    /// The last of them; nothing if there is none.
    #[must_use]
    pub fn text(&self, signature: &str) -> String {
        self.texts(signature).and_then(|mut texts| texts.pop()).unwrap_or_default()
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn align(&mut self, to: usize) {
        self.at = self.at.next_multiple_of(to);
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let taken = self.bytes.get(self.at..self.at.checked_add(length)?)?;
        self.at += length;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn word(&mut self) -> Option<u32> {
        self.align(4);
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn value(&mut self, kind: u8) -> Option<String> {
        match kind {
            b'u' | b'b' => self.word().map(|word| word.to_string()),
            b't' => self.long().map(|long| long.to_string()),
            b's' | b'o' => self.text(),
            b'v' => match self.signature()?.as_bytes() {
                [inner @ (b'u' | b'b' | b't' | b's' | b'o')] => self.value(*inner),
                _ => None,
            },
            _ => None,
        }
    }

    fn long(&mut self) -> Option<u64> {
        self.align(8);
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn text(&mut self) -> Option<String> {
        let length = self.word()? as usize;
        let text = std::str::from_utf8(self.take(length)?).ok()?.to_owned();
        self.byte()?;
        Some(text)
    }

    fn signature(&mut self) -> Option<&'a str> {
        let length = self.byte()? as usize;
        let text = std::str::from_utf8(self.take(length)?).ok()?;
        self.byte()?;
        Some(text)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::dbus::named;

    fn message(body: &[Value]) -> Vec<u8> {
        let (destination, path, interface) = ("a.b", "/a/b", "a.b.C");
        Outgoing { kind: Kind::Call, serial: 7, reply: None, destination, path, interface, member: "Do", body }.encode()
    }

    #[test]
    fn values_are_aligned() {
        let properties =
            [("A".to_owned(), Value::Boolean(true)), ("B".to_owned(), Value::Array("u".into(), vec![Value::Uint32(9)]))];
        let bytes = message(&[Value::string("x"), named(properties.iter())]);
        #[rustfmt::skip]
        let expected: &[u8] = &[
            1, 0, 0, 0, b'x', 0, 0, 0, // "x"
            36, 0, 0, 0, 0, 0, 0, 0, // an array of 36 bytes, whose elements begin at a multiple of 8
            1, 0, 0, 0, b'A', 0, 1, b'b', 0, 0, 0, 0, 1, 0, 0, 0, // ("A", <true>)
            1, 0, 0, 0, b'B', 0, 2, b'a', b'u', 0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, // ("B", <[uint32 9]>)
        ];
        assert_eq!(&bytes[bytes.len() - expected.len()..], expected);
        // The header says how long the body is, and of which types.
        assert_eq!(bytes[4], expected.len() as u8);
        assert!(bytes.windows(10).any(|part| part == b"\x01g\0\x06sa(sv)"));
    }

    #[test]
    fn a_message_is_read_when_it_is_there() {
        let bytes = message(&[Value::Uint32(4), Value::ObjectPath("/job/4".into()), Value::string("done")]);
        let mut part = bytes[..bytes.len() - 1].to_vec();
        assert!(decode(&mut part).unwrap().is_none());
        let mut two = [bytes.clone(), bytes[..20].to_vec()].concat();
        let read = decode(&mut two).unwrap().unwrap();
        assert_eq!((read.kind, read.name.as_str(), two.len()), (Kind::Call, "Do", 20));
        assert_eq!(read.texts("uss").unwrap(), ["4", "/job/4", "done"]);
        assert_eq!(read.texts("ussss"), None);
    }

    #[test]
    fn numbers_are_read_where_they_are_aligned() {
        let wrapped = [Value::Boolean(true), Value::Variant(Box::new(Value::Uint64(5_000_000)))];
        let read = decode(&mut message(&wrapped)).unwrap().unwrap();
        assert_eq!((read.texts("uv").unwrap().as_slice(), read.serial), (&["1".to_owned(), "5000000".to_owned()][..], 7));
        let nested = [Value::Variant(Box::new(Value::Variant(Box::new(Value::Byte(1)))))];
        assert_eq!(decode(&mut message(&nested)).unwrap().unwrap().texts("v"), None);
    }

    proptest! {
        #[test]
        fn any_bytes_are_survived(tail in proptest::collection::vec(any::<u8>(), 0..200), kind in 0u8..6, fields in 0u8..64) {
            let mut bytes = vec![b'l', kind, 0, 1, 8, 0, 0, 0, 1, 0, 0, 0, fields, 0, 0, 0];
            bytes.extend(tail);
            if let Ok(Some(message)) = decode(&mut bytes) {
                let _ = message.texts("uoss");
            }
        }
    }
}
