//! Names of images.

use std::fmt;
use std::str::FromStr;

use crate::Digest;

/// Where names without a registry live.
const HUB: &str = "docker.io";
/// Longest registry and repository together (distribution-spec, "Pulling manifests").
const NAME_LIMIT: usize = 255;
const TAG_LIMIT: usize = 128;

/// A complete name: registry, repository, and a tag or a digest. It is read as Docker reads it.
///
/// | text | means |
/// |---|---|
/// | `busybox` | `docker.io/library/busybox:latest` |
/// | `smlinux/nodeinfo:v1` | `docker.io/smlinux/nodeinfo:v1` |
/// | `localhost/app`, `host:5000/app`, `ghcr.io/a/b` | the registry is the first part: it has a dot, a colon or a capital, or is `localhost` |
/// | `app:v1@sha256:…` | `docker.io/library/app@sha256:…`: the digest says all, the tag is dropped |
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    version: Version,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Version {
    Tag(String),
    Digest(Digest),
}

impl Reference {
    /// The registry's host, with its port if the name has one: `docker.io`, `localhost:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path within the registry: `library/busybox`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; none if there is a digest.
    pub fn tag(&self) -> Option<&str> {
        match &self.version {
            Version::Tag(tag) => Some(tag),
            Version::Digest(_) => None,
        }
    }

    /// The digest, if the name has one.
    pub fn digest(&self) -> Option<&Digest> {
        match &self.version {
            Version::Tag(_) => None,
            Version::Digest(digest) => Some(digest),
        }
    }

    /// The same repository at a digest.
    pub fn with_digest(&self, digest: &Digest) -> Self {
        Reference { version: Version::Digest(digest.clone()), ..self.clone() }
    }

    /// As short as it can be written, which is how lists show it: `busybox:latest`, `smlinux/nodeinfo:v1`.
    pub fn familiar(&self) -> String {
        format!("{}{}", self.familiar_name(), self.version)
    }

    /// The short form without tag and digest: `busybox`, `smlinux/nodeinfo`.
    pub fn familiar_name(&self) -> String {
        if self.registry != HUB {
            return self.name();
        }
        let short = self.repository.strip_prefix("library/").filter(|rest| !rest.contains('/'));
        let short = short.unwrap_or(&self.repository);
        // docker.io/localhost/app must not become localhost/app.
        if split(short) == (HUB, short) { short.to_owned() } else { self.name() }
    }

    /// What its repository is asked for: the digest, or the tag.
    pub(crate) fn what(&self) -> String {
        match &self.version {
            Version::Tag(tag) => tag.clone(),
            Version::Digest(digest) => digest.to_string(),
        }
    }

    /// Registry and repository.
    pub(crate) fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}/{}{}", self.registry, self.repository, self.version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Version::Tag(tag) => write!(f, ":{tag}"),
            Version::Digest(digest) => write!(f, "@{digest}"),
        }
    }
}

/// Text that is no name of an image.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("invalid reference {reference:?}: {problem}")]
pub struct InvalidReference {
    reference: String,
    problem: &'static str,
}

impl FromStr for Reference {
    type Err = InvalidReference;

    fn from_str(text: &str) -> Result<Self, InvalidReference> {
        parse(text).map_err(|problem| InvalidReference { reference: text.chars().take(300).collect(), problem })
    }
}

