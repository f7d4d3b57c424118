//! Former templates of daemon sets, for going back to.

use std::cmp::Reverse;
use std::collections::BTreeSet;

use api::kinds::daemonset::DaemonSet;
use api::kinds::pod::Pod;
use api::kinds::revision::{CONTROLLER_REVISION, ControllerRevision};
use serde_json::{Value, json};

use super::Action;
use super::daemonset::HASH;
use super::pods::owner;

/// Annotations that belong to the set alone.
const NOT_COPIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// What is to be done for the history of a set whose template has this hash.
pub(super) fn next(set: &DaemonSet, hash: &str, revisions: &[ControllerRevision], pods: &[Pod]) -> Vec<Action> {
    let data = data(set);
    let greatest = revisions.iter().map(|r| r.revision).max().unwrap_or(0);
    let current = revisions.iter().filter(|r| r.data.as_ref() == Some(&data)).max_by_key(|r| r.revision);
    let mut actions = Vec::new();
    match current {
        None => actions.push(make(set, hash, data, greatest + 1)),
        // gone back to: it is the newest one again
        Some(old) if old.revision < greatest => {
            let meta = &old.metadata;
            let patch = json!({"metadata": {"uid": meta.uid}, "revision": greatest + 1});
            actions.push(Action::Patch(&CONTROLLER_REVISION, meta.namespace.clone(), meta.name.clone(), patch));
        }
        Some(_) => {}
    }
    let used: BTreeSet<&String> = pods.iter().filter_map(|p| p.metadata.labels.get(HASH)).collect();
    let is_former = |r: &&ControllerRevision| current.is_none_or(|c| c.metadata.uid != r.metadata.uid);
    let is_free = |r: &&ControllerRevision| r.metadata.labels.get(HASH).is_none_or(|hash| !used.contains(hash));
    let mut former: Vec<&ControllerRevision> = revisions.iter().filter(is_former).filter(is_free).collect();
    former.sort_by_key(|r| Reverse(r.revision));
    let kept = usize::try_from(set.spec.revision_history_limit.unwrap_or(10)).unwrap_or(0);
    actions.extend(former.iter().skip(kept).map(|r| {
        let meta = &r.metadata;
        Action::Delete(&CONTROLLER_REVISION, meta.namespace.clone(), meta.name.clone(), meta.uid.clone())
    }));
    actions
}

/// The patch that brings the template back.
fn data(set: &DaemonSet) -> Value {
    let mut template = serde_json::to_value(&set.spec.template).unwrap_or_default();
    template["$patch"] = "replace".into();
    json!({"spec": {"template": template}})
}

fn make(set: &DaemonSet, hash: &str, data: Value, number: i64) -> Action {
    let mut labels = set.spec.template.metadata.labels.clone();
    labels.insert(HASH.into(), hash.into());
    let mut annotations = set.metadata.annotations.clone();
    annotations.remove(NOT_COPIED);
    let meta = json!({"name": format!("{}-{hash}", set.metadata.name), "labels": labels, "annotations": annotations,
        "ownerReferences": [owner("apps/v1", "DaemonSet", &set.metadata)]});
    Action::Create(
        &CONTROLLER_REVISION,
        set.metadata.namespace.clone(),
        json!({"metadata": meta, "data": data, "revision": number}),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(image: &str) -> DaemonSet {
        let template = json!({"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": image}]}});
        let meta = json!({"name": "s", "namespace": "d", "uid": "u", "annotations": {"kubernetes.io/change-cause": "why", NOT_COPIED: "x"}});
        serde_json::from_value(json!({"metadata": meta, "spec": {"template": template, "revisionHistoryLimit": 1}})).unwrap()
    }

    /// Does what is to be done, as the server would.
    fn step(set: &DaemonSet, hash: &str, revisions: &mut Vec<ControllerRevision>, pods: &[Pod]) {
        for action in next(set, hash, revisions, pods) {
            match action {
                Action::Create(_, _, mut object) => {
                    object["metadata"]["uid"] = object["metadata"]["name"].clone();
                    revisions.push(serde_json::from_value(object).unwrap());
                }
                Action::Patch(_, _, name, patch) => {
                    let old = revisions.iter_mut().find(|r| r.metadata.name == name).unwrap();
                    old.revision = patch["revision"].as_i64().unwrap();
                }
                Action::Delete(_, _, name, _) => revisions.retain(|r| r.metadata.name != name),
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn former_templates_are_kept_and_gone_back_to() {
        let mut revisions = Vec::new();
        step(&set("x:1"), "one", &mut revisions, &[]);
        assert_eq!((revisions[0].revision, revisions[0].metadata.name.as_str()), (1, "s-one"));
        let told: Vec<(&String, &String)> = revisions[0].metadata.annotations.iter().collect();
        assert_eq!(told, [(&"kubernetes.io/change-cause".to_string(), &"why".to_string())]);
        step(&set("x:2"), "two", &mut revisions, &[]);
        assert!(next(&set("x:2"), "two", &revisions, &[]).is_empty());
        step(&set("x:1"), "one", &mut revisions, &[]);
        assert_eq!(revisions.iter().map(|r| r.revision).collect::<Vec<_>>(), [3, 2]);
        // one former one is kept, and one more while pods have its template
        let pod: Pod = serde_json::from_value(json!({"metadata": {"labels": {HASH: "two"}}})).unwrap();
        step(&set("x:3"), "three", &mut revisions, std::slice::from_ref(&pod));
        step(&set("x:3"), "three", &mut revisions, std::slice::from_ref(&pod));
        assert_eq!(revisions.len(), 3);
        step(&set("x:3"), "three", &mut revisions, &[]);
        assert_eq!(revisions.iter().map(|r| r.metadata.name.as_str()).collect::<Vec<_>>(), ["s-one", "s-three"]);
    }
}
