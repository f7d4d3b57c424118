//! What an image says about itself and about the process to run.

use std::collections::{BTreeMap, BTreeSet};

use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Deserializer};

use crate::{Digest, Platform};

/// A config blob (image-spec, config.md), with the members that Docker adds. A view: members which are not here are in the
/// blob's bytes. What is missing or null is empty.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ImageConfig {
    /// `amd64`, …
    #[serde(deserialize_with = "or_default")]
    pub architecture: String,
    /// `linux`.
    #[serde(deserialize_with = "or_default")]
    pub os: String,
    /// `v7`, …
    pub variant: Option<String>,
    /// RFC 3339.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// How to run it.
    #[serde(deserialize_with = "or_default")]
    pub config: RunConfig,
    /// What its file system is made of.
    #[serde(deserialize_with = "or_default")]
    pub rootfs: RootFs,
    /// How it was made, oldest first.
    #[serde(deserialize_with = "or_default")]
    pub history: Vec<History>,
}

impl ImageConfig {
    /// Which machines the image is for.
    pub fn platform(&self) -> Platform {
        let variant = self.variant.clone().filter(|variant| !variant.is_empty());
        Platform { os: self.os.clone(), architecture: self.architecture.clone(), variant }
    }
}

/// Defaults for containers of an image.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct RunConfig {
    /// User and group, by name or number: `www`, `1000:1000`.
    #[serde(deserialize_with = "or_default")]
    pub user: String,
    /// `8080/tcp`, …
    #[serde(deserialize_with = "keys")]
    pub exposed_ports: BTreeSet<String>,
    /// `NAME=value`.
    #[serde(deserialize_with = "or_default")]
    pub env: Vec<String>,
    /// The program and its first arguments.
    #[serde(deserialize_with = "words")]
    pub entrypoint: Option<Vec<String>>,
    /// Further arguments, or all of them.
    #[serde(deserialize_with = "words")]
    pub cmd: Option<Vec<String>>,
    /// Folders that get a volume.
    #[serde(deserialize_with = "keys")]
    pub volumes: BTreeSet<String>,
    /// Where the process starts.
    #[serde(deserialize_with = "or_default")]
    pub working_dir: String,
    /// Notes for people and tools.
    #[serde(deserialize_with = "labels")]
    pub labels: BTreeMap<String, String>,
    /// `SIGTERM`, `15`, …
    pub stop_signal: Option<String>,
    /// Seconds from the stop signal to SIGKILL.
    pub stop_timeout: Option<u64>,
    /// Docker's `HEALTHCHECK`, as it is.
    pub healthcheck: Option<serde_json::Value>,
    /// Docker's `SHELL`, as it is.
    pub shell: Option<serde_json::Value>,
    /// Docker's `ONBUILD`, as it is.
    pub on_build: Option<serde_json::Value>,
}

/// The layers of an image, by what is in them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct RootFs {
    /// Digests of the tar archives, lowest first.
    #[serde(deserialize_with = "or_default")]
    pub diff_ids: Vec<Digest>,
}

/// A step that made an image.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct History {
    /// RFC 3339.
    pub created: Option<String>,
    /// The command.
    #[serde(deserialize_with = "or_default")]
    pub created_by: String,
    /// Who did it.
    #[serde(deserialize_with = "or_default")]
    pub author: String,
    /// What the maker says.
    #[serde(deserialize_with = "or_default")]
    pub comment: String,
    /// It made no layer.
    #[serde(deserialize_with = "or_default")]
    pub empty_layer: bool,
}

/// Go writes null for what is empty.
fn or_default<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::<T>::deserialize(from)?.unwrap_or_default())
}

/// Sets are objects with empty values.
fn keys<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeSet<String>, D::Error> {
    let map: Option<BTreeMap<String, IgnoredAny>> = Deserialize::deserialize(from)?;
    Ok(map.unwrap_or_default().into_keys().collect())
}

