//! What only images have, and random trees.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use tar::EntryType;

use super::{Sum, Way};
use crate::unpack::testing::{Driver, Place, Tar, snapshot, with_erofs};

fn unpack(driver: Driver, tar: Tar) -> Place {
    let place = Place::new(driver);
    place.unpack(&tar.end()).unwrap_or_else(|error| panic!("{error:?}"));
    place
}

/// Whether erofs-utils find nothing wrong.
fn assert_sound(place: &Place) {
    let path = format!("/proc/{}/fd/{}", std::process::id(), std::os::fd::AsRawFd::as_raw_fd(place.image()));
    match Command::new("fsck.erofs").arg(&path).output() {
        Ok(output) => assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr)),
        Err(_) => drop(writeln!(std::io::stderr(), "skipped in part: needs fsck.erofs")),
    }
}

#[test]
fn a_folder_of_a_hundred_thousand() {
    with_erofs(Way::File, |driver| {
        let name = |at: u32| format!("{}{at:05}", "n".repeat((at * 7 % 250) as usize));
        let tar = (0..100_000).fold(Tar::default().dir("d"), |tar, at| {
            if at % 10 == 0 { tar.symlink(&format!("d/s{at}"), "x") } else { long(tar, &format!("d/{}", name(at)), "") }
        });
        let place = unpack(driver, tar);
        let mut found: Vec<_> = fs::read_dir(place.root().join("d")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        found.sort();
        let mut expected: Vec<_> = (0..100_000).map(|at| if at % 10 == 0 { format!("s{at}") } else { name(at) }).collect();
        expected.sort();
        assert!(found.iter().eq(expected.iter().map(|name| name.as_str())));
        for at in [0, 1, 99_999, 50_003] {
            let name = if at % 10 == 0 { format!("s{at}") } else { name(at) };
            place.stat(&format!("d/{name}"));
        }
        assert!(!place.root().join("d/none").exists());
        assert_sound(&place);
    });
}

/// A file whose name may need an extended header.
fn long(tar: Tar, path: &str, data: &str) -> Tar {
    if path.len() < 100 { tar.file(path, data) } else { tar.pax(&[("path", path.as_bytes())]).file("x", data) }
}

#[test]
fn names_of_255_bytes_and_paths_as_deep_as_they_come() {
    with_erofs(Way::File, |driver| {
        let path = ["a"; 2000].join("/") + "/" + &"b".repeat(90);
        let (name, other) = ("n".repeat(255), "m".repeat(255));
        let place = unpack(driver, long(long(long(Tar::default(), &path, "deep"), &name, "1"), &format!("{other}/{name}"), "2"));
        assert_eq!((place.read(&name).as_str(), place.read(&format!("{other}/{name}")).as_str()), ("1", "2"));
        let root = sys::fs::open_dir(place.root()).unwrap();
        let open = rustix::fs::openat(root, path, rustix::fs::OFlags::RDONLY, rustix::fs::Mode::empty()).unwrap();
        assert_eq!(sys::fs::read_all(open, 10).unwrap(), b"deep");
        let place = Place::new(driver);
        let path = ["a"; 4000].join("/");
        let error = place.unpack(&long(Tar::default(), &path, "").end()).unwrap_err();
        assert!(matches!(error, crate::UnpackError::Name { .. }), "{error:?}");
    });
}

#[test]
fn files_of_every_length_keep_their_bytes() {
    with_erofs(Way::File, |driver| {
        let bytes: Vec<u8> = (0..20_000u32).map(|at| (at % 251) as u8).collect();
        let sizes = [0, 1, 511, 1023, 1024, 1025, 3900, 4031, 4032, 4033, 4095, 4096, 4097, 8192, 12_289, 20_000];
        let tar = sizes.iter().fold(Tar::default(), |tar, size| {
            tar.entry(EntryType::Regular, &format!("f{size}"), "", &bytes[..*size]).dir(&format!("d{size}"))
        });
        let place = unpack(driver, tar);
        for size in sizes {
            assert_eq!(fs::read(place.root().join(format!("f{size}"))).unwrap(), bytes[..size], "{size}");
        }
        assert_sound(&place);
    });
}

#[test]
fn long_attributes_and_links() {
    with_erofs(Way::File, |driver| {
        let values: Vec<Vec<u8>> = (0..4u8).map(|at| vec![at; 9000]).collect();
        let names: Vec<String> = (0..4).map(|at| format!("SCHILY.xattr.user.long{at}")).collect();
        let records: Vec<_> = names.iter().zip(&values).map(|(name, value)| (name.as_str(), value.as_slice())).collect();
        let target = "t".repeat(4095);
        let tar = Tar::default().pax(&records).file("f", "content").pax(&records).dir("d").file("d/x", "");
        let place = unpack(driver, tar.pax(&[("linkpath", target.as_bytes())]).symlink("l", ""));
        for path in ["f", "d"] {
            for (at, value) in values.iter().enumerate() {
                let mut found = vec![0; 10_000];
                let length = rustix::fs::lgetxattr(place.root().join(path), format!("user.long{at}"), &mut found[..]).unwrap();
                assert_eq!(&found[..length], value);
            }
        }
        assert_eq!(place.read("f"), "content");
        assert!(place.stat("d/x").is_file());
        assert_eq!(fs::read_link(place.root().join("l")).unwrap().to_str(), Some(target.as_str()));
        for bad in ["t".repeat(4096), String::new()] {
            let tar = Tar::default().pax(&[("linkpath", bad.as_bytes())]).symlink("l", "");
            assert!(Place::new(driver).unpack(&tar.end()).is_err());
        }
    });
}

/// An access list is in force: the user it names may read, others may not.
#[test]
fn access_lists() {
    with_erofs(Way::File, |driver| {
        let entry =
            |tag: u16, permissions: u16, id: u32| [&tag.to_le_bytes()[..], &permissions.to_le_bytes(), &id.to_le_bytes()].concat();
        let none = u32::MAX;
        let list = [entry(1, 6, none), entry(2, 4, 1234), entry(4, 0, none), entry(16, 4, none), entry(32, 0, none)].concat();
        let list = [&2u32.to_le_bytes()[..], &list].concat();
        let tar = Tar::default().pax(&[("SCHILY.xattr.system.posix_acl_access", &list)]);
        let place = unpack(driver, tar.with(EntryType::Regular, "f", "", b"x", |header| header.set_mode(0o640)));
        let mut found = [0; 100];
        let length = rustix::fs::lgetxattr(place.root().join("f"), "system.posix_acl_access", &mut found[..]).unwrap();
        assert_eq!(&found[..length], list);
    });
}

#[test]
fn a_hole_of_a_terabyte_takes_no_room() {
    with_erofs(Way::File, |driver| {
        const SIZE: u64 = 1 << 40;
        let map = format!("2\n1000000\n3\n{}\n4\n", SIZE - 4);
        let mut data = map.into_bytes();
        data.resize(512, 0);
        data.extend_from_slice(b"abcwxyz");
        let size = SIZE.to_string();
        let sparse = Tar::default().pax(&[
            ("GNU.sparse.major", b"1"),
            ("GNU.sparse.minor", b"0"),
            ("GNU.sparse.name", b"holes"),
            ("GNU.sparse.realsize", size.as_bytes()),
        ]);
        let place = unpack(driver, sparse.entry(EntryType::Regular, "x", "", &data).file("after", "here"));
        let file = File::open(place.root().join("holes")).unwrap();
        let read = |at, length| {
            let mut bytes = vec![0; length];
            file.read_exact_at(&mut bytes, at).unwrap();
            bytes
        };
        assert_eq!(
            (file.metadata().unwrap().len(), read(999_999, 5), read(SIZE - 5, 5)),
            (SIZE, b"\0abc\0".to_vec(), b"\0wxyz".to_vec())
        );
        assert_eq!(read(SIZE / 2, 8), [0; 8]);
        assert_eq!(place.read("after"), "here");
        assert!(place.allocated("") < 1 << 20);
    });
}

/// More than the format can address is an error, and not a wrong number.
#[test]
fn holes_beyond_16_terabytes_are_refused() {
    let size = (i64::MAX as u64).to_string();
    let tar = Tar::default().pax(&[("GNU.sparse.map", b"0,1"), ("GNU.sparse.size", size.as_bytes())]).file("x", "y");
    let error = Place::new(Driver::Erofs(Way::File)).unpack(&tar.end()).unwrap_err();
    assert_eq!(error.errno(), Some(rustix::io::Errno::FBIG));
}

#[test]
fn the_same_archive_gives_the_same_image_and_damage_is_found() {
    let image = || {
        let place = Place::new(Driver::Erofs(Way::File));
        let tar = Tar::default().file("a/b", "1").link("c", "a/b").symlink("d", "c").file("e", &"e".repeat(10_000));
        let layer = place.unpack(&tar.file(".wh.x", "").end()).unwrap();
        (place, layer.erofs.unwrap())
    };
    let ((one, written), (two, again)) = (image(), image());
    let bytes = |place: &Place| {
        let mut bytes = vec![0; place.image().metadata().unwrap().len() as usize];
        place.image().read_exact_at(&mut bytes, 0).unwrap();
        bytes
    };
    assert!(bytes(&one) == bytes(&two) && written == again && bytes(&one).len() as u64 == written.size);
    assert_eq!(Sum::of(one.image()).unwrap(), written.sum);
    for at in [1100, 5000, written.size - 1] {
        let mut byte = [0];
        one.image().read_exact_at(&mut byte, at).unwrap();
        one.image().write_all_at(&[byte[0] ^ 4], at).unwrap();
        assert_ne!(Sum::of(one.image()).unwrap(), written.sum, "{at}");
        one.image().write_all_at(&byte, at).unwrap();
    }
}

/// What an archive of random members is made of: few names, so that they meet. No path leads through
/// a symbolic link: a folder tree keeps books on folders by the paths that members give, so that one with two may lose its times.
fn member() -> impl Strategy<Value = (u8, String, String, u32)> {
    let plain = || prop_oneof![Just("a"), Just("b"), Just("c")];
    let above = prop::collection::vec(plain(), 0..3);
    let name = prop_oneof![4 => plain(), 1 => Just(".wh.a"), 1 => Just(".wh.b"), 1 => Just(".wh..wh..opq")];
    let target = prop::collection::vec(prop_oneof![Just("a"), Just("b"), Just("c"), Just("s"), Just("..")], 1..3);
    (0u8..8, above, name, target, 0u32..6000).prop_map(|(kind, above, name, target, number)| {
        let name = match kind {
            5 => return (kind, if number % 2 == 0 { "s" } else { "t" }.to_owned(), target.join("/"), number),
            _ => name,
        };
        (kind, above.into_iter().chain([name]).collect::<Vec<_>>().join("/"), target.join("/"), number)
    })
}

fn archive(members: &[(u8, String, String, u32)]) -> Vec<u8> {
    let tar = members.iter().fold(Tar::default(), |tar, (kind, path, target, number)| {
        let edit = |header: &mut tar::Header| {
            header.set_uid(u64::from(*number));
            header.set_mtime(u64::from(*number));
            header.set_mode(0o600 | (number % 64));
        };
        let tar = if number % 3 == 0 { tar.pax(&[("SCHILY.xattr.user.n", number.to_string().as_bytes())]) } else { tar };
        match kind {
            0..3 => tar.with(EntryType::Regular, path, "", &vec![b'x'; *number as usize], edit),
            3 | 4 => tar.with(EntryType::Directory, path, "", b"", edit),
            5 => tar.with(EntryType::Symlink, path, target, b"", edit),
            6 => tar.with(EntryType::Link, path, target, b"", edit),
            _ => tar.with(EntryType::Fifo, path, "", b"", edit),
        }
    });
    tar.end()
}

/// All that is known of a layer, but times that no member gives, and owners of whiteouts, and of folders that no member describes.
fn known(place: &Place, implicit: &[Vec<u8>]) -> Vec<String> {
    let mut lines = snapshot(&place.root().join(""), false);
    for line in &mut lines {
        let mut fields: Vec<_> = line.split(' ').collect();
        let name = fields[0].trim_matches('"').to_owned();
        let now = |time: &str| time.split('.').next().is_some_and(|seconds| seconds.len() > 4);
        if fields[1] == "20000" || implicit.iter().any(|folder| folder == name.as_bytes()) {
            *line = name;
        } else if now(fields[3]) {
            fields[3] = "0.0";
            *line = fields.join(" ");
        }
    }
    lines
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever members there are, in whatever order: folder trees and images say the same, or both refuse.
    #[test]
    fn as_a_folder_tree(members in prop::collection::vec(member(), 1..12)) {
        with_members(&members)?;
    }
}

fn with_members(members: &[(u8, String, String, u32)]) -> Result<(), TestCaseError> {
    if !crate::unpack::testing::root() {
        return Ok(());
    }
    let tar = archive(members);
    let (tree, image) = (Place::new(Driver::Tree), Place::new(Driver::Erofs(Way::File)));
    match (tree.unpack(&tar), image.unpack(&tar)) {
        (Err(_), Err(_)) => {}
        (Ok(one), Ok(two)) => {
            prop_assert_eq!(&one.implicit, &two.implicit);
            let sorted = |foreign: &[(Vec<u8>, Vec<u8>)]| foreign.iter().cloned().collect::<std::collections::BTreeMap<_, _>>();
            prop_assert_eq!(sorted(&one.foreign), sorted(&two.foreign));
            prop_assert_eq!(known(&tree, &one.implicit), known(&image, &one.implicit));
            prop_assert_eq!(Sum::of(image.image()).unwrap(), two.erofs.unwrap().sum);
        }
        (one, two) => prop_assert!(false, "{one:?} and {two:?}"),
    }
    Ok(())
}

/// A tree on disk: files with holes, links, odd names, attributes.
fn grow(root: &Path, seeds: &[(u8, u8, u32)]) {
    for (at, (kind, folder, number)) in seeds.iter().enumerate() {
        let above = root.join(format!("d{}", folder % 4)).join(if folder & 4 == 0 { "" } else { "deep/er" });
        fs::create_dir_all(&above).unwrap();
        let path = above.join(format!("{}{at}", "\u{e9} n".repeat((number % 60) as usize)));
        match kind {
            0..4 => fs::write(&path, vec![(number % 256) as u8; *number as usize]).unwrap(),
            4 => {
                let file = File::create(&path).unwrap();
                file.write_all_at(b"end", u64::from(*number) * 50).unwrap();
                file.write_all_at(&[1; 5000], 200_000).unwrap();
            }
            5 => std::os::unix::fs::symlink("x".repeat(1 + *number as usize % 300), &path).unwrap(),
            6 => {
                fs::write(&path, "linked").unwrap();
                fs::hard_link(&path, root.join(format!("l{at}"))).unwrap();
            }
            _ => fs::create_dir(&path).unwrap(),
        }
        if *kind != 5 {
            rustix::fs::chmod(&path, rustix::fs::Mode::from_raw_mode(0o400 | number & 0o7777)).unwrap();
            let _ = rustix::fs::lsetxattr(&path, "user.number", number.to_string().as_bytes(), rustix::fs::XattrFlags::empty());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    /// Trees packed by GNU tar, against GNU tar's own unpacking.
    #[test]
    fn as_gnu_tar_unpacks(seeds in prop::collection::vec((0u8..8, 0u8..8, 0u32..9000), 1..30), sparse: bool) {
        if !crate::unpack::testing::root() || Command::new("tar").arg("--version").output().is_err() {
            return Ok(());
        }
        let (source, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        grow(source.path(), &seeds);
        let words = ["--format=pax", "--xattrs", "--xattrs-include=*", "--numeric-owner"];
        let mut pack = Command::new("tar");
        pack.args(words).args(sparse.then_some("-S")).arg("-C").arg(source.path()).args(["-cf", "-", "."]);
        let tar = pack.output().unwrap().stdout;
        let archive = tempfile::NamedTempFile::new().unwrap();
        fs::write(archive.path(), &tar).unwrap();
        let unpacked = Command::new("tar").args(words).arg("-C").arg(theirs.path()).arg("-xpf").arg(archive.path()).status();
        prop_assert!(unpacked.unwrap().success());
        let ours = Place::new(Driver::Erofs(Way::File));
        ours.unpack(&tar).unwrap();
        prop_assert_eq!(snapshot(&ours.root().join(""), false), snapshot(theirs.path(), false));
        prop_assert_eq!(ours.stat("").nlink(), fs::metadata(theirs.path()).unwrap().nlink());
        assert_sound(&ours);
    }
}
