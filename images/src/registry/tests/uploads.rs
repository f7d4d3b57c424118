//! Blobs and manifests on their way to a registry, and registries that make it hard.

use std::collections::BTreeMap;

use bytes::Bytes;
use futures_util::StreamExt;
use futures_util::stream::LocalBoxStream;

use super::super::{Content, Upload, Uploaded};
use super::server::{Answer, Request, Server};
use super::*;

/// What the registry has, and how it behaves.
#[derive(Default)]
struct State {
    /// By repository and digest.
    blobs: BTreeMap<(String, String), String>,
    /// Sessions by their number.
    uploads: Vec<String>,
    /// Largest body.
    limit: Option<usize>,
    /// Requests of this method that fail with this answer before they are looked at.
    failing: Vec<(&'static str, Answer)>,
    /// Whether locations are relative.
    relative: bool,
    /// Pieces that get lost although they are acknowledged with an error.
    lose: usize,
}

type Shared = Arc<Mutex<State>>;

/// A registry as the specification has it.
async fn store(state: State) -> (Server, Shared) {
    let state = Arc::new(Mutex::new(state));
    let shared = state.clone();
    let server = Server::start(move |request| answer(request, &mut shared.lock().unwrap())).await;
    (server, state)
}

fn answer(request: &Request, state: &mut State) -> Answer {
    if let Some(at) = state.failing.iter().position(|(method, _)| *method == request.method) {
        return state.failing.remove(at).1;
    }
    let (path, query) = request.path.split_once('?').unwrap_or((&request.path, ""));
    let query = query.replace("%2F", "/").replace("%3A", ":");
    let query: BTreeMap<&str, &str> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    let (repository, rest) = path.strip_prefix("/v2/").unwrap().split_once("/blobs/").unwrap();
    let key = |digest: &str| (repository.to_owned(), digest.to_owned());
    let location = |number: usize| match state.relative {
        true => format!("/v2/{repository}/blobs/uploads/{number}?_state=a%3D"),
        false => format!("http://{}/v2/{repository}/blobs/uploads/{number}?_state=a%3D", request.header("host").unwrap()),
    };
    let number = || rest.strip_prefix("uploads/").unwrap().parse::<usize>().unwrap();
    let range = |upload: &str| format!("0-{}", upload.len().saturating_sub(1));
    match request.method.as_str() {
        "HEAD" => Answer::new(if state.blobs.contains_key(&key(rest)) { 200 } else { 404 }, ""),
        "POST" => {
            let wanted = query.get("from").zip(query.get("mount"));
            let found = wanted.and_then(|(from, digest)| state.blobs.get(&((*from).to_owned(), (*digest).to_owned())).cloned());
            if let (Some(found), Some((_, digest))) = (found, wanted) {
                state.blobs.insert(key(digest), found);
                return Answer::new(201, "");
            }
            state.uploads.push(String::new());
            Answer::new(202, "").with("location", location(state.uploads.len() - 1))
        }
        _ if state.limit.is_some_and(|limit| request.body.len() > limit) => Answer::new(413, "<html>nginx</html>"),
        "PATCH" => {
            let upload = &mut state.uploads[number()];
            let start = request.header("content-range").unwrap().split_once('-').unwrap().0.to_owned();
            if start != upload.len().to_string() {
                return Answer::new(416, "");
            }
            if state.lose > 0 {
                state.lose -= 1;
                let half = request.body.len() / 2;
                upload.push_str(&request.body[..half]);
                return Answer::new(500, "");
            }
            upload.push_str(&request.body);
            let range = range(upload);
            Answer::new(202, "").with("location", location(number())).with("range", range)
        }
        "GET" => Answer::new(204, "").with("range", range(&state.uploads[number()])).with("location", location(number())),
        "PUT" => {
            assert_eq!(query["_state"], "a%3D", "the registry's own query came back");
            let upload = state.uploads[number()].clone() + &request.body;
            let digest = query["digest"];
            if Digest::sha256(upload.as_bytes()).as_str() != digest {
                return Answer::new(400, r#"{"errors":[{"code":"DIGEST_INVALID","message":"not the digest"}]}"#);
            }
            state.blobs.insert(key(digest), upload);
            Answer::new(201, "")
        }
        other => panic!("{other}"),
    }
}

/// Bytes in memory, in pieces.
struct Memory(Bytes);

impl Content for Memory {
    async fn read(&self, offset: u64) -> crate::Result<LocalBoxStream<'_, crate::Result<Bytes>>> {
        let rest = self.0.slice(usize::try_from(offset).unwrap()..);
        let pieces: Vec<_> =
            (0..rest.len()).step_by(1 << 20).map(|at| Ok(rest.slice(at..rest.len().min(at + (1 << 20))))).collect();
        Ok(futures_util::stream::iter(pieces).boxed_local())
    }
}

async fn upload(server: &Server, bytes: &str, mounts: &[&str]) -> Result<Uploaded, String> {
    let host = server.host();
    let mounts: Vec<String> = mounts.iter().map(ToString::to_string).collect();
    let (reference, patience) = (format!("{host}/a/b:v1").parse().unwrap(), Clock::new().patience);
    let (none, anonymous) = (Registries::default(), Credentials::default());
    let registry = Registry::to_push_patiently(&reference, &none, &anonymous, mounts.clone(), &(), patience).unwrap();
    let (digest, content) = (Digest::sha256(bytes.as_bytes()), Memory(Bytes::copy_from_slice(bytes.as_bytes())));
    let upload = Upload { digest: &digest, size: bytes.len() as u64, mounts: &mounts, content: &content };
    registry.upload(&upload).await.map_err(|error| chain(&error).replace(&host, "HOST"))
}

fn has(state: &Shared, repository: &str, bytes: &str) -> bool {
    let key = (repository.to_owned(), Digest::sha256(bytes.as_bytes()).to_string());
    state.lock().unwrap().blobs.get(&key).is_some_and(|found| found == bytes)
}

fn methods(server: &Server) -> Vec<String> {
    server.seen().into_iter().map(|request| request.method).collect()
}

#[tokio::test]
async fn all_at_once() {
    let bytes = "x".repeat(3 << 20);
    for relative in [true, false] {
        let (server, state) = store(State { relative, ..State::default() }).await;
        assert_eq!(upload(&server, &bytes, &[]).await, Ok(Uploaded::Sent));
        assert!(has(&state, "a/b", &bytes));
        assert_eq!(methods(&server), ["HEAD", "POST", "PUT"]);
        assert_eq!(server.seen()[2].header("content-length"), Some(bytes.len().to_string().as_str()));
        assert_eq!(upload(&server, &bytes, &[]).await, Ok(Uploaded::Existed));
        assert_eq!(methods(&server).len(), 4);
    }
}

#[tokio::test]
async fn taken_over_from_another_repository() {
    let (server, state) = store(State::default()).await;
    let other = ("other/c".to_owned(), Digest::sha256(b"bytes").to_string());
    state.lock().unwrap().blobs.insert(other, "bytes".into());
    assert_eq!(upload(&server, "bytes", &["gone", "other/c"]).await, Ok(Uploaded::Mounted("other/c".into())));
    assert!(has(&state, "a/b", "bytes"));
    assert_eq!(methods(&server), ["HEAD", "POST", "POST"]);
    // Where nobody has it, the upload that was opened instead goes on.
    assert_eq!(upload(&server, "more", &["gone"]).await, Ok(Uploaded::Sent));
    assert_eq!(methods(&server)[3..], ["HEAD", "POST", "PUT"]);
}

#[tokio::test]
async fn in_pieces_where_it_must_be() {
    let bytes = "0123456789abcdef".repeat((20 << 20) / 16);
    let (server, state) = store(State { limit: Some(10 << 20), ..State::default() }).await;
    assert_eq!(upload(&server, &bytes, &[]).await, Ok(Uploaded::Sent));
    assert!(has(&state, "a/b", &bytes));
    assert_eq!(methods(&server), ["HEAD", "POST", "PUT", "HEAD", "POST", "PATCH", "PATCH", "PATCH", "PUT"]);
    let ranges: Vec<_> = server.seen().iter().filter_map(|request| request.header("content-range").map(str::to_owned)).collect();
    assert_eq!(ranges, ["0-8388607", "8388608-16777215", "16777216-20971519"]);
}

#[tokio::test]
async fn a_lost_piece_goes_on_where_the_registry_is() {
    let bytes = "0123456789abcdef".repeat((20 << 20) / 16);
    let (server, state) = store(State { limit: Some(10 << 20), lose: 2, ..State::default() }).await;
    assert_eq!(upload(&server, &bytes, &[]).await, Ok(Uploaded::Sent));
    assert!(has(&state, "a/b", &bytes));
    assert_eq!(methods(&server).iter().filter(|method| *method == "GET").count(), 2);
}

#[tokio::test]
async fn what_fails_is_tried_again() {
    for method in ["HEAD", "POST", "PUT"] {
        let failing = vec![(method, Answer::new(503, "")), (method, Answer::new(502, ""))];
        let (server, state) = store(State { failing, ..State::default() }).await;
        assert_eq!(upload(&server, "bytes", &[]).await, Ok(Uploaded::Sent), "{method}");
        assert!(has(&state, "a/b", "bytes"));
    }
}

/// One that takes all bytes has longer to answer than one that takes none, but not for ever.
#[tokio::test]
async fn a_registry_that_falls_silent() {
    let server = Server::start(|request| match request.method.as_str() {
        "HEAD" => Answer::new(404, ""),
        "POST" => Answer::new(202, "").with("location", "/v2/a/b/blobs/uploads/0"),
        _ => Answer::silence(),
    })
    .await;
    let stall = Duration::from_millis(200);
    let patience = Patience { tries: 1, stall, ..Clock::new().patience };
    let reference = format!("{}/a/b:v1", server.host()).parse().unwrap();
    let (none, anonymous) = (Registries::default(), Credentials::default());
    let registry = Registry::to_push_patiently(&reference, &none, &anonymous, Vec::new(), &(), patience).unwrap();
    let upload = Upload { digest: &Digest::sha256(b"bytes"), size: 5, mounts: &[], content: &Memory(Bytes::from_static(b"bytes")) };
    let started = std::time::Instant::now();
    let error = chain(&registry.upload(&upload).await.unwrap_err());
    assert!(error.ends_with("no answer for 2 s"), "{error}");
    assert!(started.elapsed() >= stall * 10);
}

#[tokio::test]
async fn refusals_say_what_to_do() {
    for (status, body, said) in [
        (401, "", "401: log in, or check the name: the repository is private or does not exist"),
        (403, "", "403: log in, or check the name: the repository is private or does not exist"),
        (404, r#"{"errors":[{"code":"NAME_UNKNOWN"}]}"#, "404: no repository a/b: check the name"),
        (405, r#"{"errors":[{"code":"UNSUPPORTED","message":"read-only"}]}"#, "405 Method Not Allowed: read-only"),
    ] {
        let (server, _) = store(State { failing: vec![("POST", Answer::new(status, body))], ..State::default() }).await;
        let what = format!("push blob {} of a/b to HOST", Digest::sha256(b"bytes").short());
        assert_eq!(upload(&server, "bytes", &[]).await, Err(format!("{what}: {said}")));
    }
}

/// No password for whoever a registry names, and nothing in the clear that began encrypted.
#[tokio::test]
async fn an_upload_elsewhere_gets_no_login() {
    let (elsewhere, state) = store(State { uploads: vec![String::new()], ..State::default() }).await;
    let location = format!("http://{}/v2/a/b/blobs/uploads/0?_state=a%3D", elsewhere.host());
    let server = Server::start(move |request| match request.method.as_str() {
        _ if request.header("authorization").is_none() => Answer::new(401, "").with("www-authenticate", "Basic realm=\"r\""),
        "POST" => Answer::new(202, "").with("location", location.clone()),
        _ => Answer::new(404, ""),
    })
    .await;
    let me = credentials(&format!(r#"{{"auths":{{"{}":{{"username":"me","password":"x"}}}}}}"#, server.host()));
    let reference = format!("{}/a/b:v1", server.host()).parse().unwrap();
    let patience = Clock::new().patience;
    let registry = Registry::to_push_patiently(&reference, &Registries::default(), &me, Vec::new(), &(), patience).unwrap();
    let upload = Upload { digest: &Digest::sha256(b"bytes"), size: 5, mounts: &[], content: &Memory(Bytes::from_static(b"bytes")) };
    assert_eq!(registry.upload(&upload).await.unwrap(), Uploaded::Sent);
    assert!(has(&state, "a/b", "bytes"));
    assert_eq!(elsewhere.seen()[0].header("authorization"), None);
}

/// What a registry says where to upload to is an address of http or https, or the end of the push: nothing is sent.
#[tokio::test]
async fn locations_that_lead_nowhere() {
    for (location, said) in [
        (None, "it does not say where to upload to"),
        (Some("http://[".to_owned()), "it does not say where to upload to"),
        (Some("http://".to_owned()), "it does not say where to upload to"),
        (Some("ftp://127.0.0.1/x".to_owned()), "redirected to ftp://127.0.0.1"),
        (Some("file:///etc/passwd".to_owned()), "redirected to"),
        (Some("javascript:alert(1)".to_owned()), "redirected to"),
        (Some(format!("{}x", "/..".repeat(10_000))), "404"),
    ] {
        let server = Server::start(move |request| match (request.method.as_str(), &location) {
            ("POST", Some(location)) => Answer::new(202, "").with("location", location.clone()),
            ("POST", None) => Answer::new(202, ""),
            _ => Answer::new(404, ""),
        })
        .await;
        let error = upload(&server, "bytes", &[]).await.unwrap_err();
        assert!(error.contains(said) && error.len() < 500, "{error}");
    }
}

#[tokio::test]
async fn a_token_is_for_both_repositories() {
    let server = Server::start(|request| {
        let host = request.header("host").unwrap();
        let token = || Answer::new(401, "").with("www-authenticate", format!(r#"Bearer realm="http://{host}/token""#));
        match request.path.starts_with("/token") {
            true => Answer::new(200, r#"{"token":"abc"}"#),
            false if request.header("authorization").is_none() => token(),
            false => Answer::new(if request.method == "POST" { 201 } else { 404 }, ""),
        }
    })
    .await;
    assert_eq!(upload(&server, "bytes", &["c/d"]).await, Ok(Uploaded::Mounted("c/d".into())));
    let scopes = "/token?scope=repository%3Aa%2Fb%3Apull%2Cpush&scope=repository%3Ac%2Fd%3Apull";
    assert_eq!(server.seen()[1].path, scopes);
}

#[tokio::test]
async fn a_mirror_is_not_written_to() {
    let (mirror, own) = (Server::start(|_| Answer::new(500, "")).await, store(State::default()).await.0);
    let host = own.host();
    let text = format!("[[registry]]\nlocation = '{host}'\nmirror = [{{ location = '{}' }}]", mirror.host());
    let (reference, patience) = (format!("{host}/a/b:v1").parse().unwrap(), Clock::new().patience);
    let (registries, anonymous) = (registries(&text), Credentials::default());
    let registry = Registry::to_push_patiently(&reference, &registries, &anonymous, Vec::new(), &(), patience).unwrap();
    let upload = Upload { digest: &Digest::sha256(b"bytes"), size: 5, mounts: &[], content: &Memory(Bytes::from_static(b"bytes")) };
    registry.upload(&upload).await.unwrap();
    assert!(mirror.seen().is_empty());
}
