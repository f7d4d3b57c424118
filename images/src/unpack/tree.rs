//! Members of an archive become a folder tree that overlayfs takes as a layer.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::BufRead;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat, linkat, makedev, mkdirat, mknodat, openat, statat, symlinkat};
use rustix::io::Errno;
use sys::Call;

use super::archive::{Archive, Kind, Member};
use super::attributes::{Owner, Special, own, set_dir, set_dir_times, set_file, set_times, set_xattrs_by_name};
use super::dirs::{Dirs, Place, is_whiteout, replace_whiteout, set_opaque};
use super::members::{Failed, Target};
use super::path::{clean, remove_within, show, split};
use super::{Error, Layer, budget};
use crate::erofs::Summing;
use crate::sums::{Entry, Log, sum_of};

/// A layer being written. All paths that it remembers are free of symbolic links: a folder has one only, however an archive names it.
pub(crate) struct Tree {
    dirs: Dirs,
    owner: Owner,
    /// What folders get when nothing more is put into them.
    last: BTreeMap<Vec<u8>, Folder>,
    /// Links whose target is not in this layer, and the target.
    foreign: BTreeMap<Vec<u8>, Vec<u8>>,
    foreign_taken: budget::Foreign,
    folders_taken: budget::Folders,
    bytes: u64,
    log: Option<Log>,
    summing: Summing,
}

/// The last touches to a folder.
struct Folder {
    mtime: (i64, u32),
    special: Option<Special>,
}

impl Tree {
    /// A tree in the empty folder `root`, and what it is made of in the empty file `sums`, if there is one. The calling thread's umask must be 0.
    pub(crate) fn new(root: OwnedFd, sums: Option<File>) -> Self {
        Tree {
            dirs: Dirs::new(root),
            owner: Owner::of_process(),
            last: BTreeMap::new(),
            foreign: BTreeMap::new(),
            foreign_taken: budget::Foreign::default(),
            folders_taken: budget::Folders::default(),
            bytes: 0,
            log: sums.map(Log::new),
            summing: Summing::default(),
        }
    }

    fn file<R: BufRead>(&mut self, parent: &Place, path: &[u8], member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
        const FLAGS: OFlags = OFlags::RDWR.union(OFlags::CREATE).union(OFlags::EXCL).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        let file = self.fresh(parent, path, "openat(O_CREAT | O_EXCL)", |name| openat(parent, name, FLAGS, mode))?;
        let file = File::from(file);
        let sum = super::content::write(&file, member, archive, &mut self.summing)?;
        set_file(&file, member, self.owner)?;
        self.bytes = self.bytes.saturating_add(member.size);
        let entry = Entry { size: member.size, sum: sum.0, ..described(FileType::RegularFile, member) };
        Ok(self.note(|log| log.entry(path, &entry))?)
    }

    /// Symbolic links, devices and pipes.
    fn node(&mut self, parent: &Place, path: &[u8], member: &Member) -> sys::Result<()> {
        let mode = Mode::from_raw_mode(member.mode & 0o777);
        let device = makedev(member.device.0, member.device.1);
        let (kind, device) = match member.kind {
            Kind::CharDevice => (FileType::CharacterDevice, device),
            Kind::BlockDevice => (FileType::BlockDevice, device),
            _ => (FileType::Fifo, 0),
        };
        let entry = if member.kind == Kind::Symlink {
            self.fresh(parent, path, "symlinkat()", |name| symlinkat(member.link.as_slice(), parent, name))?;
            let (size, sum) = (member.link.len() as u64, sum_of(&member.link));
            Entry { mode: FileType::Symlink.as_raw_mode() | 0o777, size, sum, ..described(FileType::Symlink, member) }
        } else {
            let made = self.fresh(parent, path, "mknodat()", |name| mknodat(parent, name, kind, mode, device));
            match made {
                // Nobody makes devices in a user namespace that is not the first one, so there are none, as with Podman.
                Err(error) if error.errno() == Errno::PERM && kind != FileType::Fifo && !sys::ns::is_first_of_users() => {
                    return Ok(());
                }
                made => made?,
            }
            Entry { mode: kind.as_raw_mode() | mode.as_raw_mode(), sum: device, ..described(kind, member) }
        };
        let name = split(path).1;
        own(parent.as_fd(), name, member, self.owner)?;
        set_xattrs_by_name(parent.as_fd(), name, &member.xattrs)?;
        set_times(parent.as_fd(), name, member.mtime)?;
        self.note(|log| log.entry(path, &entry))
    }

