//! What is only true of etcd: other hosts, lost connections, the past that others compact, leases, refusals.

use std::path::Path;
use std::sync::Arc;

use etcd::kv_client::KvClient;
use etcd::{CompactionRequest, RangeRequest};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use super::testing::{Etcd, Way, address, free_port};
use super::{Address, EtcdStore};
use crate::certs::{Authority, Use};
use crate::store::{Change, Entry, Expect, NotOpened, NotWritten, Store};

fn pod(name: &str) -> Value {
    json!({"metadata": {"name": name}})
}

async fn open(address: &Address, folder: &Path) -> EtcdStore {
    EtcdStore::open(address, folder).await.unwrap()
}

async fn put(store: &EtcdStore, key: &str) -> Result<Arc<Entry>, NotWritten> {
    store.write(Change { key: key.into(), expect: Expect::Absent, object: Some(pod(key)) }).await
}

/// What etcd has under a key.
async fn raw(store: &EtcdStore, key: &str) -> Option<etcd::KeyValue> {
    let request = RangeRequest { key: store.inner.place(key), ..Default::default() };
    store.inner.link.range(request).await.unwrap().kvs.into_iter().next()
}

async fn why(address: &Address, folder: &Path) -> NotOpened {
    EtcdStore::open(address, folder).await.err().unwrap()
}

