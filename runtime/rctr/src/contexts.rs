//! Hosts by name: `rctr context`. Each is a file in the form of Docker's, below rctr's own folder of configuration: which host `rctr` means
//! must not change with what somebody last did with `docker`. One that only Docker knows is found by its name, too, and read only.

use std::collections::BTreeMap;
use std::fs;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde::{Deserialize, Serialize};

use crate::remote::Host;

/// This host.
pub(crate) const DEFAULT: &str = "default";

/// A context, as in Docker's `meta.json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Meta {
    pub(crate) name: String,
    pub(crate) metadata: Metadata,
    pub(crate) endpoints: BTreeMap<String, Endpoint>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Metadata {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub(crate) description: String,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Endpoint {
    pub(crate) host: String,
    #[serde(rename = "SkipTLSVerify")]
    pub(crate) skip_tls_verify: bool,
}

impl Meta {
    /// A new one.
    pub(crate) fn new(name: &str, description: &str, host: &str) -> Meta {
        let endpoint = Endpoint { host: host.to_owned(), skip_tls_verify: false };
        let metadata = Metadata { description: description.to_owned() };
        Meta { name: name.to_owned(), metadata, endpoints: [("docker".to_owned(), endpoint)].into() }
    }

    /// Where it is, as it was typed; empty for this host.
    pub(crate) fn endpoint(&self) -> &str {
        self.endpoints.get("docker").map_or("", |endpoint| &endpoint.host)
    }

    /// The host; the socket of a daemon on this host means this host.
    ///
    /// # Errors
    /// It cannot be reached by ssh.
    pub(crate) fn host(&self) -> Result<Host> {
        match self.endpoint() {
            local if local.is_empty() || local.starts_with("unix://") => Ok(Host::default()),
            host => host.parse().map_err(|error| anyhow::anyhow!("context {}: {host:?}: {error}", self.name)),
        }
    }
}

/// What is kept.
#[derive(Debug, Clone)]
pub(crate) struct Contexts {
    /// rctr's folder; there may be none.
    own: Option<PathBuf>,
    /// Docker's.
    docker: Option<PathBuf>,
}

/// The part of the folder's `config.json` that is about contexts; what else is there stays.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Configuration {
    #[serde(skip_serializing_if = "String::is_empty")]
    current_context: String,
    #[serde(flatten)]
    other: BTreeMap<String, serde_json::Value>,
}

impl Contexts {
    /// Those of the caller: below `RCTR_CONFIG`, else `rctr` below the folder for configurations.
    pub(crate) fn of_caller() -> Contexts {
        let folder = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let home = std::env::home_dir();
        let below = |of: &str| home.as_ref().map(|home| home.join(of));
        let own =
            folder("RCTR_CONFIG").or_else(|| folder("XDG_CONFIG_HOME").or_else(|| below(".config")).map(|all| all.join("rctr")));
        Contexts { own, docker: folder("DOCKER_CONFIG").or_else(|| below(".docker")) }
    }

    /// The one that is used: named on the command line, else by a variable, else by `context use`.
    ///
    /// # Errors
    /// The file that says it makes no sense.
    pub(crate) fn current(&self, flag: Option<&str>) -> Result<String> {
        let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        match flag.map(str::to_owned).or_else(|| variable("RCTR_CONTEXT")).or_else(|| variable("DOCKER_CONTEXT")) {
            Some(name) => Ok(name),
            None => self.used(),
        }
    }

    /// What `context use` has said last.
    fn used(&self) -> Result<String> {
        let name = self.configuration()?.current_context;
        Ok(if name.is_empty() { DEFAULT.to_owned() } else { name })
    }

    /// Uses it from now on.
    ///
    /// # Errors
    /// There is none of this name, or it cannot be written down.
    pub(crate) fn use_it(&self, name: &str) -> Result<()> {
        self.find(name)?;
        let mut configuration = self.configuration()?;
        configuration.current_context = if name == DEFAULT { String::new() } else { name.to_owned() };
        write(&self.folder()?.join("config.json"), &configuration)
    }

