//! Namespaces.

use serde_json::{Value, json};

use super::{Kind, Subresource};
use crate::meta::{Condition, ObjectMeta};
use crate::names;
use crate::schema::types;
use crate::table::column;

types! {
    /// A space of names.
    Namespace = "io.k8s.api.core.v1.Namespace" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": NamespaceSpec;
        /// What is.
        status = "status": NamespaceStatus;
    }

    /// What holds a namespace.
    NamespaceSpec = "io.k8s.api.core.v1.NamespaceSpec" {
        /// Names of those that must finish their clean-up before the namespace goes.
        finalizers = "finalizers": Vec<String>;
    }

    /// What a namespace does.
    NamespaceStatus = "io.k8s.api.core.v1.NamespaceStatus" {
        /// States of its deletion.
        conditions = "conditions": Vec<Condition> [by(&["type"])];
        /// Active or Terminating.
        phase = "phase": String;
    }
}

/// Namespaces.
pub static NAMESPACE: Kind = Kind {
    short: &["ns"],
    namespaced: false,
    name_check: names::dns_label,
    columns: &[column("Status", "Active or Terminating.")],
    row: |object, _| vec![object["status"]["phase"].clone()],
    verbs: &["create", "delete", "get", "list", "patch", "update", "watch"],
    selectable: &["status.phase"],
    defaults,
    has_status: true,
    subresources: &[Subresource { name: "finalize", response: ("", "v1", "Namespace"), verbs: &["update"] }],
    ..Kind::new("Namespace", "namespaces", "namespace", Namespace::TABLE)
};

/// A namespace can be selected by its name, as by any label.
const NAME_LABEL: &str = "kubernetes.io/metadata.name";

fn defaults(object: &mut Value) {
    let name = object["metadata"]["name"].clone();
    if name.as_str().is_some_and(|n| !n.is_empty()) {
        object["metadata"]["labels"][NAME_LABEL] = name;
    }
    if object["status"].get("phase").is_none() {
        object["status"]["phase"] = "Active".into();
    }
    if object["spec"].get("finalizers").is_none() {
        object["spec"]["finalizers"] = json!(["kubernetes"]);
    }
}
