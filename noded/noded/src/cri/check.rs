//! What clients may say, whatever it is about. All of it is data: nothing here is ever an option of anything.

use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};

use super::{Answer, status::invalid};

/// Bytes of all labels and annotations of one thing. The API server takes 256 KiB of annotations.
const NOTES: usize = 1 << 20;

/// Bytes of one name.
const NAME: usize = 253;

/// A name that is to be in file names and environments of others.
pub(super) fn name(what: &str, name: &str) -> Answer<()> {
    if name.is_empty() {
        return Err(invalid(format_args!("{what}: it is empty")));
    }
    if name.len() > NAME || name.chars().any(char::is_control) {
        return Err(invalid(format_args!("{what} {name:.40?}: it needs to be at most {NAME} bytes long and on one line")));
    }
    Ok(())
}

/// Labels and annotations.
pub(super) fn notes(what: &str, notes: &[&BTreeMap<String, String>]) -> Answer<()> {
    let all = notes.iter().flat_map(|notes| notes.iter());
    if notes.iter().any(|notes| notes.contains_key("")) {
        return Err(invalid(format_args!("{what}: a label or annotation has no name")));
    }
    let bytes: usize = all.map(|(key, value)| key.len() + value.len()).sum();
    if bytes > NOTES {
        return Err(invalid(format_args!("{what}: its labels and annotations have {bytes} bytes; {NOTES} are the most")));
    }
    Ok(())
}

/// An absolute path that leads only down.
pub(super) fn absolute(what: &str, path: &str) -> Answer<PathBuf> {
    let plain = Path::new(path);
    let down = plain.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    match plain.is_absolute() && down && writable(path) {
        true => Ok(plain.to_owned()),
        false => Err(invalid(format_args!("{what} {path:.300?}: it needs to be an absolute path without .."))),
    }
}

/// A relative path that leads only down.
pub(super) fn relative(what: &str, path: &str) -> Answer<PathBuf> {
    let plain = Path::new(path);
    let down = plain.components().all(|part| matches!(part, Component::Normal(_)));
    match down && writable(path) && !path.ends_with('/') {
        true => Ok(plain.to_owned()),
        false => Err(invalid(format_args!("{what} {path:.300?}: it needs to be a relative path without .."))),
    }
}

fn writable(path: &str) -> bool {
    !path.is_empty() && path.len() < 4096 && !path.chars().any(char::is_control)
}

/// The value of an enumeration of the interface.
pub(super) fn one_of<T: TryFrom<i32>>(what: &str, number: i32) -> Answer<T> {
    T::try_from(number).map_err(|_| invalid(format_args!("{what}: {number} is none of its values")))
}

/// What has to be there.
pub(super) fn there<T>(what: &str, value: Option<T>) -> Answer<T> {
    value.ok_or_else(|| invalid(format_args!("{what}: it is missing")))
}

/// The id of a pod or container, or the beginning of one.
pub(super) fn id(what: &str, id: &str) -> Answer<()> {
    match id.is_empty() {
        true => Err(invalid(format_args!("{what}: it is empty"))),
        false => Ok(()),
    }
}

/// Whether somebody can have this id: what is none names nothing.
pub(super) fn is_id(id: &str) -> bool {
    !id.is_empty() && id.len() <= 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_down() {
        for path in ["/a", "/a/b.log", "/"] {
            assert!(absolute("p", path).is_ok(), "{path}");
        }
        for path in ["", "a", "/a/../b", "..", "/a\n", "/a\0"] {
            assert!(absolute("p", path).is_err(), "{path:?}");
        }
        for path in ["a", "a/0.log"] {
            assert!(relative("p", path).is_ok(), "{path}");
        }
        for path in ["", "/a", "../a", "a/../../b", "a/", "a\r", "./a"] {
            assert!(relative("p", path).is_err(), "{path:?}");
        }
        assert!(absolute("p", &format!("/{}", "a".repeat(5000))).is_err());
    }

    #[test]
    fn notes_are_bounded() {
        let of = |value: String| BTreeMap::from([("a".to_owned(), value)]);
        assert!(notes("pod", &[&of("\n-o exec=/bin/sh".to_owned())]).is_ok());
        assert!(notes("pod", &[&of("x".repeat(NOTES))]).is_err());
        assert!(notes("pod", &[&BTreeMap::from([(String::new(), String::new())])]).is_err());
    }

    #[test]
    fn names_are_of_one_line() {
        assert!(name("n", "web-1").is_ok());
        for bad in ["", "a\nb", &"x".repeat(254)] {
            assert!(name("n", bad).is_err());
        }
    }
}
