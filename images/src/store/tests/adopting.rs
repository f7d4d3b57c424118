//! Layers are unpacked alone; what they leave to those below them is completed afterwards.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::erofs;
use crate::error::Error;
use crate::store::{Driver, Lower};
use crate::unpack::{Destination, members_of};

/// Runs a test with each driver.
fn each(test: impl Fn(&Fixture)) {
    let t = Fixture::new();
    test(&Fixture { store: t.store.clone().with_driver(Driver::Tree), ..t });
    let t = Fixture::new();
    let t = Fixture { store: t.store.clone().with_driver(Driver::Erofs), ..t };
    match t.store.makes_images() {
        Ok(_) => test(&t),
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "skipped in part: {error}");
        }
    }
}

fn with(t: &Fixture, layer: &str, implicit: &[&str], foreign: &[(&str, &str)], fill: impl FnOnce(&Path)) {
    let digest = digest(layer);
    let staged = Staged::new(&t.store, &digest, t.store.lock_layer(&digest).unwrap()).unwrap();
    let mut file = layer_file(layer);
    match staged.destination().unwrap() {
        Destination::Tree(..) => fill(&t.store.beside(&digest, "part").join("tree")),
        Destination::Erofs(image) => {
            let folder = tempfile::tempdir().unwrap();
            fill(folder.path());
            let mut tar = tar::Builder::new(Vec::new());
            tar.follow_symlinks(false);
            tar.append_dir_all(".", folder.path()).unwrap();
            let image = erofs::Image::new(image).unwrap();
            let (layer, _) = members_of(image, &tar.into_inner().unwrap()[..]).unwrap_or_else(|error| panic!("{error:?}"));
            file.erofs = layer.erofs.map(Into::into);
        }
    }
    file.implicit = implicit.iter().map(ToString::to_string).collect();
    file.foreign = foreign.iter().map(|(link, target)| (link.to_string(), target.to_string())).collect();
    staged.publish(&file).unwrap();
}

/// What is below a layer's folder, to be looked at while the value lives.
fn look(t: &Fixture, layer: &str) -> Lower {
    let digest = digest(layer);
    assert_eq!(t.store.examine_layer(&digest).unwrap().flaws, []);
    t.store.lower_of(&digest).unwrap()
}

fn folder(tree: &Path, path: &str, mode: u32) {
    fs::create_dir_all(tree.join(path)).unwrap();
    fs::set_permissions(tree.join(path), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn folders_take_the_attributes_of_the_layers_below() {
    each(folders_take_attributes);
}

fn folders_take_attributes(t: &Fixture) {
    with(t, "base", &[""], &[], |tree| {
        folder(tree, "tmp", 0o1777);
        folder(tree, "etc", 0o750);
        fs::write(tree.join("file"), "").unwrap();
    });
    with(t, "top", &["", "tmp", "etc", "file", "new"], &[], |tree| {
        ["tmp", "etc", "file", "new"].iter().for_each(|path| folder(tree, path, 0o755));
    });
    let digests = [digest("base"), digest("top")];
    t.store.adopt(&digests).unwrap();
    let top = look(t, "top");
    let mode = |path: &str| fs::metadata(top.path().join(path)).unwrap().mode() & 0o7777;
    assert_eq!((mode("tmp"), mode("etc"), mode("file"), mode("new")), (0o1777, 0o750, 0o755, 0o755));
    assert!(t.store.read_layer(&digests[1]).unwrap().unwrap().base.is_some());
}

#[test]
fn links_bring_their_file_up() {
    each(links_bring_files);
}

fn links_bring_files(t: &Fixture) {
    with(t, "base", &[], &[], |tree| {
        folder(tree, "bin", 0o711);
        fs::write(tree.join("bin/a"), "content").unwrap();
        fs::set_permissions(tree.join("bin/a"), fs::Permissions::from_mode(0o4711)).unwrap();
    });
    with(t, "top", &[], &[("x/b", "bin/a"), ("c", "bin/a")], |_| {});
    let digests = [digest("base"), digest("top")];
    t.store.adopt(&digests).unwrap();
    let (base, top) = (look(t, "base"), look(t, "top"));
    let stat = |path: &str| fs::metadata(top.path().join(path)).unwrap();
    assert_eq!((stat("bin/a").nlink(), stat("c").mode() & 0o7777, stat("bin").mode() & 0o7777), (3, 0o4711, 0o711));
    assert_eq!(fs::read_to_string(top.path().join("x/b")).unwrap(), "content");
    assert_eq!(stat("bin/a").mtime_nsec(), fs::metadata(base.path().join("bin/a")).unwrap().mtime_nsec());
    // On top of something else the file would be another one.
    t.layer("other");
    assert!(matches!(t.store.adopt(&[digest("other"), digest("top")]), Err(Error::OtherBase { .. })));
}

#[test]
fn a_link_to_nothing_is_an_error() {
    each(a_link_to_nothing);
}

fn a_link_to_nothing(t: &Fixture) {
    with(t, "base", &[], &[], |tree| std::os::unix::fs::symlink("/etc", tree.join("out")).unwrap());
    for (layer, target) in [("top", "gone"), ("through", "out/passwd"), ("folder", "")] {
        with(t, layer, &[], &[("b", target)], |_| {});
        let error = t.store.adopt(&[digest("base"), digest(layer)]).unwrap_err();
        assert!(matches!(error, Error::ForeignLink { .. }), "{target}: {error:?}");
    }
}
