//! Objects come to be.

use std::sync::Arc;

use api::kinds::Kind;
use api::kinds::namespace::NAMESPACE;
use api::kinds::service::SERVICE;
use api::meta::Time;
use api::patch::track;
use api::prepare;
use api::status::Status;
use serde_json::Value;

use super::{Context, Objects, internal, key, text, unwritten};
use crate::random;
use crate::store::{Change, Entry, Expect, NotWritten};

impl Objects {
    /// Makes an object in a namespace (empty for cluster objects).
    ///
    /// # Errors
    /// Rules that it breaks, a name that is taken, a namespace that is not there or is going.
    pub async fn create(
        &self,
        kind: &'static Kind,
        namespace: &str,
        mut object: Value,
        context: &Context,
    ) -> Result<Arc<Entry>, Status> {
        if !text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
        }
        self.admit(kind, namespace, text(&object, "/metadata/name"))?;
        begin(kind, namespace, &mut object);
        let generated = text(&object, "/metadata/name").is_empty();
        loop {
            let mut made = object.clone();
            if kind.kind == "Pod" {
                // before it has a name of its own: what is said of one is said of all of them, and can be counted
                self.identify(namespace, &mut made)?;
                self.rank(&mut made)?;
            }
            if generated {
                name_it(&mut made);
            }
            let name = text(&made, "/metadata/name").to_string();
            if kind.table.name == SERVICE.table.name {
                self.address(&mut made)?;
            }
            self.check_default(kind, &name, &made)?;
            prepare::complete(kind, &mut made);
            let errors = prepare::validate(kind, &made, None);
            if !errors.is_empty() {
                return Err(Status::invalid(kind, &name, &errors));
            }
            if !context.applied {
                track(None, &mut made, kind.table, &context.writer(kind, ""), Time::now());
            }
            let place = key(kind, namespace, &name);
            if context.dry_run {
                return match self.store().get(&place) {
                    Some(_) => Err(Status::already_exists(kind, &name)),
                    None => Ok(unwritten(kind, namespace, &name, &made)),
                };
            }
            match self.write(Change { key: place, expect: Expect::Absent, object: Some(made) }).await {
                Err(NotWritten::Mismatch) if generated => {}
                Err(NotWritten::Mismatch) => return Err(Status::already_exists(kind, &name)),
                written => {
                    let entry = written.map_err(internal)?;
                    if kind.table.name == SERVICE.table.name && self.is_double(&entry) {
                        let gone =
                            Change { key: key(kind, namespace, &name), expect: Expect::Revision(entry.revision), object: None };
                        self.write(gone).await.map_err(internal)?;
                        continue;
                    }
                    return Ok(entry);
                }
            }
        }
    }

    /// Nothing comes to be in a namespace that is not there, or is going.
    fn admit(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Status> {
        if !kind.namespaced {
            return Ok(());
        }
        let space = self.get(&NAMESPACE, "", namespace)?.object();
        if space["metadata"].get("deletionTimestamp").is_some() {
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            return Err(Status::forbidden(Some((kind.group, kind.plural)), name, &why));
        }
        Ok(())
    }
}

/// What the server alone decides about a new object.
fn begin(kind: &Kind, namespace: &str, object: &mut Value) {
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    // nodes come with what they are; what becomes of all others is not their maker's to say
    if kind.has_status
        && kind.kind != "Node"
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    let meta = &mut object["metadata"];
    if kind.namespaced {
        meta["namespace"] = namespace.into();
    }
    meta["uid"] = random::uid().into();
    meta["creationTimestamp"] = Time::now().to_string().into();
    if kind.has_generation {
        meta["generation"] = 1.into();
    }
    if let Some(map) = meta.as_object_mut() {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
            map.shift_remove(field);
        }
    }
}

/// Completes a generated name.
fn name_it(object: &mut Value) {
    const LONGEST: usize = 58;
    let base = text(object, "/metadata/generateName").to_string();
    if !base.is_empty() {
        let base: String = base.chars().take(LONGEST).collect();
        object["metadata"]["name"] = format!("{base}{}", random::letters(5)).into();
    }
}
