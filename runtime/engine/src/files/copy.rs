//! `cp`.

use std::io::{Read, Write as Output};
use std::path::{Path, PathBuf};

use super::archive::{self, Packed};
use super::item::Sink;
use super::place::{self, Side, Source, Target, Typed};
use super::root::Root;
use super::walk::Walk;
use super::write::{Owner, Way, Write};
use crate::error::During;
use crate::request::UserMap;
use crate::{Engine, Error};

/// How to copy.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyOptions {
    /// Into a container: everything belongs to its user. Out of one: everything belongs to whom it does there, and devices are copied.
    pub archive: bool,
    /// Copy what a link leads to instead of the link, if the source itself is one.
    pub follow: bool,
}

/// What is copied. Paths are as typed: with `/.` at the end, what is in a folder is meant.
#[allow(missing_debug_implementations, reason = "streams have none")]
pub enum CopyFrom<'a> {
    /// A path of the host.
    Host(&'a str),
    /// A path of a container.
    Container(&'a str, &'a str),
    /// A tar archive.
    Archive(&'a mut (dyn Read + Send)),
}

/// Where it goes.
#[allow(missing_debug_implementations, reason = "streams have none")]
pub enum CopyTo<'a> {
    /// A path of the host.
    Host(&'a str),
    /// A path of a container.
    Container(&'a str, &'a str),
    /// A tar archive.
    Archive(&'a mut (dyn Output + Send)),
}

impl Engine {
    /// Copies files between a container and the host, or another container, whether they run or not. Answers how many bytes the files have.
    ///
    /// # Errors
    /// The source is missing; the target is none that can be; something cannot be written. What was copied by then stays.
    pub fn copy(&self, from: CopyFrom<'_>, to: CopyTo<'_>, options: CopyOptions) -> Result<u64, Error> {
        match from {
            CopyFrom::Host(path) => {
                let typed = Typed::new(path);
                let source = place::source(Side::Host, &typed, options.follow).during(|| format!("copy {path}"))?;
                self.send(&source, to, options, None)
            }
            CopyFrom::Container(container, path) => self.with_root(container, |root| {
                let typed = inside(path);
                let source = place::source(Side::Container(&root.folder), &typed, options.follow);
                self.send(&source.during(|| format!("copy {container}:{path}"))?, to, options, Some(root))
            }),
            CopyFrom::Archive(input) => match to {
                CopyTo::Container(container, path) => self.with_root(container, |root| unpack(input, root, path, options)),
                _ => Err(Error::Invalid { what: "cp".to_owned(), why: "an archive is unpacked only into a container".to_owned() }),
            },
        }
    }

    /// `of` is the container that the source is in, if it is in one.
    fn send(&self, source: &Source, to: CopyTo<'_>, options: CopyOptions, of: Option<&Root>) -> Result<u64, Error> {
        let users = of.and_then(|root| root.users.as_ref());
        match to {
            CopyTo::Archive(out) => walk(source, users, source.name.as_deref().map(PathBuf::from), &mut Packed::new(out)),
            CopyTo::Host(path) => {
                let what = || format!("copy to {path}");
                let target = place::target(Side::Host, &Typed::new(path), source).during(what)?;
                let own = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
                let owner = if options.archive { Owner::Same } else { Owner::Other(own.0, own.1) };
                let Target { folder, name } = target;
                // What a container has made of a device is not what the host's device of this number is for.
                let devices = options.archive || of.is_none();
                let mut sink = Write::new(folder, Way::Straight, owner, devices, None).during(what)?;
                walk(source, users, name.map(PathBuf::from), &mut sink)
            }
            CopyTo::Container(container, path) => self.with_root(container, |root| {
                let what = || format!("copy to {container}:{path}");
                let target = place::target(Side::Container(&root.folder), &inside(path), source).during(what)?;
                let owner = owner(root, options)?;
                let mut sink = Write::new(target.folder, Way::Straight, owner, true, root.users.clone()).during(what)?;
                walk(source, users, target.name.map(PathBuf::from), &mut sink)
            }),
        }
    }
}

/// A path of a container begins at its root.
pub(super) fn inside(path: &str) -> Typed {
    let typed = Typed::new(path);
    Typed { path: Path::new("/").join(&typed.path), ..typed }
}

fn owner(root: &Root, options: CopyOptions) -> Result<Owner, Error> {
    match options.archive && !root.user.is_empty() {
        true => {
            let (uid, gid) = root.owner()?;
            let stored = root.users.as_ref().map_or(Ok((uid, gid)), |users| users.must(uid, gid))?;
            Ok(Owner::Other(stored.0, stored.1))
        }
        false => Ok(Owner::Same),
    }
}

/// Sends a source as `name`, or what is in it.
fn walk(source: &Source, users: Option<&UserMap>, name: Option<PathBuf>, sink: &mut dyn Sink) -> Result<u64, Error> {
    let mut walk = Walk::new(sink, users);
    walk.send(&source.file, &name.unwrap_or_default())?;
    let bytes = walk.bytes;
    sink.finish()?;
    Ok(bytes)
}

fn unpack(input: &mut dyn Read, root: &Root, path: &str, options: CopyOptions) -> Result<u64, Error> {
    let what = || format!("copy to {path}");
    let typed = inside(path);
    let side = Side::Container(&root.folder);
    let folder = side.open(&typed.path, rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY).during(what)?;
    let top = side.open(Path::new("/"), rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY).during(what)?;
    let (way, owner) = (Way::Inside(top, typed.path), owner(root, options)?);
    let mut sink = Write::new(folder, way, owner, true, root.users.clone()).during(what)?;
    let bytes = archive::send(input, &mut sink)?;
    sink.finish()?;
    Ok(bytes)
}
