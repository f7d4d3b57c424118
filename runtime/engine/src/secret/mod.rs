//! Secrets: bytes by name, for containers whose records do not have them.
//!
//! ```text
//! secrets/NAME       one file, 0600: a line of JSON (what is known of it), then its bytes; written by rename
//! RUN/containers/ID/secrets/N   what a running container sees, in memory; it goes with the container's end
//! ```

mod show;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use launch::Nanos;
use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use sys::Call;

use crate::config::Config;
use crate::error::During;
use crate::request::SecretUse;
use crate::{Engine, Error, create, names};

pub(crate) use show::{shown, variables};

/// Bytes that a secret may have, as Podman has it.
const LIMIT: usize = 512_000;

/// What is known of a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// 25 hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Nanos,
    /// When it got the bytes that it has.
    pub updated: Nanos,
    /// Labels.
    pub labels: BTreeMap<String, String>,
}

impl Engine {
    /// Keeps a secret. With `replace` it takes the place of one of this name.
    ///
    /// # Errors
    /// [`Error::Invalid`]: there is one, the name cannot be one, or it is empty or longer than 512 kB.
    pub fn secret_create(
        &self,
        name: &str,
        bytes: &[u8],
        labels: &BTreeMap<String, String>,
        replace: bool,
    ) -> Result<Secret, Error> {
        check(name)?;
        if bytes.is_empty() || bytes.len() > LIMIT {
            return Err(invalid(name, format!("it has {} bytes: it may have 1 to {LIMIT}", bytes.len())));
        }
        let during = || format!("keep the secret {name}");
        let folder = self.config.secrets();
        create::folder(&folder).during(during)?;
        let before = if replace { load(&self.config, name)? } else { None };
        let now = monitor::now();
        let id = || names::new_id().map(|id| id[..25].to_owned());
        let secret = Secret {
            // Those who know it by its id shall find it again.
            id: before.as_ref().map_or_else(id, |(old, _)| Ok(old.id.clone()))?,
            name: name.to_owned(),
            created: before.map_or(now, |(old, _)| old.created),
            updated: now,
            labels: labels.clone(),
        };
        let mut text = serde_json::to_vec(&secret).unwrap_or_default();
        text.push(b'\n');
        text.extend_from_slice(bytes);
        let new = folder.join(format!(".new-{}", names::new_id()?));
        let flags = if replace { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
        let written = write(&new, &text).and_then(|()| match renameat_with(CWD, &new, CWD, folder.join(name), flags) {
            Err(Errno::EXIST) => Ok(false),
            done => done.call(|| format!("renameat2({new:?}, {name:?})")).map(|()| true),
        });
        if !matches!(written, Ok(true)) {
            let _ = fs::remove_file(&new);
        }
        match written.during(during)? {
            true => Ok(secret),
            false => Err(invalid(name, "there is one of this name: remove it, or use --replace".to_owned())),
        }
    }

    /// The secret with this name, id or beginning of an id.
    ///
    /// # Errors
    /// [`Error::NoSuchSecret`].
    pub fn secret(&self, given: &str) -> Result<Secret, Error> {
        let none = || Error::NoSuchSecret(given.to_owned());
        if check(given).is_ok()
            && let Some((secret, _)) = load(&self.config, given)?
        {
            return Ok(secret);
        }
        let all = self.secrets()?;
        let mut fitting = all.into_iter().filter(|secret| !given.is_empty() && secret.id.starts_with(given));
        match (fitting.next(), fitting.next()) {
            (Some(only), None) => Ok(only),
            _ => Err(none()),
        }
    }

    /// All secrets, by name.
    ///
    /// # Errors
    /// One cannot be read.
    pub fn secrets(&self) -> Result<Vec<Secret>, Error> {
        let folder = match File::open(self.config.secrets()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            folder => folder.call(|| "open(secrets)").during(|| "list secrets")?,
        };
        let mut all = Vec::new();
        for name in sys::fs::list(&folder).during(|| "list secrets")? {
            if let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) {
                all.extend(load(&self.config, name)?.map(|(secret, _)| secret));
            }
        }
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(all)
    }

    /// The bytes of a secret.
    ///
    /// # Errors
    /// [`Error::NoSuchSecret`].
    pub fn secret_bytes(&self, name: &str) -> Result<Vec<u8>, Error> {
        let found = load(&self.config, name)?;
        found.map(|(_, bytes)| bytes).ok_or_else(|| Error::NoSuchSecret(name.to_owned()))
    }

    /// Removes a secret. Containers that run keep it; those that are to start with it do not start any more.
    ///
    /// # Errors
    /// [`Error::NoSuchSecret`].
    pub fn secret_remove(&self, given: &str) -> Result<Secret, Error> {
        let secret = self.secret(given)?;
        let path = self.config.secrets().join(&secret.name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoSuchSecret(given.to_owned())),
            done => done.call(|| format!("unlink({path:?})")).during(|| format!("remove the secret {given}")).map(|()| secret),
        }
    }
}

/// Gives each secret of the engine's own the name that it has, however it was given.
///
/// # Errors
/// [`Error::NoSuchSecret`].
pub(crate) fn resolve(engine: &Engine, all: &mut [SecretUse]) -> Result<(), Error> {
    for own in all.iter_mut().filter(|own| own.file.is_none()) {
        own.name = engine.secret(&own.name)?.name;
    }
    Ok(())
}

/// On the disk before it has its name: what was said to be kept is there after a power cut.
fn write(path: &PathBuf, bytes: &[u8]) -> sys::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let file = File::options().write(true).create_new(true).mode(0o600).open(path).call(|| format!("open({path:?}, O_CREAT)"))?;
    sys::fs::write_all(&file, bytes)?;
    file.sync_data().call(|| format!("fdatasync({path:?})"))
}

/// What is known of a secret, and its bytes.
fn load(config: &Config, name: &str) -> Result<Option<(Secret, Vec<u8>)>, Error> {
    let path = config.secrets().join(name);
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        file => file.call(|| format!("open({path:?})")).during(|| format!("read the secret {name}"))?,
    };
    let mut bytes = Vec::new();
    let read = file.take(4 * LIMIT as u64).read_to_end(&mut bytes).call(|| format!("read({path:?})"));
    read.during(|| format!("read the secret {name}"))?;
    let end = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    let secret = serde_json::from_slice(&bytes[..end]).map_err(|source| Error::Damaged { path, source })?;
    Ok(Some((secret, bytes.split_off((end + 1).min(bytes.len())))))
}

/// Podman's rule: letters and digits, with dots, dashes and underscores between them.
pub(crate) fn check(name: &str) -> Result<(), Error> {
    let plain = |byte: u8| byte.is_ascii_alphanumeric();
    let bytes = name.as_bytes();
    let ends = bytes.first().is_some_and(|byte| plain(*byte)) && bytes.last().is_some_and(|byte| plain(*byte));
    if ends && bytes.len() <= 253 && bytes.iter().all(|byte| plain(*byte) || b"-_.".contains(byte)) {
        return Ok(());
    }
    Err(invalid(&name.chars().take(64).collect::<String>(), "a name has letters, digits, and - _ . between them".to_owned()))
}

fn invalid(name: &str, why: String) -> Error {
    Error::Invalid { what: format!("secret {name:?}"), why }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["a", "db-password", "A.b_c", "1"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", ".", "..", "a/b", "-a", "a.", ".new-1", "a b", &"a".repeat(254)] {
            assert!(check(name).is_err(), "{name}");
        }
    }
}
