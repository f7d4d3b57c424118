//! What a container's processes find.

use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, Result};
use engine::RootFs;

/// An octal number of four digits at most.
pub(crate) fn umask(text: &str) -> Result<u32, String> {
    let digits = (1..=4).contains(&text.len()) && text.bytes().all(|digit| matches!(digit, b'0'..=b'7'));
    let mask = u32::from_str_radix(text, 8).ok().filter(|mask| digits && *mask <= 0o777);
    mask.ok_or_else(|| format!("{text:?} is no mask: give an octal number from 0 to 0777, such as 0027"))
}

/// Where the host describes time zones (tzset(3)).
const ZONES: &str = "/usr/share/zoneinfo";

/// The file that describes a time zone.
pub(crate) fn timezone(text: &str) -> Result<PathBuf, String> {
    if text == "local" {
        // What it leads to now: it may be another one tomorrow, and a container that is made stays as it is.
        return std::fs::canonicalize("/etc/localtime").map_err(|error| format!("local: read /etc/localtime: {error}"));
    }
    let plain = !text.is_empty() && Path::new(text).components().all(|part| matches!(part, Component::Normal(_)));
    let file = Path::new(ZONES).join(text);
    match plain && file.is_file() {
        true => Ok(file),
        false => Err(format!("no time zone {text:?}: there are local, and names of files in {ZONES}, such as Etc/UTC")),
    }
}

/// A folder of the host, as typed, and whether it is only read: `FOLDER[:O]`.
pub(crate) fn rootfs(text: &str) -> Result<RootFs> {
    let (path, overlay) = text.strip_suffix(":O").map_or((text, false), |path| (path, true));
    let path = std::fs::canonicalize(path).with_context(|| format!("--rootfs {text}: find the folder {path}"))?;
    Ok(RootFs { path, overlay })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn masks() {
        assert_eq!((umask("0027"), umask("22"), umask("0")), (Ok(0o27), Ok(0o22), Ok(0)));
        for text in ["", "8", "00027", "1777", "-1", "+1", "0x1"] {
            assert!(umask(text).is_err(), "{text}");
        }
    }

    #[test]
    fn time_zones_are_files_of_the_host() {
        for text in ["", "/etc/passwd", "../../../etc/passwd", "Europe", "Nowhere/Here", "."] {
            assert!(timezone(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_folder_may_be_left_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().canonicalize().unwrap();
        let of = |text: String| rootfs(&text).map(|own| (own.path, own.overlay)).map_err(|error| error.to_string());
        assert_eq!(of(path.display().to_string()), Ok((path.clone(), false)));
        assert_eq!(of(format!("{}:O", path.display())), Ok((path, true)));
        assert!(of("/nonsuch".to_owned()).unwrap_err().contains("/nonsuch"));
    }
}
