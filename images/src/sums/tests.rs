//! What is written while a tree is unpacked is what is found there; and what is changed is named.

use std::fs::{self, File};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, PermissionsExt};

use tar::EntryType;

use super::{Difference, compare};
use crate::erofs::Unreadable;
use crate::unpack::testing::{Driver, Place, Tar, root};

/// A layer with everything in it, some of it twice, and by more than one path.
fn archive() -> Tar {
    let tar = Tar::default().dir("./").dir("usr").dir("usr/bin").file("usr/bin/sh", "shell").link("usr/bin/bash", "usr/bin/sh");
    let tar = tar.symlink("bin", "usr/bin").file("bin/ls", "list").file("bin/sh", "another shell").dir("bin/deep/./er");
    let tar = tar.file("etc/motd", "").file("opt/a b%\n", &"x".repeat(5000)).symlink("opt/self", "opt/self");
    let tar = tar.dir("gone").file("gone/x", "").file("gone", "a file now").file("once", "1").file("once", "22").dir("once");
    let tar = tar.dir("later").file("later/x", "1").symlink("alias", "later").file("alias", "no link any more");
    let tar = tar.dir("real").symlink("way", "real").file("way/x", "").file("real", "the folder is gone").file("way2", "");
    tar.with(EntryType::Regular, "suid", "", b"s", |header| header.set_mode(0o4755)).link("lower", "not/here")
}

fn unpacked(tar: Tar) -> (Place, Vec<Difference>) {
    let place = Place::new(Driver::Tree);
    place.unpack(&tar.end()).unwrap_or_else(|error| panic!("{error:?}"));
    let found = differences(&place);
    (place, found)
}

fn differences(place: &Place) -> Vec<Difference> {
    let (sums, written) = place.sums();
    compare(File::open(place.root()).unwrap().as_fd(), &sums, written).unwrap()
}

#[test]
fn a_tree_is_what_was_written() {
    assert_eq!(unpacked(archive()).1, []);
    assert_eq!(unpacked(Tar::default()).1, []);
}

#[test]
fn whiteouts_and_devices_too() {
    if !root() {
        return;
    }
    let device = |header: &mut tar::Header| {
        header.set_device_major(1).unwrap();
        header.set_device_minor(3).unwrap();
        header.set_uid(7);
    };
    let tar = archive().file("a/.wh.gone", "").file("b/x", "").file("b/.wh..wh..opq", "").file("c/.wh.d", "").file("c/d/e", "");
    let tar =
        tar.dir("f").file(".wh.f", "").file(".wh.g", "").dir("g").file("h", "").file(".wh.h", "").file(".wh.i", "").file("i", "");
    let (place, found) = unpacked(tar.with(EntryType::Char, "null", "", b"", device).entry(EntryType::Fifo, "pipe", "", b""));
    assert_eq!(found, []);
    // Written afterwards it says the same.
    let (tree, sums) = (File::open(place.root()).unwrap(), tempfile::tempfile().unwrap());
    let written = super::take(tree.as_fd(), sums.try_clone().unwrap()).unwrap();
    assert_eq!(compare(tree.as_fd(), &sums, written).unwrap(), []);
    rustix::fs::removexattr(place.root().join("b"), "trusted.overlay.opaque").unwrap();
    fs::remove_file(place.root().join("a/gone")).unwrap();
    assert_eq!(named(&place), ["a/gone: missing", "b: opaque mark"]);
}

fn named(place: &Place) -> Vec<String> {
    differences(place).iter().map(|Difference { path, what }| format!("{path}: {what}")).collect()
}

#[test]
fn what_is_changed_is_named() {
    type Change = fn(&std::path::Path);
    let flip: Change = |root| {
        let file = File::options().write(true).open(root.join("opt/a b%\n")).unwrap();
        file.write_all_at(b"y", 4100).unwrap();
    };
    let changes: [(Change, &[&str]); 9] = [
        (flip, &["opt/a b%\\n: content"]),
        (|root| fs::write(root.join("bin/ls"), "").unwrap(), &["usr/bin/ls: size"]),
        (|root| fs::remove_file(root.join("usr/bin/bash")).unwrap(), &["usr/bin/bash: missing"]),
        (|root| fs::remove_dir(root.join("usr/bin/deep/er")).unwrap(), &["usr/bin/deep/er: missing"]),
        (|root| fs::write(root.join("etc/new"), "").unwrap(), &["etc/new: not of this layer"]),
        (|root| fs::set_permissions(root.join("suid"), fs::Permissions::from_mode(0o755)).unwrap(), &["suid: permissions"]),
        (
            |root| {
                fs::remove_file(root.join("opt/self")).unwrap();
                std::os::unix::fs::symlink("opt/SELF", root.join("opt/self")).unwrap();
            },
            &["opt/self: target"],
        ),
        (
            |root| {
                fs::remove_file(root.join("once")).unwrap_or_else(|_| fs::remove_dir(root.join("once")).unwrap());
                fs::write(root.join("once"), "").unwrap();
            },
            &["once: type"],
        ),
        (|root| fs::set_permissions(root, fs::Permissions::from_mode(0o700)).unwrap(), &[": permissions"]),
    ];
    for (change, expected) in changes {
        let (place, found) = unpacked(archive());
        assert_eq!(found, []);
        change(&place.root());
        assert_eq!(named(&place), expected);
    }
}

#[test]
fn a_changed_text_proves_nothing() {
    let (place, _) = unpacked(archive());
    let (sums, written) = place.sums();
    sums.write_all_at(b"9", 0).unwrap();
    let compared = compare(File::open(place.root()).unwrap().as_fd(), &sums, written);
    assert!(matches!(compared, Err(Unreadable::Damaged)));
}

#[test]
fn lines_that_make_no_sense() {
    for lines in ["folder", "100644 0 0 1", "100644 0 0 1 x a", "10064x 0 0 1 0 a", "link a b", "gone a/b", "", "100644 -1 0 0 0 a"]
    {
        assert!(super::read(format!("{lines}\n").as_bytes()).is_none(), "{lines:?}");
    }
}
