//! Members of an archive become a folder tree that overlayfs takes as a layer.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat};
use rustix::io::Errno;
use sys::Call;

use super::archive::{Archive, Kind, Member};
use super::attributes::{Owner, Special, own, set_dir, set_dir_times, set_file, set_times, set_xattrs_by_name};
use super::dirs::{Dirs, is_whiteout, replace_whiteout, set_opaque};
use super::members::{Failed, Target};
use super::path::{clean, show, split, within};
use super::{Error, Layer};

/// A layer being written.
pub(crate) struct Tree {
    dirs: Dirs,
    owner: Owner,
    /// What folders get when nothing more is put into them, by path.
    last: BTreeMap<Vec<u8>, Folder>,
    /// Links whose target is not in this layer, and the target.
    foreign: Vec<(Vec<u8>, Vec<u8>)>,
    /// Members that describe folders.
    described: usize,
    bytes: u64,
}

/// The last touches to a folder.
struct Folder {
    /// Its place in the archive: one folder may have two paths.
    order: usize,
    mtime: (i64, u32),
    special: Option<Special>,
}

impl Tree {
    /// A tree in the empty folder `root`. The calling thread's umask must be 0.
    pub(crate) fn new(root: OwnedFd) -> Self {
        Tree {
            dirs: Dirs::new(root),
            owner: Owner::of_process(),
            last: BTreeMap::new(),
            described: 0,
            foreign: Vec::new(),
            bytes: 0,
        }
    }

    fn file<R: BufRead>(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &[u8],
        member: &Member,
        archive: &mut Archive<R>,
    ) -> Result<(), Failed> {
        const FLAGS: OFlags =
            OFlags::WRONLY.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        let file = self.fresh(parent, path, "openat(O_CREAT | O_EXCL)", |name| openat(parent, name, FLAGS, mode))?;
        super::content::write(&file, member, archive)?;
        set_file(&file, member, self.owner)?;
        self.bytes = self.bytes.saturating_add(member.size);
        Ok(())
    }

    /// Symbolic links, devices and pipes.
    fn node(&mut self, parent: BorrowedFd<'_>, path: &[u8], member: &Member) -> sys::Result<()> {
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        let device = makedev(member.device.0, member.device.1);
        let (kind, device) = match member.kind {
            Kind::CharDevice => (FileType::CharacterDevice, device),
            Kind::BlockDevice => (FileType::BlockDevice, device),
            _ => (FileType::Fifo, 0),
        };
        if member.kind == Kind::Symlink {
            self.fresh(parent, path, "symlinkat()", |name| symlinkat(member.link.as_slice(), parent, name))?;
        } else {
            self.fresh(parent, path, "mknodat()", |name| mknodat(parent, name, kind, mode, device))?;
        }
        let name = split(path).1;
        own(parent, name, member, self.owner)?;
        set_xattrs_by_name(parent, name, &member.xattrs)?;
        set_times(parent, name, member.mtime)
    }

