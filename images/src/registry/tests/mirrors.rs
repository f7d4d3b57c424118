use super::server::{Answer, Server};
use super::*;

/// A registry with mirrors that are asked before it.
fn mirrored(origin: &str, mirrors: &[String], clock: &Clock) -> Registry<'static> {
    let mirror = |mirror: &String| format!("[[registry.mirror]]\nlocation = \"{mirror}\"\n");
    let text = format!("[[registry]]\nlocation = \"{origin}\"\n{}", mirrors.iter().map(mirror).collect::<String>());
    with(&format!("{origin}/a/b:v1"), &registries(&text), &Credentials::default(), clock)
}

/// An address where nothing listens.
fn nobody() -> String {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string()
}

#[tokio::test]
async fn the_mirror_answers() {
    let (mirror, origin) = (Server::start(|_| manifest()).await, Server::start(|_| manifest()).await);
    let registry = mirrored(&origin.host(), &[format!("{}/cache", mirror.host())], &Clock::new());
    registry.manifest("v1").await.unwrap();
    assert_eq!(mirror.paths(), ["GET /v2/cache/a/b/manifests/v1"]);
    assert_eq!(origin.paths(), [] as [String; 0]);
}

#[tokio::test]
async fn mirrors_that_fail() {
    for answer in [
        Answer::new(404, ""),
        Answer::new(500, ""),
        Answer::new(429, "").with("retry-after", "5"),
        Answer::new(401, "").with("www-authenticate", "Basic"),
        Answer::new(200, "<html>").with("content-type", "text/html"),
        Answer::new(200, "{}"),
        manifest().with("docker-content-digest", Digest::sha256(b"x").to_string()),
    ] {
        let mirror = Server::start(move |_| answer.clone()).await;
        let origin = Server::start(|_| manifest()).await;
        let clock = Clock::new();
        let registry = mirrored(&origin.host(), &[nobody(), mirror.host()], &clock);
        registry.manifest("v1").await.unwrap();
        assert_eq!(mirror.paths().len(), 1);
        assert_eq!(clock.slept(), [] as [Duration; 0]);
    }
}

#[tokio::test]
async fn a_mirror_that_breaks_off() {
    let content = vec![7; 500_000];
    let digest = Digest::sha256(&content);
    let (half, whole) = (content.clone(), content.clone());
    let mirror = Server::start(move |_| Answer::new(200, half.clone()).cut_after(200_000)).await;
    let origin = Server::start(move |request| {
        let from = request.range().unwrap_or(0);
        Answer::new(206, &whole[from..]).with("content-range", format!("bytes {from}-499999/500000"))
    })
    .await;
    let registry = mirrored(&origin.host(), &[mirror.host()], &Clock::new());
    assert_eq!(download(&registry, &digest, content.len()).await.unwrap(), content);
    assert_eq!(origin.seen()[0].range(), Some(200_000));
}

#[tokio::test]
async fn what_is_down_is_asked_once() {
    let mirror = Server::start(|_| Answer::new(404, "")).await;
    let origin = Server::start(|_| manifest()).await;
    let registry = mirrored(&origin.host(), &[nobody(), mirror.host()], &Clock::new());
    registry.manifest("v1").await.unwrap();
    assert!(registry.inner.endpoints[0].down.load(std::sync::atomic::Ordering::Relaxed));
    assert!(!registry.inner.endpoints[1].down.load(std::sync::atomic::Ordering::Relaxed));
    registry.manifest("v1").await.unwrap();
    assert_eq!(mirror.paths().len(), 2);
}

#[tokio::test]
async fn all_fail() {
    let mirror = Server::start(|_| Answer::new(404, "")).await;
    let (nobody, origin) = (nobody(), nobody());
    let registry = mirrored(&origin, &[nobody.clone(), mirror.host()], &Clock::new());
    let error = registry.manifest("v1").await.unwrap_err();
    assert!(matches!(error.failure(), Some(crate::Failure::Refused)));
    let expected = format!(
        "manifest {origin}/a/b:v1: {nobody}: connection refused: is the registry running there?; \
         {}: 404: no tag \"v1\" in repository a/b: check the name; {origin}: connection refused: is the registry running there?",
        mirror.host()
    );
    assert_eq!(line(error), expected);
}

#[tokio::test]
async fn mirrors_for_digests_or_tags() {
    let servers = [Server::start(|_| Answer::new(404, "")).await, Server::start(|_| Answer::new(404, "")).await];
    let origin = Server::start(|_| manifest()).await;
    let text = format!(
        "[[registry]]\nlocation = '{}'\nmirror = [{{ location = '{}', pull-from-mirror = 'digest-only' }}, \
         {{ location = '{}', pull-from-mirror = 'tag-only' }}]",
        origin.host(),
        servers[0].host(),
        servers[1].host()
    );
    let registries = registries(&text);
    let digest = Digest::sha256(MANIFEST.as_bytes());
    let asked = async |name: String, what: &str| {
        let before = servers.each_ref().map(|server| server.paths().len());
        let registry = with(&name, &registries, &Credentials::default(), &Clock::new());
        registry.manifest(what).await.unwrap();
        let after = servers.each_ref().map(|server| server.paths().len());
        [after[0] - before[0], after[1] - before[1]]
    };
    assert_eq!(asked(format!("{}/a/b:v1", origin.host()), "v1").await, [0, 1]);
    assert_eq!(asked(format!("{}/a/b:v1", origin.host()), digest.as_str()).await, [1, 1]);
    assert_eq!(asked(format!("{}/a/b@{digest}", origin.host()), digest.as_str()).await, [1, 0]);
}

/// Credentials of the registry are not for its mirrors.
#[tokio::test]
async fn each_host_has_its_own_login() {
    let want = |request: &server::Request| match request.header("authorization") {
        Some(_) => manifest(),
        None => Answer::new(401, "").with("www-authenticate", "Basic"),
    };
    let (mirror, origin) = (Server::start(want).await, Server::start(want).await);
    let text = format!("[[registry]]\nlocation = '{}'\nmirror = [{{ location = '{}' }}]", origin.host(), mirror.host());
    let me = credentials(&format!(r#"{{"auths":{{"{}":{{"username":"me","password":"x"}}}}}}"#, origin.host()));
    let registry = with(&format!("{}/a/b", origin.host()), &registries(&text), &me, &Clock::new());
    registry.manifest("latest").await.unwrap();
    assert!(mirror.seen().iter().all(|request| request.header("authorization").is_none()));
}

/// An insecure registry may speak TLS with any certificate, or none at all: the Hub's own name stands for such a host here.
#[tokio::test]
async fn insecure_means_both_ways() {
    let clock = Clock::new();
    let text = "[[registry]]\nlocation = 'registry.invalid:5000'\ninsecure = true";
    let registry = with("registry.invalid:5000/a/b", &registries(text), &Credentials::default(), &clock);
    let error = line(registry.manifest("latest").await.unwrap_err());
    let host = "no such host: check the name of the registry, and the network";
    let expected = format!(
        "manifest registry.invalid:5000/a/b:latest: https://registry.invalid:5000: {host}; http://registry.invalid:5000: {host}"
    );
    assert_eq!(error, expected);
}
