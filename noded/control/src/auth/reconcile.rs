//! Default roles and bindings of this version are put into what an earlier one has made: what is missing is added, what people have added
//! stays, what an earlier version gave too much is taken away, and who says `rbac.authorization.kubernetes.io/autoupdate: "false"` is left alone.

use api::kinds::rbac::PolicyRule;
use api::kinds::view;
use serde_json::{Value, json};

use super::policy::lacks;
use super::roles::withdrawn;

/// The annotation by which people keep their changes of a default role or binding.
pub(super) const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

/// What becomes of a default role or binding that is there.
#[derive(Debug, PartialEq)]
pub enum Mended {
    /// It is all that it must be, or not ours to change.
    Same,
    /// It lacks something: this is the whole of it.
    Changed(Value),
    /// It binds another role, and what a binding binds cannot be changed: it is made anew.
    Anew,
}

/// Adds to the object that is `there` what it lacks of the `default` one.
pub fn mended(default: &Value, there: &Value) -> Mended {
    if there["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return Mended::Same;
    }
    let role = |object: &Value| ["kind", "name"].map(|field| object["roleRef"][field].clone());
    if role(default) != role(there) {
        return Mended::Anew;
    }
    let mut new = there.clone();
    for map in ["labels", "annotations"] {
        for (key, value) in default["metadata"][map].as_object().into_iter().flatten() {
            if new["metadata"][map].get(key).is_none() {
                new["metadata"][map][key] = value.clone();
            }
        }
    }
    let held: Vec<PolicyRule> = there.get("rules").and_then(|rules| view(rules).ok()).unwrap_or_default();
    add(&mut new, "/rules", default, |rule| view(rule).is_ok_and(|rule| !lacks(&held, &rule)));
    let taken = withdrawn(default["metadata"]["name"].as_str().unwrap_or(""));
    if let Some(subjects) = new.get_mut("subjects").and_then(Value::as_array_mut) {
        subjects.retain(|one| one["kind"] != "Group" || !taken.iter().any(|name| one["name"] == **name));
    }
    let subject = |object: &Value| ["kind", "name", "namespace"].map(|field| object[field].as_str().unwrap_or("").to_owned());
    let bound: Vec<_> = there["subjects"].as_array().into_iter().flatten().map(subject).collect();
    add(&mut new, "/subjects", default, |wanted| bound.contains(&subject(wanted)));
    let chosen = there["aggregationRule"]["clusterRoleSelectors"].as_array().cloned().unwrap_or_default();
    add(&mut new, "/aggregationRule/clusterRoleSelectors", default, |wanted| chosen.contains(wanted));
    if new == *there { Mended::Same } else { Mended::Changed(new) }
}

