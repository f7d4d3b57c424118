//! `[[registry]]`, in the form of containers-registries.conf(5), but for keys that nobody knows.

use std::path::Path;

use anyhow::{Result, bail};
use images::{MirrorTable, PullFrom, RegistryTable};
use serde::Deserialize;

/// A registry and its mirrors.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", default, deny_unknown_fields)]
pub(crate) struct Registry {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirror: Vec<Mirror>,
}

/// Whom to ask before the registry.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Mirror {
    location: String,
    #[serde(default)]
    insecure: bool,
    #[serde(default)]
    pull_from_mirror: PullFrom,
}

/// The tables as `images` takes them.
pub(super) fn tables(registries: &[Registry], file: &Path) -> Result<Vec<RegistryTable>> {
    let mirror = |mirror: &Mirror| MirrorTable {
        location: mirror.location.clone(),
        insecure: mirror.insecure,
        pull_from_mirror: mirror.pull_from_mirror,
    };
    let table = |registry: &Registry| RegistryTable {
        prefix: registry.prefix.clone(),
        location: registry.location.clone(),
        insecure: registry.insecure,
        blocked: registry.blocked,
        mirror_by_digest_only: registry.mirror_by_digest_only,
        mirror: registry.mirror.iter().map(mirror).collect(),
    };
    let tables: Vec<RegistryTable> = registries.iter().map(table).collect();
    match images::Registries::default().with_tables(tables.clone(), file) {
        Ok(_) => Ok(tables),
        Err(images::RegistryError::Registries { source, .. }) => bail!(source),
        Err(error) => bail!(error),
    }
}
