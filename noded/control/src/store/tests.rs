//! Every store passes the first part of these; what follows is of the file.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Value, json};

use super::etcd::testing::Etcd;
use super::{Change, EmbeddedStore, Entry, EtcdStore, Expect, NotOpened, NotWritten, Store};

/// Where a store is, so that it can be opened again.
struct Place {
    folder: tempfile::TempDir,
    etcd: Option<Etcd>,
}

impl Place {
    async fn open(&self) -> Box<dyn Store> {
        match &self.etcd {
            None => Box::new(open(self.folder.path())),
            Some(etcd) => Box::new(EtcdStore::open(&etcd.address(), self.folder.path()).await.unwrap()),
        }
    }
}

macro_rules! on_every_store {
    ($($test:ident)*) => {
        mod embedded {
            $(#[tokio::test]
            async fn $test() {
                super::$test(super::Place { folder: tempfile::tempdir().unwrap(), etcd: None }).await;
            })*
        }
        mod etcd {
            $(#[tokio::test]
            async fn $test() {
                let Some(etcd) = super::Etcd::start() else { return };
                super::$test(super::Place { folder: tempfile::tempdir().unwrap(), etcd: Some(etcd) }).await;
            })*
        }
    };
}

on_every_store! {
    writes_compare_and_stamp
    a_list_shows_one_revision_also_a_past_one
    watches_see_everything_once_and_in_order
    a_watch_that_never_reads_is_told_and_others_kinds_keep_their_history
    everything_is_there_after_a_restart
    secrets_are_there_after_a_restart
    writers_at_once_are_one_after_another
}

fn pod(name: &str, note: u64) -> Value {
    json!({"metadata": {"name": name}, "note": note})
}

async fn put(store: &dyn Store, key: &str, expect: Expect, object: Value) -> Result<Arc<Entry>, NotWritten> {
    store.write(Change { key: key.into(), expect, object: Some(object) }).await
}

fn open(folder: &Path) -> EmbeddedStore {
    EmbeddedStore::open(folder).unwrap()
}

async fn writes_compare_and_stamp(place: Place) {
    let store = place.open().await;
    let first = put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 1)).await.unwrap();
    assert_eq!(first.object()["metadata"]["resourceVersion"], first.revision.to_string());
    assert!(matches!(put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 2)).await, Err(NotWritten::Mismatch)));
    assert!(matches!(put(&*store, "core/pods/d/a", Expect::Revision(1), pod("a", 2)).await, Err(NotWritten::Mismatch)));
    let second = put(&*store, "core/pods/d/a", Expect::Revision(first.revision), pod("a", 2)).await.unwrap();
    assert!(second.revision > first.revision && store.revision() == second.revision);
    let gone =
        store.write(Change { key: "core/pods/d/a".into(), expect: Expect::Revision(second.revision), object: None }).await.unwrap();
    assert_eq!((gone.object()["note"].as_u64(), store.get("core/pods/d/a")), (Some(2), None));
}

async fn a_list_shows_one_revision_also_a_past_one(place: Place) {
    let store = place.open().await;
    let a = put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 1)).await.unwrap();
    put(&*store, "core/pods/e/b", Expect::Absent, pod("b", 1)).await.unwrap();
    let then = store.revision();
    put(&*store, "core/pods/d/c", Expect::Absent, pod("c", 1)).await.unwrap();
    store.write(Change { key: "core/pods/d/a".into(), expect: Expect::Revision(a.revision), object: None }).await.unwrap();
    let names =
        |prefix: &str, at| -> Vec<String> { store.list(prefix, at).unwrap().entries.iter().map(|e| e.key.to_string()).collect() };
    assert_eq!(names("core/pods/", None), ["core/pods/d/c", "core/pods/e/b"]);
    assert_eq!(names("core/pods/d/", Some(then)), ["core/pods/d/a"]);
    assert!(store.list("core/pods/", Some(0)).is_err());
    assert_eq!(names("core/nodes/", None).len(), 0);
}

async fn watches_see_everything_once_and_in_order(place: Place) {
    let store = place.open().await;
    let start = store.revision();
    let mut watch = store.watch("core/pods/d/", start).unwrap();
    let a = put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 1)).await.unwrap();
    put(&*store, "core/pods/e/x", Expect::Absent, pod("x", 1)).await.unwrap();
    store.write(Change { key: "core/pods/d/a".into(), expect: Expect::Revision(a.revision), object: None }).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 2 {
        seen.extend(watch.next().await.unwrap());
    }
    assert!(seen[0].before.is_none() && seen[0].after.is_some() && seen[1].after.is_none() && seen[1].before.is_some());
    assert_eq!(watch.cursor(), store.revision());
    let mut again = store.watch("core/pods/", start).unwrap();
    assert_eq!(again.ready().unwrap().len(), 3);
}

async fn a_watch_that_never_reads_is_told_and_others_kinds_keep_their_history(place: Place) {
    let store = place.open().await;
    put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 1)).await.unwrap();
    let start = store.revision();
    let mut slow = store.watch("core/events/", start).unwrap();
    for n in 0..1100 {
        put(&*store, &format!("core/events/d/{n}"), Expect::Absent, pod("e", n)).await.unwrap();
    }
    assert!(slow.ready().is_err() && store.watch("core/events/", start).is_err());
    assert!(store.watch("core/pods/", start).is_ok());
}