fn labels<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, String>, D::Error> {
    let map: Option<BTreeMap<String, Option<String>>> = Deserialize::deserialize(from)?;
    Ok(map.unwrap_or_default().into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect())
}

/// A list of words; Docker also reads one word for a list of one.
fn words<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Vec<String>>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Words {
        One(String),
        Many(Vec<String>),
    }
    Ok(Option::<Words>::deserialize(from)?.map(|words| match words {
        Words::One(word) => vec![word],
        Words::Many(words) => words,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dockers_config() {
        let diff_id = format!("sha256:{}", "a".repeat(64));
        let json = format!(
            r#"{{"architecture":"arm","os":"linux","variant":"v7","created":"2024-05-01T00:00:00Z","container":"x",
            "config":{{"User":"www","ExposedPorts":{{"8080/tcp":{{}}}},"Env":["PATH=/bin","A=b=c"],"Entrypoint":["node","app.js"],
            "Cmd":"one","Volumes":{{"/data":{{}}}},"WorkingDir":"/srv","Labels":{{"a":"b","c":null}},"StopSignal":"SIGQUIT",
            "StopTimeout":3,"Healthcheck":{{"Test":["CMD","true"]}},"Shell":["/bin/bash","-c"],"OnBuild":["RUN x"],
            "ArgsEscaped":true}},"rootfs":{{"type":"layers","diff_ids":["{diff_id}"]}},
            "history":[{{"created_by":"COPY app.js","empty_layer":false}},{{"created_by":"CMD","empty_layer":true}}]}}"#
        );
        let config: ImageConfig = serde_json::from_str(&json).unwrap();
        assert_eq!(config.platform().to_string(), "linux/arm/v7");
        let run = &config.config;
        assert_eq!((run.user.as_str(), run.working_dir.as_str()), ("www", "/srv"));
        assert_eq!(run.exposed_ports.iter().collect::<Vec<_>>(), ["8080/tcp"]);
        assert_eq!(run.env, ["PATH=/bin", "A=b=c"]);
        assert_eq!(run.entrypoint.as_deref().unwrap(), ["node", "app.js"]);
        assert_eq!(run.cmd.as_deref().unwrap(), ["one"]);
        assert_eq!(run.volumes.iter().collect::<Vec<_>>(), ["/data"]);
        assert_eq!((run.labels["a"].as_str(), run.labels["c"].as_str()), ("b", ""));
        assert_eq!((run.stop_signal.as_deref(), run.stop_timeout), (Some("SIGQUIT"), Some(3)));
        assert_eq!(run.healthcheck.as_ref().unwrap()["Test"][1], "true");
        assert!(run.shell.is_some() && run.on_build.is_some());
        assert_eq!(config.rootfs.diff_ids[0].to_string(), diff_id);
        assert!(!config.history[0].empty_layer && config.history[1].empty_layer);
    }

    #[test]
    fn null_is_empty() {
        let nulls = r#"{"architecture":null,"os":null,"config":{"User":null,"ExposedPorts":null,"Env":null,"Entrypoint":null,
            "Cmd":null,"Volumes":null,"WorkingDir":null,"Labels":null,"StopSignal":null,"OnBuild":null},
            "rootfs":{"diff_ids":null},"history":null}"#;
        assert_eq!(serde_json::from_str::<ImageConfig>(nulls).unwrap(), ImageConfig::default());
        assert_eq!(serde_json::from_str::<ImageConfig>(r#"{"config":null,"rootfs":null}"#).unwrap(), ImageConfig::default());
        assert_eq!(serde_json::from_str::<ImageConfig>("{}").unwrap(), ImageConfig::default());
    }

    #[test]
    fn what_is_no_config() {
        for json in ["", "1", r#"{"rootfs":{"diff_ids":["x"]}}"#, r#"{"config":{"Env":"A=b"}}"#] {
            assert!(serde_json::from_str::<ImageConfig>(json).is_err(), "{json}");
        }
    }
}
