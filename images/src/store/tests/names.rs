//! How images are found, and how they go.

use std::collections::BTreeMap;

use super::*;
use crate::error::Error;

#[test]
fn found_by_name_and_by_id() {
    let t = Fixture::new();
    let image = t.image("smlinux/nodeinfo:v1", "1", &["a", "b"]);
    t.image("localhost:5000/x/y/z:2", "2", &["a", "c"]);
    for name in ["smlinux/nodeinfo:v1", "docker.io/smlinux/nodeinfo:v1", image.id.hex(), image.id.short(), &image.id.to_string()] {
        let found = t.store.image(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((found.id, found.size), (image.id.clone(), 200), "{name}");
    }
    assert_eq!(t.store.image(&format!("smlinux/nodeinfo@{}", image.manifest)).unwrap().id, image.id);
    assert_eq!(t.store.images().unwrap().len(), 2);
    for name in ["smlinux/nodeinfo", "nodeinfo:v1", "sha256:ffff", "0123456789abcdef", "UPPER", "", "sha256:"] {
        assert!(matches!(t.store.image(name), Err(Error::NotFound { .. })), "{name:?}");
    }
    let lower = t.store.lower(&image).unwrap();
    let content: Vec<_> = lower.iter().map(|tree| fs::read_to_string(tree.path().join("file")).unwrap()).collect();
    assert_eq!(content, ["b", "a"], "topmost first");
}

#[test]
fn names_never_collide_with_folders() {
    let t = Fixture::new();
    for (at, name) in ["x/a", "x/a/b", "x/a/b/c:latest", "x/a:b"].into_iter().enumerate() {
        t.image(name, &at.to_string(), &["a"]);
    }
    let images = t.store.images().unwrap();
    let mut names: Vec<_> = images.iter().flat_map(|image| &image.names).map(Reference::familiar).collect();
    names.sort();
    assert_eq!(names, ["x/a/b/c:latest", "x/a/b:latest", "x/a:b", "x/a:latest"]);
    t.store.remove("x/a/b", false, &nobody).unwrap();
    assert!(t.store.image("x/a").is_ok() && t.store.image("x/a/b/c").is_ok() && t.store.image("x/a/b").is_err());
}

#[test]
fn an_ambiguous_id_is_an_error() {
    let t = Fixture::new();
    let mut first = BTreeMap::new();
    for seed in 0..17 {
        let image = t.image(&format!("x:{seed}"), &seed.to_string(), &[]);
        *first.entry(image.id.hex()[..1].to_owned()).or_insert(0) += 1;
    }
    // Of 17 ids at least two begin alike.
    let (prefix, _) = first.into_iter().find(|(_, count)| *count > 1).unwrap();
    assert!(matches!(t.store.image(&format!("sha256:{prefix}")), Err(Error::Ambiguous { .. })));
}

#[test]
fn a_name_that_moves_leaves_its_image() {
    let t = Fixture::new();
    let old = t.image("x:1", "old", &["a"]);
    let new = t.image("x:1", "new", &["b"]);
    assert_eq!(t.store.image("x:1").unwrap().id, new.id);
    let found = t.store.image(&old.id.to_string()).unwrap();
    assert!(found.names.is_empty());
    let removed = t.store.remove(old.id.short(), false, &nobody).unwrap();
    assert_eq!(removed.deleted, [old.id, digest("a")]);
    assert!(t.store.image("x:1").is_ok() && t.has_layer("b") && !t.has_layer("a"));
}

#[test]
fn the_last_name_takes_the_image_with_it() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a", "b"]);
    t.store.tag(&image, &name("x:2")).unwrap();
    t.image("y:1", "2", &["a"]);
    let removed = t.store.remove("x:1", false, &nobody).unwrap();
    assert_eq!((removed.untagged, removed.deleted.len()), (vec!["x:1".to_owned()], 0));
    assert!(t.store.image("x:2").is_ok());
    let removed = t.store.remove("x:2", false, &nobody).unwrap();
    assert_eq!(removed.deleted, [image.id.clone(), digest("b")]);
    assert!(t.has_layer("a"), "another image needs it");
    t.store.remove("y:1", false, &nobody).unwrap();
    assert_eq!(t.files(), Vec::<String>::new(), "nothing stays behind");
}

#[test]
fn removing_by_id() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a"]);
    t.store.tag(&image, &name("x:2")).unwrap();
    t.store.tag(&image, &name("other/x:2")).unwrap();
    assert!(matches!(t.store.remove(image.id.hex(), false, &nobody), Err(Error::SeveralNames { .. })));
    let removed = t.store.remove(image.id.hex(), true, &nobody).unwrap();
    assert_eq!(removed.untagged.len(), 3);
    assert!(!t.has_layer("a"));
    assert!(matches!(t.store.remove("x:1", true, &nobody), Err(Error::NotFound { .. })));
}

#[test]
fn an_image_in_use_stays() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a"]);
    let used = |used: &Image| if used.id == image.id { vec!["c0ffee".to_owned()] } else { Vec::new() };
    let error = t.store.remove("x:1", false, &used).unwrap_err();
    assert_eq!(error.to_string(), "image x:1 is in use by c0ffee");
    t.store.tag(&image, &name("x:2")).unwrap();
    assert_eq!(t.store.remove("x:2", false, &used).unwrap().untagged, ["x:2"], "one of two names may always go");
    let removed = t.store.remove("x:1", true, &used).unwrap();
    assert!(removed.deleted.is_empty() && t.has_layer("a"));
    assert!(matches!(t.store.remove(image.id.hex(), true, &used), Err(Error::InUse { forceable: false, .. })));
    t.store.remove(image.id.hex(), false, &nobody).unwrap();
    assert!(!t.has_layer("a"));
}
