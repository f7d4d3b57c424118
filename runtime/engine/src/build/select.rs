//! Which files a `COPY` or `ADD` means, and what is in them. Everything is reached by descriptor, below the folder that it is to be in:
//! a symbolic link in a context leads nowhere else.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, ResolveFlags, Stat, fstat, openat2, readlinkat, statat};
use rustix::io::Errno;
use sys::Call;

use super::dockerfile::glob::Pattern;
use super::dockerfile::{Ignore, Verdict, clean};
use super::failure::{BuildError, For};
use super::key::{Content, Key};

/// A folder to copy from.
#[derive(Debug)]
pub(super) struct Tree {
    pub(super) root: OwnedFd,
    /// What of it is not there.
    pub(super) ignore: Ignore,
    /// Its files belong to root, whoever has them here.
    pub(super) of_root: bool,
}

/// A file, folder or link that is copied.
#[derive(Debug)]
pub(super) struct Item {
    /// Below the tree's root, without links on the way.
    pub(super) from: String,
    /// Below the target; empty: it is the target itself.
    pub(super) to: String,
    pub(super) stat: Stat,
    /// Where a symbolic link leads.
    pub(super) link: Vec<u8>,
}

/// What is meant.
#[derive(Debug, Default)]
pub(super) struct Wanted<'a> {
    pub(super) sources: &'a [String],
    /// Folders above a source are made, too.
    pub(super) parents: bool,
    /// Patterns of what is left out, below each source.
    pub(super) exclude: &'a [String],
}

/// What was found.
#[derive(Debug, Default)]
pub(super) struct Selection {
    pub(super) items: Vec<Item>,
    /// The target is a folder, whatever it looks like: there are several files, or one of a folder.
    pub(super) into_folder: bool,
}

