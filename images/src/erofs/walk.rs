//! Paths are followed the way a process in the container would: symbolic links with the layer as root.

use rustix::fs::FileType;

use super::names::{Names, ROOT};
use crate::unpack::Malformed;

/// As many symbolic links as the kernel follows.
const LINKS: usize = 40;

/// The folder that was found last: an archive visits one after the other.
#[derive(Default)]
pub(super) struct Last(Option<(Vec<u8>, u32)>);

impl Last {
    /// Something was removed, and paths may lead elsewhere now.
    pub(super) fn forget(&mut self) {
        self.0 = None;
    }
}

/// The folder `path`, if it is there.
pub(super) fn find(names: &Names, path: &[u8], last: &mut Last) -> Result<Option<u32>, Malformed> {
    if let Some((known, folder)) = &last.0
        && known == path
    {
        return Ok(Some(*folder));
    }
    let mut walk = Walk::new(path);
    let found = loop {
        match walk.step(names)? {
            Step::Folder => {}
            Step::End => break Some(walk.here),
            Step::Missing(_) | Step::Whiteout(..) | Step::File => break None,
        }
    };
    last.0 = found.map(|folder| (path.to_vec(), folder)).or(last.0.take());
    Ok(found)
}

/// The folder `path`, which is made if there is none, also behind symbolic links whose targets are yet to come (a layer may hold
/// `bin -> usr/bin` and `bin/x`).
pub(super) fn make(names: &mut Names, path: &[u8], last: &mut Last) -> Result<u32, Malformed> {
    if let Some(folder) = find(names, path, last)? {
        return Ok(folder);
    }
    let mut walk = Walk::new(path);
    let folder = loop {
        walk.here = match walk.step(names)? {
            Step::Folder => continue,
            Step::End => break walk.here,
            Step::Missing(name) => names.add_folder(walk.here, &name)?,
            Step::Whiteout(at, name) => replace_whiteout(names, at, walk.here, &name)?,
            Step::File => return Err(Malformed("a folder has the name of a file")),
        };
    };
    last.0 = Some((path.to_vec(), folder));
    Ok(folder)
}

/// A folder that hides what is below it, in place of a whiteout.
pub(super) fn replace_whiteout(names: &mut Names, whiteout: u32, parent: u32, name: &[u8]) -> Result<u32, Malformed> {
    names.remove(whiteout);
    let folder = names.add_folder(parent, name)?;
    let new = &mut names.folders[folder as usize];
    // What the layers below say of it is hidden as well.
    (new.opaque, new.implicit) = (true, false);
    Ok(folder)
}

/// Whether a name is a whiteout. All of a layer share one inode, and their names alone have this type and no place.
pub(super) fn is_whiteout(names: &Names, at: u32) -> bool {
    let entry = &names.entries[at as usize];
    names.kind(entry) == FileType::CharacterDevice && entry.target == 0
}

struct Walk {
    here: u32,
    /// Last part first.
    todo: Vec<Vec<u8>>,
    links: usize,
}

enum Step {
    Folder,
    End,
    Missing(Vec<u8>),
    Whiteout(u32, Vec<u8>),
    File,
}

impl Walk {
    fn new(path: &[u8]) -> Self {
        Walk { here: ROOT, todo: parts(path), links: 0 }
    }

    fn step(&mut self, names: &Names) -> Result<Step, Malformed> {
        let Some(part) = self.todo.pop() else { return Ok(Step::End) };
        if part == b".." {
            self.here = names.folders[self.here as usize].parent;
            return Ok(Step::Folder);
        }
        let Some(at) = names.find(self.here, &part) else { return Ok(Step::Missing(part)) };
        let entry = names.entries[at as usize];
        match names.kind(&entry) {
            FileType::Directory => self.here = entry.target as u32,
            FileType::Symlink => {
                self.links += 1;
                if self.links > LINKS {
                    return Err(Malformed("a path leads through too many symbolic links"));
                }
                let target = names.link(&entry);
                if target.starts_with(b"/") {
                    self.here = ROOT;
                }
                self.todo.extend(parts(target));
            }
            _ if is_whiteout(names, at) => return Ok(Step::Whiteout(at, part)),
            _ => return Ok(Step::File),
        }
        Ok(Step::Folder)
    }
}

/// The parts of a path, last one first.
fn parts(path: &[u8]) -> Vec<Vec<u8>> {
    let parts = path.split(|byte| *byte == b'/').filter(|part| !part.is_empty() && *part != b".");
    parts.rev().map(<[u8]>::to_vec).collect()
}
