//! Logging in for good, and out: Docker's `config.json`, or the program that keeps passwords for it.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderMap;
use reqwest::{Method, StatusCode};
use serde_json::{Map, Value, json};

use super::attempts::Attempts;
use super::auth::Access;
use super::credentials::{Login, normal, server};
use super::endpoint::Endpoint;
use super::error::Failure;
use super::hosts;
use super::registries::{Place, Purpose};
use super::retry::Patience;
use super::{Credentials, Error, Registries, Registry, helper};
use crate::reference::check_registry;

/// What came of a login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LoggedIn {
    /// The registry let this user in. `false`: it lets everybody in, so nobody knows whether the password is right.
    pub checked: bool,
    /// The program that keeps the password; `None`: the file has it, readable by its owner.
    pub helper: Option<String>,
}

/// Logs in to the registry `name` (`docker.io`, `localhost:5000`) and, once that worked, keeps the login in `file`, or with the
/// program that `file` names for it. All else in the file stays.
pub fn login(name: &str, user: &str, secret: &str, registries: &Registries, file: &Path) -> Result<LoggedIn, Error> {
    let key = key(name)?;
    // Read first: a file that cannot be written back is better known before the password is sent.
    let mut config = Config::read(file)?;
    blocking(async {
        let checked = verify(&key, user, secret, registries, Patience::default()).await?;
        let helper = config.helper(&key);
        match &helper {
            Some(program) => {
                let stored = helper::store(program, server(&key), user, secret).await;
                stored.map_err(|source| kept(program, source))?;
                config.put(&key, json!({}));
            }
            None => config.put(&key, json!({"auth": BASE64_STANDARD.encode(format!("{user}:{secret}"))})),
        }
        config.write()?;
        Ok(LoggedIn { checked, helper })
    })
}

/// Forgets the login for the registry `name`. Answers whether there was one.
pub fn logout(name: &str, file: &Path) -> Result<bool, Error> {
    let key = key(name)?;
    let mut config = Config::read(file)?;
    blocking(async {
        let mut known = false;
        if let Some(program) = config.helper(&key) {
            known |= helper::erase(&program, server(&key)).await.map_err(|source| kept(&program, source))?;
        }
        if config.take(&key) {
            known = true;
            config.write()?;
        }
        Ok(known)
    })
}

fn kept<T: AsRef<str>>(program: T, source: Failure) -> Error {
    Error::To { what: "give the login".into(), host: format!("docker-credential-{}", program.as_ref()), source }
}

fn blocking<T>(work: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    crate::waiting::runtime().map_err(Error::Runtime)?.block_on(work)
}

fn key(name: &str) -> Result<String, Error> {
    let key = normal(name);
    let good = match key.split_once('/') {
        Some(_) => Err("a login is for a whole registry: leave out what is behind its name"),
        None => check_registry(&key),
    };
    good.map_err(|problem| Error::Server { server: name.chars().take(160).collect(), problem })?;
    Ok(key)
}

/// Asks the registry whether it lets this user in. Answers whether it looked.
pub(super) async fn verify(
    key: &str,
    user: &str,
    secret: &str,
    registries: &Registries,
    patience: Patience,
) -> Result<bool, Error> {
    let problem = "it is not the name of a registry";
    let whole = format!("{key}/any").parse().map_err(|_| Error::Server { server: key.to_owned(), problem })?;
    let known = registries.places(&whole, Purpose::Enter)?.pop();
    let own = known.filter(|place| place.registry == hosts::own_host(key) || place.registry == key);
    let place = own.map(|place| Place { repository: String::new(), ..place }).unwrap_or_else(|| Place::plain(key, ""));
    let credentials = Credentials::only(key, Login::new(user.to_owned(), secret.to_owned()));
    let registry = Registry::at(&whole, Endpoint::of(&place, &Access::Enter, &credentials), &registries.proxies, &(), patience);
    let mut attempts = Attempts::writing(registry.inner.clone(), "log in".to_owned());
    loop {
        match enter(&registry, attempts.endpoint(), user).await {
            Ok(checked) => return Ok(checked),
            Err(failure) => attempts.failed(failure).await?,
        }
    }
}

async fn enter(registry: &Registry<'_>, endpoint: &Endpoint, user: &str) -> Result<bool, Failure> {
    let http = &registry.inner.http;
    let response = endpoint.request(http, Method::GET, "", &HeaderMap::new()).await?;
    match response.status() {
        StatusCode::OK => Ok(endpoint.auth.was_asked().await),
        status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) => {
            Err(Failure::WrongPassword { status: status.as_u16(), user: user.to_owned() })
        }
        StatusCode::NOT_FOUND => Err(Failure::Protocol("404: is this the address of a registry?".into())),
        _ => Err(http.refusal(response).await),
    }
}

/// Docker's `config.json`, with all that is none of our business.
struct Config {
    path: PathBuf,
    members: Map<String, Value>,
}

