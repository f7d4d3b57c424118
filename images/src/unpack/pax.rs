//! Extended headers (pax(1), "pax Header Block"): records of `length key=value\n`, cut by their lengths. Values may hold
//! any byte, newlines and NUL too, so the crate `tar`, which cuts at newlines, would lose step (GHSA-3pv8-6f4r-ffg2).

use super::Malformed;
use super::path::unescape;

/// Most extended attributes of a member. Their names fit into the 64 KiB that a process may be told (listxattr(2)), or few programs see them.
const XATTRS: usize = 1000;

/// What extended headers say about one member.
#[derive(Debug, Default)]
pub(crate) struct Extended {
    pub(crate) path: Option<Vec<u8>>,
    pub(crate) link: Option<Vec<u8>>,
    pub(crate) size: Option<u64>,
    pub(crate) uid: Option<u64>,
    pub(crate) gid: Option<u64>,
    pub(crate) mtime: Option<(i64, u32)>,
    pub(crate) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(crate) sparse: Sparse,
}

/// The keys of GNU's sparse files: versions 0.0 (offset and length records), 0.1 (one map record), 1.0 (map in the data).
#[derive(Debug, Default)]
pub(crate) struct Sparse {
    pub(crate) version: Option<(u64, u64)>,
    pub(crate) name: Option<Vec<u8>>,
    pub(crate) real_size: Option<u64>,
    /// Offsets and lengths in turn.
    pub(crate) map: Vec<u64>,
}

/// Reads all records of an extended header for the next member.
pub(crate) fn parse(bytes: &[u8]) -> Result<Extended, Malformed> {
    let mut extended = Extended::default();
    records(bytes, |key, value| extended.set(key, value))?;
    let sparse = &mut extended.sparse;
    // Up to 0.1 versions are not named.
    if sparse.version.is_none() && (!sparse.map.is_empty() || sparse.real_size.is_some()) {
        sparse.version = Some((0, 1));
    }
    Ok(extended)
}

/// Checks a global header. Go and hence all engines ignore it; GNU tar applies it. Where the two would see different
/// members it is refused.
pub(crate) fn check_global(bytes: &[u8]) -> Result<(), Malformed> {
    records(bytes, |key, _| match key {
        b"path" | b"linkpath" | b"size" => Err(Malformed("a global header renames or resizes members")),
        _ if key.starts_with(b"GNU.sparse.") => Err(Malformed("a global header renames or resizes members")),
        _ => Ok(()),
    })
}

/// Calls `each` with every key and value.
fn records(mut bytes: &[u8], mut each: impl FnMut(&[u8], &[u8]) -> Result<(), Malformed>) -> Result<(), Malformed> {
    const BAD: Malformed = Malformed("a record of an extended header is malformed");
    while !bytes.is_empty() {
        let blank = bytes.iter().take(20).position(|byte| *byte == b' ').ok_or(BAD)?;
        let length = usize::try_from(decimal(&bytes[..blank])?).map_err(|_| BAD)?;
        if length < blank + 3 || length > bytes.len() || bytes[length - 1] != b'\n' {
            return Err(BAD);
        }
        let record = &bytes[blank + 1..length - 1];
        let equals = record.iter().position(|byte| *byte == b'=').ok_or(BAD)?;
        each(&record[..equals], &record[equals + 1..])?;
        bytes = &bytes[length..];
    }
    Ok(())
}

impl Extended {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            return self.set_xattr(name, value.to_vec());
        }
        if let Some(name) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
            return self.set_xattr(&unescape(&String::from_utf8_lossy(name)), base64(value)?);
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.set(key, value);
        }
        // An empty value takes back an earlier one.
        let some = !value.is_empty();
        let number = || if some { decimal(value).map(Some) } else { Ok(None) };
        match key {
            b"path" => self.path = name(value)?,
            b"linkpath" => self.link = name(value)?,
            b"size" => self.size = number()?,
            b"uid" => self.uid = number()?,
            b"gid" => self.gid = number()?,
            b"mtime" => self.mtime = if some { Some(time(value)?) } else { None },
            _ => {}
        }
        Ok(())
    }

    fn set_xattr(&mut self, name: &[u8], value: Vec<u8>) -> Result<(), Malformed> {
        // Each one is compared with all others.
        if self.xattrs.len() >= XATTRS {
            return Err(Malformed("a member has more than 1000 extended attributes"));
        }
        self.xattrs.retain(|(known, _)| known != name);
        self.xattrs.push((name.to_vec(), value));
        Ok(())
    }
}

