//! Whole pulls of an image without layers.

use super::server::{Answer, Server};
use super::*;
use crate::{Platform, PullOptions, Pulled, Store, pull};

/// A registry with one image behind an index. Images by different authors differ.
async fn image(author: &'static str) -> Server {
    let host = Platform::host();
    let config = format!(
        r#"{{"os":"{}","architecture":"{}","author":"{author}","rootfs":{{"type":"layers","diff_ids":[]}}}}"#,
        host.os, host.architecture
    );
    let manifest = MANIFEST.replace(Digest::sha256(b"").as_str(), Digest::sha256(config.as_bytes()).as_str());
    let manifest = manifest.replace("\"size\":0", &format!("\"size\":{}", config.len()));
    let index_type = "application/vnd.oci.image.index.v1+json";
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{index_type}","manifests":[{{"mediaType":"{MANIFEST_TYPE}","digest":"{}","size":{},
        "platform":{{"os":"{}","architecture":"{}"}}}}]}}"#,
        Digest::sha256(manifest.as_bytes()),
        manifest.len(),
        host.os,
        host.architecture
    );
    Server::start(move |request| {
        let (kind, name) = request.path.strip_prefix("/v2/a/b/").unwrap().split_once('/').unwrap();
        let (body, media_type) = match kind {
            "blobs" => (&config, "application/octet-stream"),
            _ if name == "v1" => (&index, index_type),
            _ => (&manifest, MANIFEST_TYPE),
        };
        let answer = Answer::new(200, body.as_str()).with("content-type", media_type);
        answer.with("docker-content-digest", Digest::sha256(body.as_bytes()).to_string())
    })
    .await
}

/// What pulling `127.0.0.1:1/a/b:v1` gives when `server` is its mirror.
async fn pulled(store: &Store, server: &Server) -> crate::Result<Pulled> {
    let text = format!("[[registry]]\nlocation = '127.0.0.1:1'\nmirror = [{{ location = '{}' }}]", server.host());
    let options = PullOptions { registries: registries(&text), ..PullOptions::default() };
    let store = store.clone();
    let blocking = move || pull(&store, &"127.0.0.1:1/a/b:v1".parse().unwrap(), &options, &());
    tokio::task::spawn_blocking(blocking).await.unwrap()
}

#[tokio::test]
async fn what_is_there_is_not_fetched_again() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let (server, other) = (image("one").await, image("two").await);
    let first = pulled(&store, &server).await.unwrap();
    assert!(first.fresh);
    assert_eq!(server.paths().len(), 3, "{:?}", server.paths());
    let second = pulled(&store, &server).await.unwrap();
    assert!(!second.fresh);
    assert_eq!((second.digest, &second.image.id), (first.digest.clone(), &first.image.id));
    assert_eq!(server.paths()[3..], ["HEAD /v2/a/b/manifests/v1"]);
    // The name moves on.
    let third = pulled(&store, &other).await.unwrap();
    assert!(third.fresh && third.digest != first.digest);
    assert_eq!(other.paths().len(), 4);
    // A registry that is gone is an error, even if all is there.
    drop(other);
    drop(server);
    let gone = Server::start(|_| Answer::new(404, "")).await;
    assert!(pulled(&store, &gone).await.is_err());
}

#[tokio::test]
async fn a_pull_that_does_not_come_on_is_given_up() {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(folder.path()).unwrap();
    // It takes connections, and says nothing.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let patience = Some(std::time::Duration::from_millis(30));
    let options = PullOptions { patience, ..PullOptions::default() };
    let name = format!("{}/a/b:v1", silent.local_addr().unwrap());
    let blocking = move || pull(&store, &name.parse().unwrap(), &options, &());
    let error = tokio::task::spawn_blocking(blocking).await.unwrap().unwrap_err();
    assert!(matches!(error, crate::Error::Stalled { .. }), "{error}");
}
