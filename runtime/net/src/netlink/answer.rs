//! Reading messages. The bytes come from the kernel; a length that does not fit ends the walk.

use std::net::Ipv4Addr;

use super::{HEADER, align};

/// One message of a datagram.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Message<'a> {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    /// Whom it is for; in what is told to everybody, who has caused it.
    pub(crate) port: u32,
    /// The family's header and the attributes.
    pub(crate) body: &'a [u8],
}

/// The messages of a datagram.
pub(crate) fn messages(mut bytes: &[u8]) -> impl Iterator<Item = Message<'_>> {
    std::iter::from_fn(move || {
        let header = bytes.get(..HEADER)?;
        let length = number(&header[..4])? as usize;
        let body = bytes.get(HEADER..length)?;
        let message = Message { kind: short(&header[4..6])?, flags: short(&header[6..8])?, port: number(&header[12..])?, body };
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some(message)
    })
}

/// Attributes: kind without its flag bits, and value.
pub(crate) fn attributes(mut bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let length = short(bytes.get(..2)?)? as usize;
        let kind = short(bytes.get(2..4)?)? & 0x3fff;
        let value = bytes.get(4..length)?;
        bytes = bytes.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// The value of the first attribute `kind`.
pub(crate) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|&(found, _)| found == kind).map(|(_, value)| value)
}

/// A number in the host's order.
pub(crate) fn number(bytes: &[u8]) -> Option<u32> {
    Some(u32::from_ne_bytes(bytes.get(..4)?.try_into().ok()?))
}

fn short(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_ne_bytes(bytes.get(..2)?.try_into().ok()?))
}

/// A string up to its NUL; `""` if it is not UTF-8.
pub(crate) fn text(bytes: &[u8]) -> &str {
    let end = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    std::str::from_utf8(&bytes[..end]).unwrap_or_default()
}

/// An address.
pub(crate) fn address(bytes: &[u8]) -> Option<Ipv4Addr> {
    Some(Ipv4Addr::from(<[u8; 4]>::try_from(bytes.get(..4)?).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_lengths_end_the_walk() {
        assert_eq!(messages(&[]).count(), 0);
        assert_eq!(messages(&[0; 16]).count(), 0);
        assert_eq!(messages(&[0xff; 40]).count(), 0);
        assert_eq!(attributes(&[0, 0, 1, 0]).count(), 0);
        assert_eq!(attributes(&[3, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[9, 0, 1, 0, 9]).count(), 0);
        assert_eq!(attributes(&[5, 0, 1, 0x80, 9]).collect::<Vec<_>>(), [(1, &[9][..])]);
    }
}
