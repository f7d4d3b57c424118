//! Objects change.

use std::sync::Arc;

use api::kinds::Kind;
use api::kinds::service::SERVICE;
use api::meta::Time;
use api::patch::track;
use api::prepare;
use api::status::Status;
use serde_json::{Map, Value};

use super::{Context, Objects, internal, key, text, unwritten};
use crate::store::{Change, Entry, Expect, NotWritten};

/// Which part of an object a writer may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// All but the status.
    Main,
    /// The status alone.
    Status,
    /// Both, for those inside the server who do what no client may: binding, finalizing, the number of replicas.
    Whole(&'static str),
}

impl Part {
    fn subresource(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::Status => "status",
            Self::Whole(name) => name,
        }
    }
}

impl Objects {
    /// Changes an object: `change` gets the current one and gives the new one, again as often as others are faster.
    ///
    /// # Errors
    /// That it is not there; what `change` says; rules that the new one breaks; that it is at another revision than the one it names.
    pub async fn update(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        part: Part,
        context: &Context,
        mut change: impl FnMut(&Value) -> Result<Value, Status> + Send,
    ) -> Result<Arc<Entry>, Status> {
        const TRIES: usize = 16;
        for _ in 0..TRIES {
            let entry = self.get(kind, namespace, name)?;
            let old = entry.object();
            let mut new = change(&old)?;
            let asked = text(&new, "/metadata/resourceVersion").to_string();
            if !asked.is_empty() && asked != "0" && asked != entry.revision.to_string() {
                return Err(Status::modified(kind, name));
            }
            same_object(kind, name, &new, &old)?;
            settle(kind, part, context.applied, &mut new, &old);
            let is_addressed = kind.table.name == SERVICE.table.name && part != Part::Status;
            if is_addressed {
                self.readdress(&mut new, &old)?;
            }
            self.check_default(kind, name, &new)?;
            prepare::complete(kind, &mut new);
            let mut errors = prepare::validate(kind, &new, (part == Part::Main).then_some(&old));
            if !errors.is_empty() {
                // What was let in by rules of before does not keep anybody from changing all the rest.
                let known = prepare::validate(kind, &old, None);
                errors.retain(|error| !known.contains(error));
            }
            if !errors.is_empty() {
                return Err(Status::invalid(kind, name, &errors));
            }
            if !context.applied {
                track(Some(&old), &mut new, kind.table, &context.writer(kind, part.subresource()), Time::now());
            }
            count_generation(kind, &mut new, &old);
            if same_but_owners(&new, &old) && same_owners(&new, &old) {
                return Ok(entry);
            }
            if context.dry_run {
                new["metadata"]["resourceVersion"] = entry.revision.to_string().into();
                return Ok(unwritten(kind, namespace, name, &new));
            }
            let object = (!is_finished(&new)).then_some(new);
            let may_be_double = is_addressed && object.is_some();
            let write = Change { key: key(kind, namespace, name), expect: Expect::Revision(entry.revision), object };
            match self.write(write).await {
                // who asks for a fixed revision is told at the next try; who asks for none never is
                Err(NotWritten::Mismatch) => {}
                Ok(written) if may_be_double && self.is_double(&written) => {
                    // as it was: the next try finds what is in its way, or chooses something else
                    let back =
                        Change { key: key(kind, namespace, name), expect: Expect::Revision(written.revision), object: Some(old) };
                    match self.write(back).await {
                        Err(NotWritten::Mismatch) => {}
                        put_back => drop(put_back.map_err(internal)?),
                    }
                }
                written => return written.map_err(internal),
            }
        }
        Err(Status::conflict(kind, name, "too many others change it; please try again"))
    }
}

/// A new version must be of the same object.
fn same_object(kind: &Kind, name: &str, new: &Value, old: &Value) -> Result<(), Status> {
    let given = text(new, "/metadata/name");
    if given != name {
        return Err(Status::bad_request(format!("the name of the object ({given}) does not match the name on the URL ({name})")));
    }
    let (uid, own) = (text(new, "/metadata/uid"), text(old, "/metadata/uid"));
    if !uid.is_empty() && uid != own {
        let why = format!("Precondition failed: UID in precondition: {uid}, UID in object meta: {own}");
        return Err(Status::conflict(kind, name, &why));
    }
    Ok(())
}

/// Puts back what this writer may not change.
fn settle(kind: &Kind, part: Part, applied: bool, new: &mut Value, old: &Value) {
    if part == Part::Status {
        let status = new.get("status").cloned();
        let fields = new["metadata"].get("managedFields").cloned();
        *new = old.clone();
        put(new, "status", status);
        if let Some(fields) = fields.filter(|_| applied) {
            new["metadata"]["managedFields"] = fields;
        }
        return;
    }
    if part == Part::Main && kind.has_status {
        put(new, "status", old.get("status").cloned());
    }
    put(new, "apiVersion", old.get("apiVersion").cloned());
    put(new, "kind", old.get("kind").cloned());
    for field in [
        "uid",
        "creationTimestamp",
        "namespace",
        "selfLink",
        "generation",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "resourceVersion",
    ] {
        if matches!(part, Part::Whole("delete")) && field.starts_with("deletion") {
            continue;
        }
        put(&mut new["metadata"], field, old["metadata"].get(field).cloned());
    }
}

fn put(object: &mut Value, field: &str, value: Option<Value>) {
    let Value::Object(map) = object else { return };
    match value {
        Some(value) => drop(map.insert(field.into(), value)),
        None => drop(map.shift_remove(field)),
    }
}

/// What is desired has changed: a new generation.
fn count_generation(kind: &Kind, new: &mut Value, old: &Value) {
    let desired = |o: &Value| -> Map<String, Value> {
        let mut map = o.as_object().cloned().unwrap_or_default();
        map.retain(|k, _| !matches!(k.as_str(), "metadata" | "status" | "apiVersion" | "kind"));
        map
    };
    let is_going = |o: &Value| o["metadata"].get("deletionTimestamp").is_some();
    if kind.has_generation && (desired(new) != desired(old) || is_going(new) != is_going(old)) {
        new["metadata"]["generation"] = (old["metadata"]["generation"].as_i64().unwrap_or(0) + 1).into();
    }
}

fn same_but_owners(new: &Value, old: &Value) -> bool {
    let plain = |o: &Value| {
        let mut o = o.clone();
        if let Value::Object(meta) = &mut o["metadata"] {
            meta.shift_remove("managedFields");
            meta.shift_remove("resourceVersion");
        }
        o
    };
    plain(new) == plain(old)
}

/// Owners are the same when only the times differ.
fn same_owners(new: &Value, old: &Value) -> bool {
    let list = |o: &Value| {
        let mut list = o["metadata"].get("managedFields").cloned().unwrap_or_default();
        for entry in list.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
            entry.shift_remove("time");
        }
        list
    };
    list(new) == list(old)
}

/// An object that is being deleted goes when nothing holds it any more.
fn is_finished(object: &Value) -> bool {
    let meta = &object["metadata"];
    let is_held = meta["finalizers"].as_array().is_some_and(|f| !f.is_empty())
        || object["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
    meta.get("deletionTimestamp").is_some() && !is_held && meta["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
}
