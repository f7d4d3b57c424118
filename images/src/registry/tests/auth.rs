use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;

use super::server::{Answer, Request, Server};
use super::*;

fn encoded(login: &str) -> String {
    BASE64_STANDARD.encode(login)
}

/// A registry that wants `token`, and its token service, which gives it to whom `may` lets in.
async fn guarded(token: &'static str, may: impl Fn(&Request) -> bool + Send + Sync + 'static) -> Server {
    Server::start(move |request| {
        if request.path.starts_with("/token") {
            let body = format!(r#"{{"token":"{token}","expires_in":300}}"#);
            return if may(request) { Answer::new(200, body) } else { Answer::new(401, r#"{"details":"no"}"#) };
        }
        if request.header("authorization") == Some(format!("Bearer {token}").as_str()) {
            return manifest();
        }
        let host = request.header("host").unwrap();
        let challenge = format!(r#"Bearer realm="http://{host}/token",service="a, b",scope="repository:a/b:pull""#);
        Answer::new(401, r#"{"errors":[{"code":"UNAUTHORIZED"}]}"#).with("www-authenticate", challenge)
    })
    .await
}

fn login(server: &Server, entry: &str) -> Credentials {
    credentials(&format!(r#"{{"auths":{{"{}":{entry}}}}}"#, server.host()))
}

async fn pull(server: &Server, credentials: &Credentials) -> Result<(), String> {
    let reference = format!("{}/a/b:v1", server.host());
    let registry = with(&reference, &Registries::default(), credentials, &Clock::new());
    let pulled = registry.manifest("v1").await;
    pulled.map(|_| ()).map_err(|error| line(error).replace(&server.host(), "HOST"))
}

#[tokio::test]
async fn anonymous_token() {
    let server = guarded("abc", |request| request.header("authorization").is_none()).await;
    let registry = registry(&format!("{}/a/b:v1", server.host()), &Clock::new());
    registry.manifest("v1").await.unwrap();
    registry.manifest("v2").await.unwrap();
    let token = "GET /token?service=a%2C+b&scope=repository%3Aa%2Fb%3Apull";
    let (one, two) = ("GET /v2/a/b/manifests/v1", "GET /v2/a/b/manifests/v2");
    assert_eq!(server.paths(), [one, token, one, two]);
}

#[tokio::test]
async fn password_for_a_token() {
    let expected = format!("Basic {}", encoded("me:se:cret"));
    let server = guarded("abc", move |request| request.header("authorization") == Some(&expected)).await;
    let me = login(&server, &format!(r#"{{"auth":"{}"}}"#, encoded("me:se:cret")));
    pull(&server, &me).await.unwrap();
    assert!(server.paths()[1].ends_with("&account=me"), "{:?}", server.paths());
    // The registry itself only sees the token.
    assert_eq!(server.seen()[2].header("authorization"), Some("Bearer abc"));
}

#[tokio::test]
async fn wrong_password() {
    let server = guarded("abc", |_| false).await;
    let me = login(&server, r#"{"username":"me","password":"guess"}"#);
    let expected = "manifest HOST/a/b:v1 from HOST: token from HOST: 401: wrong password for user \"me\": log in again";
    assert_eq!(pull(&server, &me).await.unwrap_err(), expected);
    assert_eq!(server.paths().len(), 2);
}

#[tokio::test]
async fn a_login_is_needed() {
    let server = guarded("abc", |request| request.header("authorization").is_some()).await;
    let expected = "manifest HOST/a/b:v1 from HOST: token from HOST: \
        401: log in, or check the name: the repository is private or does not exist";
    assert_eq!(pull(&server, &Credentials::default()).await.unwrap_err(), expected);
}

/// As Docker Hub treats a repository that is not there: a token for anybody, which is good for nothing.
#[tokio::test]
async fn a_token_that_does_not_help() {
    let server = Server::start(|request| match request.path.starts_with("/token") {
        true => Answer::new(200, r#"{"access_token":"x"}"#),
        false => {
            let host = request.header("host").unwrap();
            Answer::new(401, "")
                .with("www-authenticate", format!(r#"Bearer realm="http://{host}/token",error="insufficient_scope""#))
        }
    })
    .await;
    let error = pull(&server, &Credentials::default()).await.unwrap_err();
    assert_eq!(
        error,
        "manifest HOST/a/b:v1 from HOST: 401: log in, or check the name: the repository is private or does not exist"
    );
    let me = login(&server, r#"{"username":"me","password":"x"}"#);
    let error = pull(&server, &me).await.unwrap_err();
    assert_eq!(error, "manifest HOST/a/b:v1 from HOST: 401: user \"me\" is not let in: log in again, or ask for access");
    assert_eq!(server.paths().len(), 6);
}

#[tokio::test]
async fn refresh_token() {
    let server = guarded("abc", |request| {
        request.method == "POST"
            && request.body.contains("grant_type=refresh_token")
            && request.body.contains("refresh_token=r%26t")
    })
    .await;
    pull(&server, &login(&server, r#"{"auth":"Og==","identitytoken":"r&t"}"#)).await.unwrap();
    pull(&server, &login(&server, &format!(r#"{{"auth":"{}"}}"#, encoded("<token>:r&t")))).await.unwrap();
    assert!(server.seen()[1].header("authorization").is_none());
}

/// A refresh token is as good as a password: whoever a token service sends us to does not get it.
#[tokio::test]
async fn a_refresh_token_stays_with_its_service() {
    let trap = Server::start(|_| Answer::new(200, r#"{"token":"abc"}"#)).await;
    let away = format!("http://{}/token", trap.host());
    let server = Server::start(move |request| match request.path.as_str() {
        "/token" => Answer::new(307, "").with("location", "/moved"),
        "/moved" => Answer::new(307, "").with("location", away.clone()),
        _ => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
            Answer::new(401, "").with("www-authenticate", realm)
        }
    })
    .await;
    let error = pull(&server, &login(&server, r#"{"auth":"Og==","identitytoken":"secret"}"#)).await.unwrap_err();
    assert!(error.contains("redirected to http://127.0.0.1"), "{error}");
    assert_eq!(trap.paths(), Vec::<String>::new());
    assert_eq!(server.paths().last().unwrap(), "POST /moved", "its own host may move it");
}

#[tokio::test]
async fn a_token_of_ones_own() {
    let server = guarded("abc", |_| false).await;
    pull(&server, &login(&server, r#"{"registrytoken":"abc"}"#)).await.unwrap();
}

#[tokio::test]
async fn name_and_password_for_the_registry() {
    let expected = format!("Basic {}", encoded("me:secret"));
    let server = Server::start(move |request| match request.header("authorization") {
        Some(header) if header == expected => manifest(),
        _ => Answer::new(401, "").with("www-authenticate", "Basic realm=\"x\""),
    })
    .await;
    pull(&server, &login(&server, r#"{"username":"me","password":"secret"}"#)).await.unwrap();
    assert_eq!(server.seen()[0].header("authorization"), None);
    let error = pull(&server, &login(&server, r#"{"username":"me","password":"wrong"}"#)).await.unwrap_err();
    assert_eq!(error, "manifest HOST/a/b:v1 from HOST: 401: user \"me\" is not let in: log in again, or ask for access");
    let error = pull(&server, &Credentials::default()).await.unwrap_err();
    assert!(error.ends_with("401: log in, or check the name: the repository is private or does not exist"), "{error}");
}

#[tokio::test]
async fn a_token_that_was_taken_back() {
    let tokens = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request| {
        let count = || tokens.load(std::sync::atomic::Ordering::Relaxed);
        if request.path.starts_with("/token") {
            tokens.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Answer::new(200, format!(r#"{{"token":"t{}"}}"#, count()));
        }
        // The first token is good for one request.
        let good = match request.header("authorization") {
            Some("Bearer t1") => request.path.ends_with("/v1"),
            other => other == Some("Bearer t2"),
        };
        let challenge = format!(r#"Bearer realm="http://{}/token",error="invalid_token""#, request.header("host").unwrap());
        if good { manifest() } else { Answer::new(401, "").with("www-authenticate", challenge) }
    })
    .await;
    let registry = registry(&format!("{}/a/b:v1", server.host()), &Clock::new());
    registry.manifest("v1").await.unwrap();
    registry.manifest("v2").await.unwrap();
    assert_eq!(server.paths().iter().filter(|path| path.contains("/token")).count(), 2);
}

/// A registry that sends a client with a password elsewhere must not make it tell the password there.
#[tokio::test]
async fn a_redirect_to_another_host() {
    let cdn = Server::start(|request| match request.path.as_str() {
        "/signed?x=1" => Answer::new(200, "content"),
        _ => {
            let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
            Answer::new(401, "").with("www-authenticate", realm)
        }
    })
    .await;
    let signed = format!("http://{}/signed?x=1", cdn.host());
    let trap = format!("http://{}/trap", cdn.host());
    let server = Server::start(move |request| match request.header("authorization") {
        None => Answer::new(401, "").with("www-authenticate", "Basic"),
        Some(_) if request.path.contains("/blobs/") => Answer::new(307, "").with("location", signed.clone()),
        Some(_) => Answer::new(307, "").with("location", trap.clone()),
    })
    .await;
    let me = login(&server, r#"{"username":"me","password":"secret"}"#);
    let registry = with(&format!("{}/a/b", server.host()), &Registries::default(), &me, &Clock::new());
    let content = download(&registry, &Digest::sha256(b"content"), 7).await.unwrap();
    assert_eq!(content, b"content");
    registry.manifest("latest").await.unwrap_err();
    assert_eq!(cdn.paths(), ["GET /signed?x=1", "GET /trap"]);
    assert!(cdn.seen().iter().all(|request| request.header("authorization").is_none() && request.header("referer").is_none()));
    assert!(server.seen()[1].header("authorization").is_some());
}

#[tokio::test]
async fn token_services() {
    let at = async |realm: &'static str| {
        let server =
            Server::start(move |_| Answer::new(401, "").with("www-authenticate", format!("Bearer realm=\"{realm}\""))).await;
        let registry = registry(&format!("{}/a/b:v1", server.host()), &Clock::new());
        line(registry.manifest("v1").await.unwrap_err()).replace(&server.host(), "HOST")
    };
    assert!(at("nonsense").await.ends_with("its token service has no valid address"));
    assert!(at("file:///etc/passwd").await.ends_with("is not encrypted"));
    assert!(at("http://tokens.example/x").await.ends_with("its token service tokens.example is not encrypted"));
}

#[tokio::test]
async fn what_is_no_token() {
    let with_body = async |body: &'static str| {
        let server = Server::start(move |request| match request.path.as_str() {
            "/token?scope=repository%3Aa%2Fb%3Apull" => Answer::new(200, body),
            _ => {
                let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
                Answer::new(401, "").with("www-authenticate", realm)
            }
        })
        .await;
        pull(&server, &Credentials::default()).await.unwrap_err()
    };
    assert!(with_body("<html>").await.ends_with("token from HOST: unexpected answer: what came is no token"));
    assert!(with_body("{}").await.ends_with("its token is empty"));
    assert!(with_body(r#"{"token":"a\nb"}"#).await.ends_with("its token has characters that no header may have"));
}

/// RFC 9110, section 11.6.1: a token goes before a password, and where there is none to be had, the password is asked for too.
#[tokio::test]
async fn several_challenges() {
    let with_tokens = async |tokens: bool| {
        let expected = format!("Basic {}", encoded("me:secret"));
        let server = Server::start(move |request| match request.header("authorization") {
            _ if request.path.starts_with("/token") && tokens => Answer::new(200, r#"{"token":"abc"}"#),
            _ if request.path.starts_with("/token") => Answer::new(404, ""),
            Some("Bearer abc") => manifest(),
            Some(header) if header == expected => manifest(),
            _ => {
                let realm = format!("Basic realm=\"x, y\", Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
                Answer::new(401, "").with("www-authenticate", "Negotiate").with("www-authenticate", realm)
            }
        })
        .await;
        let pulled = pull(&server, &login(&server, r#"{"username":"me","password":"secret"}"#)).await;
        let how = server.seen().last().unwrap().header("authorization").unwrap_or_default().to_owned();
        let nobody = pull(&server, &Credentials::default()).await;
        (pulled, how, nobody.err())
    };
    let (pulled, how, nobody) = with_tokens(true).await;
    assert_eq!((pulled, how.as_str(), nobody), (Ok(()), "Bearer abc", None));
    let (pulled, how, nobody) = with_tokens(false).await;
    assert_eq!((pulled, how), (Ok(()), format!("Basic {}", encoded("me:secret"))));
    let expected = "manifest HOST/a/b:v1 from HOST: token from HOST: 404 Not Found";
    assert_eq!(nobody.as_deref(), Some(expected), "why there is no token is said");
}

/// A token ends while a long pull runs: the next request has a new one.
#[tokio::test]
async fn a_token_that_ends() {
    let tokens = std::sync::atomic::AtomicUsize::new(0);
    let server = Server::start(move |request| {
        if request.path.starts_with("/token") {
            let count = tokens.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            return Answer::new(200, format!(r#"{{"token":"t{count}","expires_in":300}}"#));
        }
        let realm = format!("Bearer realm=\"http://{}/token\"", request.header("host").unwrap());
        match request.header("authorization") {
            Some(_) => manifest(),
            None => Answer::new(401, "").with("www-authenticate", realm),
        }
    })
    .await;
    let registry = registry(&format!("{}/a/b:v1", server.host()), &Clock::new());
    registry.manifest("v1").await.unwrap();
    registry.manifest("v1").await.unwrap();
    registry.inner.endpoints[0].auth.expire().await;
    registry.manifest("v1").await.unwrap();
    let seen = server.seen();
    let headers: Vec<_> = seen.iter().filter_map(|request| request.header("authorization")).collect();
    assert_eq!(headers, ["Bearer t0", "Bearer t0", "Bearer t1"]);
    assert_eq!(seen.iter().filter(|request| request.header("authorization").is_none()).count(), 3, "asked, and two tokens");
}
