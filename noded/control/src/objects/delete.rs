//! Objects go: at once, after a grace, or when their last finalizer does.

use std::sync::Arc;

use api::kinds::Kind;
use api::kinds::namespace::NAMESPACE;
use api::kinds::pod::POD;
use api::meta::Time;
use api::status::Status;
use serde_json::{Value, json};

use super::{Context, Objects, Part, internal, key, text};
use crate::store::{Change, Entry, Expect, NotWritten};

/// What becomes of an object's dependents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Propagation {
    /// They go after it.
    #[default]
    Background,
    /// It goes after them.
    Foreground,
    /// They stay.
    Orphan,
}

/// How an object is deleted.
#[derive(Debug, Clone, Default)]
pub struct DeleteOptions {
    /// How long it may take to end, in seconds; its own wish by default.
    pub grace: Option<i64>,
    /// What becomes of its dependents.
    pub propagation: Propagation,
    /// Only the object with this uid.
    pub uid: Option<String>,
    /// Only at this revision.
    pub resource_version: Option<String>,
    /// Nothing is written.
    pub dry_run: bool,
}

/// What a deletion came to.
#[derive(Debug, Clone)]
pub enum Deleted {
    /// It is gone; this is what it was.
    Gone(Arc<Entry>),
    /// It is marked and will go.
    Going(Arc<Entry>),
}

/// What a deletion does with an object as it is.
#[derive(Debug, PartialEq)]
enum Step {
    Remove,
    Mark(Value),
    Nothing,
}

impl Objects {
    /// Deletes an object.
    ///
    /// # Errors
    /// That it is not there, or not the one that is meant.
    pub async fn delete(
        &self,
        kind: &'static Kind,
        namespace: &str,
        name: &str,
        options: &DeleteOptions,
    ) -> Result<Deleted, Status> {
        loop {
            let entry = self.get(kind, namespace, name)?;
            let object = entry.object();
            check(kind, name, &object, options)?;
            let step = plan(kind, &object, options, Time::now());
            if step == Step::Nothing {
                return Ok(Deleted::Going(entry));
            }
            if options.dry_run {
                return Ok(if step == Step::Remove { Deleted::Gone(entry) } else { Deleted::Going(entry) });
            }
            match step {
                Step::Mark(marked) => {
                    let context = Context { manager: "noded".into(), ..Default::default() };
                    let uid = text(&object, "/metadata/uid").to_string();
                    let written = self.update(kind, namespace, name, Part::Whole("delete"), &context, |now| {
                        if text(now, "/metadata/uid") == uid
                            && now["metadata"]["resourceVersion"] == object["metadata"]["resourceVersion"]
                        {
                            Ok(marked.clone())
                        } else {
                            Err(Status::modified(kind, name))
                        }
                    });
                    match written.await {
                        Ok(entry) => return Ok(Deleted::Going(entry)),
                        Err(status) if status.code == 409 => {}
                        Err(status) => return Err(status),
                    }
                }
                _ => {
                    let change = Change { key: key(kind, namespace, name), expect: Expect::Revision(entry.revision), object: None };
                    match self.write(change).await {
                        Err(NotWritten::Mismatch) => {}
                        written => return written.map(Deleted::Gone).map_err(internal),
                    }
                }
            }
        }
    }
}

fn check(kind: &Kind, name: &str, object: &Value, options: &DeleteOptions) -> Result<(), Status> {
    let differs = |asked: &Option<String>, place: &str| asked.as_deref().is_some_and(|a| a != text(object, place));
    if differs(&options.uid, "/metadata/uid") {
        let (asked, own) = (options.uid.as_deref().unwrap_or(""), text(object, "/metadata/uid"));
        return Err(Status::conflict(
            kind,
            name,
            &format!("Precondition failed: UID in precondition: {asked}, UID in object meta: {own}"),
        ));
    }
    if differs(&options.resource_version, "/metadata/resourceVersion") {
        return Err(Status::modified(kind, name));
    }
    if kind.table.name == NAMESPACE.table.name && matches!(name, "default" | "kube-system" | "kube-public") {
        return Err(Status::forbidden(Some(("", "namespaces")), name, "this namespace may not be deleted"));
    }
    Ok(())
}

