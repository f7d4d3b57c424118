//! Mirrors: objects in the API that show static pods. They follow the pods, never the other way.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use serde_json::{Value, json};

use super::super::api::{Api, Refused};
use super::super::effects::Shared;
use super::{HASH, MIRROR, Statics};
use crate::host::retry::Retry;

/// Mirrors of this node that the API has, by namespace and name.
pub(in super::super) type Mirrors = BTreeMap<(String, String), Value>;

/// What is to be done in the API.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    Make(Value),
    /// One that shows nothing, or something old, or that somebody wants to have deleted: then it is made anew.
    Remove(Value),
}

/// Keeps the mirrors right for ever. Nothing is done before the API has told all of them.
pub(in super::super) async fn keep(shared: &Shared) {
    let (api, node) = (&shared.api, &shared.place.node);
    let (mut statics, mut mirrors) = (shared.statics.subscribe(), shared.mirrors.subscribe());
    let mut failing = BTreeMap::<(String, String), Retry>::new();
    loop {
        let steps = {
            let (statics, mirrors) = (statics.borrow_and_update(), mirrors.borrow_and_update());
            mirrors.as_ref().map(|mirrors| plan(&statics, mirrors)).unwrap_or_default()
        };
        let (mut before, mut pause) = (std::mem::take(&mut failing), None);
        for step in steps {
            if let Err(error) = done(api, node, &step).await {
                let (Step::Make(object) | Step::Remove(object)) = &step;
                let mut retry = before.remove(&key(object)).unwrap_or_else(|| Retry::new(Duration::from_secs(60)));
                pause = pause.max(Some(retry.failed(&format!("mirror the static pod {}", object["metadata"]["name"]), &error)));
                failing.insert(key(object), retry);
            }
        }
        tokio::select! {
            changed = statics.changed() => if changed.is_err() { return },
            changed = mirrors.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(pause.unwrap_or_default()), if pause.is_some() => {}
        }
    }
}

fn plan(statics: &Statics, mirrors: &Mirrors) -> Vec<Step> {
    let shown = |mirror: &Value| mirror["metadata"]["deletionTimestamp"].is_null() && shows(statics, mirror).is_some();
    let old = mirrors.values().filter(|mirror| !shown(mirror)).cloned().map(Step::Remove);
    let new = statics.values().filter(|one| !mirrors.contains_key(&key(&one.raw))).map(|one| Step::Make(of(&one.raw)));
    old.chain(new).collect()
}

/// Where an object is.
pub(in super::super) fn key(object: &Value) -> (String, String) {
    let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
    (text("namespace"), text("name"))
}

/// The uid of the static pod that a mirror shows as it is now.
pub(in super::super) fn shows(statics: &Statics, mirror: &Value) -> Option<String> {
    let hash = mirror["metadata"]["annotations"][MIRROR].as_str()?;
    let one = statics.get(hash)?;
    (key(&one.raw) == key(mirror)).then(|| hash.to_owned())
}

/// The uids that the API has for static pods, with their own. Only mirrors in their very place count: whatever else says that it is one is not believed.
pub(in super::super) fn known(statics: &Statics, mirrors: Option<&Mirrors>) -> HashMap<String, String> {
    let all = mirrors.into_iter().flat_map(|mirrors| mirrors.values());
    all.filter_map(|mirror| Some((mirror["metadata"]["uid"].as_str()?.to_owned(), shows(statics, mirror)?))).collect()
}

/// The object that shows a static pod.
fn of(pod: &Value) -> Value {
    let mut mirror = pod.clone();
    mirror["metadata"]["annotations"][MIRROR] = mirror["metadata"]["annotations"][HASH].clone();
    if let Some(metadata) = mirror["metadata"].as_object_mut() {
        metadata.shift_remove("uid");
    }
    mirror
}

async fn done(api: &Api, node: &str, step: &Step) -> Result<(), Refused> {
    let result = match step {
        Step::Make(mirror) => {
            let owner = api.get(&format!("/api/v1/nodes/{node}")).await?["metadata"]["uid"].take();
            let mut mirror = mirror.clone();
            let owner = json!({ "apiVersion": "v1", "kind": "Node", "name": node, "uid": owner, "controller": true });
            mirror["metadata"]["ownerReferences"] = json!([owner]);
            api.create(&format!("/api/v1/namespaces/{}/pods", key(&mirror).0), &mirror).await.map(drop)
        }
        Step::Remove(mirror) => {
            let (namespace, name) = key(mirror);
            let options = json!({ "gracePeriodSeconds": 0, "preconditions": { "uid": mirror["metadata"]["uid"] } });
            api.delete(&format!("/api/v1/namespaces/{namespace}/pods/{name}"), &options).await.map(drop)
        }
    };
    match result {
        // Somebody was faster; the watch tells.
        Err(error) if error.is_conflict() || matches!(step, Step::Remove(_)) && error.is_missing() => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::Static;
    use super::*;

    fn statics(names: &[&str]) -> Statics {
        let one = |name: &&str| {
            let uid = format!("hash-{name}");
            let raw = json!({"metadata": {"name": name, "namespace": "d", "uid": uid, "annotations": {HASH: uid}}, "spec": {"containers": []}});
            let pod = Arc::new(serde_json::from_value(raw.clone()).unwrap());
            (uid, Static { raw, pod })
        };
        names.iter().map(one).collect()
    }

    fn mirror(name: &str, hash: &str, uid: &str) -> Value {
        json!({"metadata": {"name": name, "namespace": "d", "uid": uid, "annotations": {HASH: hash, MIRROR: hash}}})
    }

    fn all(mirrors: &[Value]) -> Mirrors {
        mirrors.iter().map(|mirror| (key(mirror), mirror.clone())).collect()
    }

    #[test]
    fn mirrors_follow_pods() {
        let pods = statics(&["a", "b"]);
        let (a, mut going) = (mirror("a", "hash-a", "1"), mirror("b", "hash-b", "2"));
        going["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z".into();
        assert_eq!(plan(&pods, &all(std::slice::from_ref(&a))), [Step::Make(of(&pods["hash-b"].raw))]);
        assert_eq!(of(&pods["hash-b"].raw)["metadata"]["annotations"][MIRROR], "hash-b");
        assert!(of(&pods["hash-b"].raw)["metadata"].get("uid").is_none());
        assert_eq!(plan(&pods, &all(&[a.clone(), going.clone()])), [Step::Remove(going)]);
        let (old, orphan) = (mirror("b", "hash-of-before", "2"), mirror("c", "hash-c", "3"));
        assert_eq!(plan(&pods, &all(&[a, old.clone(), orphan.clone()])), [Step::Remove(old), Step::Remove(orphan)]);
    }

    #[test]
    fn whoever_says_that_it_is_a_mirror_is_not_believed() {
        let pods = statics(&["a"]);
        let thief = mirror("thief", "hash-a", "9");
        let mirrors = all(&[mirror("a", "hash-a", "1"), thief.clone()]);
        assert_eq!(known(&pods, Some(&mirrors)), HashMap::from([("1".to_owned(), "hash-a".to_owned())]));
        assert!(plan(&pods, &mirrors).contains(&Step::Remove(thief)));
    }
}
