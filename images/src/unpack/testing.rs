//! Archives made by hand, and what comes of them.

use std::fs;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use tar::{EntryType, Header};

use super::hash::Algorithm;
use super::{Destination, Error, Layer, Outcome, Unpacking};
use crate::erofs::{self, Way};

/// What a layer is written to, and how it is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Driver {
    Tree,
    Erofs(Way),
}

/// Runs each test with each driver.
macro_rules! with_each_driver {
    ($($test:ident),* $(,)?) => {
        mod tree {
            $(#[test] fn $test() { super::$test(crate::unpack::testing::Driver::Tree); })*
        }
        mod erofs {
            $(#[test] fn $test() { crate::unpack::testing::with_erofs(crate::erofs::Way::File, super::$test); })*
        }
        mod looped {
            $(#[test] fn $test() { crate::unpack::testing::with_erofs(crate::erofs::Way::Loop, super::$test); })*
        }
    };
}
pub(crate) use with_each_driver;

/// Runs a test if this kernel can mount images that way; says so if not.
pub(crate) fn with_erofs(way: Way, test: fn(Driver)) {
    let file = tempfile::tempfile().unwrap();
    super::members::write(erofs::Image::new(file.try_clone().unwrap()).unwrap(), &[0; 1024][..]).map(drop).unwrap();
    match erofs::mount(&file, way) {
        Ok(_) => test(Driver::Erofs(way)),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "skipped: needs EROFS by {way:?}: {error}");
        }
    }
}

/// An archive in the making.
#[derive(Default)]
pub(crate) struct Tar(pub(crate) Vec<u8>);

impl Tar {
    /// A member with raw names, owner of this process and mode 0644 (0755 for folders).
    pub(crate) fn entry(self, kind: EntryType, path: &str, link: &str, data: &[u8]) -> Self {
        self.with(kind, path, link, data, |_| {})
    }

    pub(crate) fn with(mut self, kind: EntryType, path: &str, link: &str, data: &[u8], edit: impl FnOnce(&mut Header)) -> Self {
        let mut header = Header::new_gnu();
        let old = header.as_old_mut();
        for (field, text) in [(&mut old.name[..], path), (&mut old.linkname[..], link)] {
            field[..text.len()].copy_from_slice(text.as_bytes());
        }
        header.set_entry_type(kind);
        header.set_mode(if kind.is_dir() { 0o755 } else { 0o644 });
        header.set_uid(rustix::process::geteuid().as_raw().into());
        header.set_gid(rustix::process::getegid().as_raw().into());
        header.set_mtime(1_000_000_000);
        header.set_size(data.len() as u64);
        edit(&mut header);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(data);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(crate) fn file(self, path: &str, data: &str) -> Self {
        self.entry(EntryType::Regular, path, "", data.as_bytes())
    }

    pub(crate) fn dir(self, path: &str) -> Self {
        self.entry(EntryType::Directory, path, "", b"")
    }

    pub(crate) fn symlink(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Symlink, path, target, b"")
    }

    pub(crate) fn link(self, path: &str, target: &str) -> Self {
        self.entry(EntryType::Link, path, target, b"")
    }

    /// Records for the next member.
    pub(crate) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut data = Vec::new();
        for (key, value) in records {
            let rest = key.len() + value.len() + 3;
            let length = (1..).find(|digits| (rest + digits).to_string().len() == *digits).map_or(0, |digits| rest + digits);
            data.extend_from_slice(format!("{length} {key}=").as_bytes());
            data.extend_from_slice(value);
            data.push(b'\n');
        }
        self.entry(EntryType::XHeader, "pax", "", &data)
    }

    /// Two blocks of zeros and some padding, as GNU tar writes.
    pub(crate) fn end(mut self) -> Vec<u8> {
        self.0.resize((self.0.len() + 1024).next_multiple_of(10240), 0);
        self.0
    }
}

/// A folder with the layer's root in it, and things beside it that must not change. An image is elsewhere.
pub(crate) struct Place {
    driver: Driver,
    folder: tempfile::TempDir,
    before: Vec<String>,
    image: tempfile::NamedTempFile,
    mount: std::cell::OnceCell<OwnedFd>,
    /// What the last tree is made of.
    sums: std::cell::RefCell<Option<(fs::File, erofs::Written)>>,
}

