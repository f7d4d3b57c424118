//! Names of members, cleaned to paths below the layer's root.

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

/// Whether `path` is `folder` or lies below it.
pub(crate) fn within(path: &[u8], folder: &[u8]) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || folder.is_empty() || rest[0] == b'/')
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
        assert!(within(b"a/b", b"a") && within(b"a", b"a") && within(b"a", b""));
        assert!(!within(b"ab", b"a") && !within(b"a", b"a/b"));
    }
}