    /// The context of this name.
    ///
    /// # Errors
    /// There is none, or its file makes no sense.
    pub(crate) fn find(&self, name: &str) -> Result<Meta> {
        if name == DEFAULT {
            return Ok(Meta::new(DEFAULT, "This host", ""));
        }
        for folder in [&self.own, &self.docker].into_iter().flatten() {
            if let Some(meta) = read(&file(folder, name))? {
                return Ok(meta);
            }
        }
        bail!("there is no context {name:?}: rctr context ls shows them, rctr context create makes one")
    }

    /// All of them, this host first.
    ///
    /// # Errors
    /// A file makes no sense.
    pub(crate) fn all(&self) -> Result<Vec<Meta>> {
        let mut all = BTreeMap::new();
        for folder in [&self.own, &self.docker].into_iter().flatten() {
            for entry in fs::read_dir(folder.join("contexts/meta")).into_iter().flatten().flatten() {
                let meta: Option<Meta> = read(&entry.path().join("meta.json"))?;
                meta.into_iter().for_each(|meta| {
                    all.entry(meta.name.clone()).or_insert(meta);
                });
            }
        }
        all.remove(DEFAULT);
        Ok([self.find(DEFAULT)?].into_iter().chain(all.into_values()).collect())
    }

    /// Keeps one; `anew` is one that must not be there, otherwise it must.
    ///
    /// # Errors
    /// So it is not, or the name or the host cannot be.
    pub(crate) fn keep(&self, meta: &Meta, anew: bool) -> Result<()> {
        let name = &meta.name;
        let fits = |letter: char| letter.is_ascii_alphanumeric() || "_.+-".contains(letter);
        let fit = name.len() > 1 && name.starts_with(|letter: char| letter.is_ascii_alphanumeric()) && name.chars().all(fits);
        if !fit || name == DEFAULT {
            bail!("context {name:?}: a name has letters, digits, and _ . + - between them, two at least, and is not {DEFAULT:?}");
        }
        meta.host()?;
        let path = file(&self.folder()?, name);
        match (anew, path.exists()) {
            (true, true) => bail!("there is a context {name:?} already"),
            (false, false) => bail!("there is no context {name:?} of rctr's own"),
            _ => write(&path, meta),
        }
    }

    /// Forgets one.
    ///
    /// # Errors
    /// It is not rctr's own, or is the one that is used, unless that does not matter.
    pub(crate) fn remove(&self, name: &str, force: bool) -> Result<()> {
        if name == DEFAULT {
            bail!("context {DEFAULT:?} is this host, which stays");
        }
        let used = self.used()? == name;
        if used && !force {
            bail!("context {name:?} is in use: rctr context use another, or give --force");
        }
        let path = file(&self.folder()?, name);
        match path.parent().map(fs::remove_dir_all) {
            Some(Err(error)) if error.kind() == ErrorKind::NotFound && force => Ok(()),
            Some(Err(error)) if error.kind() == ErrorKind::NotFound => bail!("there is no context {name:?} of rctr's own"),
            other => other.unwrap_or(Ok(())).with_context(|| format!("remove {}", path.display())),
        }?;
        if used { self.use_it(DEFAULT) } else { Ok(()) }
    }

    /// Where its file is, or would be.
    pub(crate) fn place(&self, name: &str) -> Option<PathBuf> {
        let files = [&self.own, &self.docker].into_iter().flatten().map(|folder| file(folder, name));
        files.filter(|path| path.exists()).find_map(|path| path.parent().map(Path::to_owned))
    }

    fn folder(&self) -> Result<PathBuf> {
        self.own.clone().context("no place to keep contexts: set HOME or RCTR_CONFIG")
    }

    fn configuration(&self) -> Result<Configuration> {
        let Some(folder) = &self.own else { return Ok(Configuration::default()) };
        Ok(read(&folder.join("config.json"))?.unwrap_or_default())
    }
}

