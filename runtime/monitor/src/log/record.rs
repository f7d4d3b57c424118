//! Bytes to records.

use std::borrow::Cow;
use std::collections::BTreeMap;

use launch::Nanos;
use serde::{Deserialize, Serialize};

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

/// Appends one record in the form of Docker's `json-file`. What is no UTF-8 is replaced, as Docker does it: JSON cannot hold it.
pub(crate) fn push_json(
    to: &mut Vec<u8>,
    time: &[u8; time::LENGTH],
    stream: Stream,
    text: &[u8],
    full: bool,
    attrs: &BTreeMap<String, String>,
) {
    let mut line = String::from_utf8_lossy(text).into_owned();
    if full {
        line.push('\n');
    }
    let record = Json {
        log: line.into(),
        stream: match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        },
        attrs: Cow::Borrowed(attrs),
        time: std::str::from_utf8(time).unwrap_or_default(),
    };
    // Nothing in it can fail.
    let _ = serde_json::to_writer(&mut *to, &record);
    to.push(b'\n');
}

/// The parts of such a record without its newline.
pub(crate) fn parse_json(record: &[u8]) -> Option<(Nanos, Stream, bool, String)> {
    let Json { log, stream, time, .. } = serde_json::from_slice(record).ok()?;
    let stream = match stream {
        "stdout" => Stream::Stdout,
        "stderr" => Stream::Stderr,
        _ => return None,
    };
    let mut text = log.into_owned();
    let full = text.ends_with('\n');
    text.truncate(text.len() - usize::from(full));
    Some((time::parse(time.as_bytes())?, stream, full, text))
}

#[derive(Serialize, Deserialize)]
struct Json<'a> {
    #[serde(borrow)]
    log: Cow<'a, str>,
    stream: &'a str,
    #[serde(default, skip_serializing_if = "none")]
    attrs: Cow<'a, BTreeMap<String, String>>,
    time: &'a str,
}

#[expect(clippy::ptr_arg, reason = "serde hands over the field as it is")]
fn none(attrs: &Cow<'_, BTreeMap<String, String>>) -> bool {
    attrs.is_empty()
}

/// The first byte of such a record, and of no other.
pub(crate) const JSON: u8 = b'{';

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

    #[test]
    fn a_record_has_the_form_of_docker() {
        let mut record = Vec::new();
        push_json(&mut record, &time::bytes(1_772_352_930_123_456_789), Stream::Stdout, b"a \"b\"\t\xff", true, &BTreeMap::new());
        let expected =
            "{\"log\":\"a \\\"b\\\"\\t\u{fffd}\\n\",\"stream\":\"stdout\",\"time\":\"2026-03-01T08:15:30.123456789Z\"}\n";
        assert_eq!(std::str::from_utf8(&record), Ok(expected));
        let parsed = parse_json(&record[..record.len() - 1]);
        assert_eq!(parsed, Some((1_772_352_930_123_456_789, Stream::Stdout, true, "a \"b\"\t\u{fffd}".to_owned())));
        assert_eq!(parse_json(b"{}"), None);
    }
}
