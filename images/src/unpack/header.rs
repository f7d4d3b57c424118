//! One 512-byte block of a tar archive, read as Go's `archive/tar` reads it: that is what builds and checks images.

use tar::{EntryType, Header};

use super::Malformed;

/// Size of a block.
pub(crate) const BLOCK: usize = 512;

/// The fields of a header block; long names and sizes of extended headers come on top.
#[derive(Debug)]
pub(crate) struct Block {
    pub(crate) kind: EntryType,
    /// The kind as it is written: to the crate `tar` 0, which may be an old folder, is the same as `0`.
    pub(crate) flag: u8,
    pub(crate) size: u64,
    pub(crate) mode: u32,
    pub(crate) uid: u64,
    pub(crate) gid: u64,
    pub(crate) mtime: i64,
    pub(crate) major: u32,
    pub(crate) minor: u32,
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    /// The block itself, for the map of a sparse file.
    pub(crate) raw: [u8; BLOCK],
}

/// Reads a header block, whose checksum must be right. A block of zeros, which ends an archive, is `None`.
pub(crate) fn parse(bytes: &[u8; BLOCK]) -> Result<Option<Block>, Malformed> {
    if bytes.iter().all(|byte| *byte == 0) {
        return Ok(None);
    }
    let header = Header::from_byte_slice(bytes);
    let old = header.as_old();
    if !checksum_matches(bytes, number(&old.cksum)?) {
        return Err(Malformed("a header's checksum does not match"));
    }
    let (major, minor) = match (header.as_ustar(), header.as_gnu()) {
        (Some(ustar), _) => (number(&ustar.dev_major)?, number(&ustar.dev_minor)?),
        (_, Some(gnu)) => (number(&gnu.dev_major)?, number(&gnu.dev_minor)?),
        _ => (0, 0),
    };
    let small = |value: u64| u32::try_from(value).map_err(|_| Malformed("a device number is too large"));
    Ok(Some(Block {
        kind: header.entry_type(),
        flag: old.linkflag[0],
        size: size(&old.size)?,
        mode: (number(&old.mode)? & 0o7777) as u32,
        uid: number(&old.uid)?,
        gid: number(&old.gid)?,
        mtime: number(&old.mtime)?.cast_signed(),
        major: small(major)?,
        minor: small(minor)?,
        path: path(header),
        link: text(&old.linkname).to_vec(),
        raw: *bytes,
    }))
}

/// A size is never negative.
pub(crate) fn size(field: &[u8]) -> Result<u64, Malformed> {
    number(field).and_then(|size| if size > i64::MAX as u64 { Err(Malformed("a size is negative")) } else { Ok(size) })
}

/// A number: octal digits between blanks, nothing at all for 0, or big-endian binary when the top bit is set (GNU; negative
/// ones, which times may be, in two's complement).
pub(crate) fn number(field: &[u8]) -> Result<u64, Malformed> {
    const BAD: Malformed = Malformed("a number in a header is not octal");
    if field[0] & 0x80 != 0 {
        let flip = if field[0] & 0x40 != 0 { 0xff } else { 0 };
        let value = field.iter().enumerate().try_fold(0u64, |sum, (at, byte)| {
            let byte = (byte ^ flip) & if at == 0 { 0x7f } else { 0xff };
            if sum >> 55 == 0 { Some(sum << 8 | u64::from(byte)) } else { None }
        });
        let value = value.ok_or(Malformed("a number in a header is too large"))?;
        return Ok(if flip == 0 { value } else { !value });
    }
    let digits = text(field).trim_ascii();
    digits.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'7' => sum.checked_mul(8).map(|sum| sum | u64::from(digit - b'0')).ok_or(BAD),
        _ => Err(BAD),
    })
}

/// The bytes before the first NUL.
fn text(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// The name, with the prefix that POSIX headers (not GNU ones) may have; star's is shorter.
fn path(header: &Header) -> Vec<u8> {
    let name = text(&header.as_old().name);
    let Some(ustar) = header.as_ustar() else { return name.to_vec() };
    let star = &header.as_bytes()[508..] == b"tar\0";
    let prefix = text(if star { &ustar.prefix[..131] } else { &ustar.prefix });
    if prefix.is_empty() { name.to_vec() } else { [prefix, b"/", name].concat() }
}

/// The sum of all bytes, those of the checksum itself counted as blanks; old programs summed them as signed.
fn checksum_matches(bytes: &[u8; BLOCK], sum: u64) -> bool {
    let others = || bytes[..148].iter().chain(&bytes[156..]);
    let unsigned: u64 = others().map(|byte| u64::from(*byte)).sum::<u64>() + 8 * 32;
    let signed: i64 = others().map(|byte| i64::from(byte.cast_signed())).sum::<i64>() + 8 * 32;
    sum == unsigned || sum.cast_signed() == signed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_all_dialects() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(&[0; 8]), Ok(0));
        assert_eq!(number(&[0x80, 0, 0, 0, 1, 0, 0, 1]), Ok(0x0100_0001));
        assert_eq!(number(&[0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 2]), Ok(0x102));
        assert_eq!(number(&[0xff; 12]).map(u64::cast_signed), Ok(-1));
        assert_eq!(number(&[0xff; 8]).map(u64::cast_signed), Ok(-1));
        assert!(number(b"0000648\0").is_err());
        assert!(number(&[0x80, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).is_err());
        assert!(number(&[0x80, 0, 0, 0, 0xff, 0, 0, 0, 0, 0, 0, 0]).is_err(), "would turn negative");
        assert!(size(&[0xff; 12]).is_err());
    }

    #[test]
    fn a_wrong_checksum_is_refused() {
        let mut header = Header::new_gnu();
        header.set_path("file").unwrap();
        header.set_size(3);
        header.set_cksum();
        let mut bytes = *header.as_bytes();
        assert_eq!(parse(&bytes).unwrap().unwrap().path, b"file");
        bytes[0] = b'F';
        assert!(parse(&bytes).is_err());
        assert!(parse(&[0; BLOCK]).unwrap().is_none());
    }
}
