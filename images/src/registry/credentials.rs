//! Who is asking: Docker's `config.json` and Podman's `auth.json`.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::Deserialize;

use super::error::{Error, Failure};
use super::helper;

/// User names, passwords and tokens for registries, and the programs that keep them. The default is anonymous.
#[derive(Debug, Clone, Default)]
pub struct Credentials {
    files: Vec<File>,
}

#[derive(Debug, Clone)]
struct File {
    /// By registry, or registry and the beginning of a repository.
    logins: BTreeMap<String, Login>,
    /// Programs by registry.
    helpers: BTreeMap<String, String>,
    /// The program for all registries.
    store: Option<String>,
}

/// What is handed over to get into a registry, as Kubernetes does it. Empty is not given.
#[derive(Clone, Default)]
pub struct Given {
    /// User name.
    pub username: String,
    /// Password.
    pub password: String,
    /// Both, with a colon between them, in base64.
    pub auth: String,
    /// An OAuth2 refresh token.
    pub identity_token: String,
    /// A token for the registry itself.
    pub registry_token: String,
}

/// Secrets are not for logs.
impl fmt::Debug for Given {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Given({:?})", self.username)
    }
}

/// How to log in.
#[derive(Clone, PartialEq, Eq)]
pub(super) enum Login {
    Password {
        user: String,
        password: String,
    },
    /// An OAuth2 refresh token.
    Identity(String),
    /// A token for the registry itself.
    Bearer(String),
}

impl Login {
    /// Who it is, for messages.
    pub(super) fn user(&self) -> &str {
        match self {
            Login::Password { user, .. } => user,
            Login::Identity(_) | Login::Bearer(_) => "<token>",
        }
    }

    /// As helpers give it, and as Docker keeps it.
    pub(super) fn new(user: String, password: String) -> Self {
        if user == "<token>" { Login::Identity(password) } else { Login::Password { user, password } }
    }
}

/// Secrets are not for logs.
impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Login({:?})", self.user())
    }
}

impl Credentials {
    /// Reads files; of two that know a registry the first counts. A file that is not there is fine.
    pub fn load(files: &[PathBuf]) -> Result<Self, Error> {
        let mut credentials = Credentials::default();
        for path in files {
            match fs::read(path) {
                Ok(bytes) => {
                    credentials.files.push(parse(&bytes).map_err(|problem| Error::Credentials { path: path.clone(), problem })?)
                }
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(source) => return Err(Error::Read { path: path.clone(), source }),
            }
        }
        Ok(credentials)
    }

    /// Only what somebody has handed over for one registry; anonymous when that is nothing.
    ///
    /// # Errors
    /// What is wrong with it; never a secret.
    pub fn given(registry: &str, given: Given) -> Result<Self, &'static str> {
        let some = |text: String| Some(text).filter(|text| !text.is_empty());
        let auth = Auth {
            auth: some(given.auth),
            username: some(given.username),
            password: Some(given.password),
            identitytoken: some(given.identity_token),
            registrytoken: some(given.registry_token),
        };
        Ok(login(auth)?.map_or_else(Credentials::default, |login| Credentials::only(registry, login)))
    }

    /// Only this login.
    pub(super) fn only(registry: &str, login: Login) -> Self {
        let logins = BTreeMap::from([(normal(registry), login)]);
        Credentials { files: vec![File { logins, helpers: BTreeMap::new(), store: None }] }
    }

    /// The login for a repository. As Docker does, a helper for the registry goes before the helper for all, and that before what
    /// is in the file.
    pub(super) async fn login(&self, registry: &str, repository: &str) -> Result<Option<Login>, Failure> {
        let key = normal(registry);
        for file in &self.files {
            if let Some(program) = file.helpers.get(&key) {
                if let Some(login) = helper::get(program, server(&key)).await? {
                    return Ok(Some(login));
                }
            } else if let Some(program) = &file.store {
                match helper::get(program, server(&key)).await {
                    // The file may come from another machine, and most images need no login.
                    Err(Failure::Helper { missing: true, .. }) => {}
                    login => {
                        if let Some(login) = login? {
                            return Ok(Some(login));
                        }
                    }
                }
            }
            if let Some(login) = file.login(&format!("{key}/{repository}")) {
                return Ok(Some(login.clone()));
            }
        }
        Ok(None)
    }
}

