//! Objects whose owners are gone go too; owners that wait for their dependents wait; orphans forget their owners.

use api::kinds::Kind;
use api::meta::{ObjectMeta, OwnerReference};
use serde_json::{Value, json};

use super::{Action, job};

/// What is known of an object.
#[derive(Debug, Clone)]
pub struct Known {
    /// The kind.
    pub kind: &'static Kind,
    /// Its metadata.
    pub meta: ObjectMeta,
}

const FOREGROUND: &str = "foregroundDeletion";
const ORPHAN: &str = "orphan";

fn has(known: &Known, finalizer: &str) -> bool {
    known.meta.finalizers.iter().any(|f| f == finalizer)
}

fn delete(known: &Known) -> Action {
    let meta = &known.meta;
    Action::Delete(known.kind, meta.namespace.clone(), meta.name.clone(), meta.uid.clone())
}

/// Deletes a dependent of an owner that waits for it: one with dependents of its own waits for these, too.
fn delete_last(known: &Known, has_dependents: bool) -> Action {
    match delete(known) {
        Action::Delete(kind, namespace, name, uid) if has_dependents => Action::DeleteLast(kind, namespace, name, uid),
        plain => plain,
    }
}

/// What is to be done for an object; `owner` finds an owner by its uid, `dependents` are those that name it as theirs, and `owns` says
/// whether an object with some uid has any.
pub fn next<'a>(
    object: &Known,
    owner: impl Fn(&str) -> Option<&'a Known>,
    dependents: &[&Known],
    owns: impl Fn(&str) -> bool,
) -> Vec<Action> {
    let meta = &object.meta;
    let counts = |reference: &OwnerReference| reference.kind == "Job" && owner(&reference.uid).is_some();
    if object.kind.kind == "Pod" && has(object, job::FINALIZER) && !meta.owner_references.iter().any(counts) {
        // the job that would count it is gone; whatever else there is to be done is done next
        return vec![Action::Release(object.kind, meta.namespace.clone(), meta.name.clone(), job::FINALIZER)];
    }
    if meta.deletion_timestamp.is_some() {
        return leaving(object, dependents, owns);
    }
    if meta.owner_references.is_empty() {
        return Vec::new();
    }
    let owners: Vec<Option<&Known>> = meta.owner_references.iter().map(|r| owner(&r.uid)).collect();
    let is_solid = |o: &Known| !(o.meta.deletion_timestamp.is_some() && has(o, FOREGROUND));
    let solid = owners.iter().flatten().any(|o| is_solid(o));
    if !solid {
        let somebody_waits = owners.iter().flatten().next().is_some();
        return vec![delete_last(object, somebody_waits && !dependents.is_empty())];
    }
    Vec::new()
}

fn leaving(object: &Known, dependents: &[&Known], owns: impl Fn(&str) -> bool) -> Vec<Action> {
    let meta = &object.meta;
    let release = |finalizer| Action::Release(object.kind, meta.namespace.clone(), meta.name.clone(), finalizer);
    if has(object, ORPHAN) {
        if dependents.is_empty() {
            return vec![release(ORPHAN)];
        }
        return dependents
            .iter()
            .map(|d| {
                let left: Vec<_> = d.meta.owner_references.iter().filter(|r| r.uid != meta.uid).collect();
                let left = if left.is_empty() { Value::Null } else { json!(left) };
                let patch = json!({"metadata": {"ownerReferences": left, "uid": d.meta.uid}});
                Action::Patch(d.kind, d.meta.namespace.clone(), d.meta.name.clone(), patch)
            })
            .collect();
    }
    if has(object, FOREGROUND) {
        let blocks =
            |d: &&&Known| d.meta.owner_references.iter().any(|r| r.uid == meta.uid && r.block_owner_deletion == Some(true));
        if !dependents.iter().any(|d| blocks(&d)) {
            return vec![release(FOREGROUND)];
        }
        let left = dependents.iter().filter(|d| d.meta.deletion_timestamp.is_none());
        return left.map(|d| delete_last(d, owns(&d.meta.uid))).collect();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds::deployment::DEPLOYMENT;
    use api::kinds::job::JOB;
    use api::kinds::pod::POD;
    use api::kinds::replicaset::REPLICA_SET;

    fn known(kind: &'static Kind, meta: Value) -> Known {
        Known { kind, meta: serde_json::from_value(meta).unwrap() }
    }

    fn set() -> Known {
        known(
            &REPLICA_SET,
            json!({"name": "s", "uid": "s", "ownerReferences": [{"uid": "d", "kind": "Deployment", "name": "d", "apiVersion": "apps/v1", "blockOwnerDeletion": true}]}),
        )
    }

    #[test]
    fn dependents_of_nobody_go() {
        assert!(matches!(next(&set(), |_| None, &[], |_| false)[..], [Action::Delete(..)]));
        let owner = known(&DEPLOYMENT, json!({"name": "d", "uid": "d"}));
        assert_eq!(next(&set(), |_| Some(&owner), &[], |_| false), []);
    }

    #[test]
    fn an_owner_in_the_foreground_waits() {
        let owner = known(
            &DEPLOYMENT,
            json!({"name": "d", "uid": "d", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]}),
        );
        assert!(matches!(next(&owner, |_| None, &[&set()], |_| false)[..], [Action::Delete(..)]));
        assert!(matches!(next(&set(), |_| Some(&owner), &[], |_| false)[..], [Action::Delete(..)]));
        // one that has dependents of its own goes after them, whoever of the two is looked at first
        assert!(matches!(next(&owner, |_| None, &[&set()], |_| true)[..], [Action::DeleteLast(..)]));
        let pod = known(&REPLICA_SET, json!({"name": "p", "uid": "p"}));
        assert!(matches!(next(&set(), |_| Some(&owner), &[&pod], |_| false)[..], [Action::DeleteLast(..)]));
        assert!(matches!(next(&set(), |_| None, &[&pod], |_| false)[..], [Action::Delete(..)]), "nobody waits");
        assert!(matches!(next(&owner, |_| None, &[], |_| false)[..], [Action::Release(..)]));
    }

    #[test]
    fn pods_that_nobody_counts_are_let_go() {
        let owned = json!([{"uid": "j", "kind": "Job", "name": "j", "apiVersion": "batch/v1", "controller": true}]);
        let pod = known(&POD, json!({"name": "p", "uid": "p", "finalizers": [job::FINALIZER], "ownerReferences": owned}));
        let job = known(&JOB, json!({"name": "j", "uid": "j", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(next(&pod, |_| Some(&job), &[], |_| false), []);
        assert!(matches!(next(&pod, |_| None, &[], |_| false)[..], [Action::Release(_, _, _, job::FINALIZER)]));
        let orphan = known(
            &POD,
            json!({"name": "p", "uid": "p", "finalizers": [job::FINALIZER], "deletionTimestamp": "2026-01-01T00:00:00Z"}),
        );
        assert!(matches!(next(&orphan, |_| None, &[], |_| false)[..], [Action::Release(_, _, _, job::FINALIZER)]));
    }

    #[test]
    fn orphans_forget_their_owner() {
        let owner = known(
            &DEPLOYMENT,
            json!({"name": "d", "uid": "d", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [ORPHAN]}),
        );
        let [Action::Patch(_, _, _, patch)] = &next(&owner, |_| None, &[&set()], |_| false)[..] else { panic!() };
        assert_eq!(patch["metadata"]["ownerReferences"], Value::Null);
        assert!(matches!(next(&owner, |_| None, &[], |_| false)[..], [Action::Release(..)]));
    }
}
