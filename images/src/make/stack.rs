//! Layers that lie on one another, read once, as the archive of one layer that shows the same.

use std::collections::BTreeSet;
use std::io::Write;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, OFlags, lgetxattr, statat};
use rustix::io::Errno;
use sys::Call;

use super::entry::{Broken, Counted, Failed, Packer, Reading, open_below};
use super::layer::{LayerOptions, NewLayer, make, reading};
use super::merge::{Kind, Merged, merged};
use super::walk::{joined, sorted};
use crate::Digest;
use crate::error::Result;
use crate::image::Layer;
use crate::store::Store;

impl Store {
    /// Makes one layer that shows on top of `base` what `layers` do. Both are listed lowest first, and something keeps all of them in the store.
    /// `None`: there is nothing in it.
    ///
    /// # Errors
    /// A layer is gone or damaged; the store is full.
    pub fn merge(&self, base: &[Layer], layers: &[Layer], options: &LayerOptions) -> Result<Option<NewLayer>> {
        let digests: Vec<Digest> = base.iter().chain(layers).map(|layer| layer.digest.clone()).collect();
        self.adopt(&digests)?;
        let open = digests.iter().rev().map(|digest| self.open_lower(digest)).collect::<Result<Vec<_>>>()?;
        let making = self.making()?;
        let destination = making.destination()?;
        make(making, |out| pack(&open, layers.len(), reading(options, false), out), Some(destination))
    }
}

/// A folder that is yet to be read: the numbers of the layers that have a part of it, the topmost first.
struct Folder {
    path: Vec<u8>,
    layers: Vec<usize>,
    /// Layers below, which show something in it.
    base: Vec<usize>,
}

/// Writes the archive of the first `count` of `layers`, the topmost first, as one layer for those that follow, to its end.
fn pack(layers: &[OwnedFd], count: usize, reading: Reading, out: &mut impl Write) -> std::result::Result<Counted, Failed> {
    let mut packer = Packer::new(reading, out);
    if let Some(top) = layers.first() {
        packer.root(top.as_fd()).map_err(|error| error.at(b"/"))?;
    }
    // overlayfs shows the root folders of all layers, whatever they say.
    let root = Folder { path: Vec::new(), layers: (0..count).collect(), base: (count..layers.len()).collect() };
    let mut folders = vec![root];
    while let Some(folder) = folders.pop() {
        let below = read(layers, &folder, &mut packer).map_err(|error| error.at(&folder.path))?;
        folders.extend(below.into_iter().rev());
    }
    packer.end()
}

/// Writes all that is in a folder, and answers the folders in it.
fn read<W: Write>(layers: &[OwnedFd], folder: &Folder, packer: &mut Packer<'_, W>) -> std::result::Result<Vec<Folder>, Broken> {
    let open = |numbers: &[usize]| -> sys::Result<Vec<(usize, OwnedFd)>> {
        numbers.iter().map(|at| Ok((*at, open_below(layers[*at].as_fd(), &folder.path, OFlags::DIRECTORY)?))).collect()
    };
    let (parts, base) = (open(&folder.layers)?, open(&folder.base)?);
    let mut names = BTreeSet::new();
    for (_, part) in &parts {
        names.extend(sorted(part)?);
    }
    let mut below = Vec::new();
    for name in names {
        let path = joined(&folder.path, &name)?;
        let write = |packer: &mut Packer<'_, W>| -> std::result::Result<Option<Folder>, Broken> {
            let part = |at: usize| parts.iter().find(|(number, _)| *number == at).map(|(_, part)| part.as_fd());
            match merged(&kinds(&parts, &name)?, &kinds(&base, &name)?) {
                None => {}
                Some(Merged::Hidden) => packer.hidden(&path)?,
                Some(Merged::File(at)) => drop(part(at).map(|part| packer.entry(part, &name, &path)).transpose()?),
                Some(Merged::Folder { layers, base, opaque }) => {
                    if let Some(part) = layers.first().and_then(|top| part(*top)) {
                        packer.folder(part, &name, &path)?;
                    }
                    if opaque {
                        packer.opaque(&path)?;
                    }
                    return Ok(Some(Folder { path: path.clone(), layers, base }));
                }
            }
            Ok(None)
        };
        below.extend(write(packer).map_err(|error| Broken::Known(error.at(&path)))?);
    }
    Ok(below)
}