impl File {
    /// The login with the longest key that is the beginning of `name`.
    fn login(&self, name: &str) -> Option<&Login> {
        let matches = |key: &str| name.strip_prefix(key).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        self.logins.iter().filter(|(key, _)| matches(key)).max_by_key(|(key, _)| key.len()).map(|(_, login)| login)
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    auths: Option<BTreeMap<String, Option<Auth>>>,
    cred_helpers: Option<BTreeMap<String, String>>,
    creds_store: Option<String>,
}

#[derive(Default, Deserialize)]
struct Auth {
    /// User name, colon, password; in base64.
    auth: Option<String>,
    username: Option<String>,
    password: Option<String>,
    identitytoken: Option<String>,
    registrytoken: Option<String>,
}

fn parse(bytes: &[u8]) -> Result<File, String> {
    // An empty file is what `touch` leaves.
    if bytes.trim_ascii().is_empty() {
        return Ok(File { logins: BTreeMap::new(), helpers: BTreeMap::new(), store: None });
    }
    let document: Document = serde_json::from_slice(bytes).map_err(|error| format!("line {}: not as expected", error.line()))?;
    let mut logins = BTreeMap::new();
    for (key, auth) in document.auths.unwrap_or_default() {
        let login = login(auth.unwrap_or_default()).map_err(|problem| format!("{key}: {problem}"))?;
        logins.extend(login.map(|login| (normal(&key), login)));
    }
    let helpers = document.cred_helpers.unwrap_or_default().into_iter().map(|(key, program)| (normal(&key), program));
    Ok(File { logins, helpers: helpers.collect(), store: document.creds_store.filter(|program| !program.is_empty()) })
}

/// An entry without anything in it says that a helper has it.
fn login(auth: Auth) -> Result<Option<Login>, &'static str> {
    let some = |text: Option<String>| text.filter(|text| !text.is_empty());
    if let Some(token) = some(auth.registrytoken) {
        return Ok(Some(Login::Bearer(token)));
    }
    if let Some(token) = some(auth.identitytoken) {
        return Ok(Some(Login::Identity(token)));
    }
    if let Some(encoded) = some(auth.auth) {
        let padding = GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
        let decoded = GeneralPurpose::new(&STANDARD, padding).decode(encoded.trim()).map_err(|_| "auth is not base64")?;
        let decoded = String::from_utf8(decoded).map_err(|_| "auth is not text")?;
        let (user, password) = decoded.split_once(':').ok_or("auth has no colon")?;
        return Ok(Some(Login::new(user.to_owned(), password.trim_matches('\0').to_owned())));
    }
    match (some(auth.username), auth.password) {
        (Some(user), Some(password)) => Ok(Some(Login::new(user, password))),
        _ => Ok(None),
    }
}

/// Keys have been written in many ways: as a URL, with a version behind it, and with three names for the Hub.
pub(super) fn normal(key: &str) -> String {
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    let key = key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key);
    match key {
        "index.docker.io" | "registry-1.docker.io" | "registry.docker.io" => "docker.io".to_owned(),
        key => key.to_owned(),
    }
}

/// What helpers call a registry.
pub(super) fn server(key: &str) -> &str {
    if key == "docker.io" { "https://index.docker.io/v1/" } else { key }
}

/// Whether a path ends with the name of a program that may be started.
pub(super) fn is_program(name: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    !name.is_empty() && name.bytes().all(good) && Path::new(name).file_name().is_some()
}

#[cfg(test)]
mod tests;
