//! What controllers of pods share.

use api::kinds::pod::{Pod, PodTemplateSpec};
use api::meta::{ObjectMeta, OwnerReference, Time};
use serde_json::{Value, json};

/// It is there to stay: not done and not going.
pub(super) fn is_active(pod: &Pod) -> bool {
    !pod.is_done() && pod.metadata.deletion_timestamp.is_none()
}

/// It has been ready for long enough; or how many seconds are missing.
pub(super) fn availability(pod: &Pod, min_ready: i32, now: jiff::Timestamp) -> Result<(), Option<i64>> {
    let Some(ready) = pod.condition("Ready").filter(|c| c.status == "True") else { return Err(None) };
    let since = ready.last_transition_time.map_or(i64::MAX, |t| ago(pod, t, now));
    if min_ready == 0 || since >= i64::from(min_ready) { Ok(()) } else { Err(Some(i64::from(min_ready) - since)) }
}

/// How many seconds ago something happened to a pod, as its node's clock says, which may be wrong: never before the pod was made, and what is
/// to happen only later happened when it was.
pub(super) fn ago(pod: &Pod, time: Time, now: jiff::Timestamp) -> i64 {
    let age = pod.metadata.creation_timestamp.map(|made| made.seconds_until(now)).filter(|age| *age >= 0).unwrap_or(i64::MAX);
    let said = time.seconds_until(now);
    if said < 0 { age } else { said.min(age) }
}

/// A reference to the controller of an object.
pub(super) fn owner(api_version: &str, kind: &str, meta: &ObjectMeta) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "name": meta.name, "uid": meta.uid, "controller": true, "blockOwnerDeletion": true})
}

/// The controller of an object.
pub(super) fn controller(meta: &ObjectMeta) -> Option<&OwnerReference> {
    meta.owner_references.iter().find(|r| r.controller == Some(true))
}

/// A pod of a template.
pub(super) fn from_template(template: &PodTemplateSpec, name: &str, owner: &Value) -> Value {
    json!({
        "metadata": {"generateName": format!("{name}-"), "labels": template.metadata.labels, "annotations": template.metadata.annotations,
            "finalizers": template.metadata.finalizers, "ownerReferences": [owner]},
        "spec": template.spec,
    })
}

/// What an event is about.
pub(super) fn reference(api_version: &str, kind: &str, meta: &ObjectMeta) -> Value {
    json!({"apiVersion": api_version, "kind": kind, "namespace": meta.namespace, "name": meta.name, "uid": meta.uid, "resourceVersion": meta.resource_version})
}

/// A short name for what a template says; the same for the same template.
pub(super) fn hash(template: &PodTemplateSpec, collisions: i32) -> String {
    const LETTERS: &[u8; 27] = b"bcdfghjklmnpqrstvwxz2456789";
    let text = serde_json::to_string(template).unwrap_or_default();
    let mut number = twox_hash::XxHash3_64::oneshot_with_seed(u64::try_from(collisions).unwrap_or(0), text.as_bytes());
    (0..10)
        .map(|_| {
            let letter = LETTERS[usize::try_from(number % 27).unwrap_or(0)];
            number /= 27;
            char::from(letter)
        })
        .collect()
}

/// The sum of what is the same about many.
pub(super) fn count<T>(items: &[T], is: impl Fn(&T) -> bool) -> i32 {
    i32::try_from(items.iter().filter(|i| is(i)).count()).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_of_nodes_may_be_wrong() {
        let made = 1_000_000;
        let at = |seconds: i64| jiff::Timestamp::from_second(made + seconds).unwrap();
        let pod = |ready: i64| -> Pod {
            let ready = json!({"type": "Ready", "status": "True", "lastTransitionTime": Time(at(ready)).to_string()});
            let meta = json!({"name": "p", "creationTimestamp": Time(at(0)).to_string()});
            serde_json::from_value(json!({"metadata": meta, "status": {"conditions": [ready]}})).unwrap()
        };
        assert_eq!((availability(&pod(5), 10, at(14)), availability(&pod(5), 10, at(15))), (Err(Some(1)), Ok(())));
        // an hour behind: ready before it was made
        assert_eq!((availability(&pod(-3600), 10, at(2)), availability(&pod(-3600), 10, at(10))), (Err(Some(8)), Ok(())));
        // an hour ahead: ready only then
        assert_eq!((availability(&pod(3600), 10, at(2)), availability(&pod(3600), 10, at(10))), (Err(Some(8)), Ok(())));
        // our own is set back: nobody waits until it is that late again
        assert_eq!(availability(&pod(5), 10, at(-3600)), Ok(()));
    }
}
