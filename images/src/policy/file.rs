//! The file itself: JSON without unknown keys, without a key twice.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::{Deserializer, Error as _, MapAccess, Visitor};
use serde::{Deserialize, de};
use serde_json::Value;

use super::identity::Identity;
use super::signature::KeySource;
use super::{Policy, Requirement, Signed};
use crate::error::Error;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    default: List,
    #[serde(default)]
    transports: Unique<Unique<List>>,
}

/// Reads the text of `file`.
pub(super) fn parse(text: &str, file: &Path) -> crate::Result<Policy> {
    let problem = |problem: String| Error::PolicyFile { path: file.to_owned(), problem };
    let File { default, transports } = serde_json::from_str(text).map_err(|error| {
        let error = crate::error::brief(error);
        problem(format!("line {}: {error}", error.line()))
    })?;
    let mut all = BTreeMap::new();
    for (transport, scopes) in transports.0 {
        if transport == "docker-archive"
            && let Some(scope) = scopes.0.keys().find(|scope| !scope.is_empty())
        {
            return Err(problem(format!("transport docker-archive has no scope but \"\": {scope:?}")));
        }
        all.insert(transport, scopes.0.into_iter().map(|(scope, List(list))| (scope, list)).collect());
    }
    Ok(Policy { file: Some(file.to_owned()), default: default.0, transports: all })
}

/// Requirements, at least one.
#[derive(Deserialize)]
#[serde(try_from = "Vec<Requirement>")]
struct List(Vec<Requirement>);

impl TryFrom<Vec<Requirement>> for List {
    type Error = &'static str;

    fn try_from(list: Vec<Requirement>) -> Result<Self, &'static str> {
        if list.is_empty() { Err("a list without requirements: write insecureAcceptAnything or reject") } else { Ok(List(list)) }
    }
}

/// A requirement with all that one may say.
#[derive(Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Flat {
    r#type: String,
    key_type: Option<Value>,
    key_path: Option<PathBuf>,
    key_paths: Option<Vec<PathBuf>>,
    key_data: Option<String>,
    key_datas: Option<Vec<String>>,
    signed_identity: Option<Identity>,
    base_layer_identity: Option<Value>,
    fulcio: Option<Value>,
    pki: Option<Value>,
    rekor_public_key_path: Option<Value>,
    rekor_public_key_paths: Option<Value>,
    rekor_public_key_data: Option<Value>,
    rekor_public_key_datas: Option<Value>,
}

impl<'de> Deserialize<'de> for Requirement {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let flat = Flat::deserialize(from)?;
        let bare = Flat { r#type: flat.r#type.clone(), ..Flat::default() } == flat;
        match flat.r#type.as_str() {
            "insecureAcceptAnything" | "reject" if !bare => Err(D::Error::custom(format!("{} has no other keys", flat.r#type))),
            "insecureAcceptAnything" => Ok(Requirement::Accept),
            "reject" => Ok(Requirement::Reject),
            "signedBy" => Ok(Requirement::Unsupported("a signature by GPG (signedBy)")),
            "signedBaseLayer" => Ok(Requirement::Unsupported("a signed base layer (signedBaseLayer)")),
            "sigstoreSigned" => signed(flat).map_err(D::Error::custom),
            other => Err(D::Error::unknown_variant(
                &other.chars().take(100).collect::<String>(),
                &["insecureAcceptAnything", "reject", "signedBy", "signedBaseLayer", "sigstoreSigned"],
            )),
        }
    }
}

fn signed(flat: Flat) -> Result<Requirement, String> {
    if flat.key_type.is_some() || flat.base_layer_identity.is_some() {
        return Err("sigstoreSigned has neither keyType nor baseLayerIdentity".to_owned());
    }
    if flat.fulcio.is_some() {
        return Ok(Requirement::Unsupported("a certificate of Fulcio (sigstoreSigned with fulcio)"));
    }
    if flat.pki.is_some() {
        return Ok(Requirement::Unsupported("a certificate (sigstoreSigned with pki)"));
    }
    let rekor =
        [&flat.rekor_public_key_path, &flat.rekor_public_key_paths, &flat.rekor_public_key_data, &flat.rekor_public_key_datas];
    if rekor.iter().any(|key| key.is_some()) {
        return Ok(Requirement::Unsupported("an entry in a log of Rekor (sigstoreSigned with rekorPublicKey...)"));
    }
    let decoded = |text: &String| {
        let bytes = STANDARD.decode(text).map_err(|_| "keyData: it is no base64".to_owned())?;
        Ok::<_, String>(KeySource::Data(bytes))
    };
    let keys = match (flat.key_path, flat.key_paths, flat.key_data, flat.key_datas) {
        (Some(path), None, None, None) => vec![KeySource::File(path)],
        (None, Some(paths), None, None) => paths.into_iter().map(KeySource::File).collect(),
        (None, None, Some(data), None) => vec![decoded(&data)?],
        (None, None, None, Some(datas)) => datas.iter().map(decoded).collect::<Result<_, _>>()?,
        _ => return Err("sigstoreSigned needs one of keyPath, keyPaths, keyData and keyDatas".to_owned()),
    };
    if keys.is_empty() {
        return Err("sigstoreSigned: a list without keys".to_owned());
    }
    let identity = flat.signed_identity.unwrap_or_default();
    match identity.problem() {
        Some(problem) => Err(format!("signedIdentity: {problem}")),
        None => Ok(Requirement::Signed(Signed { keys, identity })),
    }
}

/// An object that has no key twice: of two that contradict each other, which one counts?
struct Unique<V>(BTreeMap<String, V>);

impl<V> Default for Unique<V> {
    fn default() -> Self {
        Unique(BTreeMap::new())
    }
}

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Unique<V> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        struct Keys<V>(PhantomData<V>);
        impl<'de, V: Deserialize<'de>> Visitor<'de> for Keys<V> {
            type Value = Unique<V>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut from: A) -> Result<Unique<V>, A::Error> {
                let mut all = BTreeMap::new();
                while let Some((key, value)) = from.next_entry::<String, V>()? {
                    if all.contains_key(&key) {
                        return Err(de::Error::custom(format!("{key:?} is there twice")));
                    }
                    all.insert(key, value);
                }
                Ok(Unique(all))
            }
        }
        from.deserialize_map(Keys(PhantomData))
    }
}