#[tokio::test]
async fn hosts_see_what_others_write_also_beside_strangers() {
    let Some(etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (open(&etcd.address(), folder.path()).await, open(&etcd.address(), folder.path()).await);
    let elsewhere = tempfile::tempdir().unwrap();
    let stranger = open(&Address { prefix: "/other".into(), ..etcd.address() }, elsewhere.path()).await;
    for n in 0..20 {
        let key = format!("core/pods/d/{n}");
        let (writer, reader) = if n % 2 == 0 { (&a, &b) } else { (&b, &a) };
        let written = put(writer, &key).await.unwrap();
        put(&stranger, &key).await.unwrap();
        reader.fresh().await.unwrap();
        assert_eq!(reader.get(&key).unwrap(), written);
        assert!(matches!(put(reader, &key).await, Err(NotWritten::Mismatch)));
    }
    assert_eq!(stranger.list("core/pods/", None).unwrap().entries.len(), 20);
    assert!(raw(&a, "").await.is_some_and(|kv| kv.value.is_empty()), "it was asked how far the watch is");
}

#[tokio::test]
async fn an_etcd_that_is_killed_loses_nothing_and_watches_go_on() {
    let Some(mut etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = Arc::new(open(&etcd.address(), folder.path()).await);
    let mut watch = store.watch("core/pods/", store.revision()).unwrap();
    put(&store, "core/pods/d/before").await.unwrap();
    etcd.kill();
    // it is sent again until etcd is there
    let late = store.clone();
    let late = tokio::spawn(async move { put(&late, "core/pods/d/meanwhile").await });
    let fresh = store.fresh();
    etcd.begin();
    late.await.unwrap().unwrap();
    fresh.await.unwrap();
    put(&store, "core/pods/d/after").await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.extend(watch.next().await.unwrap().iter().map(|e| e.after.as_ref().unwrap().key.to_string()));
    }
    assert_eq!(seen, ["core/pods/d/before", "core/pods/d/meanwhile", "core/pods/d/after"]);
    assert!(watch.ready().unwrap().is_empty());
}

#[tokio::test]
async fn a_write_whose_answer_is_lost_is_done_once() {
    let Some(etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let way = Way::to(etcd.port()).await;
    let store = open(&address(&[way.port, etcd.port()]), folder.path()).await;
    let first = put(&store, "core/pods/d/a").await.unwrap();
    way.swallow();
    let change = |object| Change { key: "core/pods/d/a".into(), expect: Expect::Revision(first.revision), object };
    let second = store.write(change(Some(json!({"metadata": {"name": "a"}, "note": 2})))).await.unwrap();
    assert_eq!((second.revision, second.object()["note"].as_u64()), (first.revision + 1, Some(2)));
    assert_eq!(raw(&store, "core/pods/d/a").await.unwrap().mod_revision as u64, second.revision);
    assert!(matches!(store.write(change(Some(pod("b")))).await, Err(NotWritten::Mismatch)));
}

#[tokio::test]
async fn what_was_compacted_is_gone_for_watches_that_missed_it() {
    let Some(etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut way = Way::to(etcd.port()).await;
    let (near, far) = (open(&etcd.address(), folder.path()).await, open(&address(&[way.port]), folder.path()).await);
    let first = put(&near, "core/pods/d/a").await.unwrap();
    far.fresh().await.unwrap();
    let start = far.revision();
    let mut watch = far.watch("core/pods/", start).unwrap();
    way.cut().await;
    let gone = Change { key: "core/pods/d/a".into(), expect: Expect::Revision(first.revision), object: None };
    near.write(gone).await.unwrap();
    let last = put(&near, "core/pods/d/b").await.unwrap();
    let revision = last.revision as i64;
    let channel = near.inner.link.member().channel;
    KvClient::new(channel).compact(CompactionRequest { revision }).await.unwrap();
    way.open().await;
    far.fresh().await.unwrap();
    assert!(watch.next().await.is_err() && far.watch("core/pods/", start).is_err() && far.list("core/pods/", Some(start)).is_err());
    assert_eq!(far.list("core/pods/", None).unwrap().entries, near.list("core/pods/", None).unwrap().entries);
    let mut watch = far.watch("core/pods/", far.revision()).unwrap();
    put(&near, "core/pods/d/c").await.unwrap();
    assert_eq!(watch.next().await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_host_that_is_cut_off_says_so_and_does_not_show_what_is_old() {
    let Some(etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let mut way = Way::to(etcd.port()).await;
    let store = open(&address(&[way.port]), folder.path()).await;
    way.cut().await;
    let (read, written) = tokio::join!(store.fresh(), put(&store, "core/pods/d/a"));
    let read = read.unwrap_err().to_string();
    assert!(read.starts_with("read the store: etcd http://127.0.0.1:") && read.ends_with("refused (os error 111)"), "{read}");
    assert!(matches!(written, Err(NotWritten::Unknown(why)) if why.contains("refused")));
}

#[tokio::test]
async fn secrets_and_shared_keys_are_sealed_and_the_key_is_needed() {
    let Some(etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = open(&etcd.address(), folder.path()).await;
    let secret =
        Change { key: "core/secrets/d/s".into(), expect: Expect::Absent, object: Some(json!({"metadata": {}, "k": "hush"})) };
    store.write(secret).await.unwrap();
    let sealed = raw(&store, "core/secrets/d/s").await.unwrap().value;
    assert!(!sealed.windows(4).any(|w| w == b"hush"));
    assert_eq!(store.shared().await.unwrap(), None);
    assert_eq!(store.share(b"first").await.unwrap(), b"first");
    assert_eq!(store.share(b"second").await.unwrap(), b"first", "the first one stays");
    // another host without the key, and with one of its own
    let other = tempfile::tempdir().unwrap();
    assert!(matches!(why(&etcd.address(), other.path()).await, NotOpened::NoKey(_)));
    assert!(!other.path().join("store.key").exists());
    std::fs::write(other.path().join("store.key"), [7; 32]).unwrap();
    assert!(matches!(why(&etcd.address(), other.path()).await, NotOpened::Sealed(_)));
    std::fs::copy(folder.path().join("store.key"), other.path().join("store.key")).unwrap();
    let second = open(&etcd.address(), other.path()).await;
    assert_eq!(second.get("core/secrets/d/s").unwrap().object()["k"], "hush");
    assert_eq!(second.shared().await.unwrap().unwrap(), b"first");
}

#[tokio::test]
async fn events_hang_on_a_lease_and_nothing_else_does() {
    let Some(etcd) = Etcd::start() else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = open(&etcd.address(), folder.path()).await;
    put(&store, "core/events/d/a").await.unwrap();
    put(&store, "core/events/d/b").await.unwrap();
    put(&store, "core/pods/d/a").await.unwrap();
    let lease = async |key| raw(&store, key).await.unwrap().lease;
    let (a, b) = (lease("core/events/d/a").await, lease("core/events/d/b").await);
    assert!(a != 0 && a == b && lease("core/pods/d/a").await == 0 && store.forgets_events());
}

#[tokio::test]
async fn a_full_etcd_refuses_and_is_read() {
    let Some(etcd) = Etcd::start_with(&["--quota-backend-bytes=1000000"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let store = open(&etcd.address(), folder.path()).await;
    put(&store, "core/pods/d/a").await.unwrap();
    let long = |n| Change {
        key: format!("core/pods/d/long{n}"),
        expect: Expect::Absent,
        object: Some(json!({"metadata": {}, "long": "x".repeat(500_000)})),
    };
    let mut refused = None;
    for n in 0..40 {
        if let Err(why) = store.write(long(n)).await {
            refused = Some(why);
            break;
        }
    }
    let Some(NotWritten::Refused(why)) = refused else { panic!("{refused:?}") };
    assert!(why.ends_with("database space exceeded"), "{why}");
    store.fresh().await.unwrap();
    assert!(store.get("core/pods/d/a").is_some());
    let huge = Change { key: "core/pods/d/h".into(), expect: Expect::Absent, object: Some(json!({"x": "x".repeat(3 << 20)})) };
    assert!(matches!(store.write(huge).await, Err(NotWritten::Refused(_))));
}

#[tokio::test]
async fn what_is_no_etcd_is_said_at_the_start() {
    let folder = tempfile::tempdir().unwrap();
    let nobody = why(&address(&[free_port()]), folder.path()).await.to_string();
    assert!(nobody.starts_with("etcd http://127.0.0.1:") && nobody.contains("refused"), "{nobody}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let other = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = tokio::io::AsyncWriteExt::write_all(&mut stream, b"SSH-2.0-other\r\n").await;
        }
    });
    let wrong = why(&address(&[port]), folder.path()).await;
    assert!(matches!(&wrong, NotOpened::Etcd(why) if why.starts_with(&format!("etcd http://127.0.0.1:{port}: "))), "{wrong}");
    other.abort();
    assert!(!folder.path().join("store.key").exists());
    assert!(super::is_usable("3.4.23") && super::is_usable("3.6.0") && !super::is_usable("3.3.25"));
    assert!(!super::is_usable("4.0.0") && !super::is_usable(""));
}

#[tokio::test]
async fn by_tls_both_sides_prove_who_they_are() {
    let Some(etcd) = Etcd::start_secure() else { return };
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (open(&etcd.address(), folder.path()).await, open(&etcd.address(), folder.path()).await);
    let written = put(&a, "core/pods/d/a").await.unwrap();
    b.fresh().await.unwrap();
    assert_eq!(b.get("core/pods/d/a").unwrap(), written);
    // Who shows nothing, who shows what another authority has signed, who comes without TLS, and who trusts another authority.
    let others = tempfile::tempdir().unwrap();
    let stranger = Authority::open(others.path()).unwrap();
    etcd.issue(&stranger, "stranger", &Use::Client(&[]));
    let mut distrustful = etcd.address();
    distrustful.tls.as_mut().unwrap().authority = stranger.pem().to_owned();
    let bad = [etcd.address_for(""), etcd.address_for("stranger"), address(&[etcd.port()]), distrustful];
    let all = futures_util::future::join_all(bad.iter().map(|address| why(address, others.path()))).await;
    assert!(all.iter().all(|why| matches!(why, NotOpened::Etcd(_))), "{all:?}");
    assert!(all[3].to_string().contains("UnknownIssuer"), "{}", all[3]);
    assert!(!others.path().join("store.key").exists());
}
