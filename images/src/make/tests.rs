//! An upper folder becomes a layer, in both ways of keeping one, and comes back as it was.

use std::fs;
use std::io::{Read, Write as _};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, XattrFlags, lsetxattr, mknodat};
use serde_json::json;

use super::*;
use crate::image::Layer;
use crate::{Driver, Store};

/// A test that makes devices, and says so where it cannot.
pub(super) fn store(driver: Driver) -> Option<(tempfile::TempDir, Store)> {
    let folder = tempfile::tempdir_in("/var/tmp").unwrap();
    let store = Store::open(&folder.path().join("images")).unwrap().with_driver(driver);
    let why = match store.makes_images() {
        _ if !rustix::process::geteuid().is_root() => "needs root".to_owned(),
        Err(error) => error.to_string(),
        Ok(_) => return Some((folder, store)),
    };
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    None
}

pub(super) fn set(path: &Path, key: &str, value: &str) {
    lsetxattr(path, key, value.as_bytes(), XattrFlags::empty()).unwrap();
}

/// What a container may leave.
fn fill(upper: &Path) {
    fs::create_dir_all(upper.join("etc/deep")).unwrap();
    fs::write(upper.join("etc/a"), "content").unwrap();
    fs::hard_link(upper.join("etc/a"), upper.join("etc/deep/b")).unwrap();
    fs::set_permissions(upper.join("etc/a"), fs::Permissions::from_mode(0o4711)).unwrap();
    std::os::unix::fs::chown(upper.join("etc/a"), Some(7), Some(8)).unwrap();
    fs::set_permissions(upper.join("etc/a"), fs::Permissions::from_mode(0o4711)).unwrap();
    set(&upper.join("etc/a"), "user.note", "x=y\n");
    symlink("../nowhere".repeat(20), upper.join("link")).unwrap();
    fs::write(upper.join("n".repeat(200)), vec![1; 700_000]).unwrap();
    mknodat(CWD, upper.join("gone"), FileType::CharacterDevice, Mode::empty(), 0).unwrap();
    set(&upper.join("etc/deep"), "trusted.overlay.opaque", "y");
    set(&upper.join("etc"), "trusted.overlay.origin", "mark");
    mknodat(CWD, upper.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
    drop(std::os::unix::net::UnixListener::bind(upper.join("socket")).unwrap());
}

pub(super) fn members(store: &Store, layer: &Layer) -> Vec<String> {
    let crate::store::Kept::Whole(blob) = store.kept_blob(&layer.digest).unwrap().unwrap() else { panic!("folded") };
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(blob));
    let mut all = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut text = String::from_utf8(entry.path_bytes().to_vec()).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        if text.len() > 50 {
            text = format!("{}…", &text[..5]);
        }
        all.push(format!("{text} {:o} {}", entry.header().mode().unwrap(), content.len()));
    }
    all
}

pub(super) fn of(store: &Store, fill: impl Fn(&Path)) -> NewLayer {
    let upper = store.upper().unwrap();
    fill(&upper.folder().join("upper"));
    upper.into_layer(&LayerOptions::default()).unwrap().unwrap()
}

fn round_trip(driver: Driver) {
    let Some((folder, store)) = store(driver) else { return };
    let new = of(&store, fill);
    let names = members(&store, &new.layer);
    let expected = [
        "etc/ 755 0",
        ".wh.gone 0 0",
        "link 777 0",
        "nnnnn… 644 700000",
        "pipe 400 0",
        "etc/a 4711 7",
        "etc/deep/ 755 0",
        "etc/deep/.wh..wh..opq 0 0",
        "etc/deep/b 4711 0",
    ];
    assert_eq!(names, expected);
    let lower = store.lower_of(&new.layer.digest).unwrap();
    let tree = lower.path();
    let a = fs::metadata(tree.join("etc/a")).unwrap();
    assert_eq!((a.mode() & 0o7777, a.uid(), a.gid(), a.nlink()), (0o4711, 7, 8, 2));
    assert!(fs::symlink_metadata(tree.join("gone")).unwrap().file_type().is_char_device());
    let xattrs = |path: &str| {
        let file = fs::File::open(tree.join(path)).unwrap();
        let mut names = vec![0; 1000];
        let length = rustix::fs::flistxattr(&file, &mut names[..]).unwrap();
        String::from_utf8(names[..length].to_vec()).unwrap()
    };
    assert_eq!(
        (xattrs("etc/a").as_str(), xattrs("etc/deep").as_str(), xattrs("etc").as_str()),
        ("user.note\0", "trusted.overlay.opaque\0", "")
    );
    assert!(!tree.join("socket").exists());
    // Whatever is made of the archive elsewhere has the digests that were computed here.
    let other = Store::open(&folder.path().join("other")).unwrap();
    let again = other.layer_of(&tree, &LayerOptions::default()).unwrap().unwrap();
    assert_eq!(again.layer, new.layer);
    assert_eq!(fs::read_dir(folder.path().join("images/making")).unwrap().count(), 0);
}