impl Config {
    /// A file that is not there is empty.
    fn read(path: &Path) -> Result<Self, Error> {
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let problem = |problem: String| Error::Credentials { path: path.clone(), problem };
        let members = match fs::read(&path) {
            Ok(bytes) if bytes.trim_ascii().is_empty() => Map::new(),
            Ok(bytes) => {
                serde_json::from_slice(&bytes).map_err(|error| problem(format!("line {}: not as expected", error.line())))?
            }
            Err(error) if error.kind() == ErrorKind::NotFound => Map::new(),
            Err(source) => return Err(Error::Read { path, source }),
        };
        if members.get("auths").is_some_and(|auths| !auths.is_object() && !auths.is_null()) {
            return Err(problem("auths is no object".to_owned()));
        }
        Ok(Config { path, members })
    }

    /// The program that keeps the password for a registry.
    fn helper(&self, key: &str) -> Option<String> {
        let helpers = self.members.get("credHelpers").and_then(Value::as_object);
        let own = helpers.and_then(|helpers| helpers.iter().find(|(name, _)| normal(name) == key)).map(|(_, program)| program);
        let program = own.or_else(|| self.members.get("credsStore"))?.as_str()?;
        (!program.is_empty()).then(|| program.to_owned())
    }

    fn put(&mut self, key: &str, entry: Value) {
        self.take(key);
        let auths = self.members.entry("auths").or_insert_with(|| json!({}));
        if auths.is_null() {
            *auths = json!({});
        }
        auths[server(key)] = entry;
    }

    /// Removes a registry under all its spellings. Answers whether it was there.
    fn take(&mut self, key: &str) -> bool {
        let Some(auths) = self.members.get_mut("auths").and_then(Value::as_object_mut) else { return false };
        let before = auths.len();
        auths.retain(|name, _| normal(name) != key);
        auths.len() < before
    }

    /// Old or new, and for the owner's eyes only.
    fn write(&self) -> Result<(), Error> {
        let text = serde_json::to_string_pretty(&self.members).unwrap_or_default();
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let temporary = self.path.with_extension(format!("json.{}", std::process::id()));
        let write = || -> io::Result<()> {
            DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
            // One that is there belongs to a dead process, and might be readable.
            fs::remove_file(&temporary).or_else(|error| if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(error) })?;
            let mut file: File = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&temporary)?;
            file.write_all(format!("{text}\n").as_bytes())?;
            file.sync_all()?;
            fs::rename(&temporary, &self.path)
        };
        write().map_err(|source| {
            let _ = fs::remove_file(&temporary);
            Error::Write { path: self.path.clone(), source }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn written(path: &Path) -> Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    }

    #[test]
    fn other_keys_stay_and_nobody_else_reads_them() {
        let folder = tempfile::tempdir().unwrap();
        let (path, link) = (folder.path().join("real.json"), folder.path().join("config.json"));
        fs::write(&path, r#"{"HttpHeaders":{"a":"b"},"auths":{"other":{"auth":"eDp5"},"index.docker.io":{"auth":"eDp5"}}}"#)
            .unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        std::os::unix::fs::symlink(&path, &link).unwrap();
        let mut config = Config::read(&link).unwrap();
        config.put("docker.io", json!({"auth": "new"}));
        config.write().unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        let expected = json!({"HttpHeaders": {"a": "b"},
            "auths": {"other": {"auth": "eDp5"}, "https://index.docker.io/v1/": {"auth": "new"}}});
        assert_eq!(written(&path), expected);
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(logout("docker.io", &link).unwrap());
        assert_eq!(written(&path)["auths"], json!({"other": {"auth": "eDp5"}}));
        assert!(!logout("docker.io", &link).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2, "no temporary file stays");
    }

    #[test]
    fn what_cannot_be_written_back_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("config.json");
        for text in ["{", "[]", r#"{"auths":[]}"#] {
            fs::write(&path, text).unwrap();
            assert!(matches!(logout("r.example", &path), Err(Error::Credentials { .. })), "{text}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
        for name in ["", "a/b", "r example", "https://"] {
            assert!(matches!(logout(name, &path), Err(Error::Server { .. })), "{name}");
        }
    }

    #[test]
    fn the_program_for_a_registry() {
        let config = |text: &str| Config { path: PathBuf::new(), members: serde_json::from_str(text).unwrap() };
        let both = config(r#"{"credHelpers":{"https://r.example":"own"},"credsStore":"all"}"#);
        assert_eq!((both.helper("r.example").as_deref(), both.helper("docker.io").as_deref()), (Some("own"), Some("all")));
        assert_eq!(config(r#"{"credsStore":""}"#).helper("docker.io"), None);
        assert_eq!(config(r#"{"credHelpers":{"r.example":""},"credsStore":"all"}"#).helper("r.example"), None);
    }
}
