//! Users and passwords: `htpasswd -B` files (bcrypt), asked for with Basic (RFC 7617).

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use tokio::sync::Semaphore;

use crate::Digest;
use crate::error::{Error, Result};

/// What an unknown user's password is compared with, so that it takes as long as a known one's.
const NOBODY: &str = "$2b$10$abcdefghijklmnopqrstuuCpm0GUL0kwCmvLTJ/rHwRe0hm.2JZXG";
/// Passwords that are compared at once: bcrypt is slow on purpose, and strangers must not take all processors.
const AT_ONCE: usize = 2;
/// Logins that are remembered.
const KNOWN: usize = 1024;

/// Who may come in.
pub(super) struct Accounts {
    /// Hashes by user.
    users: BTreeMap<String, String>,
    /// Salted digests of logins that were right: not every request of a pull is worth 100 ms.
    known: Mutex<HashSet<Digest>>,
    salt: String,
    turns: Arc<Semaphore>,
}

impl Accounts {
    /// Reads a file.
    pub(super) fn load(path: &Path) -> Result<Self> {
        let wrong = |problem: String| Error::ServeFile { path: path.to_owned(), problem };
        let text = std::fs::read_to_string(path).map_err(|error| wrong(error.to_string()))?;
        let users = parse(&text).map_err(wrong)?;
        let salt = super::random_id().map_err(|_| wrong("no random numbers".into()))?.as_str().to_owned();
        Ok(Accounts { users, known: Mutex::default(), salt, turns: Arc::new(Semaphore::new(AT_ONCE)) })
    }

    /// Whether a request with this `Authorization` is let in.
    pub(super) async fn admit(&self, authorization: Option<&HeaderValue>) -> bool {
        let Some((user, password)) = authorization.and_then(basic) else { return false };
        let login = Digest::sha256(format!("{}\0{user}\0{password}", self.salt).as_bytes());
        if self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(&login) {
            return true;
        }
        let Ok(_turn) = self.turns.clone().acquire_owned().await else { return false };
        let known = self.users.get(&user).cloned();
        let exists = known.is_some();
        let hash = known.unwrap_or_else(|| NOBODY.to_owned());
        let right = tokio::task::spawn_blocking(move || bcrypt::verify(password, &hash).unwrap_or(false)).await.unwrap_or(false);
        if right && exists {
            let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
            if known.len() >= KNOWN {
                known.clear();
            }
            known.insert(login);
        }
        right && exists
    }
}

fn basic(header: &HeaderValue) -> Option<(String, String)> {
    let (scheme, encoded) = header.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let text = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    text.split_once(':').map(|(user, password)| (user.to_owned(), password.to_owned()))
}

fn parse(text: &str) -> std::result::Result<BTreeMap<String, String>, String> {
    let mut users = BTreeMap::new();
    for (index, line) in text.lines().enumerate().map(|(index, line)| (index + 1, line.trim())) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let (user, hash) = line.split_once(':').ok_or_else(|| format!("line {index} is not USER:HASH"))?;
        let known = ["$2a$", "$2b$", "$2y$"].iter().any(|version| hash.starts_with(version));
        if !known || hash.parse::<bcrypt::HashParts>().is_err() {
            return Err(format!("line {index}: the hash of {user:?} is not bcrypt: make it with htpasswd -B"));
        }
        users.insert(user.to_owned(), hash.to_owned());
    }
    if users.is_empty() { Err("there is no user in it".into()) } else { Ok(users) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let users = parse(&format!("# who\n\nme:{NOBODY}\r\n")).unwrap();
        assert_eq!(users["me"], NOBODY);
        assert_eq!(parse("").unwrap_err(), "there is no user in it");
        assert_eq!(parse("\nme").unwrap_err(), "line 2 is not USER:HASH");
        for hash in ["$apr1$x$y", "{SHA}x", "plain", "$2y$05$short", "$2x$"] {
            assert!(parse(&format!("me:{hash}")).unwrap_err().contains("htpasswd -B"), "{hash}");
        }
    }

    #[tokio::test]
    async fn who_is_let_in() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("htpasswd");
        std::fs::write(&path, format!("me:{}\n", bcrypt::hash("secret", 4).unwrap())).unwrap();
        let accounts = Accounts::load(&path).unwrap();
        let header = |text: &str| HeaderValue::from_str(&format!("basic {}", BASE64_STANDARD.encode(text))).unwrap();
        for _ in 0..2 {
            assert!(accounts.admit(Some(&header("me:secret"))).await);
            assert!(!accounts.admit(Some(&header("me:Secret"))).await && !accounts.admit(Some(&header("you:secret"))).await);
        }
        assert!(!accounts.admit(None).await && !accounts.admit(Some(&HeaderValue::from_static("Basic !"))).await);
        assert!(!accounts.admit(Some(&HeaderValue::from_static("Bearer x"))).await);
    }
}
