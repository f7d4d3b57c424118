//! Where a further process of a container is accounted on v2.

use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat, openat2, readlinkat};
use sys::Call;

use crate::Failure;
use crate::failure::During;

/// The folder to be born in, where that is not the container's `own`: the one of its init, once a container has handed controllers down
/// to cgroups of its own making and so can hold no process in the top one itself (cgroups(7), "no internal processes"). Systemd and a
/// container engine inside do that.
pub(crate) fn home(own: BorrowedFd<'_>, init: BorrowedFd<'_>) -> Result<Option<OwnedFd>, Failure> {
    find(own, init).during(|| "find the cgroup of init")
}

fn find(own: BorrowedFd<'_>, init: BorrowedFd<'_>) -> sys::Result<Option<OwnedFd>> {
    if read(own, "cgroup.subtree_control")?.trim().is_empty() {
        return Ok(None);
    }
    let info = read(CWD, &format!("/proc/self/fdinfo/{}", init.as_raw_fd()))?;
    let pid = info.lines().find_map(|line| line.strip_prefix("Pid:")).map_or("", str::trim);
    let cgroups = read(CWD, &format!("/proc/{pid}/cgroup"))?;
    let link = format!("/proc/self/fd/{}", own.as_raw_fd());
    let path = readlinkat(CWD, &link, Vec::new()).call(|| format!("readlink({link:?})"))?;
    let home = cgroups.lines().find_map(|line| line.strip_prefix("0::"));
    let Some(below) = home.and_then(|home| below(&path.to_string_lossy(), home)) else { return Ok(None) };
    let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
    openat2(own, below, flags, Mode::empty(), resolve).map(Some).call(|| format!("openat2({below:?}, RESOLVE_BENEATH)"))
}

fn read(dir: BorrowedFd<'_>, path: &str) -> sys::Result<String> {
    let file = openat(dir, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).call(|| format!("openat({path:?})"))?;
    sys::fs::read_all(file, 64 << 10).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
}

/// The cgroup `home` as seen from a folder that is it or one above, which is known by where it is mounted. `None` when it is elsewhere, or
/// the folder itself.
fn below<'a>(folder: &str, home: &'a str) -> Option<&'a str> {
    let ends = home.match_indices('/').map(|(at, _)| at).chain([home.len()]);
    let whole = ends.filter(|end| *end > 0 && folder.ends_with(&home[..*end])).max()?;
    Some(home[whole..].trim_start_matches('/')).filter(|below| !below.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_knows_what_is_below_it() {
        let folder = "/sys/fs/cgroup/rctr/x";
        assert_eq!(below(folder, "/rctr/x/init.scope"), Some("init.scope"));
        assert_eq!(below(folder, "/rctr/x/a/b"), Some("a/b"));
        assert_eq!((below(folder, "/rctr/x"), below(folder, "/rctr/xy/a"), below(folder, "/")), (None, None, None));
        assert_eq!(below("/sys/fs/cgroup/x/x", "/x/x/x"), Some("x"));
    }
}
