//! What may be remembered of a layer until its end. A few bytes of an archive can ask for much of it: one name with many parts is the path
//! of many folders, each as long as all above it.

use super::Malformed;

/// Most bytes of names and targets of links into the layers below.
const FOREIGN: usize = 16 << 20;

/// Most bytes of the paths of folders that no member describes. They are kept with the layer.
const IMPLICIT: usize = 32 << 20;

/// Most bytes of paths and attributes of folders in a tree: as many as an image's names may have (`crate::erofs`).
const FOLDERS: usize = 256 << 20;

/// Bytes that a map or set needs for an entry.
const ENTRY: usize = 48;

/// Adds up what links into the layers below take.
#[derive(Debug, Default)]
pub(crate) struct Foreign(usize);

impl Foreign {
    pub(crate) fn take(&mut self, path: &[u8], target: &[u8]) -> Result<(), Malformed> {
        self.0 = self.0.saturating_add(path.len() + target.len());
        if self.0 > FOREIGN { Err(Malformed("too many hard links lead to the layers below")) } else { Ok(()) }
    }
}

/// Checks the bytes of all paths of folders that no member describes.
pub(crate) fn implicit(bytes: usize) -> Result<(), Malformed> {
    match bytes > IMPLICIT {
        true => Err(Malformed("the paths of folders that it does not describe take more than 32 MiB")),
        false => Ok(()),
    }
}

/// Adds up what folders of a tree take.
#[derive(Debug, Default)]
pub(super) struct Folders(usize);

impl Folders {
    pub(super) fn take(&mut self, bytes: usize) -> Result<(), Malformed> {
        self.0 = self.0.saturating_add(bytes + ENTRY);
        if self.0 > FOLDERS { Err(Malformed("the layer's folders take more than 256 MiB")) } else { Ok(()) }
    }
}