impl Sparse {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), Malformed> {
        match key {
            b"major" => self.version = Some((decimal(value)?, self.version.unwrap_or_default().1)),
            b"minor" => self.version = Some((self.version.unwrap_or_default().0, decimal(value)?)),
            b"name" => self.name = name(value)?,
            b"size" | b"realsize" => self.real_size = Some(decimal(value)?),
            b"map" => self.map = value.split(|byte| *byte == b',').map(decimal).collect::<Result<_, _>>()?,
            b"offset" | b"numbytes" if self.map.len().is_multiple_of(2) != (key == b"offset") => {
                return Err(Malformed("a sparse map is out of order"));
            }
            b"offset" | b"numbytes" => self.map.push(decimal(value)?),
            _ => {}
        }
        Ok(())
    }
}

fn name(value: &[u8]) -> Result<Option<Vec<u8>>, Malformed> {
    if value.contains(&0) {
        return Err(Malformed("a name contains a NUL byte"));
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

/// Decimal digits and nothing else, at most what a file's size can be.
pub(crate) fn decimal(value: &[u8]) -> Result<u64, Malformed> {
    const BAD: Malformed = Malformed("a number in an extended header is not decimal or is too large");
    if value.is_empty() {
        return Err(BAD);
    }
    let sum = value.iter().try_fold(0u64, |sum, digit| match digit {
        b'0'..=b'9' => sum.checked_mul(10).and_then(|sum| sum.checked_add(u64::from(digit - b'0'))).ok_or(BAD),
        _ => Err(BAD),
    })?;
    if sum > i64::MAX as u64 { Err(BAD) } else { Ok(sum) }
}

/// Seconds with a fraction, perhaps negative, as seconds rounded down and nanoseconds.
fn time(value: &[u8]) -> Result<(i64, u32), Malformed> {
    let (negative, value) = value.strip_prefix(b"-").map_or((false, value), |value| (true, value));
    let point = value.iter().position(|byte| *byte == b'.');
    let (whole, fraction) = point.map_or((value, &b""[..]), |at| (&value[..at], &value[at + 1..]));
    let seconds = decimal(whole)?.cast_signed();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err(Malformed("a time in an extended header is not decimal"));
    }
    let nanos = (0..9).fold(0u32, |sum, at| sum * 10 + fraction.get(at).map_or(0, |digit| u32::from(digit - b'0')));
    Ok(match (negative, nanos) {
        (false, nanos) => (seconds, nanos),
        (true, 0) => (-seconds, 0),
        (true, nanos) => (-seconds - 1, 1_000_000_000 - nanos),
    })
}

fn base64(value: &[u8]) -> Result<Vec<u8>, Malformed> {
    use ::base64::Engine as _;
    use ::base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
    let config = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    let engine = GeneralPurpose::new(&::base64::alphabet::STANDARD, config);
    engine.decode(value.trim_ascii_end()).map_err(|_| Malformed("an extended attribute is not base64"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_with_newlines_do_not_lose_step() {
        let extended = parse(b"31 SCHILY.xattr.user.a=x\n5 y=z\n11 size=42\n").unwrap();
        assert_eq!(extended.xattrs, [(b"user.a".to_vec(), b"x\n5 y=z"[..].to_vec())].map(|(k, v)| (k, v)));
        assert_eq!(extended.size, Some(42));
    }

    #[test]
    fn the_last_record_wins_and_an_empty_one_takes_back() {
        let extended = parse(b"10 path=a\n10 path=b\n10 size=7\n8 size=\n").unwrap();
        assert_eq!((extended.path.as_deref(), extended.size), (Some(&b"b"[..]), None));
    }

    #[test]
    fn times() {
        assert_eq!(time(b"12.5"), Ok((12, 500_000_000)));
        assert_eq!(time(b"-1.25"), Ok((-2, 750_000_000)));
        assert_eq!(time(b"3.1234567891"), Ok((3, 123_456_789)));
        assert!(time(b"1e5").is_err());
    }

    #[test]
    fn bad_records_are_refused() {
        for bytes in [&b"9999999999999999999 a=b\n"[..], b"6 a=b", b"3 \n", b"12 size=-42\n", b"0 a=b\n", b"x a=b\n", b"6 a=bc\n"] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
        assert!(check_global(b"14 comment=abc\n").is_err(), "wrong length");
        assert!(check_global(b"15 comment=abc\n").is_ok());
        assert!(check_global(b"11 size=42\n").is_err());
    }

    #[test]
    fn attributes_without_number() {
        let of = |many: u32| {
            let record = |at| format!("26 SCHILY.xattr.{at:08}=\n");
            parse((0..many).map(record).collect::<String>().as_bytes())
        };
        assert_eq!(of(1000).unwrap().xattrs.len(), 1000);
        assert!(of(1001).is_err());
    }

    #[test]
    fn attributes_of_libarchive() {
        let extended = parse(b"34 LIBARCHIVE.xattr.user.a%3D=aGk\n").unwrap();
        assert_eq!(extended.xattrs, [(b"user.a=".to_vec(), b"hi".to_vec())]);
    }
}
