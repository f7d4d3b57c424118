//! Logging in and out.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use super::super::LoggedIn;
use super::server::{Answer, Server};
use super::*;

/// A registry that lets `me` with the password `right` in, by a token or at once.
async fn registry(bearer: bool) -> Server {
    let basic = format!("Basic {}", BASE64_STANDARD.encode("me:right"));
    Server::start(move |request| {
        let authorization = request.header("authorization");
        let knows = authorization == Some(basic.as_str());
        match (request.path.split('?').next().unwrap(), bearer) {
            ("/token", _) if knows => Answer::new(200, r#"{"token":"abc"}"#),
            ("/token", _) => Answer::new(401, ""),
            ("/v2/", true) if authorization == Some("Bearer abc") => Answer::new(200, "{}"),
            ("/v2/", false) if knows => Answer::new(200, "{}"),
            ("/v2/", true) => {
                let realm = format!(r#"Bearer realm="http://{}/token",service="s""#, request.header("host").unwrap());
                Answer::new(401, "").with("www-authenticate", realm)
            }
            ("/v2/", false) => Answer::new(401, "").with("www-authenticate", "Basic realm=\"r\""),
            _ => Answer::new(500, "another path"),
        }
    })
    .await
}

async fn login(server: &str, password: &'static str, file: &Path) -> Result<LoggedIn, String> {
    let (host, path) = (server.to_owned(), file.to_owned());
    let blocking = move || super::super::login(&host, "me", password, &Registries::default(), &path);
    tokio::task::spawn_blocking(blocking).await.unwrap().map_err(|error| line(error).replace(server, "HOST"))
}

async fn logout(server: &str, file: &Path) -> Result<bool, String> {
    let (host, path) = (server.to_owned(), file.to_owned());
    tokio::task::spawn_blocking(move || super::super::logout(&host, &path)).await.unwrap().map_err(line)
}

fn written(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[tokio::test]
async fn what_was_verified_is_kept() {
    for bearer in [true, false] {
        let (folder, server) = (tempfile::tempdir().unwrap(), registry(bearer).await);
        let path = folder.path().join("new/config.json");
        assert_eq!(login(&server.host(), "right", &path).await, Ok(LoggedIn { checked: true, helper: None }));
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        // It is what a pull then uses.
        let kept = Credentials::load(std::slice::from_ref(&path)).unwrap();
        let found = kept.login(&server.host(), "any").await.unwrap().unwrap();
        assert_eq!(found.user(), "me");
        assert!(logout(&server.host(), &path).await.unwrap());
        assert_eq!(written(&path), json!({"auths": {}}));
    }
}

#[tokio::test]
async fn what_is_wrong_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("config.json");
    let wrong = "401: wrong password for user \"me\": log in again";
    let server = registry(false).await;
    assert_eq!(login(&server.host(), "wrong", &path).await, Err(format!("log in to HOST: {wrong}")));
    let server = registry(true).await;
    assert_eq!(login(&server.host(), "wrong", &path).await, Err(format!("log in to HOST: token from HOST: {wrong}")));
    let server = Server::start(|_| Answer::new(404, "")).await;
    assert!(login(&server.host(), "right", &path).await.unwrap_err().contains("is this the address of a registry?"));
    let server = Server::start(|_| Answer::new(200, "{}")).await;
    assert!(!path.exists());
    // Who lets everybody in says nothing about the password.
    assert_eq!(login(&server.host(), "any", &path).await, Ok(LoggedIn { checked: false, helper: None }));
}

/// The helper must be on PATH: this test has its own in a child of itself.
#[tokio::test]
async fn a_helper_keeps_it() {
    let Some(folder) = std::env::var_os("KEEPER_ON_PATH").map(PathBuf::from) else { return in_child() };
    let path = folder.join("config.json");
    std::fs::write(&path, r#"{"credsStore":"keeper"}"#).unwrap();
    let server = registry(false).await;
    let helper = Some("keeper".to_owned());
    assert_eq!(login(&server.host(), "right", &path).await, Ok(LoggedIn { checked: true, helper }));
    assert_eq!(written(&path), json!({"credsStore": "keeper", "auths": {server.host(): {}}}));
    let stored = json!({"ServerURL": server.host(), "Username": "me", "Secret": "right"});
    assert_eq!(written(&folder.join("kept")), stored);
    assert!(logout(&server.host(), &path).await.unwrap());
    assert!(!folder.join("kept").exists());
    assert_eq!(written(&path), json!({"credsStore": "keeper", "auths": {}}));
    assert!(!logout(&server.host(), &path).await.unwrap());
}

fn in_child() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("docker-credential-keeper");
    let script = "#!/bin/sh\ncd \"${0%/*}\"\ncase $1 in\nstore) cat > kept;;\nerase) rm -f kept;;\n\
        get) cat kept || { echo credentials not found in native keychain; exit 1; };;\nesac\n";
    std::fs::write(&program, script).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", folder.path().display(), std::env::var("PATH").unwrap_or_default());
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", "registry::tests::login::a_helper_keeps_it"]).env("PATH", path);
    let output = child.env("KEEPER_ON_PATH", folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    assert!(String::from_utf8_lossy(&output.stdout).contains("1 passed"));
}
