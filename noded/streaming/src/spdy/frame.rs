//! Frames as bytes (SPDY protocol draft 3, section 2.2 and 2.6).

use bytes::{BufMut, Bytes, BytesMut};

/// The longest control frame that is read. A stream's headers are a few short words.
pub(super) const MAX_CONTROL: u32 = 64 << 10;

pub(super) const FIN: u8 = 0x01;

/// Types of control frames that mean something here.
pub(super) const SYN_STREAM: u16 = 1;
const SYN_REPLY: u16 = 2;
pub(super) const RST_STREAM: u16 = 3;
pub(super) const PING: u16 = 6;
pub(super) const GOAWAY: u16 = 7;

/// Why a stream is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reset {
    Protocol = 1,
    InvalidStream = 2,
    Refused = 3,
}

/// The first eight bytes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Head {
    Control { version: u16, kind: u16, flags: u8, length: u32 },
    Data { stream: u32, flags: u8, length: u32 },
}

impl Head {
    pub(super) const LENGTH: usize = 8;

    pub(super) fn parse(bytes: [u8; Self::LENGTH]) -> Head {
        let [a, b, c, d, flags, l0, l1, l2] = bytes;
        let length = u32::from_be_bytes([0, l0, l1, l2]);
        if a & 0x80 == 0 {
            return Head::Data { stream: u32::from_be_bytes([a, b, c, d]), flags, length };
        }
        Head::Control { version: u16::from_be_bytes([a & 0x7f, b]), kind: u16::from_be_bytes([c, d]), flags, length }
    }
}

/// A stream's number: 31 bits.
pub(super) fn stream_id(bytes: [u8; 4]) -> u32 {
    u32::from_be_bytes(bytes) & 0x7fff_ffff
}

/// Bytes of a stream; at most 24 bits' worth of them.
pub(super) fn data(stream: u32, bytes: &[u8], last: bool) -> Bytes {
    let mut frame = BytesMut::with_capacity(Head::LENGTH + bytes.len());
    frame.put_u32(stream);
    frame.put_u32(u32::from(if last { FIN } else { 0 }) << 24 | bytes.len() as u32);
    frame.put_slice(bytes);
    frame.freeze()
}

/// Accepts a stream; `headers` is a compressed block.
pub(super) fn reply(stream: u32, headers: &[u8]) -> Bytes {
    let mut body = BytesMut::with_capacity(4 + headers.len());
    body.put_u32(stream);
    body.put_slice(headers);
    control(SYN_REPLY, &body)
}

/// Refuses or ends a stream.
pub(super) fn reset(stream: u32, why: Reset) -> Bytes {
    control(RST_STREAM, &[stream.to_be_bytes(), (why as u32).to_be_bytes()].concat())
}

/// Asks for an answer, which is the same.
pub(super) fn ping(id: u32) -> Bytes {
    control(PING, &id.to_be_bytes())
}

/// No stream after `last` will be looked at; all is well.
pub(super) fn go_away(last: u32) -> Bytes {
    control(GOAWAY, &[last.to_be_bytes(), 0u32.to_be_bytes()].concat())
}

fn control(kind: u16, body: &[u8]) -> Bytes {
    let mut frame = BytesMut::with_capacity(Head::LENGTH + body.len());
    frame.put_u16(0x8000 | super::VERSION);
    frame.put_u16(kind);
    frame.put_u32(body.len() as u32);
    frame.put_slice(body);
    frame.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(frame: &Bytes) -> Head {
        Head::parse(frame[..Head::LENGTH].try_into().unwrap())
    }

    #[test]
    fn what_is_written_is_read() {
        assert_eq!(head(&data(7, b"abc", true)), Head::Data { stream: 7, flags: FIN, length: 3 });
        assert_eq!(head(&data(7, b"", false)), Head::Data { stream: 7, flags: 0, length: 0 });
        assert_eq!(head(&ping(9)), Head::Control { version: 3, kind: PING, flags: 0, length: 4 });
        assert_eq!(head(&reset(9, Reset::Refused)), Head::Control { version: 3, kind: RST_STREAM, flags: 0, length: 8 });
        assert_eq!(stream_id([0xff, 0, 0, 1]), 0x7f00_0001);
    }
}
