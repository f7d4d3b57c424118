//! Objects between a writer and the store: names, defaults, rules, generations, owners of fields, deletion in steps.
//!
//! The API server and the controllers of this process call the same functions; none of them knows HTTP or rights.

mod account;
mod address;
mod create;
mod delete;
mod priority;
mod update;

use std::sync::Arc;

use api::kinds::Kind;
use api::patch::Writer;
use api::status::Status;
use serde_json::Value;

use crate::events::Correlator;
use crate::store::{Change, Entry, NotWritten, Store};

pub use account::ROOT;
pub use delete::{DeleteOptions, Deleted, Propagation};
pub use update::Part;

/// Who writes, and how.
#[derive(Debug, Clone, Default)]
pub struct Context {
    /// The writer's name for managed fields.
    pub manager: String,
    /// Everything is done but the writing.
    pub dry_run: bool,
    /// The object comes from server-side apply, which has worked out the owners of its fields.
    pub applied: bool,
    /// The kind in whose words the writer speaks, where objects are kept as those of another one.
    pub spoken: Option<&'static Kind>,
}

impl Context {
    /// Who owns the fields that are written by it.
    fn writer(&self, kind: &Kind, subresource: &str) -> Writer {
        let spoken = self.spoken.unwrap_or(kind);
        Writer { manager: self.manager.clone(), api_version: spoken.api_version(), subresource: subresource.into() }
    }
}

/// The objects of a cluster.
#[derive(Clone)]
pub struct Objects {
    store: Arc<dyn Store>,
    settings: Arc<Settings>,
    /// What was told of them lately.
    pub(crate) told: Arc<Correlator>,
}

/// What objects depend on beside themselves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Services get their addresses from here.
    pub service_range: (std::net::Ipv4Addr, u8),
    /// Services get their node ports from here: first and last.
    pub node_ports: (u16, u16),
    /// The certificate of the cluster's authority, as PEM, by which pods know the API; empty: they are not told.
    pub root: String,
    /// Nodes get the addresses of their pods from here, unless they bring some.
    pub pod_range: (std::net::Ipv4Addr, u8),
    /// The prefix of what one node gets.
    pub node_prefix: u8,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            service_range: ([10, 96, 0, 0].into(), 16),
            node_ports: (30000, 32767),
            root: String::new(),
            pod_range: ([10, 244, 0, 0].into(), 16),
            node_prefix: 24,
        }
    }
}

/// The beginning of all keys of a kind, or of those of a namespace.
pub fn prefix(kind: &Kind, namespace: &str) -> String {
    let kind = kind.kept();
    let group = if kind.group.is_empty() { "core" } else { kind.group };
    if namespace.is_empty() { format!("{group}/{}/", kind.plural) } else { format!("{group}/{}/{namespace}/", kind.plural) }
}

/// The key of an object; the namespace is empty for cluster objects.
pub fn key(kind: &Kind, namespace: &str, name: &str) -> String {
    format!("{}{name}", prefix(kind, if kind.namespaced { namespace } else { "" }))
}

impl Objects {
    /// The objects in a store.
    pub fn new(store: Arc<dyn Store>, settings: Settings) -> Self {
        Self { store, settings: Arc::new(settings), told: Arc::default() }
    }

    /// Where services get their addresses from.
    pub fn service_range(&self) -> (std::net::Ipv4Addr, u8) {
        self.settings.service_range
    }

    /// Where nodes get the addresses of their pods from, and the prefix of what one gets.
    pub fn pod_range(&self) -> ((std::net::Ipv4Addr, u8), u8) {
        (self.settings.pod_range, self.settings.node_prefix)
    }

    /// The store itself, for lists and watches.
    pub fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The store, for who makes others over it.
    pub(crate) fn shared_store(&self) -> Arc<dyn Store> {
        self.store.clone()
    }

    /// The same objects, written through another store.
    pub(crate) fn over(&self, store: Arc<dyn Store>) -> Self {
        Self { store, settings: self.settings.clone(), told: self.told.clone() }
    }

    /// One object.
    ///
    /// # Errors
    /// That it is not there.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Entry>, Status> {
        self.store.get(&key(kind, namespace, name)).ok_or_else(|| Status::not_found(kind, name))
    }

    /// Typed views of all objects of a kind, or of those of a namespace; what cannot be read is left out.
    pub fn all<T: serde::de::DeserializeOwned>(&self, kind: &Kind, namespace: &str) -> Vec<T> {
        let entries = self.store.list(&prefix(kind, namespace), None).map(|s| s.entries).unwrap_or_default();
        entries.iter().filter_map(|e| serde_json::from_slice(&e.value).ok()).collect()
    }

    async fn write(&self, change: Change) -> Result<Arc<Entry>, NotWritten> {
        self.store.write(change).await
    }
}

/// A failed disk is the server's fault; an etcd that does not answer may do so later.
fn internal(why: NotWritten) -> Status {
    match why {
        NotWritten::Unknown(_) => Status::unavailable(why.to_string()),
        _ => Status::internal(why),
    }
}

/// An object that was not written, as if it had been.
fn unwritten(kind: &Kind, namespace: &str, name: &str, object: &Value) -> Arc<Entry> {
    Arc::new(Entry { key: key(kind, namespace, name).into(), revision: 0, value: object.to_string().into() })
}

/// The name of an object, or the beginning of the one that it will get.
fn called(object: &Value) -> &str {
    Some(text(object, "/metadata/name")).filter(|name| !name.is_empty()).unwrap_or(text(object, "/metadata/generateName"))
}

/// Text at a place of an object.
fn text<'a>(object: &'a Value, place: &str) -> &'a str {
    object.pointer(place).and_then(Value::as_str).unwrap_or("")
}
