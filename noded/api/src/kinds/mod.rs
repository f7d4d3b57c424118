//! The kinds that are served, one file or folder each.

pub mod access;
pub mod apps;
pub mod config;
pub mod daemonset;
pub mod deployment;
pub mod endpoints;
pub mod event;
pub mod event_v1;
mod families;
pub mod job;
pub mod lease;
pub mod metrics;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod priority;
pub mod rbac;
pub mod replicaset;
pub mod requests;
pub mod revision;
pub mod service;

use serde_json::Value;

use crate::errors::FieldErrors;
use crate::names;
use crate::schema::Object;
use crate::table::Column;

/// A part of an object with an address of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subresource {
    /// The last part of the path.
    pub name: &'static str,
    /// Group, version and kind of what is read and written there.
    pub response: (&'static str, &'static str, &'static str),
    /// What can be done.
    pub verbs: &'static [&'static str],
}

/// One kind: everything the server knows of it.
#[derive(Debug)]
pub struct Kind {
    /// The API group; empty for the core.
    pub group: &'static str,
    /// The version.
    pub version: &'static str,
    /// The name of the kind.
    pub kind: &'static str,
    /// The name in paths.
    pub plural: &'static str,
    /// The singular name for the command line.
    pub singular: &'static str,
    /// Short names for the command line.
    pub short: &'static [&'static str],
    /// Groups of kinds for the command line, such as `all`.
    pub categories: &'static [&'static str],
    /// Objects live in a namespace.
    pub namespaced: bool,
    /// What can be done; reviews can only be created and are not kept.
    pub verbs: &'static [&'static str],
    /// The fields.
    pub table: &'static Object,
    /// What is wrong with a name.
    pub name_check: fn(&str) -> Vec<String>,
    /// Columns of the printed table, between NAME and AGE.
    pub columns: &'static [Column],
    /// One printed row: a cell for each column.
    pub row: fn(&Value, jiff::Timestamp) -> Vec<Value>,
    /// Defaults that depend on other fields; constants are in the table.
    pub defaults: fn(&mut Value),
    /// Rules that the table cannot state.
    pub validate: fn(&Value, &mut FieldErrors),
    /// Rules on changes that the table cannot state: new, old.
    pub validate_update: fn(&Value, &Value, &mut FieldErrors),
    /// Paths that field selectors may use, beside name and namespace.
    pub selectable: &'static [&'static str],
    /// `status` has its own address and its own writers.
    pub has_status: bool,
    /// `metadata.generation` grows when something beside metadata and status changes.
    pub has_generation: bool,
    /// Further addresses below an object.
    pub subresources: &'static [Subresource],
    /// Its objects are kept as those of another kind.
    pub kept_as: Option<&'static KeptAs>,
}

/// How objects of one kind are those of another one. Whoever writes either of them has written both.
#[derive(Debug)]
pub struct KeptAs {
    /// As what they are kept.
    pub kind: &'static Kind,
    /// Fields with another name: here, and there.
    pub names: &'static [(&'static str, &'static str)],
}

/// All that a kept kind offers.
pub const ALL_VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// The address at which the number of replicas is set.
pub const SCALE: Subresource =
    Subresource { name: "scale", response: ("autoscaling", "v1", "Scale"), verbs: &["get", "patch", "update"] };

/// The address behind which a pod's or a service's own server is.
pub(crate) const fn proxy(options: &'static str) -> Subresource {
    Subresource { name: "proxy", response: ("", "v1", options), verbs: &["create", "delete", "get", "patch", "update"] }
}

impl Kind {
    /// What most kinds have.
    pub(crate) const fn new(kind: &'static str, plural: &'static str, singular: &'static str, table: &'static Object) -> Self {
        Self {
            group: "",
            version: "v1",
            kind,
            plural,
            singular,
            short: &[],
            categories: &[],
            namespaced: true,
            verbs: ALL_VERBS,
            table,
            name_check: names::dns_subdomain,
            columns: &[],
            row: |_, _| Vec::new(),
            defaults: |_| {},
            validate: |_, _| {},
            validate_update: |_, _, _| {},
            selectable: &[],
            has_status: false,
            has_generation: false,
            subresources: &[],
            kept_as: None,
        }
    }

    /// `v1` or `apps/v1`.
    pub fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.into() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The name that error messages use: `deployments.apps`, `pods`.
    pub fn resource(&self) -> String {
        if self.group.is_empty() { self.plural.into() } else { format!("{}.{}", self.plural, self.group) }
    }

