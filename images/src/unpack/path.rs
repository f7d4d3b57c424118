//! Names of members, cleaned to paths below the layer's root.

use std::collections::BTreeMap;
use std::ops::Range;

/// `path` without empty, `.` and `..` parts: relative, perhaps empty (the root itself). A leading slash means the layer's
/// root. `None` if it climbs above the root, or holds a NUL byte.
pub(crate) fn clean(path: &[u8]) -> Option<Vec<u8>> {
    if path.contains(&0) {
        return None;
    }
    let mut clean = Vec::with_capacity(path.len());
    for part in path.split(|byte| *byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." if clean.is_empty() => return None,
            b".." => clean.truncate(split(&clean).0.len()),
            _ => join(&mut clean, part),
        }
    }
    Some(clean)
}

/// Folder (perhaps empty) and name of a clean path.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|byte| *byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (b"", path),
    }
}

/// Appends a part.
pub(crate) fn join(path: &mut Vec<u8>, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

/// Where all paths below `folder`, which is not the root, are among paths in order.
pub(crate) fn below(folder: &[u8]) -> Range<Vec<u8>> {
    // The byte after a slash is the first that no path below begins with.
    [folder, b"/"].concat()..[folder, b"0"].concat()
}

/// Removes what a map has at `path` and below it.
pub(crate) fn remove_within<T>(map: &mut BTreeMap<Vec<u8>, T>, path: &[u8]) {
    map.remove(path);
    let gone: Vec<_> = map.range(below(path)).map(|(path, _)| path.clone()).collect();
    gone.iter().for_each(|path| drop(map.remove(path)));
}

/// For messages.
pub(crate) fn show(path: &[u8]) -> String {
    const MOST: usize = 200;
    let text = path[..path.len().min(MOST)].escape_ascii().to_string();
    if path.len() > MOST { text + "…" } else { text }
}

/// A path as text, for records: `%` and what is not printable ASCII as `%XX`.
pub(crate) fn escape(path: &[u8]) -> String {
    path.iter().fold(String::with_capacity(path.len()), |mut text, byte| {
        match byte {
            b'%' | ..=b' ' | 0x7f.. => text.push_str(&format!("%{byte:02x}")),
            _ => text.push(char::from(*byte)),
        }
        text
    })
}

/// The path behind [`escape`]d text; a `%` that begins no escape stands for itself.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let hex = |byte: Option<&u8>| byte.and_then(|byte| char::from(*byte).to_digit(16));
    let text = text.as_bytes();
    let mut path = Vec::with_capacity(text.len());
    let mut at = 0;
    while at < text.len() {
        match (text[at], hex(text.get(at + 1)), hex(text.get(at + 2))) {
            (b'%', Some(high), Some(low)) => {
                path.push((high * 16 + low) as u8);
                at += 3;
            }
            (byte, ..) => {
                path.push(byte);
                at += 1;
            }
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cleans() {
        for (path, expected) in [
            ("a/b", "a/b"),
            ("./a//b/", "a/b"),
            ("/etc/passwd", "etc/passwd"),
            ("a/../b", "b"),
            (".", ""),
            ("/", ""),
            ("a/b/..", "a"),
        ] {
            assert_eq!(clean(path.as_bytes()).as_deref(), Some(expected.as_bytes()), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/..", "a\0b"] {
            assert_eq!(clean(path.as_bytes()), None, "{path}");
        }
    }

    #[test]
    fn any_path_survives_as_text() {
        let path: Vec<u8> = (1..=255).collect();
        assert_eq!(unescape(&escape(&path)), path);
        assert_eq!(unescape("user.a%3Db%"), b"user.a=b%");
    }

    #[test]
    fn a_longer_name_is_not_below() {
        let all = ["a", "a!", "a-b", "a.b/c", "a/b", "a/b/c", "a0", "ab", "b"];
        let mut map: BTreeMap<Vec<u8>, ()> = all.iter().map(|path| (path.as_bytes().to_vec(), ())).collect();
        remove_within(&mut map, b"a");
        let left: Vec<_> = map.keys().map(|path| String::from_utf8_lossy(path)).collect();
        assert_eq!(left, ["a!", "a-b", "a.b/c", "a0", "ab", "b"]);
    }
}
