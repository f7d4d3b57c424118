//! Damage and power cuts.

use super::*;
use crate::error::Error;
use crate::store::Checked;

/// Faults of each image as text, whole ones as nothing.
fn check(t: &Fixture, repair: bool, users: &[&str]) -> Vec<String> {
    let users = |_: &Digest| users.iter().map(|user| (*user).to_owned()).collect();
    let mut found = Vec::new();
    let mut each = |checked: &Checked| {
        for fault in &checked.faults {
            let flaws: Vec<_> = fault.flaws.iter().map(|flaw| format!("{} {}", flaw.path, flaw.what)).collect();
            let part = fault.part.split(' ').next().unwrap();
            found.push(format!("{}: {part} {flaws:?} {:?}", checked.names.join(" "), fault.remedy));
        }
    };
    t.store.check(&[], repair.then_some(&users as crate::Users<'_>), &mut each).unwrap();
    found
}

#[test]
fn what_is_damaged_is_named_and_dropped() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a", "b"]);
    t.image("y:1", "2", &["a"]);
    t.store.tag(&image, &name("x:2")).unwrap();
    assert_eq!(check(&t, true, &[]), Vec::<String>::new());
    fs::remove_dir_all(t.store.layer(&digest("a")).join("tree")).unwrap();
    fs::write(t.store.blob(&image.id), "other").unwrap();
    fs::write(t.store.ref_file(&name("z:1")), "{").unwrap_or_else(|_| {
        fs::create_dir_all(t.store.ref_file(&name("z:1")).parent().unwrap()).unwrap();
        fs::write(t.store.ref_file(&name("z:1")), "{").unwrap();
    });
    let expected = |layer: &str, other: &str| {
        vec![
            format!("z:1: name [\" content\"] {other}"),
            format!("x:1 x:2: config [\" content\"] {other}"),
            format!("x:1 x:2: layer [\" missing\"] {layer}"),
            format!("y:1: layer [\" missing\"] {layer}"),
        ]
    };
    assert_eq!(check(&t, false, &[]), expected("None", "None"));
    assert_eq!(check(&t, true, &["c1"]), expected("InUse([\"c1\"])", "Dropped"));
    let found = check(&t, true, &[]);
    assert!(found[0].ends_with("config [\" missing\"] Dropped") && found[1].ends_with("Dropped") && found.len() == 3, "{found:?}");
    assert!(!t.has_layer("a") && t.has_layer("b") && !t.store.blob(&image.id).exists());
    // As a pull brings it back.
    t.image("x:1", "1", &["a", "b"]);
    assert_eq!(check(&t, false, &[]), Vec::<String>::new());
    assert!(matches!(t.store.check(&["no".into()], None, &mut |_| {}), Err(Error::NotFound { .. })));
}

/// With sums of an empty text, which says of nothing that it is there.
fn promise(t: &Fixture, layer: &str, whole: bool) {
    let digest = digest(layer);
    let file = t.store.layer(&digest);
    if whole {
        fs::remove_file(file.join("tree/file")).unwrap();
    }
    fs::write(file.join("sums"), "").unwrap();
    let written = crate::erofs::Written { size: 0, sum: crate::erofs::Sum::default() };
    let known = t.store.read_layer(&digest).unwrap().unwrap();
    let known = LayerFile { sums: Some(written.into()), ..known };
    crate::store::layers::write_layer(&t.store, &file, &digest, &known).unwrap();
}

#[test]
fn a_layer_is_looked_at_once_after_a_boot() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["good", "bad"]);
    promise(&t, "good", true);
    promise(&t, "bad", false);
    let mark = |layer: &str| t.store.marked(&digest(layer)).unwrap();
    assert!(mark("good").is_some() && mark("bad").is_some());
    t.store.check_layers(&image).unwrap();
    assert!(mark("bad").is_some(), "nothing is looked at in the boot that wrote it");
    let later = t.store.clone().in_boot("another");
    later.lower_of(&digest("good")).unwrap();
    assert!(mark("good").is_none(), "it was found whole");
    assert!(matches!(later.lower_of(&digest("bad")), Err(Error::Damaged { .. })));
    assert!(!t.has_layer("bad") && t.has_layer("good"));
    assert!(matches!(later.check_layers(&image), Err(Error::Damaged { .. })));
    // Once is enough: damage that comes later is for a check.
    fs::write(t.store.layer(&digest("good")).join("tree/file"), "").unwrap();
    later.lower_of(&digest("good")).unwrap();
}

#[test]
fn synced_layers_have_no_mark() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a", "b"]);
    t.image("x:2", "2", &["b", "c"]);
    fs::create_dir_all(t.store.layer(&digest("a")).join("tree/d/e")).unwrap();
    fs::write(t.store.layer(&digest("a")).join("tree/d/e/f"), "x").unwrap();
    assert_eq!(t.store.sync(Some(&image)).unwrap(), 2);
    assert_eq!((t.store.sync(None).unwrap(), t.store.sync(None).unwrap()), (1, 0));
    // Not even after a boot.
    promise(&t, "a", false);
    t.store.clone().in_boot("another").check_layers(&image).unwrap();
    // One that is written after the sync began keeps its mark.
    let (digest, lock) = (digest("b"), t.store.lock_layer(&digest("b")).unwrap());
    t.store.mark(&digest, &t.store.layer(&digest)).unwrap();
    let old = t.store.marked(&digest).unwrap().unwrap();
    t.store.mark(&digest, &t.store.layer(&digest)).unwrap();
    t.store.unmark(&digest, &old, &lock).unwrap();
    assert!(t.store.marked(&digest).unwrap().is_some());
    // One of another boot is not synced: nobody knows what the disk has of it.
    drop(lock);
    assert_eq!(t.store.clone().in_boot("another").sync(None).unwrap(), 0);
}

#[test]
fn damage_is_told_and_can_be_removed() {
    let t = Fixture::new();
    let image = t.image("x:1", "1", &["a"]);
    let good = t.image("y:1", "2", &["a"]);
    fs::write(t.store.blob(&image.id), "{}").unwrap();
    assert!(matches!(t.store.image("x:1"), Err(Error::Damaged { .. })));
    let listing = t.store.list().unwrap();
    assert_eq!((listing.images.len(), listing.damaged.len()), (1, 1));
    let used = |used: &Image| if used.id == image.id { vec!["c0ffee".to_owned()] } else { Vec::new() };
    assert!(matches!(t.store.remove("x:1", false, &used), Err(Error::InUse { .. })));
    t.store.remove("x:1", false, &nobody).unwrap();
    fs::write(t.store.ref_file(&name("y:1")), "garbage").unwrap();
    t.store.remove("y:1", false, &nobody).unwrap();
    assert!(t.store.image("y:1").is_err() && t.store.image(good.id.hex()).is_ok(), "only the name was damaged");
    fs::remove_dir_all(t.store.layer(&digest("a"))).unwrap();
    assert!(matches!(t.store.lower(&good), Err(Error::Damaged { .. })));
    t.store.remove(good.id.hex(), false, &nobody).unwrap();
    assert_eq!(t.files(), Vec::<String>::new());
}
