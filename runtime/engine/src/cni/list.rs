//! Configurations: one network, and the plugins that make it, in their order.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::Error;

/// Versions of the protocol that are spoken, oldest first.
pub(super) const VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// A network and its plugins.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct List {
    pub(super) name: String,
    /// One of [`VERSIONS`].
    pub(super) version: String,
    /// Plugins are not to be asked whether all is well.
    pub(super) disable_check: bool,
    pub(super) plugins: Vec<Plugin>,
}

/// One of them, as its configuration has it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Plugin(pub(super) Map<String, Value>);

impl Plugin {
    /// The name of its program.
    pub(super) fn program(&self) -> &str {
        self.0.get("type").and_then(Value::as_str).unwrap_or_default()
    }

    /// It wants to be told of this.
    pub(super) fn is_capable(&self, of: &str) -> bool {
        self.0.get("capabilities").and_then(|capabilities| capabilities.get(of)) == Some(&Value::Bool(true))
    }
}

impl List {
    fn at_least(&self, version: &str) -> bool {
        let place = |version: &str| VERSIONS.iter().position(|known| *known == version);
        place(&self.version) >= place(version)
    }

    /// One of the plugins publishes ports.
    pub(crate) fn maps_ports(&self) -> bool {
        self.plugins.iter().any(|plugin| plugin.is_capable("portMappings"))
    }

    /// Plugins can be asked whether all is well.
    pub(super) fn has_check(&self) -> bool {
        self.at_least("0.4.0")
    }

    /// Plugins can be asked whether they are ready.
    pub(super) fn asks_status(&self) -> bool {
        self.at_least("1.1.0")
    }
}

/// The first configuration in a folder, by name. None where there is no such file or folder.
pub(super) fn first(folder: &Path) -> Result<Option<List>, Error> {
    let wrong = |path: &Path, why: String| Error::Cni { what: path.display().to_string(), why };
    let listing = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        listing => listing.map_err(|error| wrong(folder, error.to_string()))?,
    };
    let paths = listing.filter_map(|entry| entry.ok().map(|entry| entry.path()));
    let kinds = ["conflist", "conf", "json"];
    let is_one = |path: &std::path::PathBuf| {
        let kind = path.extension().and_then(|kind| kind.to_str());
        kind.is_some_and(|kind| kinds.contains(&kind)) && path.is_file()
    };
    let Some(path) = paths.filter(is_one).min() else { return Ok(None) };
    let text = std::fs::read_to_string(&path).map_err(|error| wrong(&path, error.to_string()))?;
    parse(&text).map(Some).map_err(|why| wrong(&path, why))
}

/// A `conflist`, or the configuration of a single plugin.
fn parse(text: &str) -> Result<List, String> {
    let mut whole: Map<String, Value> = serde_json::from_str(text).map_err(|error| error.to_string())?;
    let name = whole.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    // They are names of files and of rules for many plugins.
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
    if !name.bytes().all(plain) || !name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        return Err(format!("name {name:?}: a network's name is of letters, digits, '_', '.' and '-'"));
    }
    let version = version(&whole)?;
    let disable_check = whole.get("disableCheck").is_some_and(|value| *value == Value::Bool(true));
    let plugins = match whole.remove("plugins") {
        Some(Value::Array(plugins)) => plugins.into_iter().map(plugin).collect::<Result<Vec<_>, _>>()?,
        Some(_) => return Err("plugins is no list".to_owned()),
        None => vec![plugin(Value::Object(whole))?],
    };
    if plugins.is_empty() {
        return Err("there is no plugin in its list".to_owned());
    }
    Ok(List { name, version, disable_check, plugins })
}

/// The newest version that both sides speak.
fn version(whole: &Map<String, Value>) -> Result<String, String> {
    let own = whole.get("cniVersion").and_then(Value::as_str);
    let more = whole.get("cniVersions").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
    let told: Vec<&str> = own.into_iter().chain(more).collect();
    let known = VERSIONS.iter().rev().find(|version| told.contains(*version));
    let unknown = || match told.as_slice() {
        [] => "there is no cniVersion".to_owned(),
        told => format!("cniVersion {}: only {} are known", told.join(", "), VERSIONS.join(", ")),
    };
    known.map(|version| (*version).to_owned()).ok_or_else(unknown)
}

fn plugin(value: Value) -> Result<Plugin, String> {
    let Value::Object(config) = value else { return Err("a plugin is no object".to_owned()) };
    let plugin = Plugin(config);
    match plugin.program() {
        "" => Err("a plugin has no type".to_owned()),
        // It is looked for in folders of plugins only.
        program if program.contains('/') || program.starts_with('.') => Err(format!("type {program:?} is no name of a program")),
        _ => Ok(plugin),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_are_read() {
        let list = parse(r#"{"cniVersion":"0.4.0","cniVersions":["0.4.0","1.1.0","9.0.0"],"name":"a","plugins":[{"type":"x"},{"type":"y","capabilities":{"portMappings":true}}]}"#).unwrap();
        assert_eq!((list.name.as_str(), list.version.as_str(), list.plugins.len()), ("a", "1.1.0", 2));
        assert!(list.maps_ports() && list.asks_status() && list.has_check());
        let single = parse(r#"{"cniVersion":"0.3.1","name":"b","type":"x","bridge":"br0"}"#).unwrap();
        assert_eq!((single.plugins[0].program(), &single.plugins[0].0["bridge"]), ("x", &Value::from("br0")));
        assert!(!single.maps_ports() && !single.has_check());
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, part) in [
            ("{", "EOF"),
            (r#"{"name":"a","type":"x"}"#, "no cniVersion"),
            (r#"{"cniVersion":"2.0.0","name":"a","type":"x"}"#, "cniVersion 2.0.0"),
            (r#"{"cniVersion":"1.0.0","name":"../a","type":"x"}"#, "name \"../a\""),
            (r#"{"cniVersion":"1.0.0","type":"x"}"#, "name \"\""),
            (r#"{"cniVersion":"1.0.0","name":"a","plugins":[]}"#, "no plugin"),
            (r#"{"cniVersion":"1.0.0","name":"a","plugins":[{}]}"#, "no type"),
            (r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"../../bin/sh"}]}"#, "no name of a program"),
        ] {
            let why = parse(text).unwrap_err();
            assert!(why.contains(part), "{text}: {why}");
        }
    }

    #[test]
    fn the_first_by_name_counts() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(first(&folder.path().join("none")).unwrap(), None);
        assert_eq!(first(folder.path()).unwrap(), None);
        let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
        write("00-notes.txt", "no configuration");
        write("20-b.conf", r#"{"cniVersion":"1.0.0","name":"b","type":"x"}"#);
        assert_eq!(first(folder.path()).unwrap().unwrap().name, "b");
        write("10-a.conflist", "{");
        let error = first(folder.path()).unwrap_err().to_string();
        assert!(error.contains("10-a.conflist"), "{error}");
    }
}
