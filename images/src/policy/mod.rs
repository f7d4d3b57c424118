//! Which images this host lets in: containers-policy.json(5).
//!
//! ```text
//! file ─> Policy (scope -> requirements) ─ admits(transport, scopes) ─> what is left to do: signatures of these keys
//!                                                                        └ attached: cosign's signatures beside the image ─> verified
//! ```
//!
//! Everything is decided by the digest of what was fetched: a tag that moves meanwhile changes nothing. What is not understood is refused,
//! never passed over: an unknown key in the file, a signature by GPG, a certificate of Fulcio, an entry of Rekor.

mod attached;
mod file;
mod identity;
mod scope;
mod signature;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

pub(crate) use attached::check;
pub(crate) use scope::{of_path, of_registry};

use self::identity::Identity;
use self::signature::KeySource;
use crate::Reference;
use crate::error::{Error, Result};

/// What has to be so before an image is let in. The default lets all in.
#[derive(Debug, Clone, Default)]
pub struct Policy {
    /// Where it is from; `None` for the default.
    file: Option<PathBuf>,
    default: Vec<Requirement>,
    /// By transport, such as `docker`, then by scope.
    transports: BTreeMap<String, BTreeMap<String, Vec<Requirement>>>,
}

/// One of the things that must be so.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Requirement {
    Accept,
    Reject,
    Signed(Signed),
    /// What the file asks for, which cannot be checked here.
    Unsupported(&'static str),
}

/// Signed by one of these keys, under a name that fits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Signed {
    keys: Vec<KeySource>,
    identity: Identity,
}

impl Policy {
    /// Reads the first of these files that is there. Without any, all is let in.
    ///
    /// # Errors
    /// It cannot be read, or is damaged: the file and the line are named.
    pub fn load(files: &[PathBuf]) -> Result<Self> {
        for file in files {
            return match std::fs::read_to_string(file) {
                Ok(text) => file::parse(&text, file),
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => continue,
                Err(source) => Err(Error::PolicyFile { path: file.clone(), problem: source.to_string() }),
            };
        }
        Ok(Policy::default())
    }

    /// Whether something from `transport` may come at all, by the first of `scopes` that the file has, the most specific one first.
    /// Answers what it must be signed by; nothing of it was checked yet. `what` is for messages.
    pub(crate) fn admits(&self, transport: &str, scopes: &[String], what: &str) -> Result<Vec<&Signed>> {
        let (found, scope) = self.requirements(transport, scopes);
        let refused = |why: &str| self.refused(what, format!("{why} ({scope})"));
        let mut signed = Vec::new();
        for requirement in found {
            match requirement {
                Requirement::Accept => {}
                Requirement::Reject => return Err(refused("nothing is let in from there")),
                Requirement::Unsupported(wish) => return Err(refused(&format!("it asks for {wish}, which is not supported"))),
                Requirement::Signed(one) => signed.push(one),
            }
        }
        Ok(signed)
    }

    fn requirements(&self, transport: &str, scopes: &[String]) -> (&[Requirement], String) {
        let known = self.transports.get(transport);
        let by_scope = scopes.iter().map(String::as_str).chain([""]).find_map(|scope| Some((known?.get(scope)?, scope)));
        match by_scope {
            Some((found, "")) => (found, format!("all of transport {transport}")),
            Some((found, scope)) => (found, format!("scope {scope} of transport {transport}")),
            None => (&self.default, "the default".to_owned()),
        }
    }

    /// Whether something may come that never has a signature, as far as is known here: an archive, or steps of builds.
    pub(crate) fn admits_unsigned(&self, transport: &str, scopes: &[String], what: &str) -> Result<()> {
        match self.admits(transport, scopes, what)?.is_empty() {
            true => Ok(()),
            false => Err(self.refused(what, "it has no signature: there are none but those of images in registries".to_owned())),
        }
    }

    /// Whether steps of builds may come from a repository: what is built has what is in them.
    ///
    /// # Errors
    /// [`Error::Refused`].
    pub fn admits_cache(&self, from: &Reference) -> Result<()> {
        self.admits_unsigned("docker", &of_registry(from), &from.familiar())
    }

    fn refused(&self, what: &str, why: String) -> Error {
        let policy = self.file.as_deref().unwrap_or(Path::new("the policy")).to_owned();
        Error::Refused { what: what.to_owned(), policy, why }
    }
}
