//! Patches on real kinds.

use serde_json::{Value, json};

use super::{Writer, apply, strategic, track};
use crate::kinds::deployment::DEPLOYMENT;
use crate::kinds::event::EVENT;
use crate::kinds::event_v1::EVENT_V1;
use crate::kinds::pod::POD;
use crate::meta::Time;

fn patched(mut object: Value, patch: Value) -> Value {
    strategic(&mut object, patch, POD.table).unwrap();
    object
}

fn two() -> Value {
    json!({"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:1"}], "nodeName": "n"}})
}

#[test]
fn entries_merge_by_their_key() {
    let object = patched(
        two(),
        json!({"spec": {"containers": [{"name": "b", "image": "y:2"}, {"name": "c", "image": "z"}], "nodeName": null}}),
    );
    assert_eq!(
        object,
        json!({"spec": {"containers": [{"name": "a", "image": "x:1"}, {"name": "b", "image": "y:2"}, {"name": "c", "image": "z"}]}})
    );
}

#[test]
fn directives_are_obeyed() {
    let object = patched(two(), json!({"spec": {"containers": [{"name": "a", "$patch": "delete"}]}}));
    assert_eq!(object["spec"]["containers"], json!([{"name": "b", "image": "y:1"}]));
    let object = patched(two(), json!({"spec": {"containers": [{"$patch": "replace"}, {"name": "c"}]}}));
    assert_eq!(object["spec"]["containers"], json!([{"name": "c"}]));
    let object = patched(
        two(),
        json!({"spec": {"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "a", "image": "x:2"}]}}),
    );
    assert_eq!(object["spec"]["containers"], json!([{"name": "b", "image": "y:1"}, {"name": "a", "image": "x:2"}]));
    let object = patched(two(), json!({"spec": {"$patch": "replace", "nodeName": "m"}}));
    assert_eq!(object, json!({"spec": {"nodeName": "m"}}));
    let object = patched(two(), json!({"spec": {"$retainKeys": ["nodeName"], "nodeName": "m"}}));
    assert_eq!(object, json!({"spec": {"nodeName": "m"}}));
    let held = json!({"metadata": {"finalizers": ["a/b", "c/d"]}});
    let object = patched(held.clone(), json!({"metadata": {"$deleteFromPrimitiveList/finalizers": ["a/b"]}}));
    assert_eq!(object["metadata"]["finalizers"], json!(["c/d"]));
    let object = patched(held, json!({"metadata": {"finalizers": ["e/f"]}}));
    assert_eq!(object["metadata"]["finalizers"], json!(["a/b", "c/d", "e/f"]));
}

#[test]
fn patches_that_make_no_sense_are_refused() {
    for bad in [
        json!([]),
        json!({"$patch": "x"}),
        json!({"spec": {"containers": [{"image": "x"}]}}),
        json!({"spec": {"containers": ["x"]}}),
    ] {
        assert!(strategic(&mut two(), bad.clone(), POD.table).is_err(), "{bad}");
    }
}

fn by(manager: &str) -> Writer {
    Writer { manager: manager.into(), api_version: "apps/v1".into(), subresource: String::new() }
}

fn web(replicas: Option<i32>, image: &str) -> Value {
    let mut object = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "b"}},
        "spec": {"template": {"spec": {"containers": [{"name": "c", "image": image}]}}}});
    if let Some(replicas) = replicas {
        object["spec"]["replicas"] = replicas.into();
    }
    object
}

fn applied(live: Option<&Value>, config: &Value, manager: &str, force: bool) -> Result<Value, super::Conflicts> {
    apply(live, config, DEPLOYMENT.table, &by(manager), force, Time::default()).map(|a| a.object)
}

#[test]
fn an_apply_owns_what_it_says_and_removes_what_it_says_no_longer() {
    let first = applied(None, &web(Some(3), "x:1"), "me", false).unwrap();
    let fields = &first["metadata"]["managedFields"][0]["fieldsV1"];
    assert_eq!(
        fields["f:spec"]["f:template"]["f:spec"]["f:containers"]["k:{\"name\":\"c\"}"],
        json!({"f:image": {}, "f:name": {}, ".": {}})
    );
    let second = applied(Some(&first), &web(None, "x:2"), "me", false).unwrap();
    assert_eq!(second["spec"].get("replicas"), None);
    assert_eq!(second["spec"]["template"]["spec"]["containers"][0]["image"], "x:2");
    let mut empty = web(None, "x:2");
    empty["spec"]["template"]["spec"]["containers"] = json!([]);
    let third = applied(Some(&second), &empty, "me", false).unwrap();
    assert_eq!(third["spec"].get("template"), None);
}