/// Puts what is in a list of the default object and is not there at the end of the same list.
fn add(new: &mut Value, place: &str, default: &Value, is_there: impl Fn(&Value) -> bool) {
    for wanted in default.pointer(place).and_then(Value::as_array).into_iter().flatten().filter(|wanted| !is_there(wanted)) {
        let list = place.split('/').skip(1).fold(&mut *new, |at, field| &mut at[field]);
        match list.as_array_mut() {
            Some(list) => list.push(wanted.clone()),
            None => *list = json!([wanted]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::default_roles;

    fn role(rules: Value) -> Value {
        json!({"metadata": {"name": "view"}, "rules": rules})
    }

    fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
        json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
    }

    #[track_caller]
    fn changed(default: &Value, there: &Value) -> Value {
        match mended(default, there) {
            Mended::Changed(new) => new,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn rules_of_a_newer_version_are_added_and_others_stay() {
        let default = role(json!([rule(&[""], &["pods"], &["get", "list"]), rule(&["events.k8s.io"], &["events"], &["get"])]));
        let own = rule(&["example.com"], &["things"], &["*"]);
        let old = role(json!([own, rule(&[""], &["pods"], &["get", "list"])]));
        let new = changed(&default, &old);
        assert_eq!(
            new["rules"],
            json!([own, rule(&[""], &["pods"], &["get", "list"]), rule(&["events.k8s.io"], &["events"], &["get"])])
        );
        assert_eq!(mended(&default, &new), Mended::Same, "once is enough");
        // what is there in other words is not missing
        let words =
            role(json!([rule(&[""], &["pods"], &["list"]), rule(&[""], &["*"], &["get"]), rule(&["*"], &["events"], &["*"])]));
        assert_eq!(mended(&default, &words), Mended::Same);
        // a rule of which a part is missing comes again as a whole
        let part = role(json!([rule(&[""], &["pods"], &["get"]), rule(&["events.k8s.io"], &["events"], &["get"])]));
        assert_eq!(changed(&default, &part)["rules"].as_array().unwrap().len(), 3);
        let paths = role(json!([{"nonResourceURLs": ["/livez", "/version"], "verbs": ["get"]}]));
        assert_eq!(mended(&paths, &role(json!([{"nonResourceURLs": ["*"], "verbs": ["get"]}]))), Mended::Same);
        assert!(matches!(mended(&paths, &role(json!([{"nonResourceURLs": ["/livez"], "verbs": ["get"]}]))), Mended::Changed(_)));
    }

    #[test]
    fn subjects_are_added_and_others_stay() {
        let binding = |role: &str, subjects: Value| json!({"metadata": {"name": "b"}, "roleRef": {"kind": "ClusterRole", "name": role}, "subjects": subjects});
        let (group, ann) = (json!({"kind": "Group", "name": "g"}), json!({"kind": "User", "name": "ann", "apiGroup": "x"}));
        let default = binding("r", json!([group]));
        assert_eq!(changed(&default, &binding("r", json!([ann])))["subjects"], json!([ann, group]));
        assert_eq!(changed(&default, &binding("r", Value::Null))["subjects"], json!([group]));
        assert_eq!(mended(&default, &binding("r", json!([ann, group]))), Mended::Same);
        assert_eq!(mended(&default, &binding("other", json!([ann, group]))), Mended::Anew);
    }

    #[test]
    fn nobody_unknown_is_told_the_version_any_more() {
        let name = "system:public-info-viewer";
        let mut defaults = default_roles().into_iter().map(|(_, object)| object);
        let default = defaults.find(|object| object["metadata"]["name"] == name && object.get("roleRef").is_some()).unwrap();
        let mut old = default.clone();
        let group = |name: &str| json!({"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": name});
        let own = json!({"kind": "User", "apiGroup": "rbac.authorization.k8s.io", "name": "system:unauthenticated"});
        old["subjects"] = json!([group("system:unauthenticated"), own, group("system:authenticated")]);
        assert_eq!(changed(&default, &old)["subjects"], json!([own, group("system:authenticated")]));
        old["metadata"]["annotations"][AUTOUPDATE] = "false".into();
        assert_eq!(mended(&default, &old), Mended::Same);
    }

    #[test]
    fn who_wants_no_changes_gets_none() {
        let default = role(json!([rule(&[""], &["pods"], &["get"])]));
        let mut there = role(json!([]));
        there["metadata"]["annotations"] = json!({AUTOUPDATE: "false"});
        assert_eq!(mended(&default, &there), Mended::Same);
        there["metadata"]["annotations"] = json!({AUTOUPDATE: "true"});
        assert!(matches!(mended(&default, &there), Mended::Changed(_)));
    }

    #[test]
    fn labels_and_annotations_are_added_and_none_is_overwritten() {
        let mut default = role(json!([]));
        default["metadata"]["labels"] = json!({"a": "1", "b": "2"});
        let mut there = role(json!([]));
        there["metadata"]["labels"] = json!({"a": "own"});
        assert_eq!(changed(&default, &there)["metadata"]["labels"], json!({"a": "own", "b": "2"}));
    }

    #[test]
    fn the_defaults_of_this_version_are_whole() {
        for (kind, object) in default_roles() {
            assert_eq!(mended(&object, &object), Mended::Same, "{} {}", kind.kind, object["metadata"]["name"]);
            assert_eq!(object["metadata"]["annotations"][AUTOUPDATE], "true");
        }
    }
}
