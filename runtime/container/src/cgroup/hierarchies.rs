//! Where cgroups are mounted: v2, v1 or both (hybrid).

use std::path::{Path, PathBuf};

use rustix::fs::CWD;
use sys::Call;

use super::{Error, Folder};

/// Magic number of a cgroup2 file system (statfs(2)).
const CGROUP2_SUPER_MAGIC: i64 = 0x6367_7270;
/// Where cgroups are mounted by nearly everybody.
const USUAL: &str = "/sys/fs/cgroup";
/// mountinfo grows with the host's mounts: 4 MiB are about 20 000 of them.
const MOUNTINFO_LIMIT: usize = 4 << 20;
/// v1 controllers that have something to do with containers. Others, and named hierarchies but systemd's, belong to somebody
/// else; a container stays there where its maker is.
const CONTROLLERS: [&str; 15] = [
    "cpu",
    "cpuacct",
    "cpuset",
    "memory",
    "devices",
    "freezer",
    "blkio",
    "pids",
    "hugetlb",
    "net_cls",
    "net_prio",
    "perf_event",
    "rdma",
    "misc",
    SYSTEMD,
];
/// The hierarchy that systemd tracks its services in, on a host with v1.
pub(super) const SYSTEMD: &str = "name=systemd";

/// How a host mounts its cgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One cgroup2 file system.
    V2,
    /// A v1 hierarchy per controller.
    V1,
    /// v1 hierarchies with the controllers, and a cgroup2 file system beside them.
    Hybrid,
}

/// One mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hierarchy {
    /// Where it is mounted.
    pub(crate) mount: PathBuf,
    /// v1: its controllers. v2: empty, each folder says which it has.
    pub(crate) controllers: Vec<String>,
    /// A cgroup2 file system.
    pub(crate) v2: bool,
}

/// The mounted hierarchies, in the order in which [`create`](super::create) makes its folders: v1 ones as mounted, v2 last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchies {
    all: Vec<Hierarchy>,
}

impl Hierarchies {
    /// Looks where cgroups are mounted: one system call on a host with v2 at the usual place, else mountinfo is read.
    ///
    /// # Errors
    /// [`Error::NotMounted`] says what to do about it.
    pub fn detect() -> Result<Self, Error> {
        if rustix::fs::statfs(USUAL).is_ok_and(|fs| fs.f_type == CGROUP2_SUPER_MAGIC) {
            return Ok(Hierarchies { all: vec![Hierarchy::v2(USUAL)] });
        }
        let path = "/proc/self/mountinfo";
        let file = rustix::fs::openat(CWD, path, rustix::fs::OFlags::CLOEXEC, rustix::fs::Mode::empty())
            .call(|| format!("open({path:?})"))
            .and_then(|file| sys::fs::read_all(file, MOUNTINFO_LIMIT))
            .map_err(|source| Error::Read { path: path.into(), source })?;
        Self::parse(&String::from_utf8_lossy(&file))
    }

    /// What a mountinfo file says (proc_pid_mountinfo(5)).
    ///
    /// # Errors
    /// [`Error::NotMounted`].
    pub fn parse(mountinfo: &str) -> Result<Self, Error> {
        let mut all: Vec<Hierarchy> = Vec::new();
        let mut unified = None;
        for line in mountinfo.lines() {
            match parse_line(line) {
                Some(hierarchy) if hierarchy.v2 => unified = unified.or(Some(hierarchy)),
                // A hierarchy may be mounted twice, as in a container that sees the host's, too. The first is the usual one.
                Some(hierarchy) if !all.iter().any(|known| known.controllers == hierarchy.controllers) => all.push(hierarchy),
                _ => {}
            }
        }
        all.extend(unified);
        if all.is_empty() { Err(Error::NotMounted) } else { Ok(Hierarchies { all }) }
    }