    fn link(&mut self, parent: BorrowedFd<'_>, path: &[u8], member: &Member) -> Result<(), Failed> {
        let target = clean(&member.link).ok_or(Failed::Outside)?;
        let (folder, target_name) = split(&target);
        let found = self.dirs.find(folder).and_then(|folder| stat(folder.as_fd(), target_name).map(|stat| (folder, stat)));
        let (from, old) = match found {
            Ok(found) => found,
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => {
                self.foreign.push((path.to_vec(), target));
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // A link to itself: taking the old name away first would lose the file.
        let same = |new: Stat| (new.st_dev, new.st_ino) == (old.st_dev, old.st_ino);
        if stat(parent, split(path).1).is_ok_and(same) {
            return Ok(());
        }
        Ok(self.fresh(parent, path, "linkat()", |name| linkat(&from, target_name, parent, name, AtFlags::empty()))?)
    }

    fn dir(&mut self, path: &[u8], member: &Member) -> Result<(), Failed> {
        let special = Special::of(member);
        self.implicit_no_more(path);
        if path.is_empty() {
            set_dir(self.dirs.root(), member)?;
        } else {
            let (folder, name) = split(path);
            let parent = self.dirs.get(folder)?;
            let mode = Mode::from_raw_mode(member.mode & 0o1777);
            match mkdirat(&parent, name, mode) {
                Ok(()) => own(parent.as_fd(), name, member, self.owner)?,
                Err(Errno::EXIST) => self.dir_over(parent.as_fd(), path, member)?,
                Err(errno) => return Err(sys::Error::new(format!("mkdirat({})", show(name)), errno).into()),
            }
        }
        self.described += 1;
        self.last.insert(path.to_vec(), Folder { order: self.described, mtime: member.mtime, special });
        Ok(())
    }

    /// A folder over something that is there: over a folder it only changes the attributes.
    fn dir_over(&mut self, parent: BorrowedFd<'_>, path: &[u8], member: &Member) -> sys::Result<()> {
        let name = split(path).1;
        let there = stat(parent, name)?;
        if is_whiteout(&there) {
            replace_whiteout(parent, name)?;
        } else if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
            self.remove(parent, path)?;
            mkdirat(parent, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({})", show(name)))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = openat(parent, name, flags, Mode::empty()).call(|| format!("openat({}, O_DIRECTORY)", show(name)))?;
        set_dir(open.as_fd(), member)
    }

    /// Creates a name. What stood there is removed: a later entry replaces an earlier one.
    fn fresh<T>(
        &mut self,
        parent: BorrowedFd<'_>,
        path: &[u8],
        call: &str,
        create: impl Fn(&[u8]) -> rustix::io::Result<T>,
    ) -> sys::Result<T> {
        let name = split(path).1;
        match create(name) {
            Err(Errno::EXIST) => {
                self.remove(parent, path)?;
                create(name).call(|| format!("{call} of {}", show(name)))
            }
            done => done.call(|| format!("{call} of {}", show(name))),
        }
    }

    fn remove(&mut self, parent: BorrowedFd<'_>, path: &[u8]) -> sys::Result<()> {
        sys::fs::remove_tree(parent, super::dirs::bytes(split(path).1))?;
        self.dirs.forget();
        self.last.retain(|folder, _| !within(folder, path));
        self.dirs.implicit.retain(|folder| !within(folder, path));
        self.foreign.retain(|(link, _)| !within(link, path));
        Ok(())
    }

    fn is_folder(&mut self, path: &[u8]) -> bool {
        let (above, name) = split(path);
        let stat = self.dirs.find(above).and_then(|above| stat(above.as_fd(), if name.is_empty() { b"." } else { name }));
        stat.is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
    }

    fn implicit_no_more(&mut self, path: &[u8]) {
        self.dirs.implicit.remove(path);
    }
}

impl Target for Tree {
    fn add<R: BufRead>(&mut self, path: &[u8], member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
        if !self.foreign.is_empty() {
            self.foreign.retain(|(link, _)| link != path);
        }
        if member.kind == Kind::Dir {
            return self.dir(path, member);
        }
        let parent = self.dirs.get(split(path).0)?;
        let parent = parent.as_fd();
        match member.kind {
            Kind::File => self.file(parent, path, member, archive),
            Kind::Link => self.link(parent, path, member),
            _ => Ok(self.node(parent, path, member)?),
        }
    }

    fn hide(&mut self, folder: &[u8], name: &[u8]) -> Result<(), Failed> {
        let parent = self.dirs.get(folder)?;
        match mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(()),
            Err(Errno::EXIST) => match FileType::from_raw_mode(stat(parent.as_fd(), name)?.st_mode) {
                FileType::Directory => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let own = openat(&parent, name, flags, Mode::empty()).call(|| format!("openat({})", show(name)))?;
                    Ok(set_opaque(own)?)
                }
                _ => Ok(()),
            },
            Err(errno) => Err(sys::Error::new(format!("mknodat({}, S_IFCHR, 0)", show(name)), errno).into()),
        }
    }

    fn hide_all(&mut self, folder: &[u8]) -> Result<(), Failed> {
        Ok(set_opaque(self.dirs.get(folder)?.as_fd())?)
    }

    /// Folders last: what was put into them changed their times; setgid bits and default ACLs would have been inherited.
    fn finish(mut self, entries: u64) -> Result<Layer, Error> {
        let mut last: Vec<_> = std::mem::take(&mut self.last).into_iter().collect();
        last.sort_by_key(|(_, folder)| folder.order);
        for (path, folder) in last {
            let (above, name) = split(&path);
            let name = if name.is_empty() { b"." } else { name };
            let done = self.dirs.find(above).and_then(|above| match &folder.special {
                Some(special) => set_dir_times(above.as_fd(), name, folder.mtime, special),
                None => set_times(above.as_fd(), name, folder.mtime),
            });
            done.map_err(|source| Error::Entry { entry: show(&path), source })?;
        }
        // One may have gone by another path.
        let implicit = std::mem::take(&mut self.dirs.implicit).into_iter().filter(|path| self.is_folder(path)).collect();
        Ok(Layer { bytes: self.bytes, entries, implicit, foreign: self.foreign, erofs: None })
    }
}

fn stat(folder: BorrowedFd<'_>, name: &[u8]) -> sys::Result<Stat> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).call(|| format!("fstatat({})", show(name)))
}
