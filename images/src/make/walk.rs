//! The upper folder of an overlay, read once, as an archive of what differs from the layers below.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{OFlags, RawDir, fstat};
use rustix::io::Errno;
use sys::Call;

use super::entry::{Broken, Counted, Failed, Packer, Reading, open_below};

/// Most bytes of a path, as in a system call.
const PATH: usize = 4095;

/// Writes the archive of `root`, to its end. Only one folder is open at a time, however deep it is.
pub(super) fn pack(root: BorrowedFd<'_>, reading: Reading, out: &mut impl Write) -> Result<Counted, Failed> {
    let mut packer = Packer::new(reading, out);
    packer.root(root).map_err(|error| error.at(b"/"))?;
    let mut folders = vec![Vec::new()];
    while let Some(path) = folders.pop() {
        let below = folder(root, &path, &mut packer).map_err(|error| error.at(&path))?;
        folders.extend(below.into_iter().rev());
    }
    packer.end()
}

/// Writes all that is in a folder, and answers the folders in it.
fn folder<W: Write>(root: BorrowedFd<'_>, path: &[u8], packer: &mut Packer<'_, W>) -> Result<Vec<Vec<u8>>, Broken> {
    let folder = open_below(root, path, OFlags::DIRECTORY)?;
    let stat = fstat(&folder).call(|| "fstat()")?;
    let mut below = Vec::new();
    for name in sorted(&folder)? {
        let child = joined(path, &name)?;
        if packer.entry(folder.as_fd(), &name, &child).map_err(|error| Broken::Known(error.at(&child)))? {
            below.push(child);
        }
    }
    packer.settle(&folder, &stat)?;
    Ok(below)
}

/// The path of what is in a folder.
///
/// # Errors
/// No system call takes one of that length.
pub(super) fn joined(folder: &[u8], name: &[u8]) -> Result<Vec<u8>, Broken> {
    let path = if folder.is_empty() { name.to_vec() } else { [folder, b"/", name].concat() };
    match path.len() {
        0..=PATH => Ok(path),
        _ => Err(Broken::Known(Failed::Call(path, sys::Error::new("openat2()", Errno::NAMETOOLONG)))),
    }
}

/// The names in a folder.
pub(super) fn sorted(folder: &OwnedFd) -> sys::Result<Vec<Vec<u8>>> {
    let mut names = Vec::new();
    let mut buffer = Vec::with_capacity(32 << 10);
    let mut entries = RawDir::new(folder, buffer.spare_capacity_mut());
    while let Some(entry) = entries.next() {
        let entry = entry.call(|| "getdents64()")?;
        let name = entry.file_name().to_bytes();
        if name != b"." && name != b".." {
            names.push(name.to_vec());
        }
    }
    names.sort_unstable();
    Ok(names)
}