fn parse(text: &str) -> Result<Reference, &'static str> {
    if text.is_empty() {
        return Err("it is empty");
    }
    if text.contains("://") {
        return Err("a URL is no reference: leave the part up to :// out");
    }
    if text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')) {
        return Err("64 hexadecimal digits are an image id, not a name");
    }
    let (name, digest) = match text.split_once('@') {
        None => (text, None),
        Some((name, digest)) => (name, Some(digest.parse::<Digest>().map_err(|invalid| invalid.problem)?)),
    };
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    tag.map_or(Ok(()), check_tag)?;
    let (registry, repository) = split(name);
    check_registry(registry)?;
    check_repository(repository)?;
    let registry = if registry == "index.docker.io" { HUB } else { registry };
    let official = registry == HUB && !repository.contains('/');
    let repository = if official { format!("library/{repository}") } else { repository.to_owned() };
    if registry.len() + 1 + repository.len() > NAME_LIMIT {
        return Err("registry and repository are longer than 255 characters");
    }
    let version = digest.map_or_else(|| Version::Tag(tag.unwrap_or("latest").to_owned()), Version::Digest);
    Ok(Reference { registry: registry.to_owned(), repository, version })
}

/// Registry and the rest. The first part is a registry if it cannot be a part of a repository on the Hub.
fn split(name: &str) -> (&str, &str) {
    let is_host = |part: &str| part == "localhost" || part.contains(['.', ':']) || part.bytes().any(|b| b.is_ascii_uppercase());
    match name.split_once('/') {
        Some((first, rest)) if is_host(first) => (first, rest),
        _ => (HUB, name),
    }
}

pub(crate) fn check_tag(tag: &str) -> Result<(), &'static str> {
    let mut bytes = tag.bytes();
    let Some(first) = bytes.next() else { return Err("the tag is empty") };
    if tag.len() > TAG_LIMIT {
        return Err("the tag is longer than 128 characters");
    }
    if matches!(first, b'.' | b'-') {
        return Err("a tag does not begin with a dot or a dash");
    }
    let good = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    if good(first) && bytes.all(good) { Ok(()) } else { Err("a tag has letters, digits, dots, dashes and underscores") }
}

pub(crate) fn check_registry(registry: &str) -> Result<(), &'static str> {
    let (host, port) = match registry.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(None) => return Err("the registry's address has no closing bracket"),
        Some(Some((address, rest))) => {
            address.parse::<std::net::Ipv6Addr>().map_err(|_| "the registry is not an IPv6 address")?;
            match rest.strip_prefix(':') {
                None if !rest.is_empty() => return Err("the registry has something between address and port"),
                port => ("", port),
            }
        }
        None => registry.split_once(':').map_or((registry, None), |(host, port)| (host, Some(port))),
    };
    if let Some(port) = port
        && (!port.bytes().all(|byte| byte.is_ascii_digit()) || !matches!(port.parse::<u16>(), Ok(1..)))
    {
        return Err("the registry's port is not a number from 1 to 65535");
    }
    let label = |label: &str| {
        let good = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        good && !label.is_empty() && !label.starts_with('-') && !label.ends_with('-')
    };
    if registry.starts_with('[') || host.split('.').all(label) { Ok(()) } else { Err("the registry is not a host name") }
}

pub(crate) fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("the repository must be lower case");
    }
    if repository.is_empty() {
        return Err("the repository is missing");
    }
    repository.split('/').try_for_each(check_part)
}

/// A part is alphanumeric runs between separators: a dot, one or two underscores, or any number of dashes.
fn check_part(part: &str) -> Result<(), &'static str> {
    if part.is_empty() {
        return Err("the repository has an empty part");
    }
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = part.as_bytes();
    if !bytes.iter().all(|byte| alphanumeric(byte) || matches!(byte, b'.' | b'_' | b'-')) {
        return Err("a repository has lower-case letters, digits, and . _ - / between them");
    }
    if !alphanumeric(&bytes[0]) || !alphanumeric(&bytes[bytes.len() - 1]) {
        return Err("each part of a repository begins and ends with a letter or digit");
    }
    let separators = bytes.split(alphanumeric).filter(|separator| !separator.is_empty());
    let good = |separator: &[u8]| matches!(separator, b"." | b"_" | b"__") || separator.iter().all(|byte| *byte == b'-');
    if separators.into_iter().all(good) {
        Ok(())
    } else {
        Err("a repository has separators that do not go together, such as .. or _-")
    }
}

#[cfg(test)]
mod tests;
