//! The cgroup that those of a pod's containers are in.

use container::cgroup::{self, Hierarchies};

use crate::config::Config;
use crate::{Engine, Error, scope};

impl Engine {
    /// Removes a cgroup that pods were given, a path or a slice as in [`PodRequest::cgroup_parent`](crate::PodRequest::cgroup_parent):
    /// the engine itself leaves it to whoever has named it. One that is not there is fine.
    ///
    /// # Errors
    /// It is no name of one; processes are in it.
    pub fn remove_cgroup(&self, parent: &str) -> Result<(), Error> {
        let path = path(parent)?;
        if scope::is_slice(&path) {
            scope::stop(&path)?;
        }
        removed(&path)
    }
}

/// The cgroup of a pod that was asked for none.
pub(super) fn own(config: &Config, id: &str) -> String {
    format!("{}/pod-{id}", config.cgroup.trim_end_matches('/'))
}

/// Removes that, if it is there.
pub(super) fn remove_own(config: &Config, id: &str) -> Result<(), Error> {
    removed(&own(config, id))
}

fn removed(path: &str) -> Result<(), Error> {
    let hierarchies = Hierarchies::detect().map_err(Error::Cgroup)?;
    cgroup::paths(&hierarchies, path).iter().try_for_each(|folder| cgroup::remove(folder)).map_err(Error::Cgroup)
}

/// Bytes of a path, and of one of its parts (limits.h).
const PATH_MAX: usize = 4096;
const NAME_MAX: usize = 255;

/// The path of a cgroup that is given as one, or as a slice of systemd: each dash of that leads one level down (systemd.slice(5)).
///
/// # Errors
/// It is neither.
pub(super) fn path(given: &str) -> Result<String, Error> {
    let invalid = |why: &str| Err(Error::Invalid { what: format!("cgroup parent {given:.300?}"), why: why.to_owned() });
    if given.len() >= PATH_MAX || given.split('/').any(|part| part.len() > NAME_MAX) {
        return invalid("it is longer than a path or a name may be");
    }
    if given.starts_with('/') {
        let parts = || given.split('/').filter(|part| !part.is_empty());
        // What is below a slice by path is one, too: its last part says all.
        return match parts().next_back() {
            _ if parts().any(|part| matches!(part, "." | "..")) => invalid("it is no path below the root"),
            None => invalid("it is the root, which is nobody's"),
            Some(last) if last.ends_with(".slice") && parts().count() == 1 => expanded(last).map_or_else(invalid, Ok),
            Some(_) => Ok(parts().fold(String::new(), |path, part| path + "/" + part)),
        };
    }
    expanded(given).map_or_else(invalid, Ok)
}

fn expanded(slice: &str) -> Result<String, &'static str> {
    let name = slice.strip_suffix(".slice").filter(|name| !name.contains('/'));
    let name = name.ok_or("it is neither an absolute path nor the name of a slice, such as kubepods-burstable.slice")?;
    if name == "-" {
        return Err("it is the root, which is nobody's");
    }
    if name.is_empty() || name.split('-').any(str::is_empty) {
        return Err("a slice's name has something before, between and behind its dashes");
    }
    let ends = name.match_indices('-').map(|(at, _)| at).chain([name.len()]);
    Ok(ends.fold(String::new(), |path, end| path + "/" + &name[..end] + ".slice"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slice_is_below_those_that_its_name_begins_with() {
        let whole = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1_2.slice";
        assert_eq!(path("kubepods-burstable-pod1_2.slice").unwrap(), whole);
        assert_eq!(path("/kubepods-burstable-pod1_2.slice").unwrap(), whole);
        assert_eq!(path(whole).unwrap(), whole);
        assert_eq!(path("a.slice").unwrap(), "/a.slice");
    }

    #[test]
    fn a_path_stays_one() {
        assert_eq!(path("/kubepods/burstable/pod1-2/").unwrap(), "/kubepods/burstable/pod1-2");
        for bad in ["", "/", "a", "a/b.slice", "/../a", "/a/./b", "-.slice", ".slice", "a--b.slice", "-a.slice", "a-.slice"] {
            assert!(path(bad).is_err(), "{bad:?}");
        }
        assert!(path(&format!("/{}", "a".repeat(256))).is_err() && path(&"/a".repeat(2100)).is_err());
    }
}
