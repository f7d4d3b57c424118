//! rtnetlink(7), as much of it as a container's start takes: one request and its answer.

use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use sys::{Call, Error};

pub(crate) const RTM_NEWLINK: u16 = 16;
pub(crate) const RTM_GETLINK: u16 = 18;
pub(crate) const RTM_NEWADDR: u16 = 20;
pub(crate) const RTM_GETADDR: u16 = 22;

const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
pub(crate) const NLM_F_DUMP: u16 = 0x300;
/// `NLM_F_CREATE | NLM_F_EXCL`.
pub(crate) const NLM_F_NEW: u16 = 0x600;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// `NLMSGERR_ATTR_MSG`: what the kernel itself has to say.
const ERROR_TEXT: u16 = 1;
/// `struct nlmsghdr`.
const HEADER: usize = 16;

/// A message to the kernel.
pub(crate) struct Request {
    call: String,
    bytes: Vec<u8>,
}

impl Request {
    /// One of the type `kind` that begins with the family's `header`. `call` is for errors.
    pub(crate) fn new(call: impl Into<String>, kind: u16, flags: u16, header: &[u8]) -> Self {
        let mut bytes = vec![0; HEADER];
        bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        bytes[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK | flags).to_ne_bytes());
        bytes.extend_from_slice(header);
        Request { call: call.into(), bytes }
    }

    /// Adds an attribute.
    pub(crate) fn attribute(mut self, kind: u16, value: &[u8]) -> Self {
        self.bytes.extend(((4 + value.len()) as u16).to_ne_bytes());
        self.bytes.extend(kind.to_ne_bytes());
        self.bytes.extend_from_slice(value);
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
        self
    }

    /// Sends it, hands the bodies of the answer to `each`, and waits for the end of it.
    pub(crate) fn ask(mut self, socket: &OwnedFd, mut each: impl FnMut(&[u8])) -> sys::Result<()> {
        let length = self.bytes.len() as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        send(socket, &self.bytes, SendFlags::empty()).call(|| self.call.clone())?;
        let mut answer = vec![0; 32 << 10];
        loop {
            let (length, _) = recv(socket, answer.as_mut_slice(), RecvFlags::empty()).call(|| self.call.clone())?;
            let mut rest = &answer[..length];
            while let Some((kind, flags, body, next)) = message(rest) {
                match kind {
                    NLMSG_ERROR | NLMSG_DONE => return self.ended(flags, body),
                    _ => each(body),
                }
                rest = next;
            }
        }
    }

    /// What the last message says: an error number, the request, and perhaps a text.
    fn ended(&self, flags: u16, body: &[u8]) -> sys::Result<()> {
        let errno = body.get(..4).map_or(-Errno::BADMSG.raw_os_error(), |bytes| word(bytes) as i32);
        if errno == 0 {
            return Ok(());
        }
        let said = (flags & NLM_F_ACK_TLVS != 0).then(|| body.get(4 + self.bytes.len()..)).flatten();
        let said = said.and_then(|rest| attributes(rest).find(|(kind, _)| *kind == ERROR_TEXT));
        let said = said.map(|(_, text)| format!(" [{}]", String::from_utf8_lossy(text).trim_end_matches('\0')));
        Err(Error::new(format!("{}{}", self.call, said.unwrap_or_default()), Errno::from_raw_os_error(-errno)))
    }
}

/// The first message of a packet: its type, flags and body, and what comes after it.
fn message(bytes: &[u8]) -> Option<(u16, u16, &[u8], &[u8])> {
    let length = word(bytes.get(..4)?) as usize;
    let body = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((short(&bytes[4..6]), short(&bytes[6..8]), body, next))
}

/// Attributes: kind without its flag bits, and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = short(bytes.get(..2)?) as usize;
        let (kind, value) = (short(bytes.get(2..4)?) & 0x3fff, bytes.get(4..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// Four bytes as a number.
pub(crate) fn word(bytes: &[u8]) -> u32 {
    bytes.try_into().map_or(0, u32::from_ne_bytes)
}

fn short(bytes: &[u8]) -> u16 {
    bytes.try_into().map_or(0, u16::from_ne_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_end_the_walk() {
        assert!(message(&[0; 16]).is_none() && message(&[0xff; 40]).is_none() && message(&[]).is_none());
        assert_eq!(attributes(&[9, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[5, 0, 1, 0x80, 9]).collect::<Vec<_>>(), [(1, &[9][..])]);
    }

    #[test]
    fn attributes_are_padded() {
        let request = Request::new("", RTM_NEWLINK, 0, &[]).attribute(3, b"eth0\0").attribute(28, &7u32.to_ne_bytes());
        let all: Vec<_> = attributes(&request.bytes[HEADER..]).collect();
        assert_eq!(all, [(3, &b"eth0\0"[..]), (28, &7u32.to_ne_bytes()[..])]);
    }
}
