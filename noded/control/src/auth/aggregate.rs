//! Roles that are the sum of others: those that their `aggregationRule` selects by labels.

use std::collections::BTreeMap;
use std::time::Duration;

use api::kinds::rbac::{CLUSTER_ROLE, ClusterRole, PolicyRule};
use api::selector;
use api::status::Status;
use tokio::time::sleep;

use crate::objects::{Context, Objects, Part, prefix};

/// The rules of such a role: those of all that it selects, and of those that these select, by their names and each once. Its own do not
/// count; nothing for a role that is no sum.
pub(super) fn sum(role: &ClusterRole, all: &[ClusterRole]) -> Option<Vec<PolicyRule>> {
    role.aggregation_rule.as_ref()?;
    let (mut found, mut at) = (vec![role], 0);
    while let Some(role) = found.get(at).copied() {
        for choice in role.aggregation_rule.iter().flat_map(|rule| &rule.cluster_role_selectors) {
            for other in all.iter().filter(|other| selector::matches(choice, &other.metadata.labels)) {
                if !found.iter().any(|known| known.metadata.name == other.metadata.name) {
                    found.push(other);
                }
            }
        }
        at += 1;
    }
    let parts: BTreeMap<&str, &ClusterRole> =
        found.into_iter().filter(|part| part.aggregation_rule.is_none()).map(|part| (part.metadata.name.as_str(), part)).collect();
    let mut rules = Vec::<PolicyRule>::new();
    for rule in parts.values().flat_map(|part| &part.rules) {
        if !rules.contains(rule) {
            rules.push(rule.clone());
        }
    }
    Some(rules)
}

/// Roles that do not show what they are, with the rules that they have.
fn untrue(all: &[ClusterRole]) -> Vec<(String, Vec<PolicyRule>)> {
    let shown = |role: &ClusterRole| Some((role.metadata.name.clone(), sum(role, all).filter(|rules| *rules != role.rules)?));
    all.iter().filter_map(shown).collect()
}

/// Writes the rules into the roles, for people and programs that read them, as often as a role changes.
pub(crate) async fn run(objects: Objects) {
    const AGAIN: Duration = Duration::from_secs(1);
    let roles = prefix(&CLUSTER_ROLE, "");
    loop {
        let store = objects.store();
        let Ok(mut changes) = store.watch(&roles, store.revision()) else {
            sleep(AGAIN).await;
            continue;
        };
        let mut has_failed = false;
        for (name, rules) in untrue(&objects.all(&CLUSTER_ROLE, "")) {
            has_failed |= write(&objects, &name, &rules).await.is_err_and(|status| status.code != 404);
        }
        tokio::select! {
            _ = changes.next() => {}
            () = sleep(AGAIN), if has_failed => {}
        }
    }
}

async fn write(objects: &Objects, name: &str, rules: &[PolicyRule]) -> Result<(), Status> {
    let context = Context { manager: "noded-controllers".into(), ..Default::default() };
    let rules = serde_json::to_value(rules).map_err(Status::internal)?;
    let changed = |old: &serde_json::Value| {
        let mut new = old.clone();
        new["rules"] = rules.clone();
        Ok(new)
    };
    objects.update(&CLUSTER_ROLE, "", name, Part::Main, &context, changed).await.map(drop)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn role(name: &str, label: &str, more: Value) -> ClusterRole {
        let mut object = json!({"metadata": {"name": name, "labels": {label: "yes"}}});
        object.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(object).unwrap()
    }

    fn part(name: &str, label: &str) -> ClusterRole {
        role(name, label, json!({"rules": [{"apiGroups": [""], "resources": [name], "verbs": ["get"]}]}))
    }

    fn open(name: &str, label: &str, choice: &str) -> ClusterRole {
        let old = json!([{"apiGroups": [""], "resources": ["old"], "verbs": ["get"]}]);
        let rule = json!({"clusterRoleSelectors": [{"matchLabels": {choice: "yes"}}]});
        role(name, label, json!({"rules": old, "aggregationRule": rule}))
    }

    fn shown(all: &[ClusterRole]) -> Vec<(String, Vec<String>)> {
        let names = |rules: Vec<PolicyRule>| rules.into_iter().map(|rule| rule.resources[0].clone()).collect();
        untrue(all).into_iter().map(|(name, rules)| (name, names(rules))).collect()
    }

    #[test]
    fn who_adds_to_a_part_adds_to_the_whole() {
        // a round of two is no endless one
        let mut all = vec![open("all", "of-part", "of-all"), open("part", "of-all", "of-part")];
        all.extend([part("b", "of-part"), part("a", "of-all"), part("other", "of-none")]);
        let sum = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(shown(&all), [("all".to_owned(), sum.clone()), ("part".to_owned(), sum)]);
        all.retain(|role| role.metadata.name != "b");
        assert_eq!(shown(&all)[0].1, ["a"], "what is gone is not shown");
        for (name, rules) in untrue(&all) {
            all.iter_mut().find(|role| role.metadata.name == name).unwrap().rules = rules;
        }
        assert_eq!(shown(&all), []);
    }
}
