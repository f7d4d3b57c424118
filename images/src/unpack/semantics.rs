//! What entries mean: image-spec, layer.md, and overlayfs.

use std::os::unix::fs::{FileTypeExt, MetadataExt};

use tar::EntryType;

use super::testing::{Driver, Place, Tar, root, with_each_driver};

with_each_driver!(
    later_entries_replace_earlier_ones,
    hard_links,
    links_into_lower_layers_are_told,
    folders_that_nobody_describes_are_told,
    a_link_to_a_folder_that_comes_later,
    whiteouts_and_opaque_folders,
    whiteouts_beside_what_they_name,
    owners_permissions_and_attributes,
    devices_and_pipes,
    times_to_the_nanosecond,
);

fn unpack(driver: Driver, tar: Tar) -> (Place, super::Layer) {
    let place = Place::new(driver);
    let layer = place.unpack(&tar.end()).unwrap_or_else(|error| panic!("{error:?}"));
    place.assert_untouched("layer");
    (place, layer)
}

fn is_whiteout(place: &Place, path: &str) -> bool {
    let stat = place.stat(path);
    stat.file_type().is_char_device() && stat.rdev() == 0
}

fn is_opaque(place: &Place, path: &str) -> bool {
    let mut value = [0; 4];
    let length = rustix::fs::lgetxattr(place.root().join(path), sys::overlay::opaque(), &mut value[..]);
    length.is_ok_and(|length| value[..length] == *b"y")
}

fn later_entries_replace_earlier_ones(driver: Driver) {
    let tar = Tar::default().file("a", "1").file("a", "22").dir("b").file("b/x", "").file("b", "file");
    let tar = tar.file("c", "").dir("c").file("c/x", "in").symlink("d", "a").file("d", "d").dir("e").file("e/keep", "k");
    let tar = tar.with(EntryType::Directory, "e", "", b"", |header| header.set_mode(0o711)).file("f", "").symlink("f", "a");
    let (place, _) = unpack(driver, tar);
    for (path, content) in [("a", "22"), ("b", "file"), ("c/x", "in"), ("d", "d"), ("e/keep", "k")] {
        assert_eq!(place.read(path), content);
    }
    assert!(place.stat("d").is_file() && place.stat("f").is_symlink());
    assert_eq!(place.stat("e").mode() & 0o7777, 0o711);
}

fn hard_links(driver: Driver) {
    let tar = Tar::default().file("a", "1").link("d/b", "a").link("a", "./a").link("/c", "/d/b").file("x", "old").link("x", "a");
    let (place, layer) = unpack(driver, tar);
    assert_eq!(place.stat("a").nlink(), 4);
    for path in ["d/b", "c", "x"] {
        assert_eq!(place.stat(path).ino(), place.stat("a").ino(), "{path}");
    }
    assert!(layer.foreign.is_empty());
    // Written to under one name: the other one keeps the old file.
    let (place, _) = unpack(driver, Tar::default().file("a", "1").link("b", "a").file("b", "2"));
    assert_eq!((place.read("a").as_str(), place.read("b").as_str()), ("1", "2"));
}

fn links_into_lower_layers_are_told(driver: Driver) {
    let tar = Tar::default().link("d/b", "lower/a").link("c", "gone").file("c", "here").link("e", "x/y/z");
    let (place, layer) = unpack(driver, tar);
    let expected = [(b"d/b".to_vec(), b"lower/a".to_vec()), (b"e".to_vec(), b"x/y/z".to_vec())];
    assert_eq!(layer.foreign, expected);
    assert_eq!(place.read("c"), "here");
    assert!(!place.root().join("d/b").exists());
}

fn folders_that_nobody_describes_are_told(driver: Driver) {
    let tar = Tar::default().file("usr/bin/x", "").file("etc/y", "").dir("etc").dir("./");
    let (place, layer) = unpack(driver, tar);
    assert_eq!(layer.implicit, [b"usr".to_vec(), b"usr/bin".to_vec()]);
    assert_eq!(place.stat("usr/bin").mode() & 0o7777, 0o755);
    let (_, layer) = unpack(driver, Tar::default().file("a/x", "").file("a", "now a file"));
    assert_eq!(layer.implicit, [b"".to_vec()]);
}

fn a_link_to_a_folder_that_comes_later(driver: Driver) {
    let tar = Tar::default().symlink("bin", "usr/bin").file("bin/sh", "1").symlink("lib", "/usr/lib").file("lib/x/y", "2");
    let (place, layer) = unpack(driver, tar);
    assert_eq!((place.read("usr/bin/sh").as_str(), place.read("usr/lib/x/y").as_str()), ("1", "2"));
    assert!(place.stat("bin").is_symlink() && place.stat("lib").is_symlink());
    assert!(layer.implicit.contains(&b"usr/lib/x".to_vec()));
}

fn whiteouts_and_opaque_folders(driver: Driver) {
    if !root() {
        return;
    }
    let tar = Tar::default().file("a/.wh.gone", "").file("b/x", "").file("b/.wh..wh..opq", "").file("c/.wh..wh..opq", "");
    let tar = tar.dir("c").file("c/y", "").file(".wh..wh.plnk/1.2", "").file(".wh..wh.aufs", "");
    let (place, _) = unpack(driver, tar);
    assert!(is_whiteout(&place, "a/gone"));
    assert!(is_opaque(&place, "b") && place.stat("b/x").is_file(), "opaque after its content");
    assert!(is_opaque(&place, "c") && place.stat("c/y").is_file(), "opaque before the folder");
    assert!(!is_opaque(&place, "a"));
    let mut names: Vec<_> = std::fs::read_dir(place.root()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["a", "b", "c"]);
}

