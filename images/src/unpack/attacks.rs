//! Hostile archives. Each test looks at files outside the layer afterwards.

use std::os::unix::fs::MetadataExt;

use tar::EntryType;

use super::testing::{Place, Tar, root};
use super::{Error, Malformed};

/// Unpacks what must be refused.
fn refused(what: &str, tar: Tar) -> Error {
    let place = Place::new();
    let error = place.unpack(&tar.end()).expect_err(what);
    place.assert_untouched(what);
    error
}

/// Unpacks what is harmless when it is understood inside the layer.
fn contained(what: &str, tar: impl FnOnce(&Place) -> Tar) -> Place {
    let place = Place::new();
    let tar = tar(&place);
    place.unpack(&tar.end()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    place.assert_untouched(what);
    place
}

#[test]
fn names_that_climb_out_are_refused() {
    for path in ["../canary", "/../canary", "a/../../canary", "./../canary", "a/b/../../../canary", ".."] {
        let error = refused(path, Tar::default().file(path, "dead"));
        assert!(matches!(error, Error::Outside { .. }), "{path}: {error:?}");
    }
    let error = refused("pax path", Tar::default().pax(&[("path", b"../canary")]).file("x", "dead"));
    assert!(matches!(error, Error::Outside { .. }), "{error:?}");
    let error = refused("long name", Tar::default().entry(EntryType::GNULongName, "", "", b"../canary\0").file("x", "dead"));
    assert!(matches!(error, Error::Outside { .. }), "{error:?}");
    refused("folder", Tar::default().with(EntryType::Directory, "../outside", "", b"", |header| header.set_mode(0o777)));
    refused("whiteout", Tar::default().file("../.wh.canary", ""));
}

#[test]
fn an_absolute_name_is_inside() {
    let place = contained("absolute", |place| Tar::default().file(&place.beside("canary"), "inside"));
    assert_eq!(place.read(&place.beside("canary")[1..]), "inside");
}

#[test]
fn links_as_parents_stay_inside() {
    let place = contained("relative link", |_| Tar::default().symlink("out", "..").file("out/canary", "inside"));
    assert_eq!(place.read("canary"), "inside");
    let place =
        contained("deep relative link", |_| Tar::default().symlink("a/out", "../../outside").file("a/out/canary", "inside"));
    assert_eq!(place.read("outside/canary"), "inside");
    contained("absolute link", |place| Tar::default().symlink("out", &place.beside("outside")).file("out/canary", "inside"));
    contained("chain", |_| Tar::default().symlink("a", "b").symlink("b", "../outside").file("a/canary", "inside"));
    contained("folder below a link", |place| Tar::default().symlink("out", &place.beside("outside")).dir("out/dir").dir("out/new"));
    contained("link below a link", |place| Tar::default().symlink("out", &place.beside("")).symlink("out/canary", "x"));
    let error = refused("loop", Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", ""));
    assert!(matches!(error, Error::Entry { .. }), "{error:?}");
}

#[test]
fn a_link_is_replaced_and_not_written_through() {
    let place = contained("file", |place| Tar::default().symlink("x", &place.beside("canary")).file("x", "inside"));
    assert!(place.stat("x").is_file());
    let place = contained("folder", |place| {
        let tar = Tar::default().symlink("x", &place.beside("outside"));
        tar.with(EntryType::Directory, "x", "", b"", |header| header.set_mode(0o777)).file("x/canary", "inside")
    });
    assert!(place.stat("x").is_dir());
    contained("link in between", |place| Tar::default().dir("x").symlink("x", &place.beside("outside")).file("x/canary", "inside"));
    contained("second pass", |place| {
        let tar = Tar::default().with(EntryType::Directory, "d/x", "", b"", |header| header.set_mode(0o6777));
        tar.symlink("d", &place.beside("outside"))
    });
    contained("time and owner of a link", |place| Tar::default().symlink("x", &place.beside("canary")));
}

#[test]
fn hard_links_reach_nothing_outside() {
    for target in ["../canary", "a/../../canary", "/../canary"] {
        let error = refused(target, Tar::default().link("x", target).file("x", "dead"));
        assert!(matches!(error, Error::Outside { .. }), "{error:?}");
    }
    let place = contained("absolute", |place| Tar::default().link("x", &place.beside("canary")).file("x", "inside"));
    assert_eq!(place.read("x"), "inside");
    contained("through a link", |_| Tar::default().symlink("out", "..").link("x", "out/canary").file("x", "inside"));
    let place =
        contained("to a link", |place| Tar::default().symlink("s", &place.beside("canary")).link("x", "s").file("x", "inside"));
    assert!(place.stat("x").is_file() && place.stat("s").is_symlink());
}

#[test]
fn whiteouts_that_name_nothing_are_refused() {
    for path in [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh."] {
        let error = refused(path, Tar::default().dir("a").file(path, ""));
        assert!(matches!(error, Error::Name { .. }), "{path}: {error:?}");
    }
    refused("folder", Tar::default().file(".wh.a/b", ""));
}

#[test]
fn opaque_marks_stay_inside() {
    if !root() {
        return;
    }
    contained("opaque", |place| Tar::default().symlink("out", &place.beside("outside")).file("out/.wh..wh..opq", ""));
    contained("whiteout", |place| Tar::default().symlink("out", &place.beside("outside")).file("out/.wh.canary", ""));
}

#[test]
fn attributes_do_not_follow_links() {
    if !root() {
        return;
    }
    contained("attribute of a link", |place| {
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let tar = Tar::default().pax(&[("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.a", b"x")]);
        tar.with(EntryType::Symlink, "x", &place.beside("canary"), b"", |header| header.set_uid(7))
    });
}

#[test]
fn attributes_that_steer_overlayfs_are_left_out() {
    if !root() {
        return;
    }
    let forged: &[(&str, &[u8])] = &[
        ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
        ("SCHILY.xattr.trusted.overlay.metacopy", b""),
        ("SCHILY.xattr.trusted.x", b"1"),
        ("SCHILY.xattr.user.overlay.opaque", b"y"),
        ("SCHILY.xattr.user.fine", b"1"),
    ];
    let place = contained("forged", |_| Tar::default().pax(forged).dir("d").pax(forged).file("f", ""));
    for path in ["d", "f"] {
        let mut names = [0; 1024];
        let length = rustix::fs::llistxattr(place.root().join(path), &mut names[..]).unwrap();
        assert_eq!(&names[..length], b"user.fine\0", "{path}");
    }
}

#[test]
fn sizes_that_lie_are_refused() {
    let place = Place::new();
    let tar = Tar::default().with(EntryType::Regular, "x", "", b"abc", |header| header.set_size(1 << 62));
    assert!(matches!(place.unpack(&tar.end()), Err(Error::Input(_))));
    assert!(place.stat("x").blocks() * 512 < 1 << 20);
    let negative = |header: &mut tar::Header| header.as_old_mut().size = [0xff; 12];
    let error = refused("negative", Tar::default().with(EntryType::Regular, "x", "", b"", negative));
    assert!(matches!(error, Error::Malformed { source: Malformed("a size is negative"), .. }), "{error:?}");
    let huge = |header: &mut tar::Header| header.set_size(1 << 40);
    refused("long name", Tar::default().with(EntryType::GNULongName, "x", "", b"a", huge).file("x", ""));
    refused("extended header", Tar::default().with(EntryType::XHeader, "x", "", b"a", huge).file("x", ""));
    refused("extended size", Tar::default().pax(&[("size", b"99999999999999999999")]).file("x", ""));
    refused("two headers", Tar::default().pax(&[("size", b"3")]).pax(&[("size", b"0")]).file("x", "abc"));
    refused("global header", Tar::default().entry(EntryType::XGlobalHeader, "x", "", b"10 size=1\n").file("x", ""));
    refused("nothing to describe", Tar::default().pax(&[("size", b"3")]));
}

/// CVE-2025-62518: a header says 0 and the extended one says how much: what is inside is data, not members.
#[test]
fn an_extended_size_hides_the_archive_inside() {
    let inner = Tar::default().file("smuggled", "x").0;
    let size = inner.len().to_string();
    let tar = Tar::default().pax(&[("size", size.as_bytes())]);
    let tar = tar.with(EntryType::Regular, "outer", "", &inner, |header| header.set_size(0)).file("after", "y");
    let place = contained("inner archive", |_| tar);
    assert!(!place.root().join("smuggled").exists());
    assert_eq!(place.stat("outer").len(), inner.len() as u64);
    assert_eq!(place.read("after"), "y");
    // The newline in a value before it must not hide the size (GHSA-3pv8-6f4r-ffg2).
    let inner = Tar::default().file("smuggled", "x").0;
    let tar = Tar::default().pax(&[("SCHILY.xattr.user.a", b"1\n2"), ("size", size.as_bytes())]);
    let tar = tar.with(EntryType::Regular, "outer", "", &inner, |header| header.set_size(0)).file("after", "y");
    let place = contained("inner archive", |_| tar);
    assert!(!place.root().join("smuggled").exists() && place.root().join("after").exists());
}

#[test]
fn names_too_long_for_the_kernel_are_errors() {
    let part = "a".repeat(256);
    let error = refused("part", Tar::default().pax(&[("path", part.as_bytes())]).file("x", ""));
    assert!(matches!(error, Error::Entry { .. }), "{error:?}");
    let path = "a/".repeat(3000) + "x";
    let error = refused("path", Tar::default().pax(&[("path", path.as_bytes())]).file("x", ""));
    assert!(error.to_string().len() < 400, "{error}");
}

#[test]
fn the_root_is_only_a_folder() {
    refused("file", Tar::default().file(".", "x"));
    refused("link", Tar::default().symlink("/", ".."));
    let place = contained("folder", |_| Tar::default().with(EntryType::Directory, "./", "", b"", |header| header.set_mode(0o700)));
    assert_eq!(place.stat("").mode() & 0o7777, 0o700);
}