impl Place {
    pub(crate) fn new(driver: Driver) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("root")).unwrap();
        fs::create_dir_all(folder.path().join("outside/dir")).unwrap();
        fs::write(folder.path().join("canary"), "alive").unwrap();
        fs::write(folder.path().join("outside/canary"), "alive").unwrap();
        let before = snapshot(folder.path(), true);
        Place {
            driver,
            folder,
            before,
            image: tempfile::NamedTempFile::new().unwrap(),
            mount: std::cell::OnceCell::new(),
            sums: std::cell::RefCell::default(),
        }
    }

    /// The layer's root, be it the folder or the mounted image.
    pub(crate) fn root(&self) -> PathBuf {
        let Driver::Erofs(way) = self.driver else { return self.folder.path().join("root") };
        let mount = self.mount.get_or_init(|| erofs::mount(self.image.as_file(), way).unwrap());
        format!("/proc/self/fd/{}", mount.as_raw_fd()).into()
    }

    /// Bytes on disk of a file, or of the image it is in.
    pub(crate) fn allocated(&self, path: &str) -> u64 {
        512 * match self.driver {
            Driver::Tree => self.stat(path).blocks(),
            Driver::Erofs(_) => self.image.as_file().metadata().unwrap().blocks(),
        }
    }

    /// The image.
    pub(crate) fn image(&self) -> &fs::File {
        self.image.as_file()
    }

    /// Path of a thing beside the root.
    pub(crate) fn beside(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Unpacks with both threads, in uneven pieces.
    pub(crate) fn unpack(&self, blob: &[u8]) -> Result<Layer, Error> {
        self.outcome(blob, true).tree.map(|(layer, _)| layer)
    }

    pub(crate) fn outcome(&self, blob: &[u8], complete: bool) -> Outcome {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let sums = tempfile::tempfile().unwrap();
        let outcome = runtime.block_on(async {
            let destination = match self.driver {
                Driver::Tree => Destination::Tree(sys::fs::open_dir(self.root()).unwrap(), Some(sums.try_clone().unwrap())),
                Driver::Erofs(_) => Destination::Erofs(self.image.reopen().unwrap()),
            };
            let mut unpacking = Unpacking::start(destination, Algorithm::Sha256, Algorithm::Sha256).unwrap();
            let mut rest = blob;
            for size in [1, 2, 500, 7, 512, 4096, 3, 100_000].into_iter().cycle() {
                let (piece, left) = rest.split_at(size.min(rest.len()));
                if piece.is_empty() || !unpacking.feed(Bytes::copy_from_slice(piece)).await {
                    break;
                }
                rest = left;
            }
            unpacking.finish(complete).await
        });
        let written = outcome.tree.as_ref().ok().and_then(|(layer, _)| layer.sums);
        *self.sums.borrow_mut() = written.map(|written| (sums, written));
        outcome
    }

    /// The text about the tree that was unpacked last, from its beginning.
    pub(crate) fn sums(&self) -> (fs::File, erofs::Written) {
        let sums = self.sums.borrow();
        let (file, written) = sums.as_ref().expect("a tree");
        let path = format!("/proc/self/fd/{}", file.as_raw_fd());
        (fs::File::options().read(true).write(true).open(path).unwrap(), *written)
    }

    /// Fails if anything outside the layer changed.
    pub(crate) fn assert_untouched(&self, what: &str) {
        assert_eq!(snapshot(self.folder.path(), true), self.before, "{what} reached outside the layer");
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }

    pub(crate) fn stat(&self, path: &str) -> fs::Metadata {
        fs::symlink_metadata(self.root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
    }
}

fn xattr(path: &Path, name: &[u8]) -> Vec<u8> {
    let mut value = vec![0; 65536];
    let length = rustix::fs::lgetxattr(path, name, &mut value[..]).unwrap();
    value.truncate(length);
    value
}

/// All that is known of a tree, line by line; without what the layer's root holds if `outside`.
pub(crate) fn snapshot(folder: &Path, outside: bool) -> Vec<String> {
    fn walk(base: &Path, path: &Path, outside: bool, lines: &mut Vec<String>) {
        let stat = fs::symlink_metadata(path).unwrap();
        let name = path.strip_prefix(base).unwrap().display().to_string();
        let content = if stat.is_file() { fs::read(path).unwrap() } else { Vec::new() };
        let link = fs::read_link(path).map(|link| link.display().to_string()).unwrap_or_default();
        if !(outside && name == "root") {
            let links = if stat.is_dir() { 0 } else { stat.nlink() };
            let mut names = vec![0; 4096];
            let length = rustix::fs::llistxattr(path, &mut names[..]).unwrap_or(0);
            let names = names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty());
            let mut xattrs: Vec<_> = names.map(|name| (String::from_utf8_lossy(name), xattr(path, name))).collect();
            xattrs.sort();
            lines.push(format!(
                "{name:?} {:o} {}:{} {}.{} {links} {:x} {link:?} {content:?} {:?}",
                stat.mode(),
                stat.uid(),
                stat.gid(),
                stat.mtime(),
                stat.mtime_nsec(),
                stat.rdev(),
                xattrs
            ));
        }
        if stat.is_dir() && !(outside && name == "root") {
            let mut entries: Vec<_> = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path()).collect();
            entries.sort();
            entries.iter().for_each(|entry| walk(base, entry, outside, lines));
        }
    }
    let mut lines = Vec::new();
    walk(folder, folder, outside, &mut lines);
    lines
}

/// Whether the test can go on; says so if not.
pub(crate) fn root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        use std::io::Write as _;
        let _ = writeln!(std::io::stderr(), "skipped: needs root");
    }
    root
}
