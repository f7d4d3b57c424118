//! The terminal as /dev/console.

use std::os::fd::AsFd;
use std::path::Path;

use super::Builder;
use super::mask::clone_of;
use super::target::{Last, Want, mount_point};
use crate::Failure;
use crate::child::{attach_at, terminal};
use crate::failure::During;

impl Builder<'_> {
    pub(super) fn console(&mut self) -> Result<(), Failure> {
        let size = self.plan.process.terminal.ok_or_else(|| Failure::runtime("the process has no terminal"))?;
        let opened = terminal::open(self.root, size, self.parent)?;
        // Both by descriptor: neither /dev/pts/0 nor /dev/console is looked up again (CVE-2025-52565).
        let tree = clone_of(opened.peer.as_fd()).during(|| "copy the terminal")?;
        // A link is covered rather than followed: nothing but /dev/console is ever the console.
        let point = mount_point(self.root, Path::new("/dev/console"), Want::File, Last::Link)?;
        attach_at(tree.as_fd(), point.as_fd()).during(|| "attach it")?;
        self.terminal = Some(opened);
        Ok(())
    }
}
