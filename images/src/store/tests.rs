//! The store with made-up images: layers are empty folders, manifests and configs are real.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::{LayerFile, Lock, Publication, Record, Staged, Store};
use crate::error::Error;
use crate::{Digest, Image, Reference};

/// A store in a folder that goes away with it.
struct Fixture {
    store: Store,
    folder: tempfile::TempDir,
}

fn digest(text: &str) -> Digest {
    Digest::sha256(text.as_bytes())
}

fn name(text: &str) -> Reference {
    text.parse().unwrap()
}

fn nobody(_: &Image) -> Vec<String> {
    Vec::new()
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        Fixture { store: Store::open(&folder.path().join("images")).unwrap(), folder }
    }

    fn layer(&self, layer: &str) {
        let digest = digest(layer);
        let lock = self.store.lock_layer(&digest).unwrap();
        if self.store.read_layer(&digest).unwrap().is_none() {
            let staged = Staged::new(&self.store, &digest, lock).unwrap();
            fs::create_dir(self.store.beside(&digest, "part").join("tree")).unwrap();
            fs::write(self.store.beside(&digest, "part").join("tree/file"), layer).unwrap();
            staged.publish(&layer_file(layer)).unwrap();
        }
    }

    /// Publishes an image of these layers. The config is made unique by `seed`.
    fn image(&self, reference: &str, seed: &str, layers: &[&str]) -> Image {
        let lease = self.store.lease([].into_iter()).unwrap();
        layers.iter().for_each(|layer| self.layer(layer));
        let diff_ids: Vec<_> = layers.iter().map(|layer| digest(&format!("diff {layer}"))).collect();
        let config = serde_json::json!({"os": "linux", "architecture": "amd64", "author": seed, "rootfs": {"type": "layers", "diff_ids": diff_ids}});
        let config = config.to_string().into_bytes();
        let blob = |kind: &str, digest: &Digest, size| serde_json::json!({"mediaType": format!("application/vnd.oci.image.{kind}"), "digest": digest, "size": size});
        let media_type = "application/vnd.oci.image.manifest.v1+json";
        let manifest = serde_json::json!({
            "schemaVersion": 2, "mediaType": media_type,
            "config": blob("config.v1+json", &Digest::sha256(&config), config.len()),
            "layers": layers.iter().map(|layer| blob("layer.v1.tar+gzip", &digest(layer), 7)).collect::<Vec<_>>(),
        });
        let manifest = manifest.to_string().into_bytes();
        let record = Record {
            target: Digest::sha256(&manifest),
            manifest: Digest::sha256(&manifest),
            media_type: media_type.into(),
            config: Digest::sha256(&config),
            layers: layers.iter().map(|layer| digest(layer)).collect(),
        };
        let reference = name(reference);
        let blobs = vec![(&record.config, &config[..]), (&record.manifest, &manifest[..])];
        self.store.publish(&Publication { names: std::slice::from_ref(&reference), record: &record, blobs }, &lease).unwrap();
        self.store.load(&record, vec![reference]).unwrap()
    }

    fn has_layer(&self, layer: &str) -> bool {
        self.store.layer(&digest(layer)).exists()
    }

    /// Files and folders below the store, without the empty frame.
    fn files(&self) -> Vec<String> {
        fn walk(folder: &Path, base: &Path, files: &mut Vec<String>) {
            for entry in fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(&path, base, files);
                } else {
                    files.push(path.strip_prefix(base).unwrap().display().to_string());
                }
            }
        }
        let mut files = Vec::new();
        walk(self.folder.path(), self.folder.path(), &mut files);
        files
    }
}

fn layer_file(layer: &str) -> LayerFile {
    LayerFile {
        diff_id: digest(&format!("diff {layer}")).to_string(),
        blob_size: 7,
        size: 100,
        entries: 1,
        implicit: Vec::new(),
        foreign: Vec::new(),
        base: None,
        sources: Vec::new(),
        erofs: None,
        sums: None,
    }
}

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
    let kept = t.store.kept_blob(&layer).unwrap().unwrap();
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

/// Layers are unpacked alone; what they leave to those below them is completed afterwards.
mod adopting {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};

    use super::*;
    use crate::erofs;
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
}

mod whole {
    //! Damage and power cuts.

    use super::*;
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
        assert!(
            found[0].ends_with("config [\" missing\"] Dropped") && found[1].ends_with("Dropped") && found.len() == 3,
            "{found:?}"
        );
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
        super::super::layers::write_layer(&t.store, &file, &digest, &known).unwrap();
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