/// What layers have under a name in their parts of a folder.
fn kinds(parts: &[(usize, OwnedFd)], name: &[u8]) -> sys::Result<Vec<(usize, Kind)>> {
    let mut kinds = Vec::new();
    for (at, part) in parts {
        kinds.extend(kind(part, name)?.map(|kind| (*at, kind)));
    }
    Ok(kinds)
}

fn kind(folder: &OwnedFd, name: &[u8]) -> sys::Result<Option<Kind>> {
    let stat = match statat(folder, name, AtFlags::SYMLINK_NOFOLLOW) {
        Err(Errno::NOENT) => return Ok(None),
        stat => stat.call(|| "fstatat()")?,
    };
    Ok(Some(match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => Kind::Folder { opaque: is_opaque(folder, name)? },
        FileType::CharacterDevice if stat.st_rdev == 0 => Kind::Hidden,
        _ => Kind::File,
    }))
}

/// Whether nothing of the layers below shows in a folder.
fn is_opaque(folder: &OwnedFd, name: &[u8]) -> sys::Result<bool> {
    let place = [format!("/proc/self/fd/{}/", folder.as_raw_fd()).as_bytes(), name].concat();
    let mut value = [0; 1];
    match lgetxattr(&place, sys::overlay::opaque(), &mut value[..]) {
        Ok(length) => Ok(value[..length] == *b"y"),
        Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::RANGE) => Ok(false),
        Err(errno) => Err(sys::Error::new(format!("lgetxattr({})", sys::overlay::opaque()), errno)),
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt, symlink};
    use std::path::Path;

    use rustix::fs::{CWD, Mode, mknodat};

    use super::super::tests::{each_driver, members, of, set, store};
    use super::*;
    use crate::Driver;

    fn gone(path: &Path) {
        mknodat(CWD, path, FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    }

    fn merged_of(store: &Store, base: &[&NewLayer], layers: &[&NewLayer], newest: Option<i64>) -> Option<NewLayer> {
        let own = |all: &[&NewLayer]| all.iter().map(|new| new.layer.clone()).collect::<Vec<_>>();
        let options = LayerOptions { newest, ..LayerOptions::default() };
        store.merge(&own(base), &own(layers), &options).unwrap()
    }

    fn of_the_base(upper: &Path) {
        fs::create_dir_all(upper.join("etc/deep")).unwrap();
        fs::create_dir(upper.join("opaque")).unwrap();
        for file in ["etc/keep", "etc/gone", "etc/deep/x", "opaque/old", "file"] {
            fs::write(upper.join(file), "base").unwrap();
        }
    }

    fn of_the_first(upper: &Path) {
        fs::create_dir_all(upper.join("etc/new")).unwrap();
        fs::create_dir(upper.join("opaque")).unwrap();
        set(&upper.join("opaque"), "trusted.overlay.opaque", "y");
        for (file, text) in
            [("etc/secret", "secret"), ("etc/a", "first"), ("opaque/kept", "k"), ("opaque/late", "l"), ("etc/new/x", "x")]
        {
            fs::write(upper.join(file), text).unwrap();
        }
        fs::hard_link(upper.join("etc/a"), upper.join("etc/b")).unwrap();
        fs::hard_link(upper.join("etc/a"), upper.join("etc/c")).unwrap();
        set(&upper.join("etc/a"), "user.note", "n");
        std::os::unix::fs::chown(upper.join("etc/a"), Some(7), Some(8)).unwrap();
        fs::set_permissions(upper.join("etc/a"), fs::Permissions::from_mode(0o4755)).unwrap();
        gone(&upper.join("etc/gone"));
        gone(&upper.join("etc/deep"));
        symlink("nowhere", upper.join("link")).unwrap();
    }

    fn of_the_second(upper: &Path) {
        fs::create_dir_all(upper.join("etc/deep")).unwrap();
        set(&upper.join("etc/deep"), "trusted.overlay.opaque", "y");
        fs::create_dir(upper.join("opaque")).unwrap();
        fs::create_dir(upper.join("file")).unwrap();
        set(&upper.join("file"), "trusted.overlay.opaque", "y");
        for name in ["etc/secret", "etc/new", "opaque/late", "link"] {
            gone(&upper.join(name));
        }
        // Its other names keep what they have.
        fs::write(upper.join("etc/a"), "second").unwrap();
        fs::write(upper.join("etc/deep/y"), "y").unwrap();
        fs::set_permissions(upper.join("etc"), fs::Permissions::from_mode(0o711)).unwrap();
        let sparse = fs::File::create(upper.join("file/sparse")).unwrap();
        sparse.write_all_at(b"end", 3 << 20).unwrap();
    }

    fn what_shows(driver: Driver) {
        let Some((folder, store)) = store(driver) else { return };
        let (base, first, second) = (of(&store, of_the_base), of(&store, of_the_first), of(&store, of_the_second));
        let new = merged_of(&store, &[&base], &[&first, &second], None).unwrap();
        let expected = [
            "etc/ 711 0",
            "file/ 755 0",
            "opaque/ 755 0",
            "opaque/.wh..wh..opq 0 0",
            "etc/a 644 6",
            "etc/b 4755 5",
            "etc/c 4755 0",
            "etc/deep/ 755 0",
            "etc/deep/.wh..wh..opq 0 0",
            "etc/.wh.gone 0 0",
            "etc/deep/y 644 1",
            &format!("file/sparse 644 {}", (3 << 20) + 3),
            "opaque/kept 644 1",
        ];
        assert_eq!(members(&store, &new.layer), expected);
        let lower = store.lower_of(&new.layer.digest).unwrap();
        let b = fs::metadata(lower.path().join("etc/b")).unwrap();
        assert_eq!((b.mode() & 0o7777, b.uid(), b.gid(), b.nlink()), (0o4755, 7, 8, 2));
        let mut value = [0; 4];
        let length = rustix::fs::getxattr(lower.path().join("etc/c"), "user.note", &mut value[..]).unwrap();
        assert_eq!(&value[..length], b"n");
        let blocks = fs::metadata(lower.path().join("file/sparse")).unwrap().blocks();
        assert!(driver != Driver::Tree || blocks < 200, "it has holes no more");
        // On nothing, nothing is hidden.
        let all = merged_of(&store, &[], &[&base, &first, &second], None).unwrap();
        let names = members(&store, &all.layer);
        assert!(!names.iter().any(|name| name.contains(".wh.")), "{names:?}");
        assert!(names.contains(&"etc/keep 644 4".to_owned()) && !names.iter().any(|name| name.contains("old")), "{names:?}");
        // The same layers give the same one, in whatever way they are kept.
        assert_eq!(merged_of(&store, &[&base], &[&first, &second], None).unwrap().layer, new.layer);
        assert_eq!(fs::read_dir(folder.path().join("images/making")).unwrap().count(), 0);
    }

    fn what_does_not_show(driver: Driver) {
        let Some((_folder, store)) = store(driver) else { return };
        let first = of(&store, |upper| fs::write(upper.join("x"), "x").unwrap());
        let second = of(&store, |upper| gone(&upper.join("x")));
        assert!(merged_of(&store, &[], &[&first, &second], None).is_none());
        // It was the base's before.
        let new = merged_of(&store, &[&first], &[&second, &first, &second], None).unwrap();
        assert_eq!(members(&store, &new.layer), [".wh.x 0 0"]);
        let newest = merged_of(&store, &[], &[&second, &first], Some(1000)).unwrap();
        let lower = store.lower_of(&newest.layer.digest).unwrap();
        assert_eq!(fs::metadata(lower.path().join("x")).unwrap().mtime(), 1000);
    }

    #[test]
    fn layers_become_one_that_shows_the_same() {
        each_driver(what_shows);
    }

    #[test]
    fn what_was_hidden_is_gone() {
        each_driver(what_does_not_show);
    }
}
