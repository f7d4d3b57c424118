//! SELinux labels of folders.

use std::path::Path;

use rustix::fs::{Mode, OFlags, XattrFlags, fsetxattr};
use sys::Call;

use super::Builder;
use crate::Failure;
use crate::failure::During;

impl Builder<'_> {
    pub(super) fn label(&self, path: &Path, label: &str) -> Result<(), Failure> {
        let folder =
            sys::fs::open_in_root(self.root, path, OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).during(|| "open it")?;
        fsetxattr(folder, "security.selinux", label.as_bytes(), XattrFlags::empty())
            .call(|| format!("fsetxattr(\"security.selinux\", {label:?})"))
            .during(|| "set it")
    }
}