impl Tree {
    /// Finds what is meant.
    ///
    /// # Errors
    /// [`BuildError::Missing`]: a source without a pattern is not there, or is ignored.
    pub(super) fn select(&self, wanted: &Wanted<'_>) -> Result<Selection, BuildError> {
        let exclude = Ignore::new(wanted.exclude.iter().map(String::as_str)).map_err(BuildError::Invalid)?;
        let mut selection = Selection::default();
        let mut files = 0;
        for source in wanted.sources {
            let (pivot, source) = match source.split_once("/./") {
                Some((above, below)) if wanted.parents => (clean(above), format!("{above}/{below}")),
                _ => (String::new(), source.clone()),
            };
            let named = clean(&format!("/{source}"));
            let pattern = Pattern::path(&named, false).map_err(BuildError::Invalid)?;
            let paths = match pattern.literal() {
                Some(path) => vec![path],
                None => self.matches(&named)?,
            };
            for path in &paths {
                let is_pattern = pattern.literal().is_none();
                let Some((real, stat)) = self.resolve(path)? else {
                    if is_pattern {
                        continue;
                    }
                    return Err(self.missing(path));
                };
                let above = if wanted.parents { path.strip_prefix(&pivot).unwrap_or(path).trim_start_matches('/') } else { "" };
                if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                    selection.into_folder = true;
                    if wanted.parents {
                        self.parents(path, above, &mut selection.items)?;
                    }
                    selection.items.push(Item { from: real.clone(), to: above.to_owned(), stat, link: Vec::new() });
                    self.walk(&real, above, &exclude, &mut selection.items)?;
                } else {
                    let name = path.rsplit('/').next().unwrap_or(path);
                    if exclude.hides(exclude.verdict_of(name)) {
                        continue;
                    }
                    files += 1;
                    if wanted.parents {
                        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                        self.parents(folder, above.rsplit_once('/').map_or("", |(folder, _)| folder), &mut selection.items)?;
                    }
                    let to = if wanted.parents { above.to_owned() } else { name.to_owned() };
                    selection.items.push(Item { from: real, to, stat, link: Vec::new() });
                }
            }
        }
        selection.into_folder |= files > 1 || wanted.parents;
        Ok(selection)
    }

    fn missing(&self, path: &str) -> BuildError {
        let there = !self.ignore.is_empty() && open(self.root.as_fd(), path, OFlags::PATH).is_ok();
        let hint = if there { " (a .dockerignore hides it)" } else { "" };
        BuildError::Missing { what: format!("/{path}"), hint }
    }

    /// Where a path leads, links followed inside the tree, and what is there; nothing if nothing is, or what is there is hidden.
    pub(super) fn resolve(&self, path: &str) -> Result<Option<(String, Stat)>, BuildError> {
        let file = match open(self.root.as_fd(), path, OFlags::PATH) {
            Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(None),
            file => file.to(|| format!("look for /{path}"))?,
        };
        let stat = fstat(&file).call(|| "fstat()").to(|| format!("look at /{path}"))?;
        let real = self.real(path)?;
        let verdict = self.ignore.verdict_of(&real);
        let folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        let hidden = self.ignore.hides(verdict) && !(folder && self.ignore.may_show_below(verdict));
        Ok((!hidden).then_some((real, stat)))
    }

    /// The path of what is at `path` without links on the way. It is opened without following any, so nothing that changes meanwhile leads
    /// anybody outside.
    fn real(&self, path: &str) -> Result<String, BuildError> {
        /// As many as the kernel follows.
        const LINKS: usize = 40;
        let mut done: Vec<String> = Vec::new();
        let mut todo: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            let here = done.join("/");
            let found = open(self.root.as_fd(), &here, OFlags::PATH | OFlags::NOFOLLOW).to(|| format!("look for /{here}"))?;
            let stat = fstat(&found).call(|| "fstat()").to(|| format!("look at /{here}"))?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
                links += 1;
                if links > LINKS {
                    return Err(BuildError::Invalid(format!("/{path} leads through too many symbolic links")));
                }
                let target = readlinkat(&found, "", Vec::new()).call(|| "readlinkat()").to(|| format!("read the link /{here}"))?;
                let target = target.to_string_lossy().into_owned();
                done.pop();
                if target.starts_with('/') {
                    done.clear();
                }
                todo.extend(target.split('/').rev().map(str::to_owned));
            }
        }
        Ok(done.join("/"))
    }

    /// The paths that a pattern fits, sorted.
    fn matches(&self, pattern: &str) -> Result<Vec<String>, BuildError> {
        let mut found = vec![String::new()];
        for part in pattern.split('/') {
            let compiled = Pattern::path(part, part == "**").map_err(BuildError::Invalid)?;
            let mut next = Vec::new();
            for above in &found {
                let join = |name: &str| if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") };
                if let Some(name) = compiled.literal() {
                    next.push(join(&name));
                    continue;
                }
                let folder = match open(self.root.as_fd(), above, OFlags::RDONLY | OFlags::DIRECTORY) {
                    Err(error) if matches!(error.errno(), Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
                    folder => folder.to(|| format!("list /{above}"))?,
                };
                let names = names(&folder).to(|| format!("list /{above}"))?;
                next.extend(names.iter().filter(|name| compiled.fits(name)).map(|name| join(name)));
            }
            found = next;
        }
        // A name behind a pattern need not be there.
        found.retain(|path| open(self.root.as_fd(), path, OFlags::PATH).is_ok());
        Ok(found)
    }

    /// The folders above `path`, of which the last ones are called `above` at the target.
    fn parents(&self, path: &str, above: &str, items: &mut Vec<Item>) -> Result<(), BuildError> {
        let skipped = path.len() - above.len();
        for end in above.match_indices('/').map(|(at, _)| at).chain([above.len()]).filter(|end| *end > 0) {
            let from = &path[..skipped + end];
            if items.iter().any(|item| item.to == above[..end]) {
                continue;
            }
            if let Some((real, stat)) = self.resolve(from)? {
                items.push(Item { from: real, to: above[..end].to_owned(), stat, link: Vec::new() });
            }
        }
        Ok(())
    }

    /// All that is below a folder and not hidden, each folder before what is in it.
    fn walk(&self, base: &str, to: &str, exclude: &Ignore, items: &mut Vec<Item>) -> Result<(), BuildError> {
        struct Folder {
            path: String,
            below: String,
            hidden: Verdict,
            excluded: Verdict,
        }
        let hidden = self.ignore.verdict_of(base);
        let mut todo = vec![Folder { path: base.to_owned(), below: String::new(), hidden, excluded: Verdict::default() }];
        while let Some(Folder { path, below, hidden, excluded }) = todo.pop() {
            let folder = below_only(self.root.as_fd(), &path, OFlags::RDONLY | OFlags::DIRECTORY).to(|| format!("list /{path}"))?;
            let mut folders = Vec::new();
            for name in names(&folder).to(|| format!("list /{path}"))? {
                let join = |above: &str| if above.is_empty() { name.clone() } else { format!("{above}/{name}") };
                let (from, below) = (join(&path), join(&below));
                let (own, excluded) = (self.ignore.verdict(hidden, &from), exclude.verdict(excluded, &below));
                let stat =
                    statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).call(|| "fstatat()").to(|| format!("look at /{from}"))?;
                let kind = FileType::from_raw_mode(stat.st_mode);
                let is_hidden = self.ignore.hides(own) || exclude.hides(excluded);
                if kind == FileType::Directory {
                    let may_show = (!self.ignore.hides(own) || self.ignore.may_show_below(own))
                        && (!exclude.hides(excluded) || exclude.may_show_below(excluded));
                    if may_show {
                        folders.push(Folder { path: from.clone(), below: below.clone(), hidden: own, excluded });
                    }
                }
                // A hidden folder is made only where something in it shows, by whoever copies that.
                if is_hidden || matches!(kind, FileType::Socket) {
                    continue;
                }
                let link = match kind {
                    FileType::Symlink => readlinkat(&folder, &name, Vec::new())
                        .call(|| "readlinkat()")
                        .to(|| format!("read the link /{from}"))?
                        .into_bytes(),
                    _ => Vec::new(),
                };
                let target = if to.is_empty() { below } else { format!("{to}/{below}") };
                items.push(Item { from, to: target, stat, link });
            }
            todo.extend(folders.into_iter().rev());
        }
        Ok(())
    }

    /// Adds what was found, bytes and all, to a key. Times do not count.
    pub(super) fn digest(&self, selection: &Selection, key: &mut Key) -> Result<(), BuildError> {
        let mut buffer = vec![0; 128 << 10];
        key.part([u8::from(selection.into_folder)]);
        for item in &selection.items {
            let stat = &item.stat;
            key.part(&item.to);
            key.part(stat.st_mode.to_le_bytes());
            let owner = if self.of_root { (0, 0) } else { (stat.st_uid, stat.st_gid) };
            key.part(owner.0.to_le_bytes());
            key.part(owner.1.to_le_bytes());
            key.part(&item.link);
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::RegularFile => key.part(self.content(item, &mut buffer)?),
                FileType::CharacterDevice | FileType::BlockDevice => key.part(stat.st_rdev.to_le_bytes()),
                _ => key.part(b""),
            }
        }
        Ok(())
    }

    fn content(&self, item: &Item, buffer: &mut [u8]) -> Result<[u8; 32], BuildError> {
        let what = || format!("read /{}", item.from);
        let file = self.open(item).to(what)?;
        let mut content = Content::new();
        loop {
            match rustix::io::read(&file, &mut *buffer) {
                Ok(0) => return Ok(content.finish()),
                Ok(length) => content.update(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(sys::Error::new("read()", errno)).to(what),
            }
        }
    }

    /// Opens a file for reading, if it still is one: no pipe is waited for, no device is touched.
    pub(super) fn open(&self, item: &Item) -> sys::Result<OwnedFd> {
        let file = below_only(self.root.as_fd(), &item.from, OFlags::RDONLY | OFlags::NONBLOCK)?;
        let stat = fstat(&file).call(|| "fstat()")?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(file),
            _ => Err(sys::Error::new("it was a file, and is none any more", Errno::INVAL)),
        }
    }
}

