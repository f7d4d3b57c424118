//! Objects whose owners are gone go too; owners that wait for their dependents wait; orphans forget their owners.

use api::kinds::Kind;
use api::meta::ObjectMeta;
use serde_json::{Value, json};

use super::Action;

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

/// What is to be done for an object; `owner` finds an owner by its uid, `dependents` are those that name it as theirs.
pub fn next<'a>(object: &Known, owner: impl Fn(&str) -> Option<&'a Known>, dependents: &[&Known]) -> Vec<Action> {
    let meta = &object.meta;
    if meta.deletion_timestamp.is_some() {
        return leaving(object, dependents);
    }
    if meta.owner_references.is_empty() {
        return Vec::new();
    }
    let owners: Vec<Option<&Known>> = meta.owner_references.iter().map(|r| owner(&r.uid)).collect();
    let is_solid = |o: &Known| !(o.meta.deletion_timestamp.is_some() && has(o, FOREGROUND));
    let solid = owners.iter().flatten().any(|o| is_solid(o));
    if !solid {
        return vec![delete(object)];
    }
    Vec::new()
}

fn leaving(object: &Known, dependents: &[&Known]) -> Vec<Action> {
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
        return dependents.iter().filter(|d| d.meta.deletion_timestamp.is_none()).map(|d| delete(d)).collect();
    }
    Vec::new()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds::deployment::DEPLOYMENT;
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
        assert!(matches!(next(&set(), |_| None, &[])[..], [Action::Delete(..)]));
        let owner = known(&DEPLOYMENT, json!({"name": "d", "uid": "d"}));
        assert_eq!(next(&set(), |_| Some(&owner), &[]), []);
    }

    #[test]
    fn an_owner_in_the_foreground_waits() {
        let owner = known(
            &DEPLOYMENT,
            json!({"name": "d", "uid": "d", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [FOREGROUND]}),
        );
        assert!(matches!(next(&owner, |_| None, &[&set()])[..], [Action::Delete(..)]));
        assert!(matches!(next(&set(), |_| Some(&owner), &[])[..], [Action::Delete(..)]));
        assert!(matches!(next(&owner, |_| None, &[])[..], [Action::Release(..)]));
    }

    #[test]
    fn orphans_forget_their_owner() {
        let owner = known(
            &DEPLOYMENT,
            json!({"name": "d", "uid": "d", "deletionTimestamp": "2026-01-01T00:00:00Z", "finalizers": [ORPHAN]}),
        );
        let [Action::Patch(_, _, _, patch)] = &next(&owner, |_| None, &[&set()])[..] else { panic!() };
        assert_eq!(patch["metadata"]["ownerReferences"], Value::Null);
        assert!(matches!(next(&owner, |_| None, &[])[..], [Action::Release(..)]));
    }
}
