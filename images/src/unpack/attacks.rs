//! Hostile archives. Each test looks at files outside the layer afterwards.

use std::os::unix::fs::MetadataExt;

use tar::EntryType;

use super::testing::{Driver, Place, Tar, root, with_each_driver};
use super::{Error, Malformed};

with_each_driver!(
    names_that_climb_out_are_refused,
    an_absolute_name_is_inside,
    links_as_parents_stay_inside,
    a_link_is_replaced_and_not_written_through,
    hard_links_reach_nothing_outside,
    whiteouts_that_name_nothing_are_refused,
    opaque_marks_stay_inside,
    attributes_do_not_follow_links,
    attributes_that_steer_overlayfs_are_left_out,
    sizes_that_lie_are_refused,
    an_extended_size_hides_the_archive_inside,
    names_too_long_for_the_kernel_are_errors,
    the_root_is_only_a_folder,
    deep_names_do_not_fill_memory,
    links_to_elsewhere_do_not_fill_memory,
);

/// Unpacks what must be refused.
fn refused(driver: Driver, what: &str, tar: Tar) -> Error {
    let place = Place::new(driver);
    let error = place.unpack(&tar.end()).expect_err(what);
    place.assert_untouched(what);
    error
}

/// Unpacks what is harmless when it is understood inside the layer.
fn contained(driver: Driver, what: &str, tar: impl FnOnce(&Place) -> Tar) -> Place {
    let place = Place::new(driver);
    let tar = tar(&place);
    place.unpack(&tar.end()).unwrap_or_else(|error| panic!("{what}: {error:?}"));
    place.assert_untouched(what);
    place
}

fn names_that_climb_out_are_refused(driver: Driver) {
    for path in ["../canary", "/../canary", "a/../../canary", "./../canary", "a/b/../../../canary", ".."] {
        let error = refused(driver, path, Tar::default().file(path, "dead"));
        assert!(matches!(error, Error::Outside { .. }), "{path}: {error:?}");
    }
    let error = refused(driver, "pax path", Tar::default().pax(&[("path", b"../canary")]).file("x", "dead"));
    assert!(matches!(error, Error::Outside { .. }), "{error:?}");
    let error =
        refused(driver, "long name", Tar::default().entry(EntryType::GNULongName, "", "", b"../canary\0").file("x", "dead"));
    assert!(matches!(error, Error::Outside { .. }), "{error:?}");
    refused(driver, "folder", Tar::default().with(EntryType::Directory, "../outside", "", b"", |header| header.set_mode(0o777)));
    refused(driver, "whiteout", Tar::default().file("../.wh.canary", ""));
}

fn an_absolute_name_is_inside(driver: Driver) {
    let place = contained(driver, "absolute", |place| Tar::default().file(&place.beside("canary"), "inside"));
    assert_eq!(place.read(&place.beside("canary")[1..]), "inside");
}

fn links_as_parents_stay_inside(driver: Driver) {
    let place = contained(driver, "relative link", |_| Tar::default().symlink("out", "..").file("out/canary", "inside"));
    assert_eq!(place.read("canary"), "inside");
    let place = contained(driver, "deep relative link", |_| {
        Tar::default().symlink("a/out", "../../outside").file("a/out/canary", "inside")
    });
    assert_eq!(place.read("outside/canary"), "inside");
    contained(driver, "absolute link", |place| {
        Tar::default().symlink("out", &place.beside("outside")).file("out/canary", "inside")
    });
    contained(driver, "chain", |_| Tar::default().symlink("a", "b").symlink("b", "../outside").file("a/canary", "inside"));
    contained(driver, "folder below a link", |place| {
        Tar::default().symlink("out", &place.beside("outside")).dir("out/dir").dir("out/new")
    });
    contained(driver, "link below a link", |place| Tar::default().symlink("out", &place.beside("")).symlink("out/canary", "x"));
    let error = refused(driver, "loop", Tar::default().symlink("a", "b").symlink("b", "a").file("a/x", ""));
    assert!(matches!(error, Error::Entry { .. } | Error::Name { .. }), "{error:?}");
}

