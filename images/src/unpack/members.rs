//! The members of an archive, and what becomes of them whatever a layer is written to.

use std::io::BufRead;

use super::archive::{Archive, Member};
use super::path::{clean, show, split};
use super::{Error, Layer, Malformed, ReadError};

/// What a layer is written to.
pub(crate) trait Target {
    /// A member at `path`, which is clean, and empty only for a folder.
    fn add<R: BufRead>(&mut self, path: &[u8], member: &Member, archive: &mut Archive<R>) -> Result<(), Failed>;

    /// A whiteout: it hides `name` in the layers below and never this layer's own, wherever it stands in the archive
    /// (image-spec, layer.md, "Whiteouts").
    fn hide(&mut self, folder: &[u8], name: &[u8]) -> Result<(), Failed>;

    /// An opaque whiteout: it hides all that `folder` has in the layers below.
    fn hide_all(&mut self, folder: &[u8]) -> Result<(), Failed>;

    /// Nothing more comes after so many members.
    fn finish(self, entries: u64) -> Result<Layer, Error>;
}

/// What can go wrong with a member.
pub(crate) enum Failed {
    Call(sys::Error),
    Read(ReadError),
    Outside,
}

impl From<sys::Error> for Failed {
    fn from(error: sys::Error) -> Self {
        Failed::Call(error)
    }
}

impl From<Malformed> for Failed {
    fn from(error: Malformed) -> Self {
        Failed::Read(error.into())
    }
}

/// Writes all members of `input`, and gives it back for what follows the archive.
pub(crate) fn write<R: BufRead>(mut target: impl Target, input: R) -> Result<(Layer, R), Error> {
    let mut archive = Archive::new(input);
    let mut entries = 0;
    loop {
        let member = match archive.next() {
            Ok(Some(member)) => member,
            Ok(None) => break,
            Err(ReadError::Input(error)) => return Err(Error::Input(error)),
            Err(ReadError::Malformed(source)) => return Err(Error::Malformed { after: entries, source }),
        };
        entries += 1;
        let entry = || show(&member.path);
        let path = clean(&member.path).ok_or_else(|| Error::Outside { entry: entry() })?;
        place(&mut target, &path, &member, &mut archive).map_err(|failed| match failed {
            Failed::Call(source) => Error::Entry { entry: entry(), source },
            Failed::Read(ReadError::Input(error)) => Error::Input(error),
            Failed::Read(ReadError::Malformed(source)) => Error::Name { entry: entry(), source },
            Failed::Outside => Error::Outside { entry: format!("{} -> {}", entry(), show(&member.link)) },
        })?;
    }
    Ok((target.finish(entries)?, archive.into_input()))
}

fn place<R: BufRead>(target: &mut impl Target, path: &[u8], member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
    let (folder, name) = split(path);
    // AUFS kept books in `.wh..wh.plnk` and the like; no engine unpacks them.
    if path.split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh..wh.")) && name != b".wh..wh..opq" {
        return Ok(());
    }
    if folder.split(|byte| *byte == b'/').any(|part| part.starts_with(b".wh.")) {
        return Err(Malformed("a folder has a whiteout's name").into());
    }
    match name.strip_prefix(b".wh.") {
        Some(b".wh..opq") => target.hide_all(folder),
        Some(b"" | b"." | b"..") => Err(Malformed("a whiteout names nothing").into()),
        Some(hidden) => target.hide(folder, hidden),
        None if path.is_empty() && member.kind != super::archive::Kind::Dir => Err(Malformed("the root is not a folder").into()),
        None => target.add(path, member, archive),
    }
}
