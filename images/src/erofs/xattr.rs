//! Extended attributes behind an inode.

use crate::unpack::Malformed;
use crate::unpack::is_wanted_xattr;

/// Bytes in front of an inode's attributes.
pub(super) const HEADER: usize = 12;

/// Most bytes of all attributes of one inode. Linux gives out names and values of 64 KiB at most.
const LIMIT: usize = 128 << 10;

/// Namespaces by number; what is in none of them cannot be stored.
const PREFIXES: [(&[u8], u8); 5] =
    [(b"user.", 1), (b"system.posix_acl_access", 2), (b"system.posix_acl_default", 3), (b"trusted.", 4), (b"security.", 6)];

/// What attributes may be on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Of {
    Folder,
    File,
    /// Links, devices and pipes: no attributes of users, no access lists on links (xattr(7)).
    Other,
}

/// The attributes as they are stored. Left out are those which the file systems of a host refuse as well, and those that would steer
/// overlayfs.
pub(super) fn encode(xattrs: &[(Vec<u8>, Vec<u8>)], of: Of) -> Result<Box<[u8]>, Malformed> {
    let mut out = Vec::new();
    for (name, value) in xattrs.iter().filter(|(name, _)| is_wanted_xattr(name)) {
        let Some((prefix, index)) = PREFIXES.iter().find(|(prefix, _)| name.starts_with(prefix)) else { continue };
        let rest = &name[prefix.len()..];
        let list = matches!(index, 2 | 3);
        if list != rest.is_empty() || (of == Of::Other && *index == 1) || (*index == 3 && of != Of::Folder) {
            continue;
        }
        if list {
            check_list(value)?;
        }
        push(&mut out, *index, rest, value)?;
    }
    Ok(out.into())
}

/// Marks a folder so that nothing of the layers below shows in it.
pub(super) fn opaque(xattrs: &[u8]) -> Box<[u8]> {
    let mut out = xattrs.to_vec();
    // Neither name nor value is too long.
    let _ = push(&mut out, 4, b"overlay.opaque", b"y");
    out.into()
}

/// The attributes without that mark, and whether it was there. Nothing if they are damaged.
pub(super) fn split_opaque(xattrs: &[u8]) -> Option<(Box<[u8]>, bool)> {
    let mark = opaque(b"");
    let (mut rest, mut other) = (xattrs, Vec::new());
    while !rest.is_empty() {
        let (&name, value) = (rest.first()?, rest.get(2..4)?);
        let length = 4 + usize::from(name) + usize::from(u16::from_le_bytes([value[0], value[1]]));
        let entry = rest.get(..length.next_multiple_of(4))?;
        if *entry != *mark {
            other.extend_from_slice(entry);
        }
        rest = &rest[entry.len()..];
    }
    let found = other.len() < xattrs.len();
    Some((other.into(), found))
}

fn push(out: &mut Vec<u8>, index: u8, name: &[u8], value: &[u8]) -> Result<(), Malformed> {
    let (Ok(name_length), Ok(value_length)) = (u8::try_from(name.len()), u16::try_from(value.len())) else {
        return Err(Malformed("an extended attribute is too long"));
    };
    out.extend_from_slice(&[name_length, index]);
    out.extend_from_slice(&value_length.to_le_bytes());
    out.extend_from_slice(name);
    out.extend_from_slice(value);
    out.resize(out.len().next_multiple_of(4), 0);
    if out.len() > LIMIT { Err(Malformed("the extended attributes are too long")) } else { Ok(()) }
}

/// The attributes' size as an inode tells it.
pub(super) fn units(xattrs: &[u8]) -> u16 {
    // At most LIMIT / 4 + 1.
    if xattrs.is_empty() { 0 } else { (xattrs.len() / 4 + 1) as u16 }
}

/// Bytes behind the inode that `units` stand for.
pub(super) fn size(units: u16) -> usize {
    if units == 0 { 0 } else { HEADER + (usize::from(units) - 1) * 4 }
}

/// An access list that the kernel could not read would lock everybody out (`struct posix_acl_xattr_header`).
fn check_list(value: &[u8]) -> Result<(), Malformed> {
    if value.len() >= 4 && value[..4] == 2u32.to_le_bytes() && (value.len() - 4).is_multiple_of(8) {
        return Ok(());
    }
    Err(Malformed("an access list is malformed"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(name: &str, value: &[u8]) -> (Vec<u8>, Vec<u8>) {
        (name.as_bytes().to_vec(), value.to_vec())
    }

    #[test]
    fn stored_by_namespace_and_padded() {
        let bytes = encode(&[pair("user.a", b"xyz"), pair("security.capability", b"")], Of::File).unwrap();
        assert_eq!(&bytes[..8], b"\x01\x01\x03\0axyz");
        assert_eq!(&bytes[8..], b"\x0a\x06\0\0capability\0\0");
        assert_eq!(size(units(&bytes)), HEADER + bytes.len());
    }

    #[test]
    fn what_nobody_may_set_is_left_out() {
        let all = [
            pair("user.a", b"1"),
            pair("trusted.overlay.redirect", b"/"),
            pair("other.x", b"1"),
            pair("system.posix_acl_default", &[2, 0, 0, 0]),
        ];
        assert!(encode(&all, Of::Other).unwrap().is_empty());
        assert_eq!(encode(&all, Of::File).unwrap().len(), 8);
        assert_eq!(encode(&all, Of::Folder).unwrap().len(), 16);
    }

    #[test]
    fn the_mark_comes_and_goes() {
        let some = encode(&[pair("user.a", b"xyz"), pair("user.b", b"")], Of::Folder).unwrap();
        let marked = opaque(&some);
        assert_eq!(split_opaque(&marked), Some((some.clone(), true)));
        assert_eq!(split_opaque(&some), Some((some, false)));
        assert_eq!(split_opaque(&marked[..marked.len() - 4]), None);
    }

    #[test]
    fn floods_are_refused() {
        let name = "user.".to_owned() + &"n".repeat(256);
        assert!(encode(&[pair(&name, b"")], Of::File).is_err());
        assert!(encode(&[pair("user.a", &[0; 65536])], Of::File).is_err());
        let many: Vec<_> = (0..3).map(|at| pair(&format!("user.{at}"), &[1; 65535])).collect();
        assert!(encode(&many[..1], Of::File).is_ok() && encode(&many, Of::File).is_err());
        assert!(encode(&[pair("system.posix_acl_access", b"12345")], Of::File).is_err());
    }
}