/// Opens a path as a process whose root is `root` would.
fn open(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> sys::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    sys::fs::open_in_root(root, path, flags, Mode::empty())
}

/// Opens a path without following any link.
fn below_only(root: BorrowedFd<'_>, path: &str, flags: OFlags) -> sys::Result<OwnedFd> {
    let path = if path.is_empty() { "." } else { path };
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    loop {
        match openat2(root, Path::new(path), flags | OFlags::CLOEXEC | OFlags::NOFOLLOW, Mode::empty(), resolve) {
            Err(Errno::AGAIN | Errno::INTR) => {}
            file => return file.call(|| format!("openat2({path:?}, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)")),
        }
    }
}

/// Names in a folder, sorted.
///
/// # Errors
/// One of them is no UTF-8, in which patterns are written.
fn names(folder: &OwnedFd) -> sys::Result<Vec<String>> {
    let again = openat2(folder, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty(), ResolveFlags::BENEATH);
    let names = sys::fs::list(again.call(|| "openat2(.)")?)?;
    let text = |name: std::ffi::OsString| {
        name.into_string().map_err(|name| sys::Error::new(format!("the name {name:?} is no UTF-8"), Errno::ILSEQ))
    };
    let mut names = names.into_iter().map(text).collect::<sys::Result<Vec<_>>>()?;
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn tree(ignore: &str) -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path();
        for file in ["a.txt", "b.txt", "c.md", "src/main.c", "src/lib/x.c", "src/lib/y.h", "empty/.keep"] {
            fs::create_dir_all(path.join(file).parent().unwrap()).unwrap();
            fs::write(path.join(file), file).unwrap();
        }
        symlink("/etc/shadow", path.join("shadow")).unwrap();
        symlink("../../../../etc", path.join("up")).unwrap();
        symlink("src/lib", path.join("lib")).unwrap();
        let tree = Tree { root: sys::fs::open_dir(path).unwrap(), ignore: Ignore::parse(ignore).unwrap(), of_root: true };
        (folder, tree)
    }

    fn selected(tree: &Tree, sources: &[&str], parents: bool, exclude: &[&str]) -> Result<Vec<String>, BuildError> {
        let own = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let (sources, exclude) = (own(sources), own(exclude));
        let selection = tree.select(&Wanted { sources: &sources, parents, exclude: &exclude })?;
        Ok(selection
            .items
            .iter()
            .map(|item| if item.to == item.from { item.to.clone() } else { format!("{}<{}", item.to, item.from) })
            .collect())
    }

    #[test]
    fn files_folders_and_patterns() {
        let (_folder, tree) = tree("");
        assert_eq!(selected(&tree, &["a.txt"], false, &[]).unwrap(), ["a.txt"]);
        assert_eq!(selected(&tree, &["/src/../*.txt"], false, &[]).unwrap(), ["a.txt", "b.txt"]);
        assert_eq!(
            selected(&tree, &["src"], false, &[]).unwrap(),
            ["<src", "lib<src/lib", "main.c<src/main.c", "lib/x.c<src/lib/x.c", "lib/y.h<src/lib/y.h"]
        );
        assert_eq!(selected(&tree, &["src/*/x.c"], false, &[]).unwrap(), ["x.c<src/lib/x.c"]);
        assert_eq!(selected(&tree, &["none*"], false, &[]).unwrap(), [""; 0]);
        assert_eq!(
            selected(&tree, &["src"], false, &["**/*.h", "main.c"]).unwrap(),
            ["<src", "lib<src/lib", "lib/x.c<src/lib/x.c"]
        );
        assert!(matches!(selected(&tree, &["none"], false, &[]), Err(BuildError::Missing { .. })));
    }

    #[test]
    fn folders_above_are_kept() {
        let (_folder, tree) = tree("");
        assert_eq!(selected(&tree, &["src/lib/x.c"], true, &[]).unwrap(), ["src", "src/lib", "src/lib/x.c"]);
        assert_eq!(selected(&tree, &["src/./lib/*.c"], true, &[]).unwrap(), ["lib<src/lib", "lib/x.c<src/lib/x.c"]);
    }

    #[test]
    fn links_never_lead_outside() {
        let (_folder, tree) = tree("");
        for source in ["shadow", "up/shadow", "up", "../../etc/shadow"] {
            assert!(matches!(selected(&tree, &[source], false, &[]), Err(BuildError::Missing { .. })), "{source}");
        }
        // One that is meant is followed, one in a folder stays a link.
        assert_eq!(selected(&tree, &["lib"], false, &[]).unwrap(), ["<src/lib", "x.c<src/lib/x.c", "y.h<src/lib/y.h"]);
        let all = selected(&tree, &["."], false, &[]).unwrap();
        assert!(all.contains(&"shadow".to_owned()) && !all.iter().any(|path| path.contains("etc")), "{all:?}");
    }

    #[test]
    fn what_is_ignored_is_not_there() {
        let (_folder, tree) = tree("*.txt\nsrc\n!src/lib/x.c\n");
        assert!(selected(&tree, &["a.txt"], false, &[]).unwrap_err().to_string().contains("dockerignore"));
        assert_eq!(selected(&tree, &["src/lib/x.c"], false, &[]).unwrap(), ["x.c<src/lib/x.c"]);
        let all = selected(&tree, &["."], false, &[]).unwrap();
        assert!(
            all.contains(&"src/lib/x.c".to_owned()) && !all.iter().any(|path| path == "src/main.c" || path == "a.txt"),
            "{all:?}"
        );
        assert!(selected(&tree, &["*.txt"], false, &[]).unwrap().is_empty());
    }

    #[test]
    fn a_key_follows_content_and_not_time() {
        let (folder, tree) = tree("");
        let key = || {
            let mut key = Key::new("copy");
            let selection = tree.select(&Wanted { sources: &["src".to_owned()], ..Wanted::default() }).unwrap();
            tree.digest(&selection, &mut key).unwrap();
            key.finish()
        };
        let before = key();
        let file = fs::File::options().write(true).open(folder.path().join("src/main.c")).unwrap();
        file.set_modified(std::time::SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(key(), before);
        fs::write(folder.path().join("src/main.c"), "other").unwrap();
        assert_ne!(key(), before);
    }
}
