//! ConfigMaps, Secrets and ServiceAccounts: data and identities that pods use.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::pod::volume::LocalObjectReference;
use super::{Kind, Subresource};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::ObjectMeta;
use crate::names;
use crate::schema::{Base64, types};
use crate::table::{column, number};
use crate::values::base64;

types! {
    /// Settings as keys and texts.
    ConfigMap = "io.k8s.api.core.v1.ConfigMap" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// Values that are no UTF-8, as base64.
        binary_data = "binaryData": BTreeMap<String, Base64>;
        /// Values as text.
        data = "data": BTreeMap<String, String>;
        /// Nothing of the data ever changes.
        immutable = "immutable": Option<bool>;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
    }

    /// Confidential values.
    Secret = "io.k8s.api.core.v1.Secret" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// Values as base64.
        data = "data": BTreeMap<String, Base64>;
        /// Nothing of the data ever changes.
        immutable = "immutable": Option<bool>;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Values as text; only written, never read.
        string_data = "stringData": BTreeMap<String, String>;
        /// What the values are for.
        type_ = "type": String [or_text("Opaque")];
    }

    /// An identity for programs in pods.
    ServiceAccount = "io.k8s.api.core.v1.ServiceAccount" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The account's token is put into containers.
        automount_service_account_token = "automountServiceAccountToken": Option<bool>;
        /// Secrets for pulling images.
        image_pull_secrets = "imagePullSecrets": Vec<LocalObjectReference>;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Secrets of the account.
        secrets = "secrets": Vec<ObjectReference> [by(&["name"])];
    }

    /// Another object.
    ObjectReference = "io.k8s.api.core.v1.ObjectReference" {
        /// Group and version.
        api_version = "apiVersion": String;
        /// A part of the object.
        field_path = "fieldPath": String;
        /// The kind.
        kind = "kind": String;
        /// The name.
        name = "name": String;
        /// The namespace.
        namespace = "namespace": String;
        /// The revision that is meant.
        resource_version = "resourceVersion": String;
        /// The uid.
        uid = "uid": String;
    }
}

/// ConfigMaps.
pub static CONFIG_MAP: Kind = Kind {
    short: &["cm"],
    columns: &[number("Data", "How many values.")],
    row: |object, _| vec![(count(&object["data"]) + count(&object["binaryData"])).into()],
    validate: |object, errors| {
        keys(object, &["data", "binaryData"], errors);
        for key in
            object["binaryData"].as_object().into_iter().flatten().map(|(k, _)| k).filter(|k| object["data"].get(*k).is_some())
        {
            errors.push(FieldError::invalid(format!("binaryData[{key}]"), &json!(key), "duplicate of key present in data".into()));
        }
    },
    validate_update: fixed,
    ..Kind::new("ConfigMap", "configmaps", "configmap", ConfigMap::TABLE)
};

/// Secrets.
pub static SECRET: Kind = Kind {
    columns: &[column("Type", "What the values are for."), number("Data", "How many values.")],
    row: |object, _| vec![object["type"].clone(), count(&object["data"]).into()],
    selectable: &["type"],
    defaults: merge_texts,
    validate: |object, errors| {
        keys(object, &["data"], errors);
        for key in needed_keys(object["type"].as_str().unwrap_or("")).iter().filter(|k| object["data"].get(**k).is_none()) {
            errors.push(FieldError::required(format!("data[{key}]"), ""));
        }
    },
    validate_update: |new, old, errors| {
        if new["type"] != old["type"] {
            errors.push(FieldError::invalid("type", &new["type"], "field is immutable".into()));
        }
        fixed(new, old, errors);
    },
    ..Kind::new("Secret", "secrets", "secret", Secret::TABLE)
};

/// ServiceAccounts.
pub static SERVICE_ACCOUNT: Kind = Kind {
    short: &["sa"],
    columns: &[number("Secrets", "How many secrets.")],
    row: |object, _| vec![object["secrets"].as_array().map_or(0, Vec::len).into()],
    subresources: &[Subresource { name: "token", response: ("authentication.k8s.io", "v1", "TokenRequest"), verbs: &["create"] }],
    ..Kind::new("ServiceAccount", "serviceaccounts", "serviceaccount", ServiceAccount::TABLE)
};

fn count(map: &Value) -> usize {
    map.as_object().map_or(0, serde_json::Map::len)
}

fn needed_keys(kind: &str) -> &'static [&'static str] {
    match kind {
        "kubernetes.io/dockerconfigjson" => &[".dockerconfigjson"],
        "kubernetes.io/dockercfg" => &[".dockercfg"],
        "kubernetes.io/tls" => &["tls.crt", "tls.key"],
        "kubernetes.io/ssh-auth" => &["ssh-privatekey"],
        _ => &[],
    }
}

fn keys(object: &Value, maps: &[&str], errors: &mut FieldErrors) {
    const MOST: usize = 1 << 20;
    let mut size = 0;
    for map in maps {
        for (key, value) in object[*map].as_object().into_iter().flatten() {
            size += value.as_str().map_or(0, str::len);
            names::config_key(key)
                .into_iter()
                .for_each(|why| errors.push(FieldError::invalid(format!("{map}[{key}]"), &json!(key), why)));
        }
    }
    if size > MOST {
        errors.push(FieldError::too_long("", MOST));
    }
}

/// Data marked immutable stays, and stays marked.
fn fixed(new: &Value, old: &Value, errors: &mut FieldErrors) {
    if old["immutable"] != true {
        return;
    }
    if new["immutable"] != true {
        errors.push(FieldError::forbidden("immutable", "field is immutable when `immutable` is set"));
    }
    for map in ["data", "binaryData"] {
        if new.get(map) != old.get(map) {
            errors.push(FieldError::forbidden(map, "field is immutable when `immutable` is set"));
        }
    }
}

/// Texts become data: what is written as text is read as base64.
fn merge_texts(object: &mut Value) {
    let Some(Value::Object(texts)) = object.as_object_mut().and_then(|o| o.shift_remove("stringData")) else { return };
    for (key, text) in texts {
        object["data"][key] = base64(text.as_str().unwrap_or("").as_bytes()).into();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_of_a_secret_become_data() {
        let mut secret = json!({"stringData": {"a": "hi", "b": "hi!", "c": "", "d": "h"}});
        merge_texts(&mut secret);
        assert_eq!(secret, json!({"data": {"a": "aGk=", "b": "aGkh", "c": "", "d": "aA=="}}));
    }

    #[test]
    fn immutable_data_stays() {
        let old = json!({"immutable": true, "data": {"a": "1"}});
        let mut errors = FieldErrors::new();
        fixed(&json!({"data": {"a": "2"}}), &old, &mut errors);
        assert_eq!(errors.len(), 2);
    }
}
