//! What this host's administrator says about single registries: containerd's `hosts.toml` (mirrors and how to reach them), and the certificates
//! in `certs.d/HOST[:PORT]` of Docker, Podman and containerd.
//!
//! ```text
//! /etc/containerd/certs.d/docker.io/hosts.toml     server, [host."https://mirror"]: capabilities, ca, client, skip_verify, header, override_path
//! /etc/docker/certs.d/registry.example:5000/       *.crt: authorities beside those of the host; NAME.cert with NAME.key: who we are
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use reqwest::Url;
use serde::Deserialize;
use toml::Table;

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

/// Files with certificates for one registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Identity {
    /// Who else may vouch for the registry.
    pub(super) authorities: Vec<PathBuf>,
    /// Certificate and key, or one file with both. The first pair is used.
    pub(super) clients: Vec<(PathBuf, PathBuf)>,
}

impl Identity {
    pub(super) fn is_empty(&self) -> bool {
        self.authorities.is_empty() && self.clients.is_empty()
    }

    pub(super) fn extend(&mut self, other: Identity) {
        self.authorities.extend(other.authorities);
        self.clients.extend(other.clients);
    }
}

/// The certificates for a registry in all `certs.d` folders.
pub(super) fn certificates(folders: &[PathBuf], registry: &str) -> Result<Identity, Error> {
    let mut found = Identity::default();
    for folder in folders.iter().flat_map(|folder| named(folder, registry)) {
        found.extend(in_folder(&folder)?);
    }
    Ok(found)
}

/// The folders of a registry below a `certs.d`: containerd also writes the colon as `_`, because a colon is not possible everywhere.
fn named(folder: &Path, registry: &str) -> Vec<PathBuf> {
    let mut names = vec![registry.to_owned()];
    if let Some((host, port)) = registry.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit())) {
        names.push(format!("{host}_{port}_"));
    }
    names.iter().map(|name| folder.join(name)).collect()
}

