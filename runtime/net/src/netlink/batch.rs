//! Writing messages.

use super::{ACK, NESTED, REQUEST, align};

/// Messages that are sent as one datagram. The last one is acknowledged; of the others only failures are heard.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    bytes: Vec<u8>,
    /// Where each message begins and what it is, for errors.
    messages: Vec<(usize, &'static str)>,
}

impl Batch {
    pub(crate) fn new() -> Self {
        Batch { bytes: Vec::with_capacity(1024), messages: Vec::new() }
    }

    /// Appends a message: the fixed header of its family, then what `body` writes. `label` names it in errors.
    pub(crate) fn message(
        &mut self,
        label: &'static str,
        kind: u16,
        flags: u16,
        header: &[u8],
        body: impl FnOnce(&mut Self) -> &mut Self,
    ) -> &mut Self {
        let start = self.bytes.len();
        self.messages.push((start, label));
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(&(flags | REQUEST).to_ne_bytes());
        self.bytes.extend_from_slice(&(self.messages.len() as u32).to_ne_bytes());
        self.bytes.extend_from_slice(&[0; 4]);
        self.bytes.extend_from_slice(header);
        self.pad();
        body(self);
        let length = (self.bytes.len() - start) as u32;
        self.bytes[start..start + 4].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Appends an attribute.
    pub(crate) fn attr(&mut self, kind: u16, value: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(&((value.len() + 4) as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.pad();
        self
    }

    /// A number in the host's order, as rtnetlink wants it.
    pub(crate) fn number(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_ne_bytes())
    }

    /// A number in network order, as nf_tables wants it.
    pub(crate) fn be(&mut self, kind: u16, value: u32) -> &mut Self {
        self.attr(kind, &value.to_be_bytes())
    }

    /// A string with its NUL.
    pub(crate) fn text(&mut self, kind: u16, value: &str) -> &mut Self {
        let length = value.len() + 5;
        self.bytes.extend_from_slice(&(length as u16).to_ne_bytes());
        self.bytes.extend_from_slice(&kind.to_ne_bytes());
        self.bytes.extend_from_slice(value.as_bytes());
        self.bytes.push(0);
        self.pad();
        self
    }

    /// An attribute that holds attributes. At most 64 KiB, for its length is a `u16`: callers with lists cut them.
    pub(crate) fn nest(&mut self, kind: u16, body: impl FnOnce(&mut Self) -> &mut Self) -> &mut Self {
        let start = self.bytes.len();
        self.attr(kind | NESTED, &[]);
        body(self);
        let length = (self.bytes.len() - start) as u16;
        self.bytes[start..start + 2].copy_from_slice(&length.to_ne_bytes());
        self
    }

    /// Bytes as they are, within an attribute: the fixed part of `VETH_INFO_PEER`.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.bytes.extend_from_slice(bytes);
        self.pad();
        self
    }

    /// Asks for an acknowledgement of the last message written so far.
    pub(crate) fn acknowledge(&mut self) -> &mut Self {
        if let Some(&(start, _)) = self.messages.last() {
            let flags = u16::from_ne_bytes([self.bytes[start + 6], self.bytes[start + 7]]);
            self.bytes[start + 6..start + 8].copy_from_slice(&(flags | ACK).to_ne_bytes());
        }
        self
    }

    /// What message `sequence` is.
    pub(crate) fn label(&self, sequence: u32) -> &'static str {
        self.messages.get((sequence as usize).wrapping_sub(1)).map_or("netlink", |&(_, label)| label)
    }

    /// Length of what is written so far.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Messages written so far, which is the sequence number of the last.
    pub(crate) fn count(&self) -> u32 {
        self.messages.len() as u32
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    fn pad(&mut self) {
        self.bytes.resize(align(self.bytes.len()), 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::{attributes, messages, number, text};

    #[test]
    fn what_is_written_reads_back() {
        let mut batch = Batch::new();
        batch.message("one", 16, 0, &[7; 16], |m| m.text(3, "eth0").nest(18, |m| m.number(1, 5).attr(2, &[1, 2, 3])));
        batch.message("two", 17, 0, &[], |m| m).acknowledge();
        let found: Vec<_> = messages(batch.bytes()).collect();
        assert_eq!((found.len(), found[0].kind, found[1].kind), (2, 16, 17));
        assert_eq!(found[1].flags, REQUEST | ACK);
        let attrs: Vec<_> = attributes(&found[0].body[16..]).collect();
        assert_eq!((attrs[0].0, text(attrs[0].1)), (3, "eth0"));
        let inner: Vec<_> = attributes(attrs[1].1).collect();
        assert_eq!((attrs[1].0, number(inner[0].1), inner[1].1), (18, Some(5), &[1, 2, 3][..]));
        assert_eq!((batch.label(1), batch.label(2), batch.label(3)), ("one", "two", "netlink"));
    }
}
