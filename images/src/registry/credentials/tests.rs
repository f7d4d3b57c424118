use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn file(json: &str) -> File {
    parse(json.as_bytes()).unwrap()
}

fn password(user: &str, password: &str) -> Login {
    Login::Password { user: user.into(), password: password.into() }
}

fn found(json: &str, name: &str) -> Option<Login> {
    file(json).login(name).cloned()
}

#[test]
fn ways_to_write_a_login() {
    let login = |entry: &str| found(&format!(r#"{{"auths":{{"r.example":{entry}}}}}"#), "r.example/a/b");
    assert_eq!(login(r#"{"auth":"bWU6c2U6Y3JldA=="}"#), Some(password("me", "se:cret")));
    assert_eq!(login(r#"{"auth":"bWU6c2U6Y3JldA"}"#), Some(password("me", "se:cret")));
    assert_eq!(login(r#"{"username":"me","password":"x"}"#), Some(password("me", "x")));
    assert_eq!(login(r#"{"auth":"","identitytoken":"r"}"#), Some(Login::Identity("r".into())));
    assert_eq!(login(r#"{"auth":"PHRva2VuPjpy"}"#), Some(Login::Identity("r".into())));
    assert_eq!(login(r#"{"registrytoken":"t"}"#), Some(Login::Bearer("t".into())));
    assert_eq!(login("{}"), None);
    assert_eq!(login("null"), None);
}

#[test]
fn ways_to_write_a_registry() {
    for key in ["https://index.docker.io/v1/", "index.docker.io", "docker.io", "https://registry-1.docker.io", "docker.io/"] {
        let json = format!(r#"{{"auths":{{"{key}":{{"username":"me","password":"x"}}}}}}"#);
        assert_eq!(found(&json, "docker.io/library/busybox"), Some(password("me", "x")), "{key}");
    }
    for key in ["r.example:5000", "http://r.example:5000", "https://r.example:5000/v2/"] {
        let json = format!(r#"{{"auths":{{"{key}":{{"username":"me","password":"x"}}}}}}"#);
        assert!(found(&json, "r.example:5000/a").is_some(), "{key}");
        assert!(found(&json, "r.example/a").is_none() && found(&json, "r.example:50001/a").is_none(), "{key}");
    }
}

#[test]
fn the_longest_path_counts() {
    let json = r#"{"auths":{"q.io":{"username":"all","password":"x"},"q.io/team":{"username":"team","password":"x"},
        "q.io/team/app":{"username":"app","password":"x"}}}"#;
    let user = |name: &str| found(json, name).unwrap().user().to_owned();
    assert_eq!([user("q.io/team/app"), user("q.io/team/other"), user("q.io/teams/x")], ["app", "team", "all"]);
}

#[test]
fn what_is_wrong() {
    let problem = |json: &str| parse(json.as_bytes()).unwrap_err();
    assert_eq!(problem("{\n\"auths\": 3}"), "line 2: not as expected");
    assert_eq!(problem(r#"{"auths":{"r":{"auth":"!"}}}"#), "r: auth is not base64");
    assert_eq!(problem(r#"{"auths":{"r":{"auth":"YWJj"}}}"#), "r: auth has no colon");
    assert!(parse(b" \n").unwrap().logins.is_empty());
    assert!(parse(b"{}").unwrap().logins.is_empty());
}

#[test]
fn secrets_are_not_shown() {
    let json =
        r#"{"auths":{"r":{"username":"me","password":"hunter2"},"s":{"identitytoken":"hunter2"},"t":{"registrytoken":"hunter2"}}}"#;
    let shown = format!("{:?}", file(json));
    assert!(shown.contains("me") && !shown.contains("hunter2"), "{shown}");
}

#[test]
fn names_of_programs() {
    assert!(["ecr-login", "pass", "desktop.exe"].iter().all(|name| is_program(name)));
    assert!(["", "..", "/bin/sh", "a/b", "a b", "../x", "x\0"].iter().all(|name| !is_program(name)));
}

#[test]
fn first_file_first() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, user: &str| {
        let path = folder.path().join(name);
        fs::write(&path, format!(r#"{{"auths":{{"r":{{"username":"{user}","password":"x"}}}}}}"#)).unwrap();
        path
    };
    let files = [folder.path().join("none"), write("a", "first"), write("b", "second")];
    let credentials = Credentials::load(&files).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    assert_eq!(runtime.block_on(credentials.login("r", "x")).unwrap().unwrap().user(), "first");
    fs::write(&files[1], "[").unwrap();
    let error = Credentials::load(&files).unwrap_err().to_string();
    assert!(error.starts_with("credentials in ") && error.ends_with("/a: line 1: not as expected"), "{error}");
}

/// Starts `docker-credential-…` programs, which must be on PATH: this test has its own in a child of itself.
#[test]
fn helpers() {
    if std::env::var_os("HELPERS_ON_PATH").is_some() {
        return asks_helpers();
    }
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, script: &str| {
        let path = folder.path().join(format!("docker-credential-{name}"));
        fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    write("good", r#"read server; [ "$1" = get ] && echo "{\"ServerURL\":\"$server\",\"Username\":\"$server\",\"Secret\":\"x\"}""#);
    write("token", r#"echo '{"Username":"<token>","Secret":"r"}'"#);
    write("empty", "echo 'credentials not found in native keychain'; exit 1");
    write("broken", "echo 'no keyring here'; exit 1");
    write("talks", "echo hello");
    let mut path = folder.path().as_os_str().to_owned();
    path.push(":/usr/bin:/bin");
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    let child = child.args(["registry::credentials::tests::helpers", "--exact", "--nocapture"]);
    assert!(child.env("PATH", path).env("HELPERS_ON_PATH", "1").status().unwrap().success());
}

fn asks_helpers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let ask = |json: &str, registry: &str| {
        let credentials = Credentials { files: vec![file(json)] };
        runtime.block_on(credentials.login(registry, "a/b")).map_err(|failure| failure.to_string())
    };
    assert_eq!(ask(r#"{"credHelpers":{"r.example":"good"}}"#, "r.example"), Ok(Some(password("r.example", "x"))));
    assert_eq!(ask(r#"{"credHelpers":{"r.example":"good"}}"#, "s.example"), Ok(None));
    assert_eq!(ask(r#"{"credsStore":"good"}"#, "docker.io"), Ok(Some(password("https://index.docker.io/v1/", "x"))));
    assert_eq!(ask(r#"{"credsStore":"good","credHelpers":{"r":"token"}}"#, "r"), Ok(Some(Login::Identity("r".into()))));
    let beside = r#"{"credsStore":"empty","auths":{"r":{"username":"me","password":"x"}}}"#;
    assert_eq!(ask(beside, "r"), Ok(Some(password("me", "x"))));
    assert_eq!(ask(r#"{"credsStore":"not-installed"}"#, "r"), Ok(None));
    let error = ask(r#"{"credHelpers":{"r":"not-installed"}}"#, "r").unwrap_err();
    assert!(error.starts_with("credential helper docker-credential-not-installed: No such file"), "{error}");
    assert_eq!(ask(r#"{"credsStore":"broken"}"#, "r").unwrap_err(), "credential helper docker-credential-broken: no keyring here");
    assert_eq!(
        ask(r#"{"credsStore":"talks"}"#, "r").unwrap_err(),
        "credential helper docker-credential-talks: its answer is not JSON"
    );
    assert!(ask(r#"{"credsStore":"../x"}"#, "r").unwrap_err().ends_with("is no name of a program"));
}

#[test]
fn what_is_handed_over_is_for_one_registry() {
    let given = |given: Given| {
        let credentials = Credentials::given("r.example", given).map_err(str::to_owned)?;
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let asked = |registry| runtime.block_on(credentials.login(registry, "a/b")).map_err(|error| error.to_string());
        assert_eq!(asked("other.example")?, None);
        asked("r.example")
    };
    let password = |user: &str, password: &str| Login::Password { user: user.to_owned(), password: password.to_owned() };
    let of = |username: &str, secret: &str| Given { username: username.into(), password: secret.into(), ..Given::default() };
    assert_eq!(given(of("u", "p")), Ok(Some(password("u", "p"))));
    assert_eq!(given(Given { auth: "dTpw".into(), ..Given::default() }), Ok(Some(password("u", "p"))));
    assert_eq!(given(Given { identity_token: "i".into(), ..of("u", "p") }), Ok(Some(Login::Identity("i".into()))));
    assert_eq!(given(Given { registry_token: "t".into(), ..Given::default() }), Ok(Some(Login::Bearer("t".into()))));
    assert_eq!(given(Given::default()), Ok(None));
    assert_eq!(given(Given { auth: "?".into(), ..Given::default() }), Err("auth is not base64".to_owned()));
    assert!(!format!("{:?}", of("u", "secret")).contains("secret"));
}