fn lives_as_long_as_it_is_needed(driver: Driver) {
    let Some((_folder, store)) = store(driver) else { return };
    let new = of(&store, fill);
    assert!(store.sweep().unwrap().is_empty());
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Cmd": ["x"]}, "strange": 1});
    let mut config = config.as_object().unwrap().clone();
    NewImage::history(&mut config, json!({"created_by": "RUN x"}));
    let name = "test/made:v1".parse().unwrap();
    let image = store.make_image(&NewImage { config, layers: std::slice::from_ref(&new.layer), names: &[name] }).unwrap();
    let digest = new.layer.digest.clone();
    drop(new);
    assert!(store.sweep().unwrap().is_empty());
    let found = store.image("test/made:v1").unwrap();
    assert_eq!((&found.id, &found.layers, found.config.history.len()), (&image.id, &image.layers, 1));
    assert!(String::from_utf8(store.config_bytes(&found).unwrap()).unwrap().contains("\"strange\":1"));
    let mut archive = Vec::new();
    crate::save(&store, &["test/made:v1".to_owned()], &Default::default(), &mut archive, &()).unwrap();
    let removed = store.remove("test/made:v1", false, &|_| Vec::new()).unwrap();
    assert!(removed.deleted.contains(&digest));
}

fn the_same_again_is_the_same(driver: Driver) {
    let Some((folder, store)) = store(driver) else { return };
    let small = |upper: &Path| {
        fs::write(upper.join("a"), "a").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_nanos(1_700_000_000_123_456_789);
        fs::File::options().write(true).open(upper.join("a")).unwrap().set_modified(time).unwrap();
    };
    let first = of(&store, small);
    let second = of(&store, small);
    assert_eq!(first.layer, second.layer);
    // A file that is newer than it may be gets the time that is allowed, in the archive and in the layer.
    let upper = store.upper().unwrap();
    small(&upper.folder().join("upper"));
    let clamped = upper.into_layer(&LayerOptions { newest: Some(1000), ..LayerOptions::default() }).unwrap().unwrap();
    assert_ne!(clamped.layer.digest, first.layer.digest);
    let tree = store.lower_of(&clamped.layer.digest).unwrap();
    assert_eq!(fs::metadata(tree.path().join("a")).unwrap().mtime(), 1000);
    assert!(PathBuf::from(folder.path()).join("images/making").read_dir().unwrap().next().is_none());
}

pub(super) fn each_driver(test: fn(Driver)) {
    test(Driver::Tree);
    test(Driver::Erofs);
}

#[test]
fn round_trips() {
    each_driver(round_trip);
}

#[test]
fn lifetimes() {
    each_driver(lives_as_long_as_it_is_needed);
}

#[test]
fn reproducible() {
    each_driver(the_same_again_is_the_same);
}

#[test]
fn nothing_makes_no_layer() {
    let Some((folder, store)) = store(Driver::Tree) else { return };
    assert!(store.upper().unwrap().into_layer(&LayerOptions::default()).unwrap().is_none());
    drop(store.upper().unwrap());
    assert_eq!(fs::read_dir(folder.path().join("images/making")).unwrap().count(), 0);
}

#[test]
fn what_no_layer_can_have_is_refused_and_leaves_nothing() {
    let Some((folder, store)) = store(Driver::Tree) else { return };
    let upper = store.upper().unwrap();
    fs::create_dir(upper.folder().join("upper/d")).unwrap();
    fs::write(upper.folder().join("upper/d/.wh.x"), "").unwrap();
    let error = upper.into_layer(&LayerOptions::default()).unwrap_err().to_string();
    assert!(error.contains("d/.wh.x"), "{error}");
    assert_eq!(fs::read_dir(folder.path().join("images/making")).unwrap().count(), 0);
    assert_eq!(fs::read_dir(folder.path().join("images/layers/sha256")).unwrap().count(), 0);
}

#[test]
fn what_a_killed_maker_left_is_swept() {
    let Some((folder, store)) = store(Driver::Tree) else { return };
    let alive = store.upper().unwrap();
    fs::create_dir_all(folder.path().join("images/making/1-1/upper/x")).unwrap();
    store.sweep().unwrap();
    assert!(alive.folder().is_dir() && !folder.path().join("images/making/1-1").exists());
}

#[test]
fn folders_deeper_than_any_path_are_refused() {
    let Some((_folder, store)) = store(Driver::Tree) else { return };
    let upper = store.upper().unwrap();
    let mut folder = sys::fs::open_dir(upper.folder().join("upper")).unwrap();
    for _ in 0..30 {
        let name = "d".repeat(200);
        rustix::fs::mkdirat(&folder, &name, Mode::RWXU).unwrap();
        folder = rustix::fs::openat(&folder, &name, rustix::fs::OFlags::DIRECTORY, Mode::empty()).unwrap();
    }
    assert!(upper.into_layer(&LayerOptions::default()).unwrap_err().to_string().contains("dddd"));
}

#[test]
fn a_folder_is_packed_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join(".wh.x"), "kept").unwrap();
    let mut out = Vec::new();
    pack(std::os::fd::AsFd::as_fd(&fs::File::open(folder.path()).unwrap()), Owners::default(), &mut out).unwrap();
    let mut archive = tar::Archive::new(&out[..]);
    let names: Vec<_> = archive.entries().unwrap().map(|entry| entry.unwrap().path().unwrap().display().to_string()).collect();
    assert!(names.contains(&".wh.x".to_owned()), "{names:?}");
}
