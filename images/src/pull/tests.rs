//! Layers from made-up downloads: what a registry may do wrong, and two pulls at once.

use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::layer::Fetch;
use super::{Event, Progress};
use crate::error::{Error, Result};
use crate::image::Layer;
use crate::manifest::Descriptor;
use crate::store::{Driver, Store};
use crate::unpack::testing::Tar;
use crate::{Digest, UnpackError};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// A store, and a layer to fetch into it.
struct Fixture {
    folder: tempfile::TempDir,
    store: Store,
    blob: Vec<u8>,
    descriptor: Descriptor,
    diff_id: Digest,
}

impl Fixture {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("images")).unwrap();
        Fixture::with(folder, store, &Tar::default().dir("etc").file("etc/name", "content").end())
    }

    fn with(folder: tempfile::TempDir, store: Store, tar: &[u8]) -> Self {
        let blob = gzip(tar);
        let media_type = "application/vnd.oci.image.layer.v1.tar+gzip";
        let descriptor = Descriptor::new(media_type, Digest::sha256(&blob), blob.len() as u64);
        Fixture { folder, store, blob, descriptor, diff_id: Digest::sha256(tar) }
    }

    /// Fetches with a download of `pieces`.
    fn fetch(&self, pieces: Vec<Result<Bytes>>) -> Result<bool> {
        self.fetch_with(&(), || pieces)
    }

    fn fetch_with(&self, progress: &dyn Progress, pieces: impl FnOnce() -> Vec<Result<Bytes>>) -> Result<bool> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(self.fetching(progress, pieces))
    }

    async fn fetching(&self, progress: &dyn Progress, pieces: impl FnOnce() -> Vec<Result<Bytes>>) -> Result<bool> {
        let layer = Layer {
            digest: self.descriptor.digest.clone(),
            size: self.descriptor.size,
            diff_id: self.diff_id.clone(),
            media_type: String::new(),
            urls: Vec::new(),
        };
        let (_config, config) = watch::channel(Some(vec![layer]));
        let (_stop, stopped) = watch::channel(false);
        let fetch =
            Fetch { store: &self.store, progress, blob: &self.descriptor, index: 0, config, stopped, source: None, keep: false };
        fetch.run(async || Ok::<_, Error>(futures_util::stream::iter(pieces()))).await
    }

    fn whole(&self) -> Vec<Result<Bytes>> {
        self.blob.chunks(100).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect()
    }

    /// That a failed fetch left nothing at all.
    fn assert_empty(&self, what: &str) {
        let left: Vec<_> = std::fs::read_dir(self.store.root().join("layers/sha256")).unwrap().collect();
        assert!(left.is_empty(), "{what}: {left:?}");
        assert!(self.folder.path().exists());
    }
}

#[test]
fn a_layer_is_downloaded_once() {
    let t = Fixture::new();
    assert!(t.fetch(t.whole()).unwrap());
    assert!(!t.fetch_with(&(), || panic!("downloaded again")).unwrap());
    let layer = t.store.read_layer(&t.descriptor.digest).unwrap().unwrap();
    assert_eq!((layer.diff_id, layer.size, layer.entries), (t.diff_id.to_string(), 7, 2));
    let lower = t.store.lower_of(&t.descriptor.digest).unwrap();
    assert_eq!(std::fs::read_to_string(lower.path().join("etc/name")).unwrap(), "content");
}

/// Layers of both kinds are in one store, and damage to an image is found.
#[test]
fn layers_of_both_kinds() {
    let kinds = |driver| {
        let t = Fixture::new();
        let t = Fixture { store: t.store.clone().with_driver(driver), ..t };
        t.fetch(t.whole()).map(|_| t)
    };
    let tree = kinds(Driver::Tree).unwrap();
    let image = match kinds(Driver::Erofs) {
        Err(Error::NoErofs { source, .. }) => {
            use std::io::Write as _;
            return drop(writeln!(std::io::stderr(), "skipped: needs EROFS: {source}"));
        }
        image => image.unwrap(),
    };
    let folder = |t: &Fixture| t.store.root().join("layers/sha256").join(t.descriptor.digest.hex());
    assert!(folder(&tree).join("tree").is_dir() && !folder(&tree).join("erofs").exists());
    assert!(folder(&image).join("erofs").is_file() && !folder(&image).join("tree").exists());
    let flaws = |t: &Fixture| {
        let examined = t.store.examine_layer(&t.descriptor.digest).unwrap();
        assert!(examined.sums);
        examined.flaws.iter().map(|flaw| format!("{} {}", flaw.path, flaw.what)).collect::<Vec<_>>()
    };
    assert_eq!((flaws(&tree), flaws(&image)), (vec![], vec![]));
    std::fs::write(folder(&tree).join("tree/etc/name"), "CONTENT").unwrap();
    assert_eq!(flaws(&tree), ["tree/etc/name content"]);
    let old = std::fs::read(folder(&image).join("erofs")).unwrap();
    let cut = old[..old.len() - 1].to_vec();
    let flipped = |at: usize| old.iter().enumerate().map(|(index, byte)| byte ^ u8::from(index == at)).collect();
    for bytes in [cut, [&old[..], b"x"].concat(), flipped(1100), flipped(old.len() - 1)] {
        std::fs::write(folder(&image).join("erofs"), bytes).unwrap();
        assert_eq!(flaws(&image), ["erofs content"]);
    }
    // With either driver the other's layers are found.
    assert!(!image.fetch_with(&(), || panic!("downloaded again")).unwrap());
}

