use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::server::{Answer, Server};
use super::*;

async fn fails(answer: Answer) -> (String, Vec<Duration>) {
    let clock = Clock::new();
    let server = Server::start(move |_| answer.clone()).await;
    let error = registry(&format!("{}/a/b:v1", server.host()), &clock).manifest("v1").await.unwrap_err();
    (line(error).replace(&server.host(), "HOST"), clock.slept())
}

#[tokio::test]
async fn by_tag_and_by_digest() {
    let server = Server::start(|_| manifest()).await;
    let registry = registry(&format!("{}/a/b:v1", server.host()), &Clock::new());
    let fetched = registry.manifest("v1").await.unwrap();
    let digest = Digest::sha256(MANIFEST.as_bytes());
    assert_eq!((fetched.bytes.as_slice(), &fetched.digest), (MANIFEST.as_bytes(), &digest));
    assert_eq!(fetched.media_type, MANIFEST_TYPE);
    assert_eq!(registry.manifest(digest.as_str()).await.unwrap().digest, digest);
    assert_eq!(server.paths(), ["GET /v2/a/b/manifests/v1".to_owned(), format!("GET /v2/a/b/manifests/{digest}")]);
    let accepts = server.seen()[0].header("accept").unwrap().to_owned();
    assert!(accepts.contains(MANIFEST_TYPE) && accepts.contains("application/vnd.docker.distribution.manifest.list.v2+json"));
    assert_eq!(server.seen()[0].header("accept-encoding"), Some("identity"));
    assert_eq!(server.seen()[0].header("authorization"), None);
}

#[tokio::test]
async fn a_manifest_of_5_mb() {
    let huge = format!("{}{}", MANIFEST, " ".repeat(5_000_000));
    let expected = "manifest HOST/a/b:v1 from HOST: larger than 4194304 bytes";
    let answer = Answer::new(200, huge).with("content-type", MANIFEST_TYPE);
    assert_eq!(fails(answer.clone()).await, (expected.to_owned(), vec![]));
    assert_eq!(fails(answer.without_length()).await, (expected.to_owned(), vec![]));
}

#[tokio::test]
async fn another_digest_than_asked_for() {
    let server = Server::start(|_| manifest()).await;
    let digest = Digest::sha256(b"something else");
    let error = registry(&format!("{}/a/b", server.host()), &Clock::new()).manifest(digest.as_str()).await.unwrap_err();
    assert!(matches!(error.failure(), Some(crate::Failure::DigestMismatch { .. })), "{error:?}");
    assert!(line(error).contains(&format!("expected {digest}, found {}", Digest::sha256(MANIFEST.as_bytes()))));
}

#[tokio::test]
async fn another_digest_than_the_registry_says() {
    let (error, _) = fails(manifest().with("docker-content-digest", Digest::sha256(b"x").to_string())).await;
    assert!(error.contains("digest mismatch"), "{error}");
}

#[tokio::test]
async fn confusion_of_media_types() {
    let index = "application/vnd.oci.image.index.v1+json";
    let (error, _) = fails(Answer::new(200, MANIFEST).with("content-type", index)).await;
    assert!(error.ends_with(&format!("invalid manifest: it came as {index:?} and says that it is {MANIFEST_TYPE:?}")), "{error}");
}

#[tokio::test]
async fn a_web_page() {
    let page = || Answer::new(200, "<!DOCTYPE html><p>Log in to this network").with("content-type", "text/html; charset=utf-8");
    let expected = "an HTML page instead of a manifest: is this the address of a registry?";
    assert!(fails(page()).await.0.ends_with(expected));
    assert!(fails(page().with("docker-content-digest", Digest::sha256(b"x").to_string())).await.0.ends_with(expected));
    let missing = Answer::new(404, "<html>not here").with("content-type", "text/html");
    let (error, _) = fails(missing).await;
    assert_eq!(error, "manifest HOST/a/b:v1 from HOST: 404 Not Found: an HTML page: is this the address of a registry?");
}

#[tokio::test]
async fn an_unknown_tag() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown"}]}"#;
    let expected = "manifest HOST/a/b:v1 from HOST: 404: no tag \"v1\" in repository a/b: check the name";
    assert_eq!(fails(Answer::new(404, body)).await, (expected.to_owned(), vec![]));
    let body = r#"{"errors":[{"code":"NAME_UNKNOWN","message":"repository name not known to registry"}]}"#;
    let expected = "manifest HOST/a/b:v1 from HOST: 404: no repository a/b: check the name";
    assert_eq!(fails(Answer::new(404, body)).await, (expected.to_owned(), vec![]));
}