    /// The kind as error messages name it: `Deployment.apps`, `Pod`.
    pub fn qualified(&self) -> String {
        if self.group.is_empty() { self.kind.into() } else { format!("{}.{}", self.kind, self.group) }
    }

    /// The kind as which its objects are kept.
    pub fn kept(&self) -> &Kind {
        self.kept_as.map_or(self, |kept| kept.kind)
    }

    /// Turns an object of this kind into what is kept.
    pub fn keep(&self, object: &mut Value) {
        if let Some(kept) = self.kept_as {
            renamed(object, kept.kind, &|name| kept.names.iter().find(|(here, _)| *here == name).map(|(_, there)| *there));
        }
    }

    /// Turns what is kept into an object of this kind.
    pub fn show(&self, object: &mut Value) {
        if let Some(kept) = self.kept_as {
            renamed(object, self, &|name| kept.names.iter().find(|(_, there)| *there == name).map(|(here, _)| *here));
        }
    }

    /// The path of a field, as it is kept.
    pub(crate) fn kept_path(&self, path: &str) -> String {
        let (first, rest) = path.split_once('.').map_or((path, None), |(first, rest)| (first, Some(rest)));
        let first =
            self.kept_as.and_then(|kept| kept.names.iter().find(|(here, _)| *here == first)).map_or(first, |(_, there)| there);
        rest.map_or_else(|| first.to_string(), |rest| format!("{first}.{rest}"))
    }

    /// Whether it offers this verb.
    pub fn allows(&self, verb: &str) -> bool {
        self.verbs.contains(&verb)
    }

    /// Whether objects are kept: a review is answered and forgotten, and what is used right now is asked for when somebody wants to know.
    pub fn is_kept(&self) -> bool {
        self.allows("watch")
    }
}

/// Gives an object's fields other names, and says of what kind it is now. The order stays.
fn renamed(object: &mut Value, kind: &Kind, other: &dyn Fn(&str) -> Option<&'static str>) {
    let Value::Object(map) = object else { return };
    let fields = std::mem::take(map);
    map.extend(fields.into_iter().map(|(name, value)| (other(&name).map_or(name, String::from), value)));
    for (field, value) in [("apiVersion", kind.api_version()), ("kind", kind.kind.to_string())] {
        if map.contains_key(field) {
            map.insert(field.into(), value.into());
        }
    }
}

/// Every kind, in the order of the discovery documents.
pub static KINDS: &[&Kind] = &[
    &config::CONFIG_MAP,
    &endpoints::ENDPOINTS,
    &event::EVENT,
    &namespace::NAMESPACE,
    &node::NODE,
    &pod::POD,
    &config::SECRET,
    &config::SERVICE_ACCOUNT,
    &service::SERVICE,
    &revision::CONTROLLER_REVISION,
    &daemonset::DAEMON_SET,
    &deployment::DEPLOYMENT,
    &replicaset::REPLICA_SET,
    &event_v1::EVENT_V1,
    &access::SELF_SUBJECT_ACCESS_REVIEW,
    &access::SELF_SUBJECT_RULES_REVIEW,
    &access::SELF_SUBJECT_REVIEW,
    &job::JOB,
    &lease::LEASE,
    &endpoints::ENDPOINT_SLICE,
    &rbac::CLUSTER_ROLE,
    &rbac::CLUSTER_ROLE_BINDING,
    &rbac::ROLE,
    &rbac::ROLE_BINDING,
    &priority::PRIORITY_CLASS,
    &metrics::NODE_METRICS,
    &metrics::POD_METRICS,
];

/// The kind behind a path.
pub fn find(group: &str, version: &str, plural: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.group == group && k.version == version && k.plural == plural)
}

/// The kind that an object names.
pub fn find_kind(api_version: &str, kind: &str) -> Option<&'static Kind> {
    KINDS.iter().copied().find(|k| k.kind == kind && k.api_version() == api_version)
}

/// The table of anything that a client may send: kept kinds, reviews, and what goes to parts of objects.
pub fn table(api_version: &str, kind: &str) -> Option<&'static Object> {
    find_kind(api_version, kind).map(|k| k.table).or_else(|| requests::table(api_version, kind))
}

/// A typed view of an object. One that went through `schema::decode` always has one.
///
/// # Errors
/// What does not fit.
pub fn view<T: serde::de::DeserializeOwned>(value: &Value) -> Result<T, serde_json::Error> {
    T::deserialize(value)
}

/// A typed view for printing: an object that cannot be read prints as an empty one.
pub(crate) fn printed<T: serde::de::DeserializeOwned + Default>(value: &Value) -> T {
    view(value).unwrap_or_default()
}