#[test]
fn others_fields_are_conflicts_until_forced() {
    let first = applied(None, &web(Some(3), "x:1"), "me", false).unwrap();
    let mut scaled = first.clone();
    scaled["spec"]["replicas"] = 5.into();
    track(Some(&first), &mut scaled, DEPLOYMENT.table, &by("scaler"), Time::default());
    let conflicts = applied(Some(&scaled), &web(Some(3), "x:1"), "me", false).unwrap_err();
    assert_eq!(conflicts, [("\"scaler\" using apps/v1".to_string(), ".spec.replicas".to_string())]);
    // the same value is no conflict: both own it
    let shared = applied(Some(&scaled), &web(Some(5), "x:1"), "me", false).unwrap();
    assert_eq!(shared["metadata"]["managedFields"].as_array().unwrap().len(), 2);
    let forced = applied(Some(&scaled), &web(Some(3), "x:1"), "me", true).unwrap();
    assert_eq!((&forced["spec"]["replicas"], forced["metadata"]["managedFields"].as_array().unwrap().len()), (&json!(3), 1));
    // what another still owns stays when I no longer say it
    let left = applied(Some(&shared), &web(None, "x:1"), "me", false).unwrap();
    assert_eq!(left["spec"]["replicas"], 5);
}

#[test]
fn the_same_apply_twice_changes_nothing() {
    let first = applied(None, &web(Some(3), "x:1"), "me", false).unwrap();
    let again = apply(Some(&first), &web(Some(3), "x:1"), DEPLOYMENT.table, &by("me"), false, Time::now()).unwrap();
    assert!(!again.changed);
    assert_eq!(again.object, first);
}

/// Whoever speaks the newer group's words owns fields by these words, whatever they are kept as.
#[test]
fn owners_are_noted_in_their_own_words() {
    let newer =
        |manager: &str| Writer { manager: manager.into(), api_version: "events.k8s.io/v1".into(), subresource: String::new() };
    let config = |note: &str| {
        let mut object = json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": note,
            "regarding": {"name": "p"}});
        EVENT_V1.keep(&mut object);
        object
    };
    let first = apply(None, &config("n"), EVENT.table, &newer("me"), false, Time::default()).unwrap().object;
    let entry = |object: &Value, at: usize| object["metadata"]["managedFields"][at].clone();
    let fields = json!({"f:note": {}, "f:regarding": {"f:name": {}}});
    assert_eq!((&entry(&first, 0)["apiVersion"], &entry(&first, 0)["fieldsV1"]), (&json!("events.k8s.io/v1"), &fields));
    // others speak otherwise of the same field
    let conflicts = apply(Some(&first), &config("m"), EVENT.table, &newer("you"), false, Time::default()).unwrap_err();
    assert_eq!(conflicts, [("\"me\"".to_string(), ".note".to_string())]);
    let mut changed = first.clone();
    changed["message"] = "m".into();
    let older = Writer { api_version: "v1".into(), ..newer("you") };
    track(Some(&first), &mut changed, EVENT.table, &older, Time::default());
    assert_eq!(entry(&changed, 0)["fieldsV1"], json!({"f:regarding": {"f:name": {}}}));
    assert_eq!((&entry(&changed, 1)["apiVersion"], &entry(&changed, 1)["fieldsV1"]), (&json!("v1"), &json!({"f:message": {}})));
    // what is said no longer goes
    let mut less = config("m");
    less.as_object_mut().unwrap().shift_remove("involvedObject");
    let less = apply(Some(&changed), &less, EVENT.table, &newer("me"), true, Time::default()).unwrap().object;
    assert_eq!((less.get("involvedObject"), &less["message"]), (None, &json!("m")));
}

#[test]
fn copies_do_not_grow_without_end() {
    let mut object = json!({"a": ["x".repeat(1000)]});
    let copy = json!({"op": "copy", "from": "/a", "path": "/a/-"});
    let bomb = Value::Array(vec![copy.clone(); 40]);
    assert!(matches!(super::operations(&mut object, bomb), Err(super::NotPatched::TooMuch)));
    let mut object = json!({"a": ["x"]});
    super::operations(&mut object, json!([copy])).unwrap();
    assert_eq!(object, json!({"a": ["x", ["x"]]}));
    assert!(super::operations(&mut object, json!([{"op": "remove", "path": "/b"}])).is_err());
    assert!(super::operations(&mut object, json!({"op": "remove"})).is_err());
}