    fn link(&mut self, parent: &Place, path: &[u8], member: &Member) -> Result<(), Failed> {
        let target = clean(&member.link).ok_or(Failed::Outside)?;
        let (folder, target_name) = split(&target);
        let found = self.dirs.find(folder).and_then(|folder| stat(folder.as_fd(), target_name).map(|stat| (folder, stat)));
        let (from, old) = match found {
            Ok(found) => found,
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR) => {
                self.foreign_taken.take(path, &target)?;
                self.foreign.insert(path.to_vec(), target);
                return Ok(());
            }
            Err(error) => return Err(error.into()),
        };
        // A link to itself: taking the old name away first would lose the file.
        let same = |new: Stat| (new.st_dev, new.st_ino) == (old.st_dev, old.st_ino);
        if stat(parent.as_fd(), split(path).1).is_ok_and(same) {
            return Ok(());
        }
        self.fresh(parent, path, "linkat()", |name| linkat(&from, target_name, parent, name, AtFlags::empty()))?;
        Ok(self.note(|log| log.link(path, &from.join(target_name)))?)
    }

    fn root(&mut self, member: &Member) -> Result<(), Failed> {
        set_dir(self.dirs.root(), member)?;
        self.described(Vec::new(), member)
    }

    fn dir(&mut self, parent: &Place, path: Vec<u8>, member: &Member) -> Result<(), Failed> {
        let name = split(&path).1;
        match mkdirat(parent, name, Mode::from_raw_mode(member.mode & 0o1777)) {
            Ok(()) => own(parent.as_fd(), name, member, self.owner)?,
            Err(Errno::EXIST) => self.dir_over(parent, &path, member)?,
            Err(errno) => return Err(sys::Error::new(format!("mkdirat({})", show(name)), errno).into()),
        }
        self.described(path, member)
    }

    fn described(&mut self, path: Vec<u8>, member: &Member) -> Result<(), Failed> {
        self.dirs.implicit.remove(&path);
        self.note(|log| log.entry(&path, &described(FileType::Directory, member)))?;
        let attributes: usize = member.xattrs.iter().map(|(name, value)| name.len() + value.len()).sum();
        self.folders_taken.take(path.len() + attributes)?;
        self.last.insert(path, Folder { mtime: member.mtime, special: Special::of(member) });
        Ok(())
    }

    /// A folder over something that is there: over a folder it only changes the attributes.
    fn dir_over(&mut self, parent: &Place, path: &[u8], member: &Member) -> Result<(), Failed> {
        let name = split(path).1;
        let there = stat(parent.as_fd(), name)?;
        if is_whiteout(&there) {
            replace_whiteout(parent.as_fd(), name)?;
            self.hides(path.to_vec())?;
        } else if FileType::from_raw_mode(there.st_mode) != FileType::Directory {
            self.remove(parent, path)?;
            mkdirat(parent, name, Mode::from_raw_mode(0o755)).call(|| format!("mkdirat({})", show(name)))?;
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let open = openat(parent, name, flags, Mode::empty()).call(|| format!("openat({}, O_DIRECTORY)", show(name)))?;
        Ok(set_dir(open.as_fd(), member)?)
    }

    /// Remembers a folder that hides what the layers below have in it.
    fn hides(&mut self, path: Vec<u8>) -> Result<(), Failed> {
        self.folders_taken.take(path.len())?;
        self.dirs.opaque.insert(path);
        Ok(())
    }

    /// The folder `path`, which is made if there is none.
    fn folder(&mut self, path: &[u8]) -> Result<Place, Failed> {
        let place = self.dirs.get(path)?;
        budget::implicit(self.dirs.implicit_bytes)?;
        Ok(place)
    }

    /// Creates a name. What stood there is removed: a later entry replaces an earlier one.
    fn fresh<T>(
        &mut self,
        parent: &Place,
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

    fn remove(&mut self, parent: &Place, path: &[u8]) -> sys::Result<()> {
        sys::fs::remove_tree(parent, super::dirs::bytes(split(path).1))?;
        self.dirs.forget(path);
        remove_within(&mut self.last, path);
        remove_within(&mut self.foreign, path);
        self.note(|log| log.gone(path))
    }

    fn note(&mut self, line: impl FnOnce(&mut Log) -> sys::Result<()>) -> sys::Result<()> {
        self.log.as_mut().map_or(Ok(()), line)
    }

    /// Folders last: what was put into them changed their times; setgid bits and default ACLs would have been inherited.
    fn finish_folders(&mut self) -> Result<(), Error> {
        for (path, folder) in std::mem::take(&mut self.last) {
            let (above, name) = split(&path);
            let name = if name.is_empty() { b"." } else { name };
            let done = self.dirs.find(above).and_then(|above| match &folder.special {
                Some(special) => set_dir_times(above.as_fd(), name, folder.mtime, special),
                None => set_times(above.as_fd(), name, folder.mtime),
            });
            done.map_err(|source| Error::Entry { entry: show(&path), source })?;
        }
        Ok(())
    }
}

/// What a member says about itself, but for its content.
fn described(kind: FileType, member: &Member) -> Entry {
    Entry { mode: kind.as_raw_mode() | member.mode & 0o7777, uid: member.uid, gid: member.gid, size: 0, sum: 0 }
}

impl Target for Tree {
    fn add<R: BufRead>(&mut self, path: &[u8], member: &Member, archive: &mut Archive<R>) -> Result<(), Failed> {
        if path.is_empty() {
            return self.root(member);
        }
        let (folder, name) = split(path);
        let parent = self.folder(folder)?;
        let path = parent.join(name);
        if !self.foreign.is_empty() {
            self.foreign.remove(&path);
        }
        match member.kind {
            Kind::Dir => self.dir(&parent, path, member),
            Kind::File => self.file(&parent, &path, member, archive),
            Kind::Link => self.link(&parent, &path, member),
            _ => Ok(self.node(&parent, &path, member)?),
        }
    }

    fn hide(&mut self, folder: &[u8], name: &[u8]) -> Result<(), Failed> {
        let parent = self.folder(folder)?;
        match mknodat(&parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
            Ok(()) => Ok(self.note(|log| log.hidden(&parent.join(name)))?),
            Err(Errno::EXIST) => match FileType::from_raw_mode(stat(parent.as_fd(), name)?.st_mode) {
                FileType::Directory => {
                    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                    let own = openat(&parent, name, flags, Mode::empty()).call(|| format!("openat({})", show(name)))?;
                    self.hides(parent.join(name))?;
                    Ok(set_opaque(own)?)
                }
                _ => Ok(()),
            },
            Err(errno) => Err(sys::Error::new(format!("mknodat({}, S_IFCHR, 0)", show(name)), errno).into()),
        }
    }

    fn hide_all(&mut self, folder: &[u8]) -> Result<(), Failed> {
        let folder = self.folder(folder)?;
        self.hides(folder.path.to_vec())?;
        Ok(set_opaque(folder)?)
    }

    fn finish(mut self, entries: u64) -> Result<Layer, Error> {
        self.finish_folders()?;
        let Tree { dirs: Dirs { implicit, opaque, .. }, log, foreign, bytes, .. } = self;
        let finish = |mut log: Log| {
            implicit.iter().try_for_each(|folder| log.folder(folder))?;
            opaque.iter().try_for_each(|folder| log.opaque(folder))?;
            log.finish()
        };
        let sums = log.map(finish).transpose().map_err(|source| Error::Entry { entry: "/".to_owned(), source })?;
        let (implicit, foreign) = (implicit.into_iter().collect(), foreign.into_iter().collect());
        Ok(Layer { bytes, entries, implicit, foreign, erofs: None, sums, places: Vec::new() })
    }
}

fn stat(folder: BorrowedFd<'_>, name: &[u8]) -> sys::Result<Stat> {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).call(|| format!("fstatat({})", show(name)))
}
