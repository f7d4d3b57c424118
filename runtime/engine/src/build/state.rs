//! A stage as far as it has come: layers, config, variables.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use images::{Digest, Image, ImageConfig, Layer, NewImage, Platform};
use serde_json::{Map, Value, json};

use super::dockerfile::Scope;
use super::failure::BuildError;
use super::key::Key;
use crate::Engine;

/// What follows instructions, and what the next one stands on.
#[derive(Clone)]
pub(super) struct State {
    /// Lowest first.
    pub(super) layers: Vec<Layer>,
    /// Of these, those that were there before the build, and the entries of its history that were.
    pub(super) found: Found,
    /// Leases on them.
    held: Vec<Arc<dyn Any + Send + Sync>>,
    /// The image's config, as it will be written.
    pub(super) document: Map<String, Value>,
    pub(super) scope: Scope,
    /// When its last layer was made, as RFC 3339 has it: what is from the cache does not become newer.
    pub(super) made: Option<String>,
    /// A `CMD` was in this stage.
    pub(super) own_cmd: bool,
}

/// What an image has that a build begins with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) layers: usize,
    pub(super) history: usize,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("layers", &self.layers.len()).field("scope", &self.scope).finish_non_exhaustive()
    }
}

impl State {
    /// Nothing, for these machines.
    pub(super) fn scratch(platform: &Platform, escape: char) -> State {
        let mut document = Map::new();
        document.insert("architecture".to_owned(), json!(platform.architecture));
        document.insert("os".to_owned(), json!(platform.os));
        if let Some(variant) = &platform.variant {
            document.insert("variant".to_owned(), json!(variant));
        }
        let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
        let mut state = State {
            layers: Vec::new(),
            found: Found::default(),
            held: Vec::new(),
            document,
            scope: Scope { escape, ..Scope::default() },
            made: None,
            own_cmd: false,
        };
        state.set_env("PATH", path);
        state
    }

    /// What an image is.
    pub(super) fn of(engine: &Engine, image: &Image, escape: char) -> Result<State, BuildError> {
        let lease = engine.images().hold(image)?;
        let bytes = engine.images().config_bytes(image)?;
        let document = match serde_json::from_slice(&bytes) {
            Ok(Value::Object(document)) => document,
            _ => return Err(BuildError::Invalid(format!("the config of image {} is no JSON object", image.id))),
        };
        let split = |entry: &String| entry.split_once('=').map(|(key, value)| (key.to_owned(), value.to_owned()));
        let env = image.config.config.env.iter().filter_map(split).collect();
        let scope = Scope { escape, env, ..Scope::default() };
        let made = image.config.created.clone();
        let history = document.get("history").and_then(Value::as_array).map_or(0, Vec::len);
        let found = Found { layers: image.layers.len(), history };
        let (layers, held) = (image.layers.clone(), vec![Arc::new(lease) as Arc<_>]);
        let mut state = State { layers, found, held, document, scope, made, own_cmd: false };
        if state.scope.get("PATH").is_none() {
            state.set_env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
        }
        Ok(state)
    }

    /// Where the next stage begins that stands on this one.
    pub(super) fn next_stage(&self) -> State {
        State { own_cmd: false, ..self.clone() }
    }

    /// The part of the config that says how containers run.
    pub(super) fn config(&mut self) -> &mut Map<String, Value> {
        let value = self.document.entry("config").or_insert(Value::Null);
        if !value.is_object() {
            *value = json!({});
        }
        match value {
            Value::Object(config) => config,
            _ => unreachable!("it was made an object"),
        }
    }

    pub(super) fn set(&mut self, key: &str, value: Value) {
        self.config().insert(key.to_owned(), value);
    }

    fn text(&self, key: &str) -> String {
        self.document.get("config").and_then(|config| config.get(key)).and_then(Value::as_str).unwrap_or_default().to_owned()
    }

    /// Adds members to an object of the config.
    pub(super) fn add(&mut self, key: &str, members: impl IntoIterator<Item = (String, Value)>) {
        let value = self.config().entry(key).or_insert(Value::Null);
        if !value.is_object() {
            *value = json!({});
        }
        if let Value::Object(object) = value {
            object.extend(members);
        }
    }

    pub(super) fn set_env(&mut self, name: &str, value: &str) {
        self.scope.set(name, value);
        let all: Vec<String> = self.scope.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        self.set("Env", json!(all));
    }

    pub(super) fn user(&self) -> String {
        self.text("User")
    }

    pub(super) fn workdir(&self) -> String {
        let own = self.text("WorkingDir");
        if own.is_empty() { "/".to_owned() } else { own }
    }

    pub(super) fn shell(&self) -> Vec<String> {
        let own = self.document.get("config").and_then(|config| config.get("Shell")).and_then(Value::as_array);
        let words: Vec<String> = own.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect();
        if words.is_empty() { ["/bin/sh", "-c"].map(str::to_owned).to_vec() } else { words }
    }