    /// None at all: a container whose maker may use none is in whatever cgroups its maker is in.
    pub fn none() -> Self {
        Hierarchies { all: Vec::new() }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Only those in which `has` says that there is the folder of the cgroup `path`; perhaps none.
    pub fn only(mut self, path: &str, has: impl Fn(&Path) -> bool) -> Self {
        self.all.retain(|hierarchy| has(&hierarchy.folder(path)));
        self
    }

    /// How this host mounts its cgroups.
    pub fn kind(&self) -> Kind {
        match (self.all.first().is_some_and(|first| first.v2), self.all.last().is_some_and(|last| last.v2)) {
            (true, _) => Kind::V2,
            (false, true) => Kind::Hybrid,
            (false, false) => Kind::V1,
        }
    }

    /// All of them, in order.
    pub(crate) fn all(&self) -> &[Hierarchy] {
        &self.all
    }

    /// Index of the cgroup2 file system.
    pub(crate) fn unified(&self) -> Option<usize> {
        self.all.iter().position(|hierarchy| hierarchy.v2)
    }

    /// Index of the v1 hierarchy with this controller.
    pub(crate) fn v1(&self, controller: &str) -> Option<usize> {
        self.all.iter().position(|hierarchy| hierarchy.controllers.iter().any(|own| own == controller))
    }
}

impl Hierarchy {
    fn v2(mount: impl Into<PathBuf>) -> Self {
        Hierarchy { mount: mount.into(), controllers: Vec::new(), v2: true }
    }

    /// The name by which a container sees this hierarchy: `memory`, `cpu,cpuacct`, `systemd`.
    pub(crate) fn name(&self) -> String {
        self.mount.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Folder of the cgroup `path` (absolute, clean).
    pub(crate) fn folder(&self, path: &str) -> PathBuf {
        self.mount.join(path.trim_start_matches('/'))
    }

    /// The folder of the cgroup `path`, opened.
    pub(crate) fn open(&self, path: &str) -> Result<Folder, Error> {
        let path = self.folder(path);
        let fd = sys::fs::open_dir(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        Ok(Folder { path, fd, v2: self.v2, controllers: self.controllers.clone() })
    }
}

/// A line of mountinfo, if it is about a hierarchy that concerns containers.
///
/// ```text
/// 35 31 0:32 / /sys/fs/cgroup/memory rw,relatime shared:9 - cgroup cgroup rw,memory
/// ```
fn parse_line(line: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut filesystem = filesystem.split(' ');
    let kind = filesystem.next()?;
    let mount = mount.split(' ').nth(4)?;
    match kind {
        "cgroup2" => Some(Hierarchy::v2(unescape(mount))),
        "cgroup" => {
            let options = filesystem.nth(1)?;
            let controllers: Vec<String> =
                options.split(',').filter(|option| CONTROLLERS.contains(option)).map(str::to_owned).collect();
            let known = !controllers.is_empty();
            known.then(|| Hierarchy { mount: unescape(mount), controllers, v2: false })
        }
        _ => None,
    }
}

/// Undoes the octal escapes of blanks and backslashes in mountinfo.
fn unescape(path: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = path.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let octal = path.get(at + 1..at + 4).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (bytes[at], octal) {
            (b'\\', Some(byte)) => {
                plain.push(byte);
                at += 4;
            }
            (byte, _) => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(plain))
}

/// The folders that [`create`](super::create) makes for `path`, to find and remove what a killed process left. Deepest
/// components only; the folders above stay.
pub fn paths(hierarchies: &Hierarchies, path: &str) -> Vec<PathBuf> {
    hierarchies.all().iter().map(|hierarchy| hierarchy.folder(path)).collect()
}

/// Checks and cleans a cgroup path: absolute, below the root, without `..`.
pub(super) fn clean(path: &str) -> Result<String, Error> {
    let bad = |why| Error::Path { path: path.to_owned(), why };
    if !path.starts_with('/') {
        return Err(bad("it must begin with a slash"));
    }
    let mut clean = String::new();
    for part in Path::new(path).components().skip(1) {
        match part.as_os_str().to_str() {
            Some("..") | None => return Err(bad("it must not contain ..")),
            Some(name) if name.contains(['\n', '\0']) => return Err(bad("it must not contain line ends")),
            Some(name) => {
                clean.push('/');
                clean.push_str(name);
            }
        }
    }
    if clean.is_empty() { Err(bad("it must name a cgroup below the root")) } else { Ok(clean) }
}

#[cfg(test)]
#[path = "hierarchies_tests.rs"]
mod tests;