fn a_link_is_replaced_and_not_written_through(driver: Driver) {
    let place = contained(driver, "file", |place| Tar::default().symlink("x", &place.beside("canary")).file("x", "inside"));
    assert!(place.stat("x").is_file());
    let place = contained(driver, "folder", |place| {
        let tar = Tar::default().symlink("x", &place.beside("outside"));
        tar.with(EntryType::Directory, "x", "", b"", |header| header.set_mode(0o777)).file("x/canary", "inside")
    });
    assert!(place.stat("x").is_dir());
    contained(driver, "link in between", |place| {
        Tar::default().dir("x").symlink("x", &place.beside("outside")).file("x/canary", "inside")
    });
    contained(driver, "second pass", |place| {
        let tar = Tar::default().with(EntryType::Directory, "d/x", "", b"", |header| header.set_mode(0o6777));
        tar.symlink("d", &place.beside("outside"))
    });
    contained(driver, "time and owner of a link", |place| Tar::default().symlink("x", &place.beside("canary")));
}

fn hard_links_reach_nothing_outside(driver: Driver) {
    for target in ["../canary", "a/../../canary", "/../canary"] {
        let error = refused(driver, target, Tar::default().link("x", target).file("x", "dead"));
        assert!(matches!(error, Error::Outside { .. }), "{error:?}");
    }
    let place = contained(driver, "absolute", |place| Tar::default().link("x", &place.beside("canary")).file("x", "inside"));
    assert_eq!(place.read("x"), "inside");
    contained(driver, "through a link", |_| Tar::default().symlink("out", "..").link("x", "out/canary").file("x", "inside"));
    let place = contained(driver, "to a link", |place| {
        Tar::default().symlink("s", &place.beside("canary")).link("x", "s").file("x", "inside")
    });
    assert!(place.stat("x").is_file() && place.stat("s").is_symlink());
}

fn whiteouts_that_name_nothing_are_refused(driver: Driver) {
    for path in [".wh.", ".wh..", ".wh...", "a/.wh...", "a/.wh."] {
        let error = refused(driver, path, Tar::default().dir("a").file(path, ""));
        assert!(matches!(error, Error::Name { .. }), "{path}: {error:?}");
    }
    refused(driver, "folder", Tar::default().file(".wh.a/b", ""));
}

fn opaque_marks_stay_inside(driver: Driver) {
    if !root() {
        return;
    }
    contained(driver, "opaque", |place| Tar::default().symlink("out", &place.beside("outside")).file("out/.wh..wh..opq", ""));
    contained(driver, "whiteout", |place| Tar::default().symlink("out", &place.beside("outside")).file("out/.wh.canary", ""));
}

fn attributes_do_not_follow_links(driver: Driver) {
    if !root() {
        return;
    }
    contained(driver, "attribute of a link", |place| {
        let capability = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";
        let tar = Tar::default().pax(&[("SCHILY.xattr.security.capability", capability), ("SCHILY.xattr.user.a", b"x")]);
        tar.with(EntryType::Symlink, "x", &place.beside("canary"), b"", |header| header.set_uid(7))
    });
}

fn attributes_that_steer_overlayfs_are_left_out(driver: Driver) {
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
    let place = contained(driver, "forged", |_| Tar::default().pax(forged).dir("d").pax(forged).file("f", ""));
    for path in ["d", "f"] {
        let mut names = [0; 1024];
        let length = rustix::fs::llistxattr(place.root().join(path), &mut names[..]).unwrap();
        assert_eq!(&names[..length], b"user.fine\0", "{path}");
    }
}

fn sizes_that_lie_are_refused(driver: Driver) {
    let place = Place::new(driver);
    let tar = Tar::default().with(EntryType::Regular, "x", "", b"abc", |header| header.set_size(1 << 62));
    assert!(matches!(place.unpack(&tar.end()), Err(Error::Input(_))));
    assert!(place.allocated("x") < 1 << 20);
    let negative = |header: &mut tar::Header| header.as_old_mut().size = [0xff; 12];
    let error = refused(driver, "negative", Tar::default().with(EntryType::Regular, "x", "", b"", negative));
    assert!(matches!(error, Error::Malformed { source: Malformed("a size is negative"), .. }), "{error:?}");
    let huge = |header: &mut tar::Header| header.set_size(1 << 40);
    refused(driver, "long name", Tar::default().with(EntryType::GNULongName, "x", "", b"a", huge).file("x", ""));
    refused(driver, "extended header", Tar::default().with(EntryType::XHeader, "x", "", b"a", huge).file("x", ""));
    refused(driver, "extended size", Tar::default().pax(&[("size", b"99999999999999999999")]).file("x", ""));
    refused(driver, "two headers", Tar::default().pax(&[("size", b"3")]).pax(&[("size", b"0")]).file("x", "abc"));
    refused(driver, "global header", Tar::default().entry(EntryType::XGlobalHeader, "x", "", b"10 size=1\n").file("x", ""));
    refused(driver, "nothing to describe", Tar::default().pax(&[("size", b"3")]));
}

