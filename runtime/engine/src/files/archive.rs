//! Items from and to tar archives.

use std::io::{self, Read, Write as _};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{FileType, major, makedev, minor};
use tar::{Archive, Builder, Entry, EntryType, Header};

use super::item::{Item, Kind, Sink, broken};
use super::walk::os;
use crate::Error;
use crate::error::During;

/// The record of an extended header with a file's capabilities.
const CAPABILITY: &str = "SCHILY.xattr.security.capability";

/// Files that have no size until they are read, such as those of procfs, are read up to this.
const UNSIZED: u64 = 64 << 20;

/// An archive that is written.
pub(super) struct Packed<'a> {
    tar: Builder<&'a mut dyn io::Write>,
}

impl<'a> Packed<'a> {
    pub(super) fn new(out: &'a mut dyn io::Write) -> Self {
        Packed { tar: Builder::new(out) }
    }

    fn write(&mut self, item: &Item, bytes: &mut dyn Read) -> io::Result<()> {
        let path = match item.path.as_os_str().is_empty() {
            true => PathBuf::from("./"),
            false => item.path.clone(),
        };
        if let Some(capability) = &item.capability {
            self.tar.append_pax_extensions([(CAPABILITY, capability.as_slice())])?;
        }
        let mut header = Header::new_gnu();
        header.set_mode(item.mode);
        header.set_uid(item.uid.into());
        header.set_gid(item.gid.into());
        header.set_mtime(u64::try_from(item.mtime.0).unwrap_or_default());
        header.set_size(0);
        match &item.kind {
            Kind::File(0) => {
                // It may be one of the kernel's.
                let mut content = Vec::new();
                bytes.take(UNSIZED).read_to_end(&mut content)?;
                header.set_size(content.len() as u64);
                header.set_entry_type(EntryType::Regular);
                self.tar.append_data(&mut header, path, &*content)
            }
            Kind::File(size) => {
                header.set_size(*size);
                header.set_entry_type(EntryType::Regular);
                // Just so many bytes as the header says, whatever becomes of the file meanwhile.
                self.tar.append_data(&mut header, path, bytes.chain(io::repeat(0)).take(*size))
            }
            Kind::Folder => {
                header.set_entry_type(EntryType::Directory);
                let path = if path.as_os_str().as_bytes().ends_with(b"/") { path } else { path.join("") };
                self.tar.append_data(&mut header, path, io::empty())
            }
            Kind::Link(content) => {
                header.set_entry_type(EntryType::Symlink);
                // As it is: the crate takes double slashes and dots away, wherever there is room in the header.
                match content.len() < 100 {
                    true => {
                        header.set_link_name_literal(content).and_then(|()| self.tar.append_data(&mut header, path, io::empty()))
                    }
                    false => self.tar.append_link(&mut header, path, Path::new(os(content))),
                }
            }
            Kind::Same(first) => {
                header.set_entry_type(EntryType::Link);
                self.tar.append_link(&mut header, path, first)
            }
            Kind::Device(kind, device) => {
                let block = *kind == FileType::BlockDevice;
                header.set_entry_type(if block { EntryType::Block } else { EntryType::Char });
                header.set_device_major(major(*device))?;
                header.set_device_minor(minor(*device))?;
                self.tar.append_data(&mut header, path, io::empty())
            }
            Kind::Pipe => {
                header.set_entry_type(EntryType::Fifo);
                self.tar.append_data(&mut header, path, io::empty())
            }
        }
    }
}

impl Sink for Packed<'_> {
    fn add(&mut self, item: &Item, bytes: &mut dyn Read) -> Result<(), Error> {
        let written = self.write(item, bytes).map_err(|error| broken("write(archive)", &error));
        written.during(|| format!("copy {}", item.path.display()))
    }

    fn finish(&mut self) -> Result<(), Error> {
        let ended = self.tar.finish().and_then(|()| self.tar.get_mut().flush());
        ended.map_err(|error| broken("write(archive)", &error)).during(|| "copy")
    }
}

/// Sends all members of an archive, and answers how many bytes their files have.
pub(super) fn send(input: &mut dyn Read, sink: &mut dyn Sink) -> Result<u64, Error> {
    let wrong = |what: String, why: String| Error::Invalid { what, why };
    let mut archive = Archive::new(input);
    let mut sum = 0;
    for entry in archive.entries().map_err(|error| wrong("archive".to_owned(), error.to_string()))? {
        let mut entry = entry.map_err(|error| wrong("archive".to_owned(), error.to_string()))?;
        let name = entry.path_bytes().into_owned();
        let shown = || format!("archive: {}", os(&name).display());
        let Some(item) = item(&mut entry, &name).map_err(|why| wrong(shown(), why))? else { continue };
        if let Kind::File(size) = item.kind {
            sum += size;
        }
        sink.add(&item, &mut entry)?;
    }
    Ok(sum)
}

fn item<R: Read>(entry: &mut Entry<'_, R>, name: &[u8]) -> Result<Option<Item>, String> {
    let path = clean(name).ok_or("its path leads out of the archive")?;
    let capability = match entry.pax_extensions() {
        Ok(Some(records)) => {
            let found = records.flatten().find(|record| record.key_bytes() == CAPABILITY.as_bytes());
            found.map(|record| record.value_bytes().to_vec())
        }
        _ => None,
    };
    let header = entry.header();
    let number = |number: io::Result<u64>| number.map_err(|error| error.to_string());
    let link = entry.link_name_bytes().map(|link| link.into_owned()).unwrap_or_default();
    let device = |kind| -> Result<Kind, String> {
        let part = |part: io::Result<Option<u32>>| part.map_err(|error| error.to_string()).map(Option::unwrap_or_default);
        Ok(Kind::Device(kind, makedev(part(header.device_major())?, part(header.device_minor())?)))
    };
    let kind = match header.entry_type() {
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File(entry.size()),
        EntryType::Directory => Kind::Folder,
        EntryType::Symlink => Kind::Link(link),
        EntryType::Link => Kind::Same(clean(&link).ok_or("it is a link that leads out of the archive")?),
        EntryType::Char => device(FileType::CharacterDevice)?,
        EntryType::Block => device(FileType::BlockDevice)?,
        EntryType::Fifo => Kind::Pipe,
        // Says something about others.
        EntryType::XGlobalHeader => return Ok(None),
        other => return Err(format!("it is of an unknown type, {:?}", char::from(other.as_byte()))),
    };
    let id = |id: u64| u32::try_from(id).map_err(|_| "an owner's number is larger than 32 bits".to_owned());
    Ok(Some(Item {
        path,
        kind,
        mode: header.mode().map_err(|error| error.to_string())? & 0o7777,
        uid: id(number(header.uid())?)?,
        gid: id(number(header.gid())?)?,
        mtime: (i64::try_from(number(header.mtime())?).unwrap_or_default(), 0),
        capability,
    }))
}

/// A path from the top of the archive, without detours; a leading slash is taken as none.
fn clean(path: &[u8]) -> Option<PathBuf> {
    let mut clean = PathBuf::new();
    for part in Path::new(os(path)).components() {
        match part {
            Component::Normal(name) => clean.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir if clean.pop() => {}
            _ => return None,
        }
    }
    Some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_below_the_top() {
        for (path, cleaned) in [("a/b", "a/b"), ("./a", "a"), ("/etc/x", "etc/x"), ("a/../b/", "b"), ("./", "")] {
            assert_eq!(clean(path.as_bytes()), Some(cleaned.into()), "{path}");
        }
        for path in ["..", "a/../../b", "/../x"] {
            assert_eq!(clean(path.as_bytes()), None, "{path}");
        }
    }
}