fn in_folder(folder: &Path) -> Result<Identity, Error> {
    let mut found = Identity::default();
    for path in list(folder)? {
        match path.extension().and_then(|extension| extension.to_str()) {
            Some("crt") => found.authorities.push(path),
            Some("cert") => {
                let key = path.with_extension("key");
                if !key.exists() {
                    return Err(Error::Certificates { path, problem: "its key is not beside it: NAME.cert needs NAME.key" });
                }
                found.clients.push((path, key));
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The files of a folder in order; none if it is not there.
fn list(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let failed = |source| Error::Read { path: folder.to_owned(), source };
    let entries = match fs::read_dir(folder) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => return Ok(Vec::new()),
        entries => entries.map_err(failed)?,
    };
    let mut files = entries.map(|entry| Ok(entry.map_err(failed)?.path())).collect::<Result<Vec<_>, Error>>()?;
    files.sort();
    Ok(files)
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

/// A `hosts.toml`.
struct Hosts {
    /// The registry itself, if it is not where its name says.
    server: Option<Url>,
    /// Of the registry itself.
    own: HostTable,
    /// Mirrors in the order of asking.
    mirrors: Vec<(Url, HostTable)>,
    folder: PathBuf,
}

#[derive(Default, Deserialize)]
struct HostTable {
    capabilities: Option<Vec<String>>,
    ca: Option<OneOrMore>,
    client: Option<Clients>,
    #[serde(default)]
    skip_verify: bool,
    #[serde(default)]
    override_path: bool,
    #[serde(default)]
    header: BTreeMap<String, OneOrMore>,
}

impl HostTable {
    /// Whether it has a capability: all of them, if it names none.
    fn can(&self, what: &str) -> bool {
        self.capabilities.as_ref().is_none_or(|list| list.iter().any(|capability| capability == what))
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

impl OneOrMore {
    fn all(&self) -> &[String] {
        match self {
            OneOrMore::One(one) => std::slice::from_ref(one),
            OneOrMore::More(more) => more,
        }
    }
}

/// Files with certificate and key, alone or in pairs.
#[derive(Deserialize)]
#[serde(untagged)]
enum Clients {
    Files(OneOrMore),
    Pairs(Vec<Vec<String>>),
}

/// Reads a file. Its tables are in an order that counts, which a map of serde would lose.
fn parse(text: &str, folder: &Path) -> Result<Hosts, Invalid> {
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
                reach: Reach { identity: self.identity(&self.own), headers: headers(&self.own), ..Reach::default() },
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
            headers: headers(table),
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

fn headers(table: &HostTable) -> Vec<(String, String)> {
    let pairs = table.header.iter().flat_map(|(name, values)| values.all().iter().map(move |value| (name.clone(), value.clone())));
    pairs.collect()
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
mod tests {
    use super::*;

    fn places_of(text: &str, reference: &str) -> Result<Vec<Place>, String> {
        places_for(Purpose::Pull, text, reference)
    }

    fn places_for(purpose: Purpose, text: &str, reference: &str) -> Result<Vec<Place>, String> {
        let hosts = parse(text, Path::new("/etc/x")).map_err(|error| error.to_string())?;
        hosts.places(&reference.parse().unwrap(), purpose).map_err(|error| error.to_string())
    }

    #[test]
    fn who_takes_pushes() {
        let pushed = |text: &str| {
            let places = places_for(Purpose::Push, text, "r.example/a");
            places.map(|places| places.into_iter().map(|place| place.registry).collect::<Vec<_>>())
        };
        let mirror = "[host.'https://m.example']\n";
        assert_eq!(pushed(mirror).unwrap(), ["r.example"], "a mirror that says nothing of pushes gets none");
        assert_eq!(pushed("server = 'https://s.example'").unwrap(), ["s.example"]);
        let two = format!("{mirror}capabilities = ['pull', 'resolve']\n[host.'http://p.example:5000']\ncapabilities = ['push']\n");
        assert_eq!(pushed(&two).unwrap(), ["p.example:5000"]);
        assert_eq!(places_of(&two, "r.example/a").unwrap().len(), 2, "it takes pushes only");
        let own = format!("capabilities = ['pull', 'resolve']\n{two}");
        assert_eq!(pushed(&own).unwrap(), ["p.example:5000"]);
        assert!(pushed("capabilities = ['pull']").unwrap_err().contains("\"push\""));
        assert!(places_of("capabilities = ['push']", "a").unwrap_err().contains("\"pull\""));
    }

    #[test]
    fn mirrors_in_their_order() {
        let text = r#"
            server = "https://registry-1.docker.io"
            [host."http://z.example:5000"]
              capabilities = ["pull"]
            [host."https://a.example/hub/v2"]
              capabilities = ["pull", "resolve"]
              ca = ["ca.pem", "/etc/other.pem"]
              client = [["me.cert", "me.key"], ["both.pem", ""]]
              override_path = true
              [host."https://a.example/hub/v2".header]
                x-who = "me"
            [host."https://push.example"]
              capabilities = ["push"]
            [host."b.example/sub"]
              skip_verify = true
        "#;
        let places = places_of(text, "busybox").unwrap();
        let names: Vec<&str> = places.iter().map(|place| place.registry.as_str()).collect();
        assert_eq!(names, ["z.example:5000", "a.example", "b.example", "registry-1.docker.io"]);
        let [first, second, third, own] = places.as_slice() else { panic!("{places:?}") };
        assert_eq!(
            (first.reach.scheme, first.pull, first.reach.namespace.as_deref()),
            (Some("http"), PullFrom::DigestOnly, Some("docker.io"))
        );
        assert_eq!((second.reach.path.as_deref(), second.reach.headers.len()), (Some("/hub/v2"), 1));
        assert_eq!(second.reach.identity.authorities, [Path::new("/etc/x/ca.pem"), Path::new("/etc/other.pem")]);
        let path = |name: &str| Path::new("/etc/x").join(name);
        assert_eq!(second.reach.identity.clients, [(path("me.cert"), path("me.key")), (path("both.pem"), path("both.pem"))]);
        assert_eq!((third.insecure, third.reach.path.as_deref()), (true, Some("/sub/v2")));
        assert_eq!((own.reach.namespace.as_deref(), own.repository.as_str()), (None, "library/busybox"));
    }

    #[test]
    fn without_a_server() {
        let places = places_of("ca = 'ca.pem'\nskip_verify = true", "r.example:5000/a").unwrap();
        let [place] = places.as_slice() else { panic!("{places:?}") };
        assert_eq!((place.registry.as_str(), place.insecure, place.reach.scheme), ("r.example:5000", true, None));
        assert_eq!(place.reach.identity.authorities, [Path::new("/etc/x/ca.pem")]);
    }

    #[test]
    fn what_is_wrong() {
        for (text, said) in [
            ("server = ", "line 1: "),
            ("server = 'ftp://x'", "it is no address of a registry"),
            ("[host.'https://a b']", "it is no address of a registry"),
            ("host = 1", "it is no table"),
            ("[host.'https://a']\nskip_verify = 'x'", "https://a"),
        ] {
            let error = places_of(text, "a").unwrap_err();
            assert!(error.contains(said), "{text}: {error}");
        }
    }

    #[test]
    fn folders_of_certificates() {
        let folder = tempfile::tempdir().unwrap();
        let make = |name: &str| {
            let path = folder.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, "").unwrap();
            path
        };
        let (ca, cert, key) = (make("r.example:5000/ca.crt"), make("r.example:5000/me.cert"), make("r.example:5000/me.key"));
        let second = make("r.example_5000_/more.crt");
        make("other/x.crt");
        let found = certificates(&[folder.path().to_owned(), "/no/such".into()], "r.example:5000").unwrap();
        assert_eq!(found, Identity { authorities: vec![ca, second], clients: vec![(cert, key.clone())] });
        assert!(certificates(&[folder.path().to_owned()], "r.example").unwrap().is_empty());
        fs::remove_file(key).unwrap();
        let error = certificates(&[folder.path().to_owned()], "r.example:5000").unwrap_err().to_string();
        assert!(error.ends_with("me.cert: its key is not beside it: NAME.cert needs NAME.key"), "{error}");
    }
}
