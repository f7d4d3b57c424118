//! `hosts.toml` as it is written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;
use toml::Table;

use crate::registry::registries::Invalid;

/// A `hosts.toml`.
pub(super) struct Hosts {
    /// The registry itself, if it is not where its name says.
    pub(super) server: Option<Url>,
    /// Of the registry itself.
    pub(super) own: HostTable,
    /// Mirrors in the order of asking.
    pub(super) mirrors: Vec<(Url, HostTable)>,
    pub(super) folder: PathBuf,
}

#[derive(Default, Deserialize)]
pub(super) struct HostTable {
    pub(super) capabilities: Option<Vec<String>>,
    pub(super) ca: Option<OneOrMore>,
    pub(super) client: Option<Clients>,
    #[serde(default)]
    pub(super) skip_verify: bool,
    #[serde(default)]
    pub(super) override_path: bool,
    #[serde(default)]
    header: BTreeMap<String, OneOrMore>,
}

impl HostTable {
    /// Whether it has a capability: all of them, if it names none.
    pub(super) fn can(&self, what: &str) -> bool {
        self.capabilities.as_ref().is_none_or(|list| list.iter().any(|capability| capability == what))
    }

    /// What is sent with each request, a header with several values once for each.
    pub(super) fn headers(&self) -> Vec<(String, String)> {
        let pairs =
            self.header.iter().flat_map(|(name, values)| values.all().iter().map(move |value| (name.clone(), value.clone())));
        pairs.collect()
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    pub(super) fn all(&self) -> &[String] {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
    }
}

/// Files with certificate and key, alone or in pairs.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Clients {
    Files(OneOrMore),
    Pairs(Vec<Vec<String>>),
}

/// Reads a file. Its tables are in an order that counts, which a map of serde would lose.
pub(super) fn parse(text: &str, folder: &Path) -> Result<Hosts, Invalid> {
    let table: Table = toml::from_str(text).map_err(|error| Invalid::toml(text, &error))?;
    let url = |address: &str| {
        let full = if address.contains("://") { address.to_owned() } else { format!("https://{address}") };
        let url = full.parse::<Url>().ok().filter(|url| matches!(url.scheme(), "http" | "https") && url.host_str().is_some());
        url.ok_or_else(|| Invalid::Host { name: address.to_owned(), problem: "it is no address of a registry".into() })
    };
    let read = |name: &str, table: toml::Value| {
        table.try_into::<HostTable>().map_err(|error| Invalid::Host { name: name.to_owned(), problem: error.message().to_owned() })
    };
    let server = table.get("server").and_then(toml::Value::as_str).filter(|server| !server.is_empty());
    let server = server.map(url).transpose()?;
    let hosts = match table.get("host") {
        None => Vec::new(),
        Some(hosts) => {
            let hosts = hosts.as_table().ok_or_else(|| Invalid::Host { name: "host".into(), problem: "it is no table".into() })?;
            hosts.iter().map(|(name, table)| Ok((url(name)?, read(name, table.clone())?))).collect::<Result<Vec<_>, Invalid>>()?
        }
    };
    let mut own = table.clone();
    own.remove("host");
    own.remove("server");
    Ok(Hosts { server, own: read("server", own.into())?, mirrors: hosts, folder: folder.to_owned() })
}
