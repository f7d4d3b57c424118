//! Roles and bindings that every cluster has.

use api::kinds::Kind;
use api::kinds::rbac::{CLUSTER_ROLE, CLUSTER_ROLE_BINDING};
use serde_json::{Value, json};

use super::reconcile::AUTOUPDATE;

const RBAC: &str = "rbac.authorization.k8s.io";
const WRITE: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];
const READ: [&str; 3] = ["get", "list", "watch"];
/// Roles with this label, and the name of an open role behind it, are a part of that.
const ADDS_TO: &str = "rbac.authorization.k8s.io/aggregate-to-";

fn rule(groups: &[&str], resources: &[&str], verbs: &[&str]) -> Value {
    json!({"apiGroups": groups, "resources": resources, "verbs": verbs})
}

fn meta(name: &str) -> Value {
    json!({"name": name, "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"}, "annotations": {AUTOUPDATE: "true"}})
}

fn role(name: &str, rules: Vec<Value>) -> (&'static Kind, Value) {
    (&CLUSTER_ROLE, json!({"metadata": meta(name), "rules": rules}))
}

/// A role to which people add by a label of roles of their own, and the part that every cluster has; so does the next smaller one of these,
/// which is in the `greater` one.
fn open(name: &str, greater: &str, rules: Vec<Value>) -> [(&'static Kind, Value); 2] {
    let mut whole = json!({"metadata": meta(name)});
    whole["aggregationRule"] = json!({"clusterRoleSelectors": [{"matchLabels": {format!("{ADDS_TO}{name}"): "true"}}]});
    if !greater.is_empty() {
        whole["metadata"]["labels"][format!("{ADDS_TO}{greater}")] = "true".into();
    }
    let mut part = role(&format!("system:aggregate-to-{name}"), rules);
    part.1["metadata"]["labels"][format!("{ADDS_TO}{name}")] = "true".into();
    [(&CLUSTER_ROLE, whole), part]
}

fn binding(name: &str, groups: &[&str]) -> (&'static Kind, Value) {
    let subjects: Vec<Value> = groups.iter().map(|g| json!({"kind": "Group", "apiGroup": RBAC, "name": g})).collect();
    let role = json!({"apiGroup": RBAC, "kind": "ClusterRole", "name": name});
    (&CLUSTER_ROLE_BINDING, json!({"metadata": meta(name), "roleRef": role, "subjects": subjects}))
}

/// What people who only look may see: everything but secrets and rights.
fn view() -> Vec<Value> {
    vec![
        rule(
            &[""],
            &[
                "configmaps",
                "endpoints",
                "events",
                "pods",
                "pods/log",
                "pods/status",
                "services",
                "services/status",
                "serviceaccounts",
                "namespaces",
                "namespaces/status",
            ],
            &READ,
        ),
        rule(&["events.k8s.io"], &["events"], &READ),
        rule(
            &["apps"],
            &[
                "controllerrevisions",
                "daemonsets",
                "daemonsets/status",
                "deployments",
                "deployments/scale",
                "deployments/status",
                "replicasets",
                "replicasets/scale",
                "replicasets/status",
            ],
            &READ,
        ),
        rule(&["batch"], &["jobs", "jobs/status"], &READ),
        rule(&["discovery.k8s.io"], &["endpointslices"], &READ),
        rule(&["metrics.k8s.io"], &["nodes", "pods"], &READ),
    ]
}

/// What people who work may change, beside what they see: what runs, but not rights.
fn edit() -> Vec<Value> {
    vec![
        rule(
            &[""],
            &[
                "configmaps",
                "events",
                "pods",
                "pods/attach",
                "pods/exec",
                "pods/portforward",
                "pods/proxy",
                "pods/eviction",
                "secrets",
                "services",
                "services/proxy",
                "serviceaccounts",
                "serviceaccounts/token",
            ],
            &WRITE,
        ),
        rule(&["events.k8s.io"], &["events"], &WRITE),
        rule(&["apps"], &["daemonsets", "deployments", "deployments/scale", "replicasets", "replicasets/scale"], &WRITE),
        rule(&["batch"], &["jobs"], &WRITE),
        rule(&["coordination.k8s.io"], &["leases"], &WRITE),
    ]
}

/// What people who run a namespace may change beside that: rights in it.
fn admin() -> Vec<Value> {
    vec![rule(&[RBAC], &["roles", "rolebindings"], &WRITE)]
}

/// What nodes do.
fn node() -> Vec<Value> {
    vec![
        rule(&[""], &["nodes"], &["create", "get", "list", "watch", "patch", "update"]),
        rule(&[""], &["nodes/status", "pods/status"], &["get", "patch", "update"]),
        rule(&[""], &["pods"], &["create", "get", "list", "watch", "delete"]),
        rule(&[""], &["pods/eviction", "serviceaccounts/token"], &["create", "patch"]),
        rule(&["", "events.k8s.io"], &["events"], &["create", "patch", "update"]),
        rule(&[""], &["configmaps", "secrets", "services", "namespaces"], &READ),
        rule(&["discovery.k8s.io"], &["endpointslices"], &READ),
        rule(&["coordination.k8s.io"], &["leases"], &["create", "get", "patch", "update", "delete"]),
    ]
}

/// Kinds and objects, in the order in which they are made.
pub fn default_roles() -> Vec<(&'static Kind, Value)> {
    let paths = |urls: &[&str]| json!({"nonResourceURLs": urls, "verbs": ["get"]});
    let everything = vec![rule(&["*"], &["*"], &["*"]), json!({"nonResourceURLs": ["*"], "verbs": ["*"]})];
    let reviews = vec![
        rule(&["authorization.k8s.io"], &["selfsubjectaccessreviews", "selfsubjectrulesreviews"], &["create"]),
        rule(&["authentication.k8s.io"], &["selfsubjectreviews"], &["create"]),
    ];
    let open = [open("admin", "", admin()), open("edit", "admin", edit()), open("view", "edit", view())];
    let others = vec![
        role("cluster-admin", everything),
        role("system:node", node()),
        role("system:basic-user", reviews),
        role(
            "system:discovery",
            vec![paths(&[
                "/api",
                "/api/*",
                "/apis",
                "/apis/*",
                "/openapi",
                "/openapi/*",
                "/version",
                "/version/",
                "/healthz",
                "/livez",
                "/readyz",
            ])],
        ),
        role("system:public-info-viewer", vec![paths(&["/version", "/version/", "/healthz", "/livez", "/readyz"])]),
        binding("cluster-admin", &["system:masters"]),
        binding("system:node", &["system:nodes"]),
        binding("system:basic-user", &["system:authenticated"]),
        binding("system:discovery", &["system:authenticated"]),
        // nobody is told anything who is not known, but whether the server is well
        binding("system:public-info-viewer", &["system:authenticated"]),
    ];
    open.into_iter().flatten().chain(others).collect()
}

/// Groups that the default binding of this name had in an earlier version, and that lose it.
pub(super) fn withdrawn(binding: &str) -> &'static [&'static str] {
    match binding {
        "system:public-info-viewer" => &["system:unauthenticated"],
        _ => &[],
    }
}