/// What the layers below add is part of a layer from then on.
#[test]
fn a_completed_layer_is_what_was_written() {
    for driver in [Driver::Tree, Driver::Erofs] {
        let base = Fixture::new();
        let base = Fixture { store: base.store.clone().with_driver(driver), ..base };
        match base.fetch(base.whole()) {
            Err(Error::NoErofs { source, .. }) => {
                let _ = writeln!(std::io::stderr(), "skipped in part: needs EROFS: {source}");
                continue;
            }
            fetched => assert!(fetched.unwrap()),
        }
        let tar = Tar::default().dir("a").link("a/b", "etc/name").link("c/d", "etc/name").link("e", "etc/name").file("f/g", "");
        let top = Fixture::with(tempfile::tempdir().unwrap(), base.store.clone(), &tar.end());
        top.fetch(top.whole()).unwrap();
        let digests = [base.descriptor.digest.clone(), top.descriptor.digest.clone()];
        for _ in 0..2 {
            base.store.adopt(&digests).unwrap();
            for digest in &digests {
                assert_eq!(base.store.examine_layer(digest).unwrap().flaws, [], "{driver:?}");
            }
        }
        let lower = base.store.lower_of(&top.descriptor.digest).unwrap();
        assert_eq!(std::fs::read_to_string(lower.path().join("c/d")).unwrap(), "content");
    }
}

/// A layer that a power cut has damaged is downloaded again.
#[test]
fn a_layer_of_another_boot_is_looked_at() {
    let mut t = Fixture::new();
    t.store = t.store.clone().with_driver(crate::Driver::Tree);
    t.fetch(t.whole()).unwrap();
    let later = |boot: &str| Fixture {
        folder: tempfile::tempdir().unwrap(),
        store: t.store.clone().in_boot(boot),
        blob: t.blob.clone(),
        descriptor: t.descriptor.clone(),
        diff_id: t.diff_id.clone(),
    };
    assert!(!later("second").fetch_with(&(), || panic!("downloaded again")).unwrap());
    let tree = t.store.root().join("layers/sha256").join(t.descriptor.digest.hex()).join("tree");
    std::fs::write(tree.join("etc/name"), "").unwrap();
    assert!(!later("third").fetch(t.whole()).unwrap(), "the second boot found that the disk has it");
    std::fs::remove_dir_all(tree.parent().unwrap()).unwrap();
    assert!(t.fetch(t.whole()).unwrap());
    std::fs::write(tree.join("etc/name"), "").unwrap();
    assert!(later("fourth").fetch(t.whole()).unwrap());
    assert_eq!(std::fs::read_to_string(tree.join("etc/name")).unwrap(), "content");
}

#[test]
fn wrong_bytes_are_not_published() {
    let mut t = Fixture::new();
    let mut flipped = t.whole();
    let mut piece = t.blob[..100].to_vec();
    piece[50] ^= 1;
    flipped[0] = Ok(piece.into());
    assert!(matches!(t.fetch(flipped), Err(Error::DigestMismatch { .. })));
    t.assert_empty("flipped");
    let mut short = t.whole();
    short.pop();
    let error = t.fetch(short).unwrap_err();
    assert!(matches!(error, Error::Truncated { .. }), "{error:?}");
    t.assert_empty("short");
    let mut long = t.whole();
    long.push(Ok(Bytes::from_static(b"more")));
    assert!(matches!(t.fetch(long), Err(Error::TooLarge { .. })));
    t.assert_empty("long");
    let other = Tar::default().file("other", "").end();
    t.diff_id = Digest::sha256(&other);
    let error = t.fetch(t.whole()).unwrap_err();
    assert!(error.to_string().starts_with("content of layer sha256:"), "{error}");
    t.assert_empty("diff id");
}

