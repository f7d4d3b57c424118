//! What is in a manifest itself, and layers that are not in the registry.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::server::{Answer, Request, Server};
use super::*;
use crate::unpack::testing::Tar;
use crate::{Platform, PullOptions, Pulled, Store, pull};

const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const FOREIGN: &str = "application/vnd.oci.image.layer.nondistributable.v1.tar";

fn layer() -> Vec<u8> {
    Tar::default().dir("etc").file("etc/name", "content").end()
}

fn descriptor(media_type: &str, bytes: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": Digest::sha256(bytes), "size": bytes.len()})
}

/// With the blob within.
fn inline(media_type: &str, bytes: &[u8]) -> Value {
    let mut descriptor = descriptor(media_type, bytes);
    descriptor["data"] = json!(BASE64_STANDARD.encode(bytes));
    descriptor
}

fn config() -> Vec<u8> {
    let Platform { os, architecture, .. } = Platform::host();
    let rootfs = json!({"type": "layers", "diff_ids": [Digest::sha256(&layer())]});
    json!({"os": os, "architecture": architecture, "rootfs": rootfs}).to_string().into_bytes()
}

fn manifest_of(config: Value, layer: Value) -> Vec<u8> {
    json!({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config, "layers": [layer]}).to_string().into_bytes()
}

/// Wants a name and password, and has one manifest as `v1`, with its config if that is not within, and no layer.
async fn registry_with(document: Vec<u8>, media_type: &'static str) -> Server {
    let known = format!("Basic {}", BASE64_STANDARD.encode("joe:secret"));
    Server::start(move |request| match request.path.rsplit('/').next().unwrap() {
        _ if request.header("authorization") != Some(&known) => Answer::new(401, "").with("www-authenticate", "Basic realm=x"),
        "v1" => Answer::new(200, document.clone()).with("content-type", media_type),
        name if name == Digest::sha256(&config()).as_str() => Answer::new(200, config()),
        _ => Answer::new(404, r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#),
    })
    .await
}

async fn pulled(store: &Store, server: &Server) -> crate::Result<Pulled> {
    let login = BASE64_STANDARD.encode("joe:secret");
    let credentials = credentials(&format!(r#"{{"auths":{{"{}":{{"auth":"{login}"}}}}}}"#, server.host()));
    let options = PullOptions { credentials, ..PullOptions::default() };
    let (store, name) = (store.clone(), format!("{}/a/b:v1", server.host()));
    tokio::task::spawn_blocking(move || pull(&store, &name.parse().unwrap(), &options, &())).await.unwrap()
}

fn store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    (folder, store)
}

/// As the command line prints it.
fn said(error: &crate::Error) -> String {
    chain(error)
}

#[tokio::test]
async fn what_is_within_is_not_asked_for() {
    let manifest = manifest_of(inline("application/vnd.oci.image.config.v1+json", &config()), inline(LAYER, &layer()));
    let mut entry = inline(MANIFEST_TYPE, &manifest);
    let Platform { os, architecture, .. } = Platform::host();
    entry["platform"] = json!({"os": os, "architecture": architecture});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]});
    let server = registry_with(index.to_string().into_bytes(), INDEX_TYPE).await;
    let (_folder, store) = store();
    let image = pulled(&store, &server).await.unwrap().image;
    assert_eq!(image.manifest, Digest::sha256(&manifest));
    assert!(server.paths().iter().all(|path| path == "GET /v2/a/b/manifests/v1"), "{:?}", server.paths());
    let lower = store.lower(&image).unwrap().remove(0);
    assert_eq!(std::fs::read_to_string(lower.path().join("etc/name")).unwrap(), "content");
    // No registry may have it: a push needs it from here.
    assert!(store.kept_blob(&image.layers[0].digest).unwrap().is_some());
}