async fn everything_is_there_after_a_restart(place: Place) {
    let store = place.open().await;
    put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 1)).await.unwrap();
    let b = put(&*store, "core/pods/d/b", Expect::Absent, pod("b", 1)).await.unwrap();
    store.write(Change { key: "core/pods/d/b".into(), expect: Expect::Revision(b.revision), object: None }).await.unwrap();
    let revision = store.revision();
    drop(store);
    let store = place.open().await;
    assert_eq!((store.list("core/pods/", None).unwrap().entries.len(), store.revision()), (1, revision));
    // a watch from before the restart begins anew
    assert!(store.watch("core/pods/", revision - 1).is_err());
    assert!(store.watch("core/pods/", revision).is_ok());
}

async fn secrets_are_there_after_a_restart(place: Place) {
    let store = place.open().await;
    let secret = json!({"metadata": {"name": "s"}, "data": {"k": "cGFzc3dvcmQ="}});
    let made = put(&*store, "core/secrets/d/s", Expect::Absent, secret).await.unwrap();
    drop(store);
    let store = place.open().await;
    assert_eq!(store.get("core/secrets/d/s").unwrap(), made);
    let gone = Change { key: "core/secrets/d/s".into(), expect: Expect::Revision(made.revision), object: None };
    assert_eq!(store.write(gone).await.unwrap().object()["data"]["k"], "cGFzc3dvcmQ=");
}

async fn writers_at_once_are_one_after_another(place: Place) {
    const WRITERS: u64 = 20;
    let store: Arc<dyn Store> = place.open().await.into();
    put(&*store, "core/pods/d/a", Expect::Absent, pod("a", 0)).await.unwrap();
    let writers = (0..WRITERS).map(|_| {
        let store = store.clone();
        tokio::spawn(async move {
            loop {
                let entry = store.get("core/pods/d/a").unwrap();
                let next = pod("a", entry.object()["note"].as_u64().unwrap() + 1);
                match put(&*store, "core/pods/d/a", Expect::Revision(entry.revision), next).await {
                    // what is there instead is seen by then
                    Err(NotWritten::Mismatch) => assert!(store.get("core/pods/d/a").unwrap().revision > entry.revision),
                    written => return written.unwrap().revision,
                }
            }
        })
    });
    let mut revisions = Vec::new();
    for writer in writers.collect::<Vec<_>>() {
        revisions.push(writer.await.unwrap());
    }
    revisions.sort_unstable();
    revisions.dedup();
    assert_eq!((revisions.len() as u64, store.get("core/pods/d/a").unwrap().object()["note"].as_u64()), (WRITERS, Some(WRITERS)));
}

#[tokio::test]
async fn a_file_has_one_user() {
    let folder = tempfile::tempdir().unwrap();
    let _store = open(folder.path());
    assert!(matches!(EmbeddedStore::open(folder.path()), Err(NotOpened::Locked(_))));
}

#[tokio::test]
async fn a_file_that_was_cut_anywhere_opens_with_what_was_whole() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..20 {
        put(&store, &format!("core/pods/d/{n:02}"), Expect::Absent, pod("p", n)).await.unwrap();
    }
    let revision = store.revision();
    drop(store);
    let whole = std::fs::read(folder.path().join("store")).unwrap();
    for cut in (0..whole.len()).step_by(37) {
        std::fs::write(folder.path().join("store"), &whole[..cut]).unwrap();
        let store = open(folder.path());
        let entries = store.list("core/pods/", None).unwrap().entries;
        assert!(entries.iter().enumerate().all(|(n, e)| e.object()["note"] == n), "{cut}");
        assert!(cut < 100 || store.revision() > revision, "the counter never falls behind what was seen");
    }
}

#[tokio::test]
async fn damage_in_the_middle_and_foreign_files_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    for n in 0..3 {
        put(&store, &format!("core/pods/d/{n}"), Expect::Absent, pod("p", n)).await.unwrap();
    }
    drop(store);
    let path = folder.path().join("store");
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[80] ^= 1;
    std::fs::write(&path, &bytes).unwrap();
    assert!(matches!(EmbeddedStore::open(folder.path()), Err(NotOpened::Damaged(..))));
    std::fs::write(&path, b"something else entirely").unwrap();
    assert!(matches!(EmbeddedStore::open(folder.path()), Err(NotOpened::Foreign(_))));
}

#[tokio::test]
async fn secrets_are_sealed_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    put(&store, "core/secrets/d/s", Expect::Absent, json!({"metadata": {}, "data": {"k": "cGFzc3dvcmQ="}})).await.unwrap();
    drop(store);
    let bytes = std::fs::read(folder.path().join("store")).unwrap();
    assert!(!bytes.windows(12).any(|w| w == b"cGFzc3dvcmQ="));
    let store = open(folder.path());
    assert_eq!(store.get("core/secrets/d/s").unwrap().object()["data"]["k"], "cGFzc3dvcmQ=");
    drop(store);
    std::fs::write(folder.path().join("store.key"), [7; 32]).unwrap();
    assert!(matches!(EmbeddedStore::open(folder.path()), Err(NotOpened::Sealed(_))));
}

#[tokio::test]
async fn the_file_is_written_anew_when_most_of_it_is_past() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path());
    let long = "x".repeat(200_000);
    let mut at = Expect::Absent;
    for _ in 0..100 {
        let entry = put(&store, "coordination.k8s.io/leases/d/l", at, json!({"metadata": {}, "long": long})).await.unwrap();
        at = Expect::Revision(entry.revision);
    }
    assert!(std::fs::metadata(folder.path().join("store")).unwrap().len() < 12 << 20);
    let revision = store.revision();
    drop(store);
    let store = open(folder.path());
    assert_eq!((store.revision(), store.get("coordination.k8s.io/leases/d/l").unwrap().revision), (revision, revision));
}
