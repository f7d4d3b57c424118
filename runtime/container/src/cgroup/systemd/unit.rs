//! Names of units.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::super::Error;

/// The scope of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unit {
    /// The slice it is in; its name is its place: `a-b.slice` is in `a.slice`.
    pub slice: String,
    /// Its name, which ends in `.scope`.
    pub name: String,
    /// The runtime folder of the user whose manager it belongs to; the system's if there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<PathBuf>,
}

impl Unit {
    /// What a configuration asks for: `linux.cgroupsPath` is `SLICE:PREFIX:NAME`, each of which may be empty, as with runc. Without it the
    /// scope is called after the container and is in `system.slice`, or in the user's `user.slice`.
    ///
    /// # Errors
    /// [`Error::Path`].
    pub fn new(path: Option<&str>, prefix: &str, id: &str, user: Option<PathBuf>) -> Result<Unit, Error> {
        let usual = if user.is_some() { "user.slice" } else { "system.slice" };
        let (slice, prefix, name) = match path.filter(|path| !path.is_empty()) {
            None => ("", prefix, id),
            Some(path) => match path.split(':').collect::<Vec<_>>()[..] {
                [slice, prefix, name] => (slice, prefix, name),
                _ => return Err(bad(path, "with systemd it has the form slice:prefix:name")),
            },
        };
        if name.is_empty() || name.contains('/') || prefix.contains('/') {
            return Err(bad(path.unwrap_or_default(), "the name of a scope is not empty and has no slash"));
        }
        if name.ends_with(".slice") {
            return Err(bad(path.unwrap_or_default(), "a container is a scope, as no process can be in a slice itself"));
        }
        let slice = if slice.is_empty() { usual } else { slice };
        let dashed = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}-{name}") };
        let unit = Unit { slice: slice.to_owned(), name: format!("{}.scope", escape(&dashed)), user };
        unit.path()?;
        // unit-name.c: UNIT_NAME_MAX.
        if unit.name.len() > 255 { Err(bad(&unit.name, "a unit's name has at most 255 bytes")) } else { Ok(unit) }
    }

    /// Where its cgroup should be, below that of its manager.
    ///
    /// # Errors
    /// [`Error::Path`] for a slice that cannot be.
    pub fn path(&self) -> Result<String, Error> {
        let Some(slice) = self.slice.strip_suffix(".slice").filter(|slice| !slice.contains('/')) else {
            return Err(bad(&self.slice, "a slice is a name that ends in .slice"));
        };
        if slice == "-" {
            return Ok(format!("/{}", self.name));
        }
        let mut path = String::new();
        for (at, _) in slice.match_indices('-').chain([(slice.len(), "")]) {
            if at == 0 || slice[..at].ends_with('-') {
                return Err(bad(&self.slice, "no part of a slice's name is empty"));
            }
            path.push_str(&format!("/{}.slice", &slice[..at]));
        }
        Ok(format!("{path}/{}", self.name))
    }
}

fn bad(path: &str, why: &'static str) -> Error {
    Error::Path { path: path.to_owned(), why }
}

/// Writes what no unit's name may contain as systemd does (systemd.unit(5), "String Escaping for Inclusion in Unit Names").
fn escape(name: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b":_.-@\\".contains(&byte);
    name.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(path: Option<&str>) -> Result<(String, String), String> {
        let unit = Unit::new(path, "rctr-oci", "id", None).map_err(|error| error.to_string())?;
        Ok((unit.path().unwrap(), unit.name))
    }

    #[test]
    fn a_path_has_three_parts() {
        let at = |path| unit(path).unwrap().0;
        assert_eq!(at(None), "/system.slice/rctr-oci-id.scope");
        assert_eq!(at(Some("")), "/system.slice/rctr-oci-id.scope");
        assert_eq!(at(Some("a-b-c.slice:pre:name")), "/a.slice/a-b.slice/a-b-c.slice/pre-name.scope");
        assert_eq!(at(Some("::name")), "/system.slice/name.scope");
        assert_eq!(at(Some("-.slice:x:y")), "/x-y.scope");
        assert_eq!(at(Some(":x:a+b")), "/system.slice/x-a\\x2bb.scope");
        let user = Unit::new(None, "p", "id", Some("/run/user/5".into())).unwrap();
        assert_eq!(user.path().unwrap(), "/user.slice/p-id.scope");
    }

    #[test]
    fn others_are_refused() {
        for path in [
            "/a/b",
            "a:b",
            "a:b:c:d",
            "a:b:c",
            ".slice:a:b",
            "a--b.slice:x:y",
            "-a.slice:x:y",
            "a-.slice:x:y",
            "a/b.slice:x:y",
            "a.slice::",
            "a.slice:x:y/z",
            "a.slice:x:y.slice",
        ] {
            assert!(unit(Some(path)).unwrap_err().starts_with("cgroup path "), "{path}");
        }
        let long = format!(":x:{}", "y".repeat(300));
        assert!(unit(Some(&long)).unwrap_err().ends_with("at most 255 bytes"));
    }
}
