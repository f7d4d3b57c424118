//! What stays, and for how long.

use super::*;
use crate::error::Error;
use crate::store::Lock;

#[test]
fn leases_keep_layers_and_dead_ones_do_not() {
    let t = Fixture::new();
    t.image("x:1", "1", &["a", "b"]);
    let lease = t.store.lease([digest("a")].iter()).unwrap();
    fs::write(t.store.leases().join("4242-0.lease"), format!("{}\n", digest("b"))).unwrap();
    t.store.remove("x:1", false, &nobody).unwrap();
    assert!(t.has_layer("a") && !t.has_layer("b"));
    assert!(!t.store.leases().join("4242-0.lease").exists());
    drop(lease);
    assert_eq!(t.store.sweep().unwrap(), [digest("a")]);
    assert_eq!(t.files(), Vec::<String>::new());
}

#[test]
fn a_held_image_cannot_go() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a"]);
    let hold = t.store.hold(&image).unwrap();
    assert!(matches!(t.store.remove("x:1", false, &nobody), Err(Error::InUse { .. })));
    drop(hold);
    t.store.remove("x:1", false, &nobody).unwrap();
    assert!(matches!(t.store.hold(&image), Err(Error::NotFound { .. })));
}

#[test]
fn what_a_killed_pull_leaves_is_swept() {
    let t = Fixture::new();
    let part = t.store.beside(&digest("a"), "part");
    fs::create_dir_all(part.join("tree/half")).unwrap();
    fs::write(t.store.beside(&digest("a"), "lock"), "").unwrap();
    fs::create_dir_all(t.store.beside(&digest("b"), "gone").join("tree")).unwrap();
    t.layer("c");
    // The next pull of the layer starts anew,
    t.layer("a");
    assert!(t.has_layer("a") && !part.exists() && !t.store.layer(&digest("a")).join("tree/half").exists());
    // and a removal clears the rest, but nothing that is under way.
    let busy = digest("busy");
    let staged = Staged::new(&t.store, &busy, t.store.lock_layer(&busy).unwrap()).unwrap();
    assert_eq!(t.store.sweep().unwrap().len(), 2);
    assert!(t.store.beside(&busy, "part").exists());
    drop(staged);
    assert_eq!(t.files(), Vec::<String>::new());
    assert!(fs::read_dir(t.store.layers(&busy)).unwrap().next().is_none());
}

#[test]
fn where_a_layer_can_be_fetched_again() {
    let t = Fixture::new();
    t.image("x:1", "1", &["a"]);
    let layer = digest("a");
    let sources = || t.store.sources(&layer).unwrap().iter().map(|source| source.familiar_name()).collect::<Vec<_>>();
    assert_eq!(sources(), [""; 0]);
    for source in ["one:1", "r.example/two:7", "one:2"] {
        t.store.add_source(&layer, &name(source)).unwrap();
    }
    assert_eq!(sources(), ["r.example/two", "one"], "the latest first, each once");
    (0..20).for_each(|at| t.store.add_source(&layer, &name(&format!("many{at}"))).unwrap());
    assert_eq!(sources(), (12..20).rev().map(|at| format!("many{at}")).collect::<Vec<_>>());
    // A layer that is gone has none.
    t.store.add_source(&digest("gone"), &name("x")).unwrap();
    assert!(t.store.sources(&digest("gone")).unwrap().is_empty() && !t.has_layer("gone"));
}

#[test]
fn a_kept_blob_goes_with_its_layer() {
    let t = Fixture::new();
    let layer = digest("a");
    let staged = Staged::new(&t.store, &layer, t.store.lock_layer(&layer).unwrap()).unwrap();
    fs::create_dir(t.store.beside(&layer, "part").join("tree")).unwrap();
    sys::fs::write_all(staged.keep().unwrap(), b"blob").unwrap();
    assert!(t.store.kept_blob(&layer).unwrap().is_none(), "not before the layer is there");
    staged.publish(&layer_file("a")).unwrap();
    t.image("x:1", "1", &["a"]);
    let Some(crate::store::Kept::Whole(kept)) = t.store.kept_blob(&layer).unwrap() else { panic!("no blob") };
    assert_eq!(std::io::read_to_string(kept).unwrap(), "blob");
    t.store.remove("x:1", false, &nobody).unwrap();
    assert_eq!(t.files(), Vec::<String>::new());
}

#[test]
fn publishing_needs_all_layers() {
    let t = Fixture::new();
    let record = Record {
        target: digest("m"),
        manifest: digest("m"),
        media_type: String::new(),
        config: digest("c"),
        layers: vec![digest("missing")],
    };
    let lease = t.store.lease(record.layers.iter()).unwrap();
    let reference = name("x:1");
    let publication = Publication { names: std::slice::from_ref(&reference), record: &record, blobs: Vec::new() };
    assert!(matches!(t.store.publish(&publication, &lease), Err(Error::Damaged { .. })));
    drop(lease);
    assert_eq!(t.files(), Vec::<String>::new());
}

#[test]
fn pulls_and_removals_side_by_side() {
    let t = Fixture::new();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let t = &t;
            scope.spawn(move || {
                for round in 0..15 {
                    let reference = format!("w{worker}:1");
                    let digests = [digest("shared"), digest(&format!("own{worker}"))];
                    let lease = t.store.lease(digests.iter()).unwrap();
                    let image = t.image(&reference, &format!("{worker} {round}"), &["shared", &format!("own{worker}")]);
                    t.store.lower(&image).unwrap();
                    drop(lease);
                    t.store.lower(&image).unwrap_or_else(|error| panic!("a published image lost a layer: {error}"));
                    t.store.remove(image.id.hex(), true, &nobody).unwrap();
                }
            });
        }
    });
    t.store.sweep().unwrap();
    assert_eq!(t.files(), Vec::<String>::new());
}

#[test]
fn only_the_owner_may_enter() {
    use std::os::unix::fs::MetadataExt;
    let t = Fixture::new();
    for folder in ["", "refs", "layers", "blobs", "leases"] {
        let mode = fs::metadata(t.store.root().join(folder)).unwrap().mode();
        assert_eq!(mode & 0o077, 0, "{folder}");
    }
    assert!(Lock::attempt(&t.store.leases().join("publish.lock")).unwrap().is_some());
}

#[test]
fn a_use_is_noted_once_a_day() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a"]);
    t.store.tag(&image, &name("x:2")).unwrap();
    let image = t.store.image("x:1").unwrap();
    let (hour, day) = (3_600_000_000_000_i64, 86_400_000_000_000_i64);
    let used = || t.store.last_used(&image).unwrap().cast_signed();
    let now = used();
    let set = |ago: i64| {
        let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_nanos((now - ago).unsigned_abs());
        for file in [t.store.ref_file(&name("x:1")), t.store.ref_file(&name("x:2")), t.store.record_file(&image.manifest)] {
            fs::File::open(file).unwrap().set_times(fs::FileTimes::new().set_modified(time)).unwrap();
        }
    };
    set(23 * hour);
    t.store.touch(&image);
    assert_eq!(used(), now - 23 * hour, "the same day");
    set(2 * day);
    t.store.touch(&image);
    assert!(used() >= now);
    set(-2 * day);
    t.store.touch(&image);
    let changed = fs::metadata(t.store.ref_file(&name("x:1"))).unwrap().modified().unwrap();
    assert!(changed <= std::time::SystemTime::now(), "a clock that was wrong");
}