/// A context's file: the folder's name is the SHA-256 of the context's.
fn file(folder: &Path, name: &str) -> PathBuf {
    let digest = images::Digest::sha256(name.as_bytes()).to_string();
    folder.join("contexts/meta").join(digest.trim_start_matches("sha256:")).join("meta.json")
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Option<T>> {
    match fs::read(path) {
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => Ok(None),
        text => {
            let what = || format!("read {}", path.display());
            serde_json::from_slice(&text.with_context(what)?).map(Some).with_context(what)
        }
    }
}

/// Whole, or not at all.
fn write(path: &Path, value: &impl Serialize) -> Result<()> {
    let what = || format!("write {}", path.display());
    let folder = path.parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(folder).with_context(what)?;
    let new = folder.join(format!(".{}-{}", path.file_name().unwrap_or_default().display(), std::process::id()));
    let text = serde_json::to_vec_pretty(value)?;
    let written = fs::File::create(&new).and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()));
    let written = written.and_then(|()| fs::rename(&new, path));
    written.inspect_err(|_| drop(fs::remove_file(&new))).with_context(what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_kept_used_and_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(folder.path().join(name));
        let contexts = Contexts { own: at("rctr"), docker: at("docker") };
        assert_eq!((contexts.used().unwrap().as_str(), contexts.all().unwrap().len()), (DEFAULT, 1));
        let web = Meta::new("web", "the web", "ssh://root@web1:2222");
        contexts.keep(&web, true).unwrap();
        assert!(contexts.keep(&web, true).is_err() && contexts.keep(&Meta::new("db", "", "ssh://a"), false).is_err());
        assert_eq!(contexts.find("web").unwrap(), web);
        fs::write(folder.path().join("rctr/config.json"), r#"{"other": [1]}"#).unwrap();
        contexts.use_it("web").unwrap();
        assert!(contexts.remove("web", false).is_err() && contexts.use_it("nosuch").is_err());
        let text = fs::read_to_string(folder.path().join("rctr/config.json")).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&text).unwrap(),
            serde_json::json!({"currentContext": "web", "other": [1]})
        );
        contexts.remove("web", true).unwrap();
        assert_eq!(contexts.used().unwrap(), DEFAULT);
        assert!(contexts.remove("web", false).is_err() && contexts.remove("web", true).is_ok());
    }

    #[test]
    fn those_of_docker_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = Contexts { own: None, docker: Some(folder.path().to_owned()) };
        let place = file(folder.path(), "far").parent().unwrap().to_owned();
        fs::create_dir_all(&place).unwrap();
        let text = r#"{"Name":"far","Metadata":{"StackOrchestrator":"swarm"},"Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":false}}}"#;
        fs::write(place.join("meta.json"), text).unwrap();
        // The SHA-256 of "far", as `printf far | sha256sum` has it.
        assert_eq!(place.file_name().unwrap(), "512eea46ceb3921dff4363c7069d89d4964d1d9fccaa0f411851a7aa60a5c868");
        let far = contexts.find("far").unwrap();
        assert_eq!(far.host().unwrap_err().to_string(), "context far: \"tcp://far:2376\": only ssh://[USER@]HOST[:PORT] is known");
        assert_eq!(Meta::new("l", "", "unix:///var/run/docker.sock").host().unwrap(), Host::default());
        assert!(contexts.keep(&Meta::new("xy", "", ""), true).unwrap_err().to_string().contains("set HOME or RCTR_CONFIG"));
    }

    #[test]
    fn names_are_dockers() {
        let folder = tempfile::tempdir().unwrap();
        let contexts = Contexts { own: Some(folder.path().to_owned()), docker: None };
        for name in ["", "a", "default", "a/b", ".a", "a b", "-a"] {
            assert!(contexts.keep(&Meta::new(name, "", "ssh://h"), true).is_err(), "{name:?}");
        }
        assert!(contexts.keep(&Meta::new("a.b_c+d-1", "", "ssh://h"), true).is_ok());
        assert!(contexts.keep(&Meta::new("ok", "", "tcp://h"), true).is_err());
    }
}
