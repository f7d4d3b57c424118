//! Trees of the host, opened before the clone.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::{FileType, PROC_SUPER_MAGIC, fstatfs, readlinkat};
use sys::Call;

use super::Builder;
use super::target::{self, Last, Want, is_proc, mount_point};
use super::walk::names;
use crate::child::attach_at;
use crate::failure::During;
use crate::{Attributes, Failure, Step};

impl Builder<'_> {
    pub(super) fn bind(&mut self, step: &Step) -> Result<(), Failure> {
        let Step::Bind { tree, target, attributes, links } = step else { return Ok(()) };
        let tree = self.table.get(*tree);
        let want = match target::kind(tree).during(|| "look at the source")? {
            FileType::Symlink if links.copy => return self.copy_link(tree, target),
            FileType::Directory => Want::Folder,
            _ => Want::File,
        };
        if is_proc(target) && fstatfs(tree).call(|| "fstatfs(source)").during(|| "look at the source")?.f_type != PROC_SUPER_MAGIC {
            return Err(Failure::runtime("only procfs may be mounted there"));
        }
        let last = if links.keep_target { Last::Link } else { Last::Followed };
        let point = mount_point(self.root, target, want, last)?;
        // Before it is attached: it never is in the container in another state than asked for. It was opened in the host's mount
        // namespace and is a peer of the host's mount until its propagation says otherwise.
        let propagation = self.propagation(attributes.propagation);
        Attributes { propagation, ..*attributes }.apply(tree).during(|| "set its attributes")?;
        attach_at(tree, point.as_fd()).during(|| "attach it")?;
        let system = names(target).eq(["proc"]) || names(target).eq(["sys"]);
        let copy = || rustix::io::fcntl_dupfd_cloexec(tree, 3).call(|| "fcntl(F_DUPFD_CLOEXEC)").during(|| "keep it");
        let system = system.then(copy).transpose()?;
        self.mounted(target, system);
        Ok(())
    }

    /// Makes the link `source` anew. What is there already must say the same.
    fn copy_link(&mut self, source: BorrowedFd<'_>, path: &Path) -> Result<(), Failure> {
        let read = |at, name: &Path| readlinkat(at, name, Vec::new()).call(|| format!("readlinkat({name:?})"));
        let content = read(source, Path::new("")).during(|| "read the source")?;
        let text = content.to_string_lossy().into_owned();
        self.symlink(&text, path)?;
        let (folder, name) = self.place(path)?;
        match read(folder.as_fd(), name).during(|| "look at what is there")? == content {
            true => Ok(()),
            false => Err(Failure::runtime(format!("another link is there, not one to {text:?}"))),
        }
    }
}
