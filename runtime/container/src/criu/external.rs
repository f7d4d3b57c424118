//! What of a container is outside: trees that are bound into it, and the other ends of its standard streams. criu leaves it out of its
//! images, under names by which a restore finds it again.

use std::fs;
use std::path::{Path, PathBuf};

use launch::Step;
use rustix::fs::{Mode, OFlags};
use sys::Call;
use sys::ns::kind::USER;

use crate::{Compiled, Source};

/// Something of the host that is mounted in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Where, as the configuration says.
    pub inside: PathBuf,
    /// What it is on the host.
    pub outside: PathBuf,
}

impl Mounted {
    /// Where it really is: links on the way are those of the container, whose root is the open folder `root`. What is not there, because
    /// it is in what is mounted before, is taken as it is written.
    pub fn resolved(&self, root: &impl std::os::fd::AsFd) -> String {
        resolve(root, &self.inside).unwrap_or_else(|_| self.inside.clone()).to_string_lossy().into_owned()
    }
}

fn resolve(root: &impl std::os::fd::AsFd, path: &Path) -> sys::Result<PathBuf> {
    let place = |fd: &dyn std::os::fd::AsFd| {
        let link = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&fd.as_fd()));
        fs::read_link(&link).call(|| format!("readlink({link:?})"))
    };
    let top = place(root)?;
    for found in path.ancestors() {
        if let Ok(file) = sys::fs::open_in_root(root, found, OFlags::PATH, Mode::empty()) {
            let inside = place(&file)?;
            let inside = Path::new("/").join(inside.strip_prefix(&top).unwrap_or(&inside));
            let rest = path.strip_prefix(found).unwrap_or(Path::new(""));
            return Ok(if rest == Path::new("") { inside } else { inside.join(rest) });
        }
    }
    Ok(path.to_owned())
}

/// What of the host is mounted by a plan. `cgroup` are the folders of the container's cgroup, in the order of the hierarchies.
///
/// Masked files are not among them, other than with runc: what covers them is the container's own null device. The host's, which one would
/// name instead, could be given another mode there.
pub fn mounted(compiled: &Compiled, cgroup: &[PathBuf]) -> Vec<Mounted> {
    let plan = &compiled.plan;
    let source = |slot: &launch::Slot| match compiled.sources.get(slot.0 as usize) {
        Some(Source::Tree { path, .. }) => Some(path.clone()),
        Some(Source::CgroupTree(at)) => cgroup.get(*at).cloned(),
        _ => None,
    };
    let mapped = plan.unshare & USER != 0 || plan.join.iter().any(|(flag, _)| *flag == USER);
    let mut all = Vec::new();
    let mut add = |inside: PathBuf, outside: Option<PathBuf>| all.extend(outside.map(|outside| Mounted { inside, outside }));
    for step in &plan.steps {
        match step {
            Step::Bind { tree, target, .. } => add(target.clone(), source(tree)),
            Step::Cgroup { target, v1, .. } => v1.iter().for_each(|(name, slot)| add(target.join(name), source(slot))),
            // Where no node can be made, it is the host's.
            Step::Device { path, .. } if mapped => add(path.clone(), Some(path.clone())),
            _ => {}
        }
    }
    all
}

/// What descriptors 0 to 2 of a container's first process are, for who restores it with others in their place. A pipe of which `processes`,
/// those of the container, have both ends is nobody else's, and has no name.
pub fn streams(init: u32, processes: &[u32]) -> [String; 3] {
    [0, 1, 2].map(|number| {
        let name = link(init, &number.to_string()).unwrap_or_default();
        if name.starts_with("pipe:") && within(&name, processes) { String::new() } else { name }
    })
}

fn link(pid: u32, fd: &str) -> Option<String> {
    fs::read_link(format!("/proc/{pid}/fd/{fd}")).ok().map(|link| link.to_string_lossy().into_owned())
}

/// Whether both ends of a pipe are among the descriptors of these processes.
fn within(pipe: &str, processes: &[u32]) -> bool {
    let (mut read, mut written) = (false, false);
    for pid in processes {
        for entry in fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten() {
            let fd = entry.file_name().to_string_lossy().into_owned();
            if link(*pid, &fd).as_deref() != Some(pipe) {
                continue;
            }
            let info = fs::read_to_string(format!("/proc/{pid}/fdinfo/{fd}")).unwrap_or_default();
            // In octal, as open(2) took them (proc_pid_fdinfo(5)).
            let flags = info.lines().find_map(|line| u32::from_str_radix(line.strip_prefix("flags:")?.trim(), 8).ok());
            match flags.map(|flags| flags & 3) {
                Some(0) => read = true,
                Some(1) => written = true,
                _ => {}
            }
        }
    }
    read && written
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn links_of_the_root_are_followed_in_it() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("real/conf")).unwrap();
        symlink("/real", root.path().join("link")).unwrap();
        let folder = sys::fs::open_dir(root.path()).unwrap();
        let resolved = |inside: &str| Mounted { inside: inside.into(), outside: PathBuf::new() }.resolved(&folder);
        assert_eq!(resolved("/link/conf"), "/real/conf");
        assert_eq!(resolved("/link/conf/not/there"), "/real/conf/not/there");
        assert_eq!((resolved("/real"), resolved("/none")), ("/real".to_owned(), "/none".to_owned()));
        let host = sys::fs::open_dir("/").unwrap();
        assert_eq!(Mounted { inside: "/proc".into(), outside: PathBuf::new() }.resolved(&host), "/proc");
    }

    #[test]
    fn a_pipe_with_both_ends_inside_is_nobody_elses() {
        let me = std::process::id();
        let (reader, writer) = std::io::pipe().unwrap();
        let name = |fd: &dyn std::os::fd::AsRawFd| link(me, &fd.as_raw_fd().to_string()).unwrap();
        let both = name(&reader);
        assert!(both == name(&writer) && within(&both, &[me]));
        let mut child = std::process::Command::new("sleep").arg("60").stdin(reader).stdout(writer).spawn().unwrap();
        assert!(within(&both, &[child.id()]) && streams(child.id(), &[child.id()])[..2] == ["", ""]);
        child.kill().unwrap();
        child.wait().unwrap();
        let mut child = std::process::Command::new("sleep").arg("60").stdin(std::process::Stdio::piped()).spawn().unwrap();
        assert!(streams(child.id(), &[child.id()])[0].starts_with("pipe:["));
        child.kill().unwrap();
        child.wait().unwrap();
    }
}
