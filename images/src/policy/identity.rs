//! Whether the name that a signature is for is the name that was asked for (containers-policy.json(5), `signedIdentity`).

use serde::Deserialize;

use crate::Reference;

/// Which names fit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "camelCase", rename_all_fields = "camelCase", deny_unknown_fields)]
pub(super) enum Identity {
    /// The same name and tag.
    MatchExact {},
    /// The same name and tag, or the same repository for an image by digest.
    MatchRepoDigestOrExact {},
    /// The same repository.
    MatchRepository {},
    /// This name and tag, whatever was asked for.
    ExactReference { docker_reference: String },
    /// This repository, whatever was asked for.
    ExactRepository { docker_repository: String },
    /// As usual, once the beginning of the name was replaced.
    #[serde(rename = "remapIdentity")]
    Remapped { prefix: String, signed_prefix: String },
}

impl Default for Identity {
    fn default() -> Self {
        Identity::MatchRepoDigestOrExact {}
    }
}

impl Identity {
    /// A name that a signature is for is `HOST/REPOSITORY[:TAG]`: cosign leaves the tag out.
    pub(super) fn fits(&self, asked: &Reference, signed: &str) -> bool {
        let Some((repository, tag)) = split(signed) else { return false };
        let whole = |name: &str, wanted: Option<&str>| repository == name && tag.is_some() && tag.as_deref() == wanted;
        let usual = |name: &str| match asked.tag() {
            Some(wanted) => whole(name, Some(wanted)),
            None => repository == name,
        };
        match self {
            Identity::MatchExact {} => whole(&asked.name(), asked.tag()),
            Identity::MatchRepoDigestOrExact {} => usual(&asked.name()),
            Identity::MatchRepository {} => repository == asked.name(),
            Identity::ExactReference { docker_reference } => {
                split(docker_reference).is_some_and(|(name, wanted)| whole(&name, wanted.as_deref()))
            }
            Identity::ExactRepository { docker_repository } => {
                split(docker_repository).is_some_and(|(name, wanted)| wanted.is_none() && repository == name)
            }
            Identity::Remapped { prefix, signed_prefix } => usual(&remapped(&asked.name(), prefix, signed_prefix)),
        }
    }

    /// What is wrong with what the file says.
    pub(super) fn problem(&self) -> Option<&'static str> {
        let tagged = |text: &str| split(text).map(|(_, tag)| tag.is_some());
        match self {
            Identity::ExactReference { docker_reference } if tagged(docker_reference) != Some(true) => {
                Some("dockerReference: it needs to be a name with a tag, as in host/name:tag")
            }
            Identity::ExactRepository { docker_repository } if tagged(docker_repository) != Some(false) => {
                Some("dockerRepository: it needs to be a name without a tag, as in host/name")
            }
            _ => None,
        }
    }
}

/// Repository and tag of a name.
fn split(text: &str) -> Option<(String, Option<String>)> {
    let reference: Reference = text.parse().ok()?;
    // What is read has a tag, if not its own.
    let own = text.rsplit('/').next().unwrap_or_default().contains(':');
    match reference.digest() {
        Some(_) => None,
        None => Some((reference.name(), reference.tag().filter(|_| own).map(str::to_owned))),
    }
}

/// Only whole parts of a name are replaced.
fn remapped(name: &str, prefix: &str, signed: &str) -> String {
    match name.strip_prefix(prefix) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => format!("{signed}{rest}"),
        _ => name.to_owned(),
    }
}