#[tokio::test]
async fn what_is_within_and_something_else_is_not_taken() {
    let mut lie = inline(LAYER, &layer());
    lie["data"] = json!(BASE64_STANDARD.encode("x".repeat(layer().len())));
    let server = registry_with(manifest_of(descriptor("c", &config()), lie), MANIFEST_TYPE).await;
    let (_folder, store) = store();
    let error = pulled(&store, &server).await.unwrap_err();
    assert!(said(&error).ends_with("it has another digest"), "{}", said(&error));
    assert!(store.images().unwrap().is_empty());
}

/// What a pull gives whose layer is of `media_type` and at `urls`.
async fn foreign(media_type: &str, urls: &[String]) -> (tempfile::TempDir, Store, crate::Result<Pulled>) {
    let mut layer = descriptor(media_type, &layer());
    layer["urls"] = json!(urls);
    let server = registry_with(manifest_of(descriptor("c", &config()), layer), MANIFEST_TYPE).await;
    let (folder, store) = store();
    let pulled = pulled(&store, &server).await;
    assert!(server.paths().contains(&format!("GET /v2/a/b/blobs/{}", Digest::sha256(&self::layer()))), "the registry goes first");
    (folder, store, pulled)
}

async fn files(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> (Server, String) {
    let server = Server::start(answer).await;
    let url = format!("http://{}/files/layer?x=y", server.host());
    (server, url)
}

/// CVE-2020-15157: whoever is at such an address is told no password, even if it asks.
#[tokio::test]
async fn a_foreign_layer_is_fetched_from_where_it_is() {
    let (asking, first) = files(|_| Answer::new(401, "").with("www-authenticate", "Basic realm=x")).await;
    let (server, second) = files(|request| match request.range() {
        // It breaks, and goes on.
        None => Answer::new(200, layer()).cut_after(700),
        Some(from) => {
            let range = format!("bytes {from}-{}/{}", layer().len() - 1, layer().len());
            Answer::new(206, &layer()[from..]).with("content-range", range)
        }
    })
    .await;
    let odd = ["ftp://127.0.0.1/layer", "file:///etc/passwd", "/etc/passwd", "", "http://joe:secret@127.0.0.1/"].map(str::to_owned);
    let (_folder, store, pulled) = foreign(FOREIGN, &[&odd[..], &[first, second.clone()]].concat()).await;
    let image = pulled.unwrap().image;
    assert_eq!(image.layers[0].urls.last(), Some(&second));
    let lower = store.lower(&image).unwrap().remove(0);
    assert_eq!(std::fs::read_to_string(lower.path().join("etc/name")).unwrap(), "content");
    assert_eq!(asking.paths(), ["GET /files/layer?x=y"]);
    assert_eq!(server.paths().len(), 2);
    assert!(asking.seen().iter().chain(&server.seen()).all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_foreign_layer_is_verified() {
    let (_server, url) = files(|_| Answer::new(200, vec![b'x'; layer().len()])).await;
    let (_folder, store, pulled) = foreign(FOREIGN, &[url]).await;
    let text = said(&pulled.unwrap_err());
    assert!(text.contains("digest mismatch") || text.contains("tar"), "{text}");
    assert!(store.images().unwrap().is_empty());
    let (_server, url) = files(|_| Answer::new(200, [layer(), layer()].concat())).await;
    let (_folder, _store, pulled) = foreign(FOREIGN, std::slice::from_ref(&url)).await;
    assert!(said(&pulled.unwrap_err()).ends_with(&format!("larger than {} bytes", layer().len())));
    let (_server, url) = files(|_| Answer::new(404, "gone")).await;
    let (_folder, _store, pulled) = foreign(FOREIGN, std::slice::from_ref(&url)).await;
    let text = said(&pulled.unwrap_err());
    let host = url.strip_prefix("http://").unwrap().split('/').next().unwrap();
    assert!(text.ends_with(&format!("from {host}: 404 Not Found: gone")), "{text}");
}

/// A manifest must not make this host ask any address for what registries have.
#[tokio::test]
async fn other_layers_are_in_their_registry_or_nowhere() {
    let (server, url) = files(|_| Answer::new(200, layer())).await;
    let (_folder, _store, pulled) = foreign(LAYER, &[url]).await;
    assert!(said(&pulled.unwrap_err()).contains("404: no blob"));
    assert_eq!(server.paths(), Vec::<String>::new());
}

/// The digest is right, and the size is not: containerd refuses it too.
#[tokio::test]
async fn a_manifest_has_the_size_that_its_index_says() {
    let manifest = manifest_of(descriptor("c", &config()), descriptor(LAYER, &layer()));
    let Platform { os, architecture, .. } = Platform::host();
    for (by, how) in [(1, "is truncated"), (-1, "is larger than")] {
        let mut entry = descriptor(MANIFEST_TYPE, &manifest);
        entry["size"] = json!(manifest.len() as i64 + by);
        entry["platform"] = json!({"os": os, "architecture": architecture});
        let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}).to_string();
        let (manifest, digest) = (manifest.clone(), Digest::sha256(&manifest));
        let server = Server::start(move |request| match request.path.ends_with("v1") {
            true => Answer::new(200, index.clone()).with("content-type", INDEX_TYPE),
            false => Answer::new(200, manifest.clone()).with("content-type", MANIFEST_TYPE),
        })
        .await;
        let (_folder, store) = store();
        let text = said(&pulled(&store, &server).await.unwrap_err());
        assert!(text.contains(&format!("manifest {digest} {how}")), "{text}");
    }
}

#[tokio::test]
async fn an_index_of_ten_thousand_images() {
    let entry = |at: u32| json!({"mediaType": MANIFEST_TYPE, "digest": Digest::sha256(&at.to_le_bytes()), "size": 2, "platform": {"os": format!("os{at}"), "architecture": "x"}});
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": (0..10_000).map(entry).collect::<Vec<_>>()});
    let server = registry_with(index.to_string().into_bytes(), INDEX_TYPE).await;
    let (_folder, store) = store();
    let text = said(&pulled(&store, &server).await.unwrap_err());
    assert!(text.ends_with("os19/x and 9980 more") && text.len() < 1000, "{text}");
    assert_eq!(server.paths().iter().filter(|path| !path.ends_with("/v1")).count(), 0);
}

/// What `copy` says of an index whose manifests are all made by `manifest`.
async fn copied(entries: u32, manifest: impl Fn(u32) -> String + Send + Sync + 'static) -> (String, usize) {
    let entry = |at: u32| {
        let bytes = manifest(at);
        json!({"mediaType": MANIFEST_TYPE, "digest": Digest::sha256(bytes.as_bytes()), "size": bytes.len()})
    };
    let index = json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": (0..entries).map(entry).collect::<Vec<_>>()});
    let all: BTreeMap<String, String> =
        (0..entries).map(&manifest).map(|bytes| (Digest::sha256(bytes.as_bytes()).to_string(), bytes)).collect();
    let server = Server::start(move |request| match request.path.rsplit('/').next().unwrap() {
        "v1" => Answer::new(200, index.to_string()).with("content-type", INDEX_TYPE),
        digest => Answer::new(200, all[digest].clone()).with("content-type", MANIFEST_TYPE),
    })
    .await;
    let (from, to) = (format!("{}/a/b:v1", server.host()), format!("{}/c:v1", server.host()));
    let copy = move || crate::copy(&from.parse().unwrap(), &to.parse().unwrap(), &crate::CopyOptions::default(), &());
    let error = tokio::task::spawn_blocking(copy).await.unwrap().unwrap_err();
    assert!(server.paths().iter().all(|path| path.starts_with("GET /v2/a/b/manifests/")), "nothing was pushed");
    (said(&error), server.paths().len())
}

/// No index can be within itself, as its digest is that of all below it; but there may be many, one in the other.
#[tokio::test]
async fn indexes_within_indexes() {
    let Platform { os, architecture, .. } = Platform::host();
    let index = |below: &str| {
        let mut entry = descriptor(INDEX_TYPE, below.as_bytes());
        entry["platform"] = json!({"os": os, "architecture": architecture});
        json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": [entry]}).to_string()
    };
    let mut all = vec![json!({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": []}).to_string()];
    for at in 0..20 {
        all.push(index(&all[at]));
    }
    let server = Server::start(move |request| {
        let name = request.path.rsplit('/').next().unwrap();
        let found = all.iter().find(|index| Digest::sha256(index.as_bytes()).as_str() == name);
        Answer::new(200, found.unwrap_or(&all[20]).clone()).with("content-type", INDEX_TYPE)
    })
    .await;
    let (_folder, store) = store();
    let text = said(&pulled(&store, &server).await.unwrap_err());
    assert!(text.ends_with("is not an image"), "{text}");
    assert_eq!(server.paths().len(), 2);
    let (from, to) = (format!("{}/a/b:v1", server.host()), format!("{}/c:v1", server.host()));
    for platform in [None, Some(Platform::host())] {
        let options = crate::CopyOptions { platform, ..crate::CopyOptions::default() };
        let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
        let copied = tokio::task::spawn_blocking(move || crate::copy(&from, &to, &options, &())).await.unwrap();
        assert!(said(&copied.unwrap_err()).contains("an index of so many manifests"));
    }
    assert!(server.paths().len() < 40 && server.paths().iter().all(|path| path.starts_with("GET /v2/a/b/manifests/")));
}

/// All manifests are held until the blobs are there: a registry must not say how much that is.
#[tokio::test]
async fn a_copy_of_more_than_an_image() {
    let (text, asked) = copied(2001, |at| format!("{MANIFEST}{}", " ".repeat(at as usize))).await;
    assert!(text.contains("an index of 2001 manifests"), "{text}");
    assert_eq!(asked, 1);
    let (text, asked) = copied(20, |at| format!("{MANIFEST}{}", " ".repeat((3 << 20) + at as usize))).await;
    assert!(text.contains("manifests of more than 33554432 bytes"), "{text}");
    assert!(asked < 20, "{asked}");
}

#[tokio::test]
async fn tags_are_tags() {
    let server = Server::start(|_| Answer::new(200, r#"{"tags":["v1","\u001b[2J","a b","","V_2.x-y"]}"#)).await;
    let registry = registry(&format!("{}/a/b", server.host()), &Clock::new());
    assert_eq!(registry.tags().await.unwrap(), ["v1", "V_2.x-y"]);
}

/// Lists that do not end, and are well-formed all the time.
#[tokio::test]
async fn lists_without_end() {
    let tags = format!(r#"{{"tags":["{}"]}}"#, "t".repeat(4_000_000));
    let server =
        Server::start(move |_| Answer::new(200, tags.clone()).with("link", "</v2/a/b/tags/list?last=x>; rel=\"next\"")).await;
    let registry = registry(&format!("{}/a/b", server.host()), &Clock::new());
    assert!(line(registry.tags().await.unwrap_err()).ends_with("its list of tags does not end"));
    assert_eq!(server.paths().len(), 17);
    let listed: Vec<_> = (0..6000_u32).map(|at| json!({"digest": Digest::sha256(&at.to_le_bytes())})).collect();
    let page = json!({"manifests": listed}).to_string();
    let server = Server::start(move |_| Answer::new(200, page.clone()).with("link", "<x?n=1>; rel=\"next\"")).await;
    let registry = super::registry(&format!("{}/a/b", server.host()), &Clock::new());
    let error = line(registry.referrers(&Digest::sha256(b"")).await.unwrap_err());
    assert!(error.ends_with("its list of referrers has more than 10000"), "{error}");
    assert_eq!(server.paths().len(), 2);
}
