//! What the mounts of a plan are mounted on, for a program that mounts by itself what is in its images, but makes no folder for it.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use rustix::fs::FileType;

use super::target::{self, Last, Want, mount_point};
use crate::child::attach_at;
use crate::create::Table;
use crate::failure::During;
use crate::{Failure, Plan, Step};

/// Makes it in the attached `root`. Trees are attached meanwhile: what is mounted below them needs its place in them. What is below a new
/// file system comes with that one's content.
pub(crate) fn points(plan: &Plan, table: &Table<'_>, root: BorrowedFd<'_>) -> Result<(), Failure> {
    let mut new: Vec<&Path> = Vec::new();
    for step in &plan.steps {
        let target = step.place();
        if new.iter().any(|above| target.starts_with(above)) {
            continue;
        }
        match step {
            Step::Bind { tree, links, .. } => {
                let tree = table.get(*tree);
                let want = match target::kind(tree).during(|| "look at the source")? {
                    FileType::Symlink if links.copy => continue,
                    FileType::Directory => Want::Folder,
                    _ => Want::File,
                };
                let last = if links.keep_target { Last::Link } else { Last::Followed };
                mount_point(root, target, want, last)
                    .and_then(|point| attach_at(tree, point.as_fd()).during(|| "attach it"))
                    .during(|| format!("mount point {target:?}"))?;
            }
            Step::Mount { kind, .. } => {
                let system = matches!(kind.as_str(), "proc" | "sysfs");
                let last = if system { Last::Refused } else { Last::Followed };
                mount_point(root, target, Want::Folder, last).during(|| format!("mount point {target:?}"))?;
                new.push(target);
            }
            _ => {}
        }
    }
    Ok(())
}
