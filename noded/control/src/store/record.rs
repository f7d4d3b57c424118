//! Records of the store's file.
//!
//! ```text
//! file    MAGIC record*
//! record  length of the body u32 · xxh3 of the body u64 · body          little endian
//! body    what u8 · revision u64 · length of the key u16 · key · value
//! ```

use twox_hash::XxHash3_64;

pub(super) const MAGIC: &[u8] = b"rctr store 1\n";
const HEAD: usize = 12;
const BODY_HEAD: usize = 11;
/// Bodies are far smaller: a length beyond is damage.
const LONGEST: usize = 64 << 20;

/// What a record says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum What {
    /// The key has this value.
    Put,
    /// The key has this value, which is sealed.
    PutSealed,
    /// The key is gone.
    Remove,
    /// The counter has come so far; a history begins here.
    Counter,
    /// The process ended in order.
    Closed,
}

const ALL: [What; 5] = [What::Put, What::PutSealed, What::Remove, What::Counter, What::Closed];

/// A record, borrowed from the file's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record<'a> {
    pub(super) what: What,
    pub(super) revision: u64,
    pub(super) key: &'a str,
    pub(super) value: &'a [u8],
}

/// Appends a record to a buffer.
pub(super) fn push(buffer: &mut Vec<u8>, record: &Record<'_>) {
    let start = buffer.len();
    buffer.extend_from_slice(&[0; HEAD]);
    buffer.push(ALL.iter().position(|w| *w == record.what).unwrap_or(0) as u8);
    buffer.extend_from_slice(&record.revision.to_le_bytes());
    buffer.extend_from_slice(&(record.key.len() as u16).to_le_bytes());
    buffer.extend_from_slice(record.key.as_bytes());
    buffer.extend_from_slice(record.value);
    let body = &buffer[start + HEAD..];
    let (length, sum) = (body.len() as u32, XxHash3_64::oneshot(body));
    buffer[start..start + 4].copy_from_slice(&length.to_le_bytes());
    buffer[start + 4..start + HEAD].copy_from_slice(&sum.to_le_bytes());
}

/// What is at a place of the file.
pub(super) enum Found<'a> {
    /// A record, and where the next one begins.
    Record(Record<'a>, usize),
    /// The end.
    End,
    /// The rest was not written whole: nothing good follows.
    Torn,
    /// A bad record with good ones behind it.
    Damaged,
}

/// Reads the record at `at`.
pub(super) fn read(bytes: &[u8], at: usize) -> Found<'_> {
    if at == bytes.len() {
        return Found::End;
    }
    match body(bytes, at).and_then(|b| Some((parse(b.0)?, b.1))) {
        Some((record, next)) => Found::Record(record, next),
        None if follows(bytes, at) => Found::Damaged,
        None => Found::Torn,
    }
}

fn body(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let head = bytes.get(at..at + HEAD)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?) as usize;
    let sum = u64::from_le_bytes(head[4..].try_into().ok()?);
    let end = at + HEAD + length;
    let body = bytes.get(at + HEAD..end).filter(|_| (BODY_HEAD..=LONGEST).contains(&length))?;
    (XxHash3_64::oneshot(body) == sum).then_some((body, end))
}

fn parse(body: &[u8]) -> Option<Record<'_>> {
    let what = *ALL.get(usize::from(body[0]))?;
    let revision = u64::from_le_bytes(body[1..9].try_into().ok()?);
    let key_end = BODY_HEAD + usize::from(u16::from_le_bytes(body[9..BODY_HEAD].try_into().ok()?));
    let key = std::str::from_utf8(body.get(BODY_HEAD..key_end)?).ok()?;
    Some(Record { what, revision, key, value: &body[key_end..] })
}

/// Whether a good record begins anywhere behind a bad one: then the bad one is no torn end. Only looked for in a damaged file.
fn follows(bytes: &[u8], at: usize) -> bool {
    (at + 1..bytes.len().saturating_sub(HEAD + BODY_HEAD)).any(|next| body(bytes, next).is_some_and(|(b, _)| parse(b).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn two() -> (Vec<u8>, usize) {
        let mut buffer = Vec::new();
        push(&mut buffer, &Record { what: What::Put, revision: 7, key: "a/b/c", value: b"{}" });
        let second = buffer.len();
        push(&mut buffer, &Record { what: What::Remove, revision: 8, key: "a/b/c", value: b"" });
        (buffer, second)
    }

    #[test]
    fn records_are_read_back() {
        let (buffer, second) = two();
        let Found::Record(first, next) = read(&buffer, 0) else { panic!() };
        assert_eq!((first, next), (Record { what: What::Put, revision: 7, key: "a/b/c", value: b"{}" }, second));
        assert!(matches!(read(&buffer, second), Found::Record(..)) && matches!(read(&buffer, buffer.len()), Found::End));
    }

    #[test]
    fn a_torn_end_is_told_from_damage() {
        let (buffer, second) = two();
        for cut in second + 1..buffer.len() {
            assert!(matches!(read(&buffer[..cut], second), Found::Torn), "{cut}");
        }
        for at in 0..second {
            let mut bad = buffer.clone();
            bad[at] ^= 0x40;
            assert!(matches!(read(&bad, 0), Found::Damaged), "{at}");
        }
    }
}
