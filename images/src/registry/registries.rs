//! `registries.conf` (containers-registries.conf(5), version 2): mirrors, insecure and blocked registries.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::IgnoredAny;

use super::error::Error;
use crate::Reference;
use crate::reference::{check_registry, check_repository};

/// Where registries really are. The default knows no mirrors.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    tables: Vec<Table>,
}

/// A `[[registry]]`.
#[derive(Debug, Clone)]
struct Table {
    /// The beginning of names this is about, or `*.` and the end of a host name.
    prefix: String,
    /// What stands in for the prefix; empty: the prefix itself.
    location: String,
    insecure: bool,
    blocked: bool,
    mirrors: Vec<Mirror>,
    file: PathBuf,
}

/// A `[[registry.mirror]]`.
#[derive(Debug, Clone)]
struct Mirror {
    location: String,
    insecure: bool,
    pull: PullFrom,
}

/// For which names a mirror is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum PullFrom {
    /// All.
    #[default]
    All,
    /// Requests by digest: what a tag means is only known by the registry itself.
    DigestOnly,
    /// Names with a tag.
    TagOnly,
}

/// A place that may have a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) insecure: bool,
    pub(super) pull: PullFrom,
}

/// What is wrong with a file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Invalid {
    /// The form is wrong.
    #[error("line {line}: {message}")]
    Toml {
        /// From 1.
        line: usize,
        /// What the parser says.
        message: String,
    },
    /// The format of 2019 and before.
    #[error("version 1 of the format ([registries.search] and so on) is not supported: write [[registry]] tables")]
    Version1,
    /// A table is wrong.
    #[error("[[registry]] {name:?}: {problem}")]
    Table {
        /// Prefix or location.
        name: String,
        /// What is wrong.
        problem: &'static str,
    },
}

impl Registries {
    /// Reads files, each with the `*.conf` files of the folder of the same name with `.d` behind it. Later tables replace
    /// earlier ones with the same prefix. A file that is not there is fine.
    pub fn load(files: &[PathBuf]) -> Result<Self, Error> {
        let mut registries = Registries::default();
        for file in files {
            let mut folder = file.clone().into_os_string();
            folder.push(".d");
            for file in [file.clone()].into_iter().chain(drop_ins(Path::new(&folder))?) {
                if let Some(text) = read(&file)? {
                    let tables = parse(&text, &file).map_err(|source| Error::Registries { path: file.clone(), source })?;
                    registries.add(tables);
                }
            }
        }
        Ok(registries)
    }

    fn add(&mut self, tables: Vec<Table>) {
        for table in tables {
            self.tables.retain(|known| known.prefix != table.prefix);
            self.tables.push(table);
        }
    }

    /// Where to look for an image, in this order; the last place is the registry itself.
    pub(super) fn places(&self, reference: &Reference) -> Result<Vec<Place>, Error> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let full = reference.to_string();
        let matching = self.tables.iter().filter_map(|table| Some((table, matched(&table.prefix, &full)?)));
        let Some((table, length)) = matching.max_by_key(|(table, _)| table.prefix.len()) else {
            let (registry, repository) = (reference.registry().to_owned(), reference.repository().to_owned());
            return Ok(vec![Place { registry, repository, insecure: false, pull: PullFrom::All }]);
        };
        if table.blocked {
            return Err(Error::Blocked { prefix: table.prefix.clone(), file: table.file.clone() });
        }
        let rest = name.get(length..).unwrap_or_default();
        let place = |location: &str, insecure, pull| {
            let at = if location.is_empty() { name.clone() } else { format!("{location}{rest}") };
            place(&at, insecure, pull)
                .map_err(|problem| Error::Registries { path: table.file.clone(), source: Invalid::Table { name: at, problem } })
        };
        let mirrors = table.mirrors.iter().map(|mirror| place(&mirror.location, mirror.insecure, mirror.pull));
        mirrors.chain([place(&table.location, table.insecure, PullFrom::All)]).collect()
    }
}

fn place(at: &str, insecure: bool, pull: PullFrom) -> Result<Place, &'static str> {
    let (registry, repository) = at.split_once('/').ok_or("it leads to a registry without a repository")?;
    let repository = match registry == "docker.io" && !repository.contains('/') {
        true => format!("library/{repository}"),
        false => repository.to_owned(),
    };
    check_registry(registry)?;
    check_repository(&repository)?;
    Ok(Place { registry: registry.to_owned(), repository, insecure, pull })
}

/// How much of `name` the prefix is; `None` if it is not its beginning.
fn matched(prefix: &str, name: &str) -> Option<usize> {
    let length = match prefix.strip_prefix('*') {
        Some(domain) => {
            let host = name.split('/').next()?;
            host.find(domain).filter(|at| *at > 0)? + domain.len()
        }
        None => name.strip_prefix(prefix).map(|_| prefix.len())?,
    };
    // docker.io/lib is no prefix of docker.io/library.
    matches!(name.as_bytes().get(length), None | Some(b'/' | b':' | b'@')).then_some(length)
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    registry: Vec<RegistryTable>,
    registries: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct RegistryTable {
    #[serde(default)]
    prefix: String,
    #[serde(default)]
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    blocked: bool,
    #[serde(default)]
    mirror_by_digest_only: bool,
    #[serde(default)]
    mirror: Vec<MirrorTable>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
struct MirrorTable {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: PullFrom,
}

fn parse(text: &str, file: &Path) -> Result<Vec<Table>, Invalid> {
    let parsed: File = toml::from_str(text).map_err(|error| {
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        Invalid::Toml { line: before.matches('\n').count() + 1, message: error.message().replace('\n', " ") }
    })?;
    if parsed.registries.is_some() {
        return Err(Invalid::Version1);
    }
    parsed.registry.into_iter().map(|table| checked(table, file)).collect()
}

fn checked(table: RegistryTable, file: &Path) -> Result<Table, Invalid> {
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

/// The text of a file, if it is there.
fn read(file: &Path) -> Result<Option<String>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => Ok(Some(text)),
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        Err(source) => Err(Error::Read { path: file.to_owned(), source }),
    }
}

/// The `*.conf` files of a folder by name.
fn drop_ins(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>, Error>>()?;
    files.retain(|file| file.extension().is_some_and(|extension| extension == "conf"));
    files.sort();
    Ok(files)
}

#[cfg(test)]
mod tests;