/// A whiteout never hides what its own layer has, whichever comes first.
fn whiteouts_beside_what_they_name(driver: Driver) {
    if !root() {
        return;
    }
    let tar = Tar::default().file("f1", "1").file(".wh.f1", "").file(".wh.f2", "").file("f2", "2");
    let tar = tar.dir("d1").file("d1/x", "").file(".wh.d1", "").file(".wh.d2", "").dir("d2").file("d2/x", "");
    let tar = tar.file(".wh.d3", "").file("d3/x", "").file(".wh.l", "").symlink("l", "f1");
    let (place, _) = unpack(driver, tar);
    assert_eq!((place.read("f1").as_str(), place.read("f2").as_str()), ("1", "2"));
    for path in ["d1", "d2", "d3"] {
        assert!(place.stat(path).is_dir() && is_opaque(&place, path), "{path} shows what it should hide");
        assert!(place.stat(path).mode() & 0o7777 == 0o755 && place.stat(&format!("{path}/x")).is_file());
    }
    assert!(place.stat("l").is_symlink());
}

fn owners_permissions_and_attributes(driver: Driver) {
    if !root() {
        return;
    }
    let owned = |mode| {
        move |header: &mut tar::Header| {
            header.set_uid(1000);
            header.set_gid(2000);
            header.set_mode(mode);
        }
    };
    // Version 2, cap_net_raw effective, with a newline among its bytes.
    let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\x0a\0\0\0\0\0\0\0";
    let pax: &[(&str, &[u8])] = &[("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.a", b"1\n2\0")];
    let tar = Tar::default().with(EntryType::Directory, "sgid", "", b"", owned(0o2775)).file("sgid/plain", "");
    let tar = tar.dir("sgid/dir").with(EntryType::Regular, "suid", "", b"x", owned(0o6755)).pax(pax);
    let tar = tar.with(EntryType::Regular, "cap", "", b"x", owned(0o755)).with(EntryType::Symlink, "l", "cap", b"", owned(0o777));
    let tar = tar.with(EntryType::Regular, "secret", "", b"", |header| header.set_mode(0));
    let tar = tar.with(EntryType::Directory, "tmp", "", b"", |header| header.set_mode(0o1777));
    let tar = tar.pax(&[("uid", b"3000000000"), ("gid", b"5")]).file("bigid", "");
    let (place, _) = unpack(driver, tar);
    let stat = |path: &str| {
        let stat = place.stat(path);
        (stat.mode() & 0o7777, stat.uid(), stat.gid())
    };
    assert_eq!(stat("sgid"), (0o2775, 1000, 2000));
    assert_eq!(stat("sgid/plain"), (0o644, 0, 0), "the folder's group was inherited");
    assert_eq!(stat("sgid/dir"), (0o755, 0, 0));
    assert_eq!(stat("suid"), (0o6755, 1000, 2000));
    assert_eq!(stat("l"), (0o777, 1000, 2000));
    assert_eq!(stat("secret").0, 0);
    assert_eq!(stat("tmp").0, 0o1777);
    assert_eq!(stat("bigid"), (0o644, 3_000_000_000, 5));
    let mut value = [0; 64];
    let length = rustix::fs::lgetxattr(place.root().join("cap"), "security.capability", &mut value[..]).unwrap();
    assert_eq!(&value[..length], capability);
    let length = rustix::fs::lgetxattr(place.root().join("cap"), "user.a", &mut value[..]).unwrap();
    assert_eq!(&value[..length], b"1\n2\0");
}

fn devices_and_pipes(driver: Driver) {
    if !root() {
        return;
    }
    let device = |header: &mut tar::Header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_mode(0o666);
    };
    let tar = Tar::default().with(EntryType::Char, "null", "", b"", device).with(EntryType::Block, "disk", "", b"", device);
    let (place, _) = unpack(driver, tar.entry(EntryType::Fifo, "pipe", "", b""));
    assert_eq!((place.stat("null").rdev(), place.stat("null").mode() & 0o777), (rustix::fs::makedev(1, 3), 0o666));
    assert!(place.stat("disk").file_type().is_block_device() && place.stat("pipe").file_type().is_fifo());
}

fn times_to_the_nanosecond(driver: Driver) {
    let time = |time: &'static [u8]| [("mtime", time)];
    let tar = Tar::default().pax(&time(b"1234567890.123456789")).dir("d").pax(&time(b"1.5")).file("d/f", "x");
    let tar = tar.pax(&time(b"-1.5")).file("d/before", "").pax(&time(b"2.25")).symlink("d/l", "f").file("d/plain", "");
    let (place, _) = unpack(driver, tar);
    let time = |path: &str| (place.stat(path).mtime(), place.stat(path).mtime_nsec());
    assert_eq!(time("d"), (1_234_567_890, 123_456_789), "content changed the folder's time");
    assert_eq!(time("d/f"), (1, 500_000_000));
    assert_eq!(time("d/before"), (-2, 500_000_000));
    assert_eq!(time("d/l"), (2, 250_000_000));
    assert_eq!(time("d/plain"), (1_000_000_000, 0));
}
