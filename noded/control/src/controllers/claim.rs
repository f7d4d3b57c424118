//! Whose is what: an object that a controller's selector chooses and that nobody owns becomes its own; one of its own that the selector does not
//! choose any more is let go.

use api::kinds::Kind;
use api::meta::{LabelSelector, ObjectMeta};
use api::selector;
use serde_json::{Value, json};

use super::Action;
use super::pods::{controller, owner};

/// A controller with a selector.
pub(super) struct Owner<'a> {
    pub(super) kind: &'static Kind,
    pub(super) meta: &'a ObjectMeta,
    pub(super) selector: Option<&'a LabelSelector>,
}

impl Owner<'_> {
    /// Whether its selector chooses these labels; without one it chooses nothing.
    pub(super) fn chooses(&self, meta: &ObjectMeta) -> bool {
        let is_given = |s: &&LabelSelector| !(s.match_labels.is_empty() && s.match_expressions.is_empty());
        meta.namespace == self.meta.namespace && self.selector.filter(is_given).is_some_and(|s| selector::matches(s, &meta.labels))
    }

    /// Whether an object is its own, and what is to be done for that to be so.
    pub(super) fn claim(&self, kind: &'static Kind, meta: &ObjectMeta) -> (bool, Option<Action>) {
        let is_going = self.meta.deletion_timestamp.is_some();
        match controller(meta) {
            Some(other) if other.uid != self.meta.uid => (false, None),
            Some(_) if self.chooses(meta) => (true, None),
            // what is left of one that goes is the garbage collector's
            Some(_) if is_going => (true, None),
            Some(_) => (false, Some(owners(kind, meta, rest(meta, &self.meta.uid)))),
            None if is_going || meta.deletion_timestamp.is_some() || !self.chooses(meta) => (false, None),
            None => {
                let mut all = rest(meta, &self.meta.uid);
                all.push(owner(&self.kind.api_version(), self.kind.kind, self.meta));
                (true, Some(owners(kind, meta, all)))
            }
        }
    }
}

/// The owners of an object but for this one.
fn rest(meta: &ObjectMeta, uid: &str) -> Vec<Value> {
    meta.owner_references.iter().filter(|o| o.uid != uid).filter_map(|o| serde_json::to_value(o).ok()).collect()
}

/// Sets the owners of an object, if it is as it was seen.
fn owners(kind: &'static Kind, meta: &ObjectMeta, owners: Vec<Value>) -> Action {
    let owners = if owners.is_empty() { Value::Null } else { owners.into() };
    let patch = json!({"metadata": {"ownerReferences": owners, "uid": meta.uid, "resourceVersion": meta.resource_version}});
    Action::Patch(kind, meta.namespace.clone(), meta.name.clone(), patch)
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::kinds::pod::POD;
    use api::kinds::replicaset::REPLICA_SET;

    fn meta(value: Value) -> ObjectMeta {
        serde_json::from_value(value).unwrap()
    }

    fn pod(labels: Value, owner: &str) -> ObjectMeta {
        let owner = json!([{"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "s", "uid": owner, "controller": true}]);
        let owners = if owner[0]["uid"] == "" { json!([]) } else { owner };
        meta(
            json!({"name": "p", "namespace": "d", "uid": "p", "resourceVersion": "7", "labels": labels, "ownerReferences": owners}),
        )
    }

    fn claim(set: &ObjectMeta, pod: &ObjectMeta) -> (bool, Option<Value>) {
        let selector: LabelSelector = serde_json::from_value(json!({"matchLabels": {"a": "b"}})).unwrap();
        let (own, action) = Owner { kind: &REPLICA_SET, meta: set, selector: Some(&selector) }.claim(&POD, pod);
        (own, action.map(|a| if let Action::Patch(_, _, _, patch) = a { patch } else { panic!("{a:?}") }))
    }

    #[test]
    fn orphans_are_adopted_and_strangers_let_go() {
        let set = meta(json!({"name": "s", "namespace": "d", "uid": "s"}));
        let (fits, other) = (json!({"a": "b"}), json!({"a": "c"}));
        assert_eq!(claim(&set, &pod(fits.clone(), "s")), (true, None));
        assert_eq!(claim(&set, &pod(fits.clone(), "another")), (false, None), "it has a controller");
        assert_eq!(claim(&set, &pod(other.clone(), "")), (false, None));
        let (own, patch) = claim(&set, &pod(fits.clone(), ""));
        let patch = patch.unwrap();
        assert!(own && patch["metadata"]["ownerReferences"][0]["uid"] == "s" && patch["metadata"]["resourceVersion"] == "7");
        let (own, patch) = claim(&set, &pod(other, "s"));
        assert!(!own && patch.unwrap()["metadata"]["ownerReferences"].is_null());
        let mut elsewhere = pod(fits.clone(), "");
        elsewhere.namespace = "e".into();
        assert_eq!(claim(&set, &elsewhere), (false, None));
        let going = meta(json!({"name": "s", "namespace": "d", "uid": "s", "deletionTimestamp": "2026-01-01T00:00:00Z"}));
        assert_eq!(claim(&going, &pod(fits, "")), (false, None), "one that goes takes nobody along");
    }
}