/// CVE-2025-62518: a header says 0 and the extended one says how much: what is inside is data, not members.
fn an_extended_size_hides_the_archive_inside(driver: Driver) {
    let inner = Tar::default().file("smuggled", "x").0;
    let size = inner.len().to_string();
    let tar = Tar::default().pax(&[("size", size.as_bytes())]);
    let tar = tar.with(EntryType::Regular, "outer", "", &inner, |header| header.set_size(0)).file("after", "y");
    let place = contained(driver, "inner archive", |_| tar);
    assert!(!place.root().join("smuggled").exists());
    assert_eq!(place.stat("outer").len(), inner.len() as u64);
    assert_eq!(place.read("after"), "y");
    // The newline in a value before it must not hide the size (GHSA-3pv8-6f4r-ffg2).
    let inner = Tar::default().file("smuggled", "x").0;
    let tar = Tar::default().pax(&[("SCHILY.xattr.user.a", b"1\n2"), ("size", size.as_bytes())]);
    let tar = tar.with(EntryType::Regular, "outer", "", &inner, |header| header.set_size(0)).file("after", "y");
    let place = contained(driver, "inner archive", |_| tar);
    assert!(!place.root().join("smuggled").exists() && place.root().join("after").exists());
}

fn names_too_long_for_the_kernel_are_errors(driver: Driver) {
    let part = "a".repeat(256);
    let error = refused(driver, "part", Tar::default().pax(&[("path", part.as_bytes())]).file("x", ""));
    assert!(matches!(error, Error::Entry { .. } | Error::Name { .. }), "{error:?}");
    let path = "a/".repeat(3000) + "x";
    let error = refused(driver, "path", Tar::default().pax(&[("path", path.as_bytes())]).file("x", ""));
    assert!(error.to_string().len() < 400, "{error}");
}

fn the_root_is_only_a_folder(driver: Driver) {
    refused(driver, "file", Tar::default().file(".", "x"));
    refused(driver, "link", Tar::default().symlink("/", ".."));
    let place =
        contained(driver, "folder", |_| Tar::default().with(EntryType::Directory, "./", "", b"", |header| header.set_mode(0o700)));
    assert_eq!(place.stat("").mode() & 0o7777, 0o700);
}

/// One name of four kilobytes makes two thousand folders, whose paths are four megabytes: nine such names are a kilobyte, compressed.
fn deep_names_do_not_fill_memory(driver: Driver) {
    let below = "/a".repeat(2000);
    let names = |most| (0..most).map(|at| format!("{at}{below}/x")).collect::<Vec<_>>();
    let tar = |most| names(most).iter().fold(Tar::default(), |tar, name| tar.pax(&[("path", name.as_bytes())]).file("x", ""));
    contained(driver, "a few", |_| tar(2));
    let error = refused(driver, "many", tar(10));
    assert!(matches!(error, Error::Malformed { .. } | Error::Name { .. }), "{error:?}");
    assert!(std::error::Error::source(&error).is_some_and(|why| why.to_string().contains("32 MiB")), "{error:?}");
}

fn links_to_elsewhere_do_not_fill_memory(driver: Driver) {
    let target = "t/".repeat(2000);
    let tar = (0..4500)
        .fold(Tar::default(), |tar, at| tar.pax(&[("linkpath", format!("{target}{at}").as_bytes())]).link(&format!("l{at}"), "x"));
    let error = refused(driver, "links", tar);
    assert!(std::error::Error::source(&error).is_some_and(|why| why.to_string().contains("layers below")), "{error:?}");
}