#[tokio::test]
async fn too_many_requests() {
    let count = AtomicUsize::new(0);
    let server = Server::start(move |_| match count.fetch_add(1, Ordering::Relaxed) {
        0 => Answer::new(429, "slow down").with("retry-after", "7"),
        1 => Answer::new(503, "").with("retry-after", "x"),
        _ => manifest(),
    })
    .await;
    let clock = Clock::new();
    let retries: &'static Retries = Box::leak(Box::default());
    let reference = format!("{}/a/b:v1", server.host()).parse().unwrap();
    let none = (Registries::default(), Credentials::default());
    let registry = Registry::patient(&reference, &none.0, &none.1, retries, clock.patience.clone()).unwrap();
    registry.manifest("v1").await.unwrap();
    let slept = clock.slept();
    assert_eq!(slept[0], Duration::from_secs(7));
    assert!((1.0..=1.5).contains(&slept[1].as_secs_f64()), "{slept:?}");
    let told = retries.0.lock().unwrap().join("\n").replace(&server.host(), "HOST");
    assert_eq!(
        told,
        "manifest HOST/a/b:v1 from HOST: 429: rate limit reached: try again in 7 s\n\
         manifest HOST/a/b:v1 from HOST: 503 Service Unavailable"
    );
}

#[tokio::test]
async fn a_limit_that_lasts() {
    let (error, slept) = fails(Answer::new(429, "").with("retry-after", "3600")).await;
    assert_eq!(error, "manifest HOST/a/b:v1 from HOST: 429: rate limit reached: try again in 60 min");
    assert_eq!(slept, [] as [Duration; 0]);
    // Docker Hub says how much is allowed, and that is said when it bites.
    let limited = Answer::new(429, "").with("retry-after", "3600").with("ratelimit-limit", "100;w=21600");
    let limited = limited.with("ratelimit-remaining", "0;w=21600").with("docker-ratelimit-source", "192.0.2.1");
    let (error, _) = fails(limited).await;
    let said = "429: rate limit reached (100 pulls in 6 h, counted for 192.0.2.1): try again in 60 min";
    assert!(error.ends_with(said), "{error}");
}

#[tokio::test]
async fn a_registry_that_stays_ill() {
    let (error, slept) = fails(Answer::new(500, "disk\nfull")).await;
    assert_eq!(error, "manifest HOST/a/b:v1 from HOST: 500 Internal Server Error: disk full");
    assert_eq!(slept.len(), 4);
}

#[tokio::test]
async fn nothing_listens() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    drop(listener);
    let error = registry(&format!("{host}/a/b"), &Clock::new()).manifest("latest").await.unwrap_err();
    assert_eq!(line(error), format!("manifest {host}/a/b:latest from {host}: connection refused: is the registry running there?"));
}

#[tokio::test]
async fn a_silent_registry() {
    let server = Server::start(|_| Answer::new(200, "").without_length().then_silent()).await;
    let mut clock = Clock::new();
    clock.patience.stall = Duration::from_millis(200);
    let error = registry(&format!("{}/a/b", server.host()), &clock).manifest("latest").await.unwrap_err();
    let error = line(error);
    assert!(error.ends_with("no answer for 0.2 s"), "{error}");
    assert_eq!(clock.slept().len(), 4);
}

/// RFC 6761, section 6.4: there is never such a name, and no server is asked.
#[tokio::test]
async fn an_unknown_host() {
    let error = registry("registry.invalid/a/b", &Clock::new()).manifest("latest").await.unwrap_err();
    let expected = "manifest registry.invalid/a/b:latest from registry.invalid: \
        no such host: check the name of the registry, and the network";
    assert_eq!(line(error), expected);
}

#[tokio::test]
async fn a_redirect_that_is_not_followed() {
    let server = Server::start(|_| Answer::new(307, "").with("location", "ftp://elsewhere/x")).await;
    let error = line(registry(&format!("{}/a/b", server.host()), &Clock::new()).manifest("latest").await.unwrap_err());
    assert!(error.contains("redirected to ftp://elsewhere"), "{error}");
}

#[tokio::test]
async fn redirects_without_end() {
    let server = Server::start(|request| Answer::new(307, "").with("location", request.path.clone())).await;
    let error = line(registry(&format!("{}/a/b", server.host()), &Clock::new()).manifest("latest").await.unwrap_err());
    assert!(error.contains(&format!("redirected to http://{}", server.host())), "{error}");
    assert_eq!(server.paths().len(), 6, "five are followed, once");
}
