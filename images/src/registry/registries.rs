//! `registries.conf` (containers-registries.conf(5), version 2): mirrors, insecure and blocked registries.

mod files;
mod invalid;
mod table;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use self::files::{drop_ins, read};
pub use self::invalid::Invalid;
pub use self::table::{MirrorTable, PullFrom, RegistryTable};
use self::table::{Table, checked, parse};
use super::docker::Docker;
use super::error::Error;
use super::hosts::{self, Reach};
use super::proxies::Proxies;
use crate::reference::{check_registry, check_repository};
use crate::{InvalidReference, Reference};

/// Where registries really are, and how to reach them. The default knows no mirrors, certificates or proxies.
#[derive(Debug, Clone, Default)]
pub struct Registries {
    tables: Vec<Table>,
    /// What short names stand for.
    aliases: BTreeMap<String, String>,
    /// `certs.d` folders, which may have `hosts.toml` too.
    folders: Vec<PathBuf>,
    docker: Docker,
    /// All of them are.
    insecure: bool,
    pub(super) proxies: Proxies,
}

/// What a place is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Pull,
    Push,
    /// To log in.
    Enter,
}

/// A place that may have a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) registry: String,
    pub(super) repository: String,
    pub(super) insecure: bool,
    pub(super) pull: PullFrom,
    pub(super) reach: Reach,
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
                    let (tables, aliases) =
                        parse(&text, &file).map_err(|source| Error::Registries { path: file.clone(), source })?;
                    registries.add(tables);
                    registries.aliases.extend(aliases);
                }
            }
        }
        Ok(registries)
    }

    /// With `certs.d` folders: certificates of registries (docker-registry's "certs.d", containers-certs.d(5)), and containerd's `hosts.toml`,
    /// which counts where no `[[registry]]` table does. They are looked at when a registry is asked.
    pub fn with_folders(self, folders: Vec<PathBuf>) -> Self {
        Registries { folders, ..self }
    }

    /// With the tables of another file, which replace those with the same prefix. `file` is where they are from, for messages.
    pub fn with_tables(mut self, tables: Vec<RegistryTable>, file: &Path) -> Result<Self, Error> {
        let checked = tables.into_iter().map(|table| checked(table, file)).collect::<Result<_, _>>();
        self.add(checked.map_err(|source| Error::Registries { path: file.to_owned(), source })?);
        Ok(self)
    }

    /// With the mirrors and insecure registries of Docker's `daemon.json`, which count where nothing else is said of a registry.
    pub fn with_docker(self, file: &Path) -> Result<Self, Error> {
        Ok(Registries { docker: Docker::load(file)?, ..self })
    }

    /// Without certificates that anybody vouches for, and without TLS where there is none.
    pub fn insecure(self) -> Self {
        Registries { insecure: true, ..self }
    }

    /// With proxies.
    pub fn with_proxies(self, proxies: Proxies) -> Self {
        Registries { proxies, ..self }
    }

    /// Reads the name of an image, which may be a short name of `[aliases]`.
    pub fn reference(&self, text: &str) -> Result<Reference, InvalidReference> {
        self.alias(text)?.map_or_else(|| text.parse(), Ok)
    }

    /// What a short name of `[aliases]` stands for, with the tag or digest behind it; `None` if it is none.
    pub fn alias(&self, text: &str) -> Result<Option<Reference>, InvalidReference> {
        let (name, rest) = text.split_at(text.find(['@', ':']).unwrap_or(text.len()));
        self.aliases.get(name).map(|long| format!("{long}{rest}").parse()).transpose()
    }

    fn add(&mut self, tables: Vec<Table>) {
        for table in tables {
            self.tables.retain(|known| known.prefix != table.prefix);
            self.tables.push(table);
        }
    }

    /// Where to look for an image, in this order, the registry itself last; or the one place to push it to, or to log in.
    pub(super) fn places(&self, reference: &Reference, purpose: Purpose) -> Result<Vec<Place>, Error> {
        let mut places = match (self.configured(reference)?, purpose) {
            (Some(places), Purpose::Pull) => places,
            (Some(places), Purpose::Push | Purpose::Enter) => places.into_iter().next_back().into_iter().collect(),
            (None, _) => match hosts::places(&self.folders, reference, purpose)? {
                Some(places) => places,
                None => self.by_docker(reference, purpose),
            },
        };
        for place in &mut places {
            place.insecure |= self.insecure;
            let certificates = hosts::certificates(&self.folders, &place.registry)?;
            place.reach.identity.extend(certificates);
        }
        Ok(places)
    }

    /// The same as Docker has it.
    fn by_docker(&self, reference: &Reference, purpose: Purpose) -> Vec<Place> {
        let mut places = self.docker.places(reference);
        if purpose != Purpose::Pull {
            // The registry itself is the last one.
            places.drain(..places.len() - 1);
        }
        places
    }

    /// The same as `[[registry]]` tables have it; `None` if they have nothing about it.
    fn configured(&self, reference: &Reference) -> Result<Option<Vec<Place>>, Error> {
        let name = format!("{}/{}", reference.registry(), reference.repository());
        let full = reference.to_string();
        let matching = self.tables.iter().filter_map(|table| Some((table, matched(&table.prefix, &full)?)));
        let Some((table, length)) = matching.max_by_key(|(table, _)| table.prefix.len()) else { return Ok(None) };
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
        mirrors.chain([place(&table.location, table.insecure, PullFrom::All)]).collect::<Result<_, _>>().map(Some)
    }
}

impl Place {
    /// A registry that is where its name says.
    pub(super) fn plain(registry: &str, repository: &str) -> Self {
        let (registry, repository) = (registry.to_owned(), repository.to_owned());
        Place { registry, repository, insecure: false, pull: PullFrom::All, reach: Reach::default() }
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
    Ok(Place { insecure, pull, ..Place::plain(registry, &repository) })
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

#[cfg(test)]
mod tests;
