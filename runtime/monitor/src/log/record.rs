//! Bytes to records.

use launch::Nanos;

use super::time;
use crate::Stream;

/// The longest text of one record.
pub const MAX_PART: usize = 16 << 10;

/// Bytes in front of a record's text: `TIME stdout F `.
pub(crate) const HEAD: usize = time::LENGTH + 10;

/// Where the `F` or `P` of a record is.
pub(crate) const TAG: usize = HEAD - 2;

/// Cuts `bytes` into texts of records: up to each newline, and every [`MAX_PART`] bytes in between. True with those that end a line.
pub(crate) fn split(mut bytes: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    std::iter::from_fn(move || {
        if bytes.is_empty() {
            return None;
        }
        let reach = &bytes[..bytes.len().min(MAX_PART + 1)];
        let (text, skip, full) = match reach.iter().position(|byte| *byte == b'\n') {
            Some(at) => (&bytes[..at], at + 1, true),
            None => (&bytes[..reach.len().min(MAX_PART)], reach.len().min(MAX_PART), false),
        };
        bytes = &bytes[skip..];
        Some((text, full))
    })
}

/// Appends one record to `to`.
pub(crate) fn push(to: &mut Vec<u8>, time: &[u8; time::LENGTH], stream: Stream, text: &[u8], full: bool) {
    to.extend_from_slice(time);
    to.extend_from_slice(match stream {
        Stream::Stdout => b" stdout ",
        Stream::Stderr => b" stderr ",
    });
    to.extend_from_slice(if full { b"F " } else { b"P " });
    to.extend_from_slice(text);
    to.push(b'\n');
}

/// The parts of a record without its newline: time, stream, whether it ends a line, text.
pub(crate) fn parse(record: &[u8]) -> Option<(Nanos, Stream, bool, &[u8])> {
    let (head, text) = record.split_at_checked(HEAD)?;
    let stream = match &head[time::LENGTH..TAG] {
        b" stdout " => Stream::Stdout,
        b" stderr " => Stream::Stderr,
        _ => return None,
    };
    let full = match &head[TAG..] {
        b"F " => true,
        b"P " => false,
        _ => return None,
    };
    Some((time::parse(&head[..time::LENGTH])?, stream, full, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(bytes: &[u8]) -> Vec<(usize, bool)> {
        split(bytes).map(|(text, full)| (text.len(), full)).collect()
    }

    #[test]
    fn lines_end_at_newlines() {
        assert_eq!(cut(b""), []);
        assert_eq!(cut(b"ab\n\nc"), [(2, true), (0, true), (1, false)]);
    }

    #[test]
    fn long_lines_come_in_parts() {
        let mut line = vec![b'x'; MAX_PART];
        assert_eq!(cut(&line), [(MAX_PART, false)]);
        line.push(b'\n');
        assert_eq!(cut(&line), [(MAX_PART, true)]);
        line.insert(0, b'x');
        assert_eq!(cut(&line), [(MAX_PART, false), (1, true)]);
    }

    #[test]
    fn a_record_has_its_form() {
        let mut record = Vec::new();
        push(&mut record, &time::bytes(1_772_352_930_123_456_789), Stream::Stderr, b"a b", false);
        assert_eq!(record, b"2026-03-01T08:15:30.123456789Z stderr P a b\n");
        assert_eq!(parse(&record[..record.len() - 1]), Some((1_772_352_930_123_456_789, Stream::Stderr, false, &b"a b"[..])));
        assert_eq!(parse(&record[1..]), None);
    }
}
