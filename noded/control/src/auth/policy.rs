//! Who may do what: RBAC as a function of the roles and bindings.

use std::borrow::Borrow;
use std::collections::HashMap;

use api::kinds::rbac::{ClusterRole, ClusterRoleBinding, PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::User;
use super::aggregate::sum;

/// What is to be done.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Action<'a> {
    /// get, list, watch, create, update, patch, delete, deletecollection; for paths the method in lower case.
    pub verb: &'a str,
    /// The API group.
    pub group: &'a str,
    /// The resource; empty for a path that is none.
    pub resource: &'a str,
    /// A part of the object.
    pub subresource: &'a str,
    /// The object's name; empty for many.
    pub name: &'a str,
    /// The namespace; empty for all, and for cluster objects.
    pub namespace: &'a str,
    /// The path, where it is no resource.
    pub path: &'a str,
}

/// All roles and bindings.
#[derive(Debug, Default)]
pub struct Policy {
    roles: HashMap<(String, String), Vec<PolicyRule>>,
    cluster_roles: HashMap<String, Vec<PolicyRule>>,
    bindings: HashMap<String, Vec<(RoleRef, Vec<Subject>)>>,
    cluster_bindings: Vec<(RoleRef, Vec<Subject>)>,
}

impl Policy {
    /// From the objects; aggregated roles have the rules of those that they select, whatever is written in them.
    pub fn new(
        roles: Vec<Role>,
        cluster_roles: Vec<ClusterRole>,
        bindings: Vec<RoleBinding>,
        cluster_bindings: Vec<ClusterRoleBinding>,
    ) -> Self {
        let mut policy = Self::default();
        for role in &cluster_roles {
            let rules = sum(role, &cluster_roles).unwrap_or_else(|| role.rules.clone());
            policy.cluster_roles.insert(role.metadata.name.clone(), rules);
        }
        policy.roles = roles.into_iter().map(|r| ((r.metadata.namespace, r.metadata.name), r.rules)).collect();
        for binding in bindings {
            policy.bindings.entry(binding.metadata.namespace).or_default().push((binding.role_ref, binding.subjects));
        }
        policy.cluster_bindings = cluster_bindings.into_iter().map(|b| (b.role_ref, b.subjects)).collect();
        policy
    }

    /// Whether `user` may do it.
    pub fn allows(&self, user: &User, action: &Action<'_>) -> bool {
        is_master(user) || self.rules(user, action.namespace).any(|rule| covers(rule, action))
    }

    /// All rules that hold for a user in a namespace.
    pub fn rules<'a>(&'a self, user: &'a User, namespace: &'a str) -> impl Iterator<Item = &'a PolicyRule> {
        let everywhere =
            self.cluster_bindings.iter().filter(move |(_, s)| s.iter().any(|s| names(s, user, ""))).map(|(r, _)| ("", r));
        let here = self.bindings.get(namespace).into_iter().flatten();
        let here = here.filter(move |(_, s)| s.iter().any(|s| names(s, user, namespace))).map(move |(r, _)| (namespace, r));
        everywhere.chain(here).flat_map(|(namespace, role)| self.role(namespace, role))
    }

    fn role(&self, namespace: &str, role: &RoleRef) -> &[PolicyRule] {
        let rules = match role.kind.as_str() {
            "ClusterRole" => self.cluster_roles.get(&role.name),
            _ => self.roles.get(&(namespace.to_string(), role.name.clone())),
        };
        rules.map_or(&[], Vec::as_slice)
    }

    /// Rules of `wanted` that go beyond what `user` may do: nobody gives away rights that they do not have.
    pub fn beyond<'a>(&self, user: &User, namespace: &str, wanted: &'a [PolicyRule]) -> Vec<&'a PolicyRule> {
        if is_master(user) {
            return Vec::new();
        }
        let held: Vec<&PolicyRule> = self.rules(user, namespace).collect();
        wanted.iter().filter(|rule| lacks(&held, rule)).collect()
    }

    /// The rules of a role by its reference, as a binding in `namespace` names it.
    pub fn rules_of(&self, namespace: &str, role: &RoleRef) -> &[PolicyRule] {
        self.role(namespace, role)
    }
}

/// Whether a part of a rule is in none of those that are held.
pub(super) fn lacks(held: &[impl Borrow<PolicyRule>], rule: &PolicyRule) -> bool {
    let or_any = |list: &[String]| if list.is_empty() { vec![String::new()] } else { list.to_vec() };
    let has = |action: Action<'_>| held.iter().any(|rule| covers(rule.borrow(), &action));
    let all = rule.verbs.iter().all(|verb| {
        let paths = rule.non_resource_urls.iter().all(|path| has(Action { verb, path, ..Default::default() }));
        let resources = rule.api_groups.iter().all(|group| {
            rule.resources.iter().all(|resource| {
                let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
                or_any(&rule.resource_names)
                    .iter()
                    .all(|name| has(Action { verb, group, resource, subresource, name, ..Default::default() }))
            })
        });
        paths && resources
    });
    !all
}

/// The group that no role can shut out.
pub fn is_master(user: &User) -> bool {
    user.groups.iter().any(|g| g == "system:masters")
}

