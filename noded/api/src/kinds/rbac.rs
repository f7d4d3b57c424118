//! Who may do what.

use serde_json::{Value, json};

use super::Kind;
use crate::errors::{FieldError, FieldErrors};
use crate::meta::{LabelSelector, ObjectMeta};
use crate::names;
use crate::schema::types;
use crate::table::{Column, column, wide};

types! {
    /// What may be done in a namespace.
    Role = "io.k8s.api.rbac.v1.Role" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What may be done.
        rules = "rules": Vec<PolicyRule>;
    }

    /// What may be done in all namespaces, or in one through a RoleBinding.
    ClusterRole = "io.k8s.api.rbac.v1.ClusterRole" {
        /// The rules of other roles that are added.
        aggregation_rule = "aggregationRule": Option<AggregationRule>;
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What may be done.
        rules = "rules": Vec<PolicyRule>;
    }

    /// The rules of other roles that are added.
    AggregationRule = "io.k8s.api.rbac.v1.AggregationRule" {
        /// The roles.
        cluster_role_selectors = "clusterRoleSelectors": Vec<LabelSelector>;
    }

    /// One thing that may be done.
    PolicyRule = "io.k8s.api.rbac.v1.PolicyRule" {
        /// API groups; * for all.
        api_groups = "apiGroups": Vec<String>;
        /// Paths that are no resources.
        non_resource_urls = "nonResourceURLs": Vec<String>;
        /// Objects by name; none for all.
        resource_names = "resourceNames": Vec<String>;
        /// Resources; * for all.
        resources = "resources": Vec<String>;
        /// Verbs; * for all.
        verbs = "verbs": Vec<String> [required];
    }

    /// Gives a role to people and programs in a namespace.
    RoleBinding = "io.k8s.api.rbac.v1.RoleBinding" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// The role.
        role_ref = "roleRef": RoleRef [required];
        /// Who gets it.
        subjects = "subjects": Vec<Subject>;
    }

    /// Gives a role to people and programs everywhere.
    ClusterRoleBinding = "io.k8s.api.rbac.v1.ClusterRoleBinding" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// The role.
        role_ref = "roleRef": RoleRef [required];
        /// Who gets it.
        subjects = "subjects": Vec<Subject>;
    }

    /// A role.
    RoleRef = "io.k8s.api.rbac.v1.RoleRef" {
        /// The group.
        api_group = "apiGroup": String [or_text("rbac.authorization.k8s.io"), one_of(&["rbac.authorization.k8s.io"])];
        /// Role or ClusterRole.
        kind = "kind": String [required, one_of(&["Role", "ClusterRole"])];
        /// The name.
        name = "name": String [required, format(names::path_segment)];
    }

    /// Who gets a role.
    Subject = "io.k8s.api.rbac.v1.Subject" {
        /// The group.
        api_group = "apiGroup": String;
        /// User, Group or ServiceAccount.
        kind = "kind": String [required, one_of(&["User", "Group", "ServiceAccount"])];
        /// The name.
        name = "name": String [required];
        /// The service account's namespace.
        namespace = "namespace": String;
    }
}

const GROUP: &str = "rbac.authorization.k8s.io";
const CREATED: &[Column] = &[column("Created At", "When it was made.")];
const BINDING: &[Column] = &[
    column("Role", "The role."),
    column("Age", "How long ago the object was made."),
    wide("Users", "Users that get it."),
    wide("Groups", "Groups that get it."),
    wide("ServiceAccounts", "Service accounts that get it."),
];

const fn role(kind: Kind, namespaced: bool) -> Kind {
    Kind { group: GROUP, namespaced, name_check: names::path_segment, ..kind }
}

/// Roles.
pub static ROLE: Kind =
    Kind { columns: CREATED, row: created, validate: rules, ..role(Kind::new("Role", "roles", "role", Role::TABLE), true) };

/// ClusterRoles.
pub static CLUSTER_ROLE: Kind = Kind {
    columns: CREATED,
    row: created,
    validate: rules,
    ..role(Kind::new("ClusterRole", "clusterroles", "clusterrole", ClusterRole::TABLE), false)
};

/// RoleBindings.
pub static ROLE_BINDING: Kind = Kind {
    columns: BINDING,
    row: bound,
    defaults: subjects,
    validate: check_subjects,
    validate_update: same_role,
    ..role(Kind::new("RoleBinding", "rolebindings", "rolebinding", RoleBinding::TABLE), true)
};

/// ClusterRoleBindings.
pub static CLUSTER_ROLE_BINDING: Kind = Kind {
    columns: BINDING,
    row: bound,
    defaults: subjects,
    validate: |object, errors| {
        check_subjects(object, errors);
        if object["roleRef"]["kind"] == "Role" {
            errors.push(FieldError::unsupported("roleRef.kind", "Role", &["ClusterRole"]));
        }
    },
    validate_update: same_role,
    ..role(Kind::new("ClusterRoleBinding", "clusterrolebindings", "clusterrolebinding", ClusterRoleBinding::TABLE), false)
};

fn created(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    vec![object["metadata"]["creationTimestamp"].clone()]
}

fn rules(object: &Value, errors: &mut FieldErrors) {
    for (at, rule) in object["rules"].as_array().into_iter().flatten().enumerate() {
        let given = |field: &str| rule[field].as_array().is_some_and(|l| !l.is_empty());
        if given("nonResourceURLs") {
            if object["metadata"]["namespace"].as_str().is_some_and(|n| !n.is_empty()) {
                let why = "namespaced rules cannot apply to non-resource URLs".to_string();
                errors.push(FieldError::invalid(format!("rules[{at}].nonResourceURLs"), &rule["nonResourceURLs"], why));
            }
            continue;
        }
        for field in ["apiGroups", "resources"].into_iter().filter(|f| !given(f)) {
            let why = if field == "apiGroups" {
                "resource rules must supply at least one api group"
            } else {
                "resource rules must supply at least one resource"
            };
            errors.push(FieldError::required(format!("rules[{at}].{field}"), why));
        }
    }
}

fn subjects(object: &mut Value) {
    for subject in object["subjects"].as_array_mut().into_iter().flatten() {
        if subject["kind"] != "ServiceAccount" && subject.get("apiGroup").is_none() {
            subject["apiGroup"] = GROUP.into();
        }
    }
}

fn check_subjects(object: &Value, errors: &mut FieldErrors) {
    for (at, subject) in object["subjects"].as_array().into_iter().flatten().enumerate() {
        if subject["kind"] == "ServiceAccount" && subject["namespace"].as_str().unwrap_or("").is_empty() {
            errors.push(FieldError::required(format!("subjects[{at}].namespace"), ""));
        }
    }
}

fn same_role(new: &Value, old: &Value, errors: &mut FieldErrors) {
    if new["roleRef"] != old["roleRef"] {
        errors.push(FieldError::invalid("roleRef", &new["roleRef"], "cannot change roleRef".into()));
    }
}

fn bound(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    let of = |kind: &str| -> Value {
        let names = object["subjects"].as_array().into_iter().flatten().filter(|s| s["kind"] == kind).map(|s| {
            let name = s["name"].as_str().unwrap_or("");
            if kind == "ServiceAccount" { format!("{}/{name}", s["namespace"].as_str().unwrap_or("")) } else { name.into() }
        });
        names.collect::<Vec<_>>().join(", ").into()
    };
    let role = format!("{}/{}", object["roleRef"]["kind"].as_str().unwrap_or(""), object["roleRef"]["name"].as_str().unwrap_or(""));
    vec![json!(role), of("User"), of("Group"), of("ServiceAccount")]
}
