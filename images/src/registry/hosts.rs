//! What this host's administrator says about single registries: containerd's `hosts.toml` (mirrors and how to reach them), and the certificates
//! in `certs.d/HOST[:PORT]` of Docker, Podman and containerd.
//!
//! ```text
//! /etc/containerd/certs.d/docker.io/hosts.toml     server, [host."https://mirror"]: capabilities, ca, client, skip_verify, header, override_path
//! /etc/docker/certs.d/registry.example:5000/       *.crt: authorities beside those of the host; NAME.cert with NAME.key: who we are
//! ```

mod certificates;
mod table;

use std::fs;
use std::io::ErrorKind;
use std::path::PathBuf;

use reqwest::Url;

use self::certificates::named;
pub(super) use self::certificates::{Identity, certificates};
use self::table::{Clients, HostTable, Hosts, OneOrMore, parse};
use super::error::Error;
use super::registries::{Invalid, Place, PullFrom, Purpose};
use crate::Reference;
use crate::reference::check_registry;

/// How one registry is reached, where its name alone does not say it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Reach {
    /// `http` or `https`; `None`: as usual for its name.
    pub(super) scheme: Option<&'static str>,
    /// What comes before the repository, instead of `/v2`.
    pub(super) path: Option<String>,
    /// The registry that a mirror is asked for.
    pub(super) namespace: Option<String>,
    /// Sent with each request.
    pub(super) headers: Vec<(String, String)>,
    pub(super) identity: Identity,
}

/// Where `hosts.toml` says that an image is, or is to go; `None` if there is no such file for its registry.
pub(super) fn places(folders: &[PathBuf], reference: &Reference, purpose: Purpose) -> Result<Option<Vec<Place>>, Error> {
    for folder in folders {
        let known = named(folder, reference.registry()).into_iter().chain([folder.join("_default")]);
        for folder in known {
            let file = folder.join("hosts.toml");
            match fs::read_to_string(&file) {
                Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {}
                Err(source) => return Err(Error::Read { path: file, source }),
                Ok(text) => {
                    let places = parse(&text, &folder).and_then(|hosts| hosts.places(reference, purpose));
                    return places.map(Some).map_err(|source| Error::Registries { path: file, source });
                }
            }
        }
    }
    Ok(None)
}

impl Hosts {
    fn places(&self, reference: &Reference, purpose: Purpose) -> Result<Vec<Place>, Invalid> {
        let places = match purpose {
            Purpose::Pull => self.to_pull(reference)?,
            Purpose::Push => self.to_push(reference)?.into_iter().collect(),
            Purpose::Enter => vec![self.itself(reference)?],
        };
        let nobody = |problem: &str| Err(Invalid::Host { name: "server".to_owned(), problem: problem.to_owned() });
        match purpose {
            Purpose::Pull if places.is_empty() => nobody("neither it nor another host here has the capability \"pull\""),
            Purpose::Push if places.is_empty() => nobody("neither it nor another host here has the capability \"push\""),
            _ => Ok(places),
        }
    }

    fn to_pull(&self, reference: &Reference) -> Result<Vec<Place>, Invalid> {
        let mut places = Vec::new();
        for (url, table) in &self.mirrors {
            let pull = match (table.can("pull"), table.can("resolve")) {
                (true, true) => PullFrom::All,
                (true, false) => PullFrom::DigestOnly,
                // It takes pushes only.
                _ => continue,
            };
            places.push(self.place(url, table, reference, pull, true)?);
        }
        if self.own.can("pull") {
            places.push(self.itself(reference)?);
        }
        Ok(places)
    }

    /// The first host that says of itself that it takes pushes. One that says nothing is not asked, unlike with containerd: nothing goes
    /// to a mirror by mistake.
    fn to_push(&self, reference: &Reference) -> Result<Option<Place>, Invalid> {
        let other = self.mirrors.iter().find(|(_, table)| table.capabilities.is_some() && table.can("push"));
        match other {
            Some((url, table)) => self.place(url, table, reference, PullFrom::All, true).map(Some),
            None => self.own.can("push").then(|| self.itself(reference)).transpose(),
        }
    }

    /// The registry itself.
    fn itself(&self, reference: &Reference) -> Result<Place, Invalid> {
        let Some(url) = &self.server else {
            return Ok(Place {
                insecure: self.own.skip_verify,
                reach: Reach { identity: self.identity(&self.own), headers: self.own.headers(), ..Reach::default() },
                ..Place::plain(reference.registry(), reference.repository())
            });
        };
        self.place(url, &self.own, reference, PullFrom::All, host(url) != own_host(reference.registry()))
    }

    fn place(&self, url: &Url, table: &HostTable, reference: &Reference, pull: PullFrom, foreign: bool) -> Result<Place, Invalid> {
        let registry = host(url);
        let wrong = |problem: &str| Invalid::Host { name: url.to_string(), problem: problem.to_owned() };
        check_registry(&registry).map_err(wrong)?;
        let path = url.path().trim_end_matches('/');
        let path = match (path, table.override_path) {
            ("" | "/v2", false) => None,
            (path, true) => Some(path.to_owned()),
            (path, false) => Some(format!("{}/v2", path.trim_end_matches("/v2"))),
        };
        let reach = Reach {
            scheme: Some(if url.scheme() == "http" { "http" } else { "https" }),
            path,
            namespace: foreign.then(|| reference.registry().to_owned()),
            headers: table.headers(),
            identity: self.identity(table),
        };
        Ok(Place { registry, repository: reference.repository().to_owned(), insecure: table.skip_verify, pull, reach })
    }

    fn identity(&self, table: &HostTable) -> Identity {
        let path = |name: &String| self.folder.join(name);
        let authorities = table.ca.iter().flat_map(OneOrMore::all).map(path).collect();
        let both = |name: &String| (path(name), path(name));
        let clients = match &table.client {
            None => Vec::new(),
            Some(Clients::Files(files)) => files.all().iter().map(both).collect(),
            Some(Clients::Pairs(pairs)) => pairs
                .iter()
                .filter_map(|pair| match pair.as_slice() {
                    [one] => Some(both(one)),
                    // An empty key: it is in the same file.
                    [one, key] if key.is_empty() => Some(both(one)),
                    [certificate, key] => Some((path(certificate), path(key))),
                    _ => None,
                })
                .collect(),
        };
        Identity { authorities, clients }
    }
}

/// Host and port of an address.
pub(super) fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// The host behind a registry's name.
pub(super) fn own_host(registry: &str) -> &str {
    if registry == "docker.io" { "registry-1.docker.io" } else { registry }
}

#[cfg(test)]
mod tests;