#[test]
fn a_stored_layer_does_not_vouch_for_another_config() {
    let mut t = Fixture::new();
    t.fetch(t.whole()).unwrap();
    t.diff_id = Digest::sha256(b"a lie");
    assert!(matches!(t.fetch(t.whole()), Err(Error::DigestMismatch { .. })));
}

#[test]
fn a_hostile_layer_is_not_published() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("images")).unwrap();
    let t = Fixture::with(folder, store, &Tar::default().file("fine", "").file("../../../canary", "dead").end());
    let error = t.fetch(t.whole()).unwrap_err();
    assert!(matches!(error, Error::Unpack { source: UnpackError::Outside { .. }, .. }), "{error:?}");
    t.assert_empty("hostile");
}

#[test]
fn a_broken_download_says_why() {
    let t = Fixture::new();
    let mut broken = t.whole();
    broken.truncate(2);
    broken.push(Err(Error::NotAnImage { what: "the network".into() }));
    let error = t.fetch(broken).unwrap_err();
    assert_eq!(error.to_string(), "the network is not an image");
    t.assert_empty("broken");
}

/// Counts what it hears.
#[derive(Default)]
struct Heard(Mutex<Vec<&'static str>>);

impl Progress for Heard {
    fn event(&self, event: Event<'_>) {
        self.0.lock().unwrap().push(match event {
            Event::Waiting(_) => "waiting",
            Event::Exists(_) => "exists",
            Event::Done(_) => "done",
            _ => return,
        });
    }
}

#[test]
fn two_pulls_download_a_layer_once() {
    let t = Fixture::new();
    let downloads = AtomicUsize::new(0);
    let heard = Heard::default();
    std::thread::scope(|scope| {
        for _ in 0..6 {
            scope.spawn(|| {
                let slow = || {
                    downloads.fetch_add(1, Ordering::SeqCst);
                    std::thread::sleep(Duration::from_millis(50));
                    t.whole()
                };
                t.fetch_with(&heard, slow).unwrap();
            });
        }
    });
    assert_eq!(downloads.load(Ordering::SeqCst), 1);
    let heard = heard.0.into_inner().unwrap();
    let count = |what| heard.iter().filter(|event| **event == what).count();
    assert_eq!((count("done"), count("exists")), (1, 5));
}

#[test]
fn a_pull_that_waits_takes_over_from_one_that_failed() {
    let t = Fixture::new();
    let lock = t.store.lock_layer(&t.descriptor.digest).unwrap();
    let heard = Heard::default();
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| t.fetch_with(&heard, || t.whole()));
        while heard.0.lock().unwrap().is_empty() {
            std::thread::yield_now();
        }
        drop(lock);
        assert!(waiter.join().unwrap().unwrap());
    });
    assert_eq!(*heard.0.lock().unwrap(), ["waiting", "done"]);
}

/// Who waits for another process sees how far that one is.
#[test]
fn a_pull_that_waits_shows_the_other_ones_progress() {
    struct Seen(Mutex<Vec<u64>>);
    impl Progress for Seen {
        fn event(&self, event: Event<'_>) {
            if let Event::Downloaded { bytes, .. } = event {
                self.0.lock().unwrap().push(bytes);
            }
        }
    }
    let t = Fixture::new();
    let lock = t.store.lock_layer(&t.descriptor.digest).unwrap();
    let seen = Seen(Mutex::default());
    std::thread::scope(|scope| {
        let waiter = scope.spawn(|| t.fetch_with(&seen, || t.whole()));
        for bytes in [17, 170] {
            lock.tell(bytes);
            while seen.0.lock().unwrap().last() != Some(&bytes) {
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        drop(lock);
        assert!(waiter.join().unwrap().unwrap());
    });
    assert_eq!(seen.0.lock().unwrap()[..2], [17, 170]);
}

#[test]
fn a_full_disk_is_named() {
    if !crate::unpack::testing::root() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mounted = Mounted::new(folder.path());
    let store = Store::open(&folder.path().join("images")).unwrap();
    let tar = Tar::default().entry(tar::EntryType::Regular, "big", "", &vec![1; 3 << 20]).end();
    let t = Fixture::with(folder, store, &tar);
    let error = t.fetch(t.whole()).unwrap_err();
    assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
    assert_eq!(error.to_string(), format!("no space left in {}", t.store.root().display()));
    t.assert_empty("full");
    drop(mounted);
}

/// A file system of 1 MiB.
struct Mounted(std::path::PathBuf);

impl Mounted {
    fn new(path: &std::path::Path) -> Self {
        let options = c"size=1m";
        rustix::mount::mount("tmpfs", path, "tmpfs", rustix::mount::MountFlags::empty(), options).unwrap();
        Mounted(path.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
