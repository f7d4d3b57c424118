//! `registries.conf` as it is written, and its tables once they are checked.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::Invalid;
use crate::Reference;

/// A `[[registry]]`.
#[derive(Debug, Clone)]
pub(super) struct Table {
    /// The beginning of names this is about, or `*.` and the end of a host name.
    pub(super) prefix: String,
    /// What stands in for the prefix; empty: the prefix itself.
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) blocked: bool,
    pub(super) mirrors: Vec<Mirror>,
    pub(super) file: PathBuf,
}

/// A `[[registry.mirror]]`.
#[derive(Debug, Clone)]
pub(super) struct Mirror {
    pub(super) location: String,
    pub(super) insecure: bool,
    pub(super) pull: PullFrom,
}

/// For which names a mirror is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PullFrom {
    /// All.
    #[default]
    All,
    /// Requests by digest: what a tag means is only known by the registry itself.
    DigestOnly,
    /// Names with a tag.
    TagOnly,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<RegistryTable>,
    registries: Option<IgnoredAny>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

/// A `[[registry]]` as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub struct RegistryTable {
    /// The beginning of the names that this is about; the location when it is empty.
    pub prefix: String,
    /// What stands in for the prefix; empty: the prefix itself.
    pub location: String,
    /// Plain HTTP, and certificates that nobody vouches for.
    pub insecure: bool,
    /// Nothing is pulled from it.
    pub blocked: bool,
    /// Mirrors are only asked for digests.
    pub mirror_by_digest_only: bool,
    /// Whom to ask first.
    pub mirror: Vec<MirrorTable>,
}

/// A `[[registry.mirror]]` as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct MirrorTable {
    /// Where it is: host, port and the beginning of a path.
    pub location: String,
    /// Plain HTTP, and certificates that nobody vouches for.
    #[serde(default)]
    pub insecure: bool,
    /// For which names it is asked.
    #[serde(default)]
    pub pull_from_mirror: PullFrom,
}

pub(super) type Parsed = (Vec<Table>, BTreeMap<String, String>);

pub(super) fn parse(text: &str, file: &Path) -> Result<Parsed, Invalid> {
    let parsed: File = toml::from_str(text).map_err(|error| Invalid::toml(text, &error))?;
    if parsed.registries.is_some() {
        return Err(Invalid::Version1);
    }
    for (name, long) in &parsed.aliases {
        let wrong = |problem| Err(Invalid::Alias { name: name.clone(), problem });
        match long.parse::<Reference>() {
            // What is behind a short name, tag or digest, comes from the user.
            Ok(reference) if reference.name() == *long => {}
            Ok(_) => return wrong("it stands for HOST/REPOSITORY, without tag or digest"),
            Err(_) => return wrong("it does not stand for the name of a repository"),
        }
    }
    let tables = parsed.registry.into_iter().map(|table| checked(table, file)).collect::<Result<_, _>>()?;
    Ok((tables, parsed.aliases))
}

pub(super) fn checked(table: RegistryTable, file: &Path) -> Result<Table, Invalid> {
    let location = table.location.trim_end_matches('/').to_owned();
    let prefix = table.prefix.trim_end_matches('/').to_owned();
    let name = if prefix.is_empty() { location.clone() } else { prefix.clone() };
    let wrong = |problem| Err(Invalid::Table { name: name.clone(), problem });
    let wildcard = prefix.strip_prefix("*.");
    if name.is_empty() {
        return wrong("it has neither prefix nor location");
    }
    if prefix.starts_with('*') && wildcard.is_none_or(|domain| domain.is_empty() || domain.contains(['*', '/', ':'])) {
        return wrong("a prefix with an asterisk has the form *.example.com");
    }
    let mirror = |mirror: MirrorTable| Mirror {
        location: mirror.location.trim_end_matches('/').to_owned(),
        insecure: mirror.insecure,
        pull: if table.mirror_by_digest_only { PullFrom::DigestOnly } else { mirror.pull_from_mirror },
    };
    let mirrors: Vec<Mirror> = table.mirror.into_iter().map(mirror).collect();
    let locations = || mirrors.iter().map(|mirror| mirror.location.as_str()).chain([location.as_str(), prefix.as_str()]);
    if locations().any(|location| location.contains("://")) {
        return wrong("a location is host[:port][/path], without http:// or https://");
    }
    if mirrors.iter().any(|mirror| mirror.location.is_empty()) {
        return wrong("a mirror has no location");
    }
    Ok(Table { prefix: name, location, insecure: table.insecure, blocked: table.blocked, mirrors, file: file.to_owned() })
}