/// What to do with `object` now.
fn plan(kind: &Kind, object: &Value, options: &DeleteOptions, now: Time) -> Step {
    let mut new = object.clone();
    let grace = grace(kind, object, options);
    let meta = &mut new["metadata"];
    let finalizer = match options.propagation {
        Propagation::Background => None,
        Propagation::Foreground => Some("foregroundDeletion"),
        Propagation::Orphan => Some("orphan"),
    };
    let was_going = meta.get("deletionTimestamp").is_some();
    if let Some(finalizer) = finalizer.filter(|_| !was_going) {
        let mut list = meta["finalizers"].as_array().cloned().unwrap_or_default();
        if !list.iter().any(|f| f == finalizer) {
            list.push(finalizer.into());
        }
        meta["finalizers"] = list.into();
    }
    let is_held = meta["finalizers"].as_array().is_some_and(|f| !f.is_empty())
        || object["spec"]["finalizers"].as_array().is_some_and(|f| !f.is_empty());
    if grace == 0 && !is_held {
        return Step::Remove;
    }
    let left = meta["deletionGracePeriodSeconds"].as_i64();
    if was_going && left.is_none_or(|left| grace >= left) {
        return Step::Nothing;
    }
    let end = now.0.checked_add(jiff::SignedDuration::from_secs(grace)).map_or(now, Time);
    meta["deletionTimestamp"] = end.to_string().into();
    meta["deletionGracePeriodSeconds"] = grace.into();
    if kind.table.name == NAMESPACE.table.name {
        new["status"]["phase"] = json!("Terminating");
    }
    Step::Mark(new)
}

/// Only pods that run somewhere get time to end.
fn grace(kind: &Kind, object: &Value, options: &DeleteOptions) -> i64 {
    let is_done = matches!(text(object, "/status/phase"), "Succeeded" | "Failed");
    if kind.table.name != POD.table.name || text(object, "/spec/nodeName").is_empty() || is_done {
        return 0;
    }
    options.grace.or_else(|| object["spec"]["terminationGracePeriodSeconds"].as_i64()).unwrap_or(30).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pod(node: &str) -> Value {
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": node, "terminationGracePeriodSeconds": 30}, "status": {"phase": "Running"}})
    }

    #[test]
    fn only_pods_on_a_node_get_time() {
        let now = Time::parse("2026-01-01T00:00:00Z").unwrap();
        let options = DeleteOptions::default();
        assert_eq!(plan(&POD, &pod(""), &options, now), Step::Remove);
        let Step::Mark(marked) = plan(&POD, &pod("n"), &options, now) else { panic!() };
        assert_eq!(
            (&marked["metadata"]["deletionTimestamp"], &marked["metadata"]["deletionGracePeriodSeconds"]),
            (&json!("2026-01-01T00:00:30Z"), &json!(30))
        );
        assert_eq!(plan(&POD, &marked, &options, now), Step::Nothing);
        let sooner = DeleteOptions { grace: Some(5), ..Default::default() };
        assert!(matches!(plan(&POD, &marked, &sooner, now), Step::Mark(_)));
        let at_once = DeleteOptions { grace: Some(0), ..Default::default() };
        assert_eq!(plan(&POD, &marked, &at_once, now), Step::Remove);
    }

    #[test]
    fn finalizers_hold_an_object() {
        let now = Time::default();
        let held = json!({"metadata": {"name": "x", "finalizers": ["a/b"]}});
        assert!(matches!(plan(&NAMESPACE, &held, &DeleteOptions::default(), now), Step::Mark(_)));
        let foreground = DeleteOptions { propagation: Propagation::Foreground, ..Default::default() };
        let Step::Mark(marked) = plan(&POD, &pod(""), &foreground, now) else { panic!() };
        assert_eq!(marked["metadata"]["finalizers"], json!(["foregroundDeletion"]));
    }
}