    /// The image's instructions for whoever builds on it, which are then done.
    pub(super) fn take_triggers(&mut self) -> Vec<String> {
        let own = self.config().remove("OnBuild");
        let words = own.as_ref().and_then(Value::as_array).into_iter().flatten();
        words.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// A path from the root folder on, which may have been written from the working folder on.
    pub(super) fn absolute(&self, path: &str) -> String {
        let whole = if path.starts_with('/') { path.to_owned() } else { format!("{}/{path}", self.workdir()) };
        format!("/{}", super::dockerfile::clean(&format!("/{}", whole.trim_start_matches('/'))))
    }

    /// Puts a layer on top.
    pub(super) fn push(&mut self, layer: Layer, held: Arc<dyn Any + Send + Sync>) {
        self.layers.push(layer);
        self.held.push(held);
    }

    /// Notes a step.
    pub(super) fn history(&mut self, created: &str, by: &str, empty: bool) {
        let mut entry = json!({"created": created, "created_by": by, "comment": "rctr.dockerfile.v0"});
        if empty {
            entry["empty_layer"] = json!(true);
        }
        NewImage::history(&mut self.document, entry);
    }

    /// Puts one layer, or nothing, in place of those from `first` on, which the history's steps from `entry` on have made.
    pub(super) fn squash(
        &mut self,
        first: usize,
        entry: usize,
        merged: Option<(Layer, Arc<dyn Any + Send + Sync>)>,
        created: &str,
    ) {
        let count = self.layers.len() - first;
        self.layers.truncate(first);
        if let Some(Value::Array(entries)) = self.document.get_mut("history") {
            for entry in entries.iter_mut().skip(entry).filter_map(Value::as_object_mut) {
                entry.insert("empty_layer".to_owned(), json!(true));
            }
        }
        let Some((layer, held)) = merged else { return };
        self.push(layer, held);
        self.made = Some(created.to_owned());
        NewImage::history(&mut self.document, json!({"created": created, "comment": format!("merge of {count} layers")}));
    }

    /// The files that the next step sees, as a part of its key.
    pub(super) fn files(&self, key: &mut Key) {
        key.parts(self.layers.iter().map(|layer| layer.diff_id.as_str()));
    }

    /// As an image that the engine takes for a container; nothing in the store has its digests.
    pub(super) fn image(&self) -> Image {
        let none = Digest::sha256(b"");
        let config = ImageConfig { architecture: String::new(), os: "linux".to_owned(), ..ImageConfig::default() };
        Image {
            id: none.clone(),
            manifest: none.clone(),
            target: none,
            names: Vec::new(),
            layers: self.layers.clone(),
            config,
            size: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_begin_at_the_working_folder() {
        let mut state = State::scratch(&Platform::host(), '\\');
        assert_eq!(
            (state.absolute("a/../b").as_str(), state.absolute(".").as_str(), state.absolute("../x").as_str()),
            ("/b", "/", "/x")
        );
        state.set("WorkingDir", json!("/srv"));
        assert_eq!(
            (state.absolute("a").as_str(), state.absolute("/a/").as_str(), state.absolute("..").as_str()),
            ("/srv/a", "/a", "/")
        );
    }

    #[test]
    fn a_squashed_history_has_one_more_entry() {
        let layer = |text: &str| {
            let digest = Digest::sha256(text.as_bytes());
            Layer { diff_id: digest.clone(), digest, size: 1, media_type: String::new(), urls: Vec::new() }
        };
        let mut state = State::scratch(&Platform::host(), '\\');
        state.found = Found { layers: 1, history: 2 };
        for (by, empty) in [("base", false), ("CMD", true), ("RUN a", false), ("ENV", true), ("RUN b", false)] {
            state.history("2026-01-02T03:04:05Z", by, empty);
            if !empty {
                state.push(layer(by), Arc::new(()));
            }
        }
        let shape = |state: &State| -> Vec<String> {
            let entries = state.document["history"].as_array().unwrap().iter();
            entries.map(|entry| format!("{}{}", entry["created_by"].as_str().unwrap_or("-"), entry["empty_layer"])).collect()
        };
        let mut all = state.clone();
        let new: Arc<dyn Any + Send + Sync> = Arc::new(());
        state.squash(1, 2, Some((layer("one"), new.clone())), "now");
        assert_eq!(shape(&state), ["basenull", "CMDtrue", "RUN atrue", "ENVtrue", "RUN btrue", "-null"]);
        assert_eq!(state.layers, [layer("base"), layer("one")]);
        assert_eq!((state.made.as_deref(), &state.document["history"][5]["comment"]), (Some("now"), &json!("merge of 2 layers")));
        all.squash(0, 0, None, "now");
        assert_eq!(shape(&all), ["basetrue", "CMDtrue", "RUN atrue", "ENVtrue", "RUN btrue"]);
        assert!(all.layers.is_empty());
    }

    #[test]
    fn variables_are_in_the_config() {
        let mut state = State::scratch(&Platform::host(), '\\');
        state.set_env("A", "1");
        state.set_env("A", "2");
        assert_eq!(state.config()["Env"][1], "A=2");
        state.set("OnBuild", json!(["RUN x"]));
        assert_eq!(state.take_triggers(), ["RUN x"]);
        assert!(state.take_triggers().is_empty());
    }
}
