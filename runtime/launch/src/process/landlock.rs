//! Landlock rules: paths are opened in the container, by its own root user.

use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use sys::Call;
use sys::landlock::{Handled, Ruleset};

use crate::Landlock;

/// The rights that a file can have: execute, write, read, truncate, ioctl of devices (landlock(7)).
const OF_FILES: u64 = 1 | 1 << 1 | 1 << 2 | 1 << 14 | 1 << 15;

/// Restricts the caller for good.
pub(super) fn restrict(rules: &Landlock) -> sys::Result<()> {
    let ruleset = Ruleset::new(&Handled { fs: rules.fs, net: rules.net, scoped: rules.scoped })?;
    for (path, access) in &rules.paths {
        allow(&ruleset, path, *access)?;
    }
    for (port, access) in &rules.ports {
        ruleset.allow_port(*port, *access)?;
    }
    ruleset.restrict_self()
}

fn allow(ruleset: &Ruleset, path: &Path, access: u64) -> sys::Result<()> {
    let flags = OFlags::PATH | OFlags::CLOEXEC;
    // Links of the image are fine: they end in the container. Those of procfs need not.
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_MAGICLINKS)
        .call(|| format!("openat2({path:?}, O_PATH, RESOLVE_NO_MAGICLINKS)"))?;
    let folder = FileType::from_raw_mode(fstat(&file).call(|| format!("fstat({path:?})"))?.st_mode) == FileType::Directory;
    match if folder { access } else { access & OF_FILES } {
        0 => Ok(()),
        access => ruleset.allow_path(file, access),
    }
}