fn names(subject: &Subject, user: &User, namespace: &str) -> bool {
    match subject.kind.as_str() {
        "User" => subject.name == user.name,
        "Group" => user.groups.contains(&subject.name),
        "ServiceAccount" => {
            let space = if subject.namespace.is_empty() { namespace } else { &subject.namespace };
            user.name.strip_prefix("system:serviceaccount:").and_then(|n| n.split_once(':')) == Some((space, &subject.name))
        }
        _ => false,
    }
}

fn covers(rule: &PolicyRule, action: &Action<'_>) -> bool {
    let has = |list: &[String], word: &str| list.iter().any(|w| w == "*" || w == word);
    if !has(&rule.verbs, action.verb) {
        return false;
    }
    if action.resource.is_empty() {
        return rule.non_resource_urls.iter().any(|url| match url.strip_suffix('*') {
            Some(start) => action.path.starts_with(start),
            None => url == action.path,
        });
    }
    let full =
        if action.subresource.is_empty() { action.resource.into() } else { format!("{}/{}", action.resource, action.subresource) };
    let any_with_part = format!("*/{}", action.subresource);
    let resource = rule.resources.iter().any(|r| *r == full || r == "*" || !action.subresource.is_empty() && *r == any_with_part);
    let named = rule.resource_names.is_empty() || rule.resource_names.iter().any(|n| n == action.name);
    has(&rule.api_groups, action.group) && resource && named
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn policy() -> Policy {
        fn view<T: serde::de::DeserializeOwned>(v: Value) -> T {
            serde_json::from_value(v).unwrap()
        }
        let read = json!({"metadata": {"name": "read", "namespace": "a"}, "rules": [{"apiGroups": [""], "resources": ["pods", "pods/log"], "verbs": ["get", "list"]}]});
        let edit = json!({"metadata": {"name": "edit", "labels": {"to": "all"}}, "rules": [{"apiGroups": ["apps"], "resources": ["*"], "verbs": ["*"]}]});
        let all =
            json!({"metadata": {"name": "all"}, "aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"to": "all"}}]}});
        let paths = json!({"metadata": {"name": "paths"}, "rules": [{"nonResourceURLs": ["/api*", "/version"], "verbs": ["get"]}]});
        let one = json!({"metadata": {"name": "one"}, "rules": [{"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["s"], "verbs": ["get"]}]});
        let bind = |name: &str, kind: &str, subject: Value| json!({"metadata": {"name": name, "namespace": "a"}, "roleRef": {"kind": kind, "name": name}, "subjects": [subject]});
        Policy::new(
            vec![view(read)],
            vec![view(edit), view(all), view(paths), view(one)],
            vec![
                view(bind("read", "Role", json!({"kind": "User", "name": "ann"}))),
                view(bind("all", "ClusterRole", json!({"kind": "Group", "name": "dev"}))),
                view(bind("one", "ClusterRole", json!({"kind": "ServiceAccount", "name": "bot", "namespace": "b"}))),
            ],
            vec![view(bind("paths", "ClusterRole", json!({"kind": "Group", "name": "system:authenticated"})))],
        )
    }

    fn pods<'a>(verb: &'a str, namespace: &'a str, subresource: &'a str) -> Action<'a> {
        Action { verb, resource: "pods", namespace, subresource, ..Default::default() }
    }

    #[test]
    fn rights_come_from_bindings_alone() {
        let policy = policy();
        let ann = User::new("ann", []);
        assert!(policy.allows(&ann, &pods("get", "a", "")) && policy.allows(&ann, &pods("get", "a", "log")));
        assert!(
            !policy.allows(&ann, &pods("get", "b", ""))
                && !policy.allows(&ann, &pods("delete", "a", ""))
                && !policy.allows(&ann, &pods("get", "a", "exec"))
        );
        assert!(!policy.allows(&ann, &pods("get", "", "")));
        let dev = User::new("x", ["dev".to_string()]);
        let deployments = Action { verb: "patch", group: "apps", resource: "deployments", namespace: "a", ..Default::default() };
        assert!(policy.allows(&dev, &deployments) && !policy.allows(&ann, &deployments));
        let bot = User::new("system:serviceaccount:b:bot", []);
        let secret = |name| Action { verb: "get", resource: "secrets", namespace: "a", name, ..Default::default() };
        assert!(policy.allows(&bot, &secret("s")) && !policy.allows(&bot, &secret("t")) && !policy.allows(&bot, &secret("")));
        assert!(policy.allows(&ann, &Action { verb: "get", path: "/apis/apps", ..Default::default() }));
        assert!(!policy.allows(&User::anonymous(), &Action { verb: "get", path: "/version", ..Default::default() }));
        assert!(policy.allows(&User::new("root", ["system:masters".to_string()]), &pods("delete", "x", "")));
    }

    #[test]
    fn nobody_gives_away_more_than_they_have() {
        let policy = policy();
        let dev = User::new("x", ["dev".to_string()]);
        let rule = |v: Value| vec![serde_json::from_value::<PolicyRule>(v).unwrap()];
        let less = rule(json!({"apiGroups": ["apps"], "resources": ["deployments", "deployments/scale"], "verbs": ["get"]}));
        let more = rule(json!({"apiGroups": ["", "apps"], "resources": ["pods"], "verbs": ["get"]}));
        assert_eq!(
            (policy.beyond(&dev, "a", &less).len(), policy.beyond(&dev, "a", &more).len(), policy.beyond(&dev, "b", &less).len()),
            (0, 1, 1)
        );
    }
}
