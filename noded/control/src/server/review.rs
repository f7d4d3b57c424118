//! What a client asks about itself; and that nobody gives away rights that they do not have.

use api::kinds::access::{SELF_SUBJECT_ACCESS_REVIEW, SELF_SUBJECT_REVIEW, SelfSubjectAccessReview};
use api::kinds::rbac::{PolicyRule, RoleRef};
use api::kinds::view;
use api::status::Status;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::body;
use super::route::Call;
use crate::auth::policy::{Action, is_master};

pub(super) async fn answer(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let bytes = body::bytes(request).await?;
    let (mut object, warnings) = body::object(call, &bytes)?;
    object["status"] = match call.kind.kind {
        kind if kind == SELF_SUBJECT_ACCESS_REVIEW.kind => access(call, &object)?,
        kind if kind == SELF_SUBJECT_REVIEW.kind => {
            json!({"userInfo": {"username": call.user.name, "uid": call.user.uid, "groups": call.user.groups}})
        }
        _ => rules(call, object["spec"]["namespace"].as_str().unwrap_or("")),
    };
    let mut response = answer::object(201, &object);
    answer::warn(&mut response, &warnings);
    Ok(response)
}

fn access(call: &Call<'_>, object: &Value) -> Result<Value, Status> {
    let review: SelfSubjectAccessReview = view(object).map_err(|e| Status::bad_request(e.to_string()))?;
    let policy = call.server.policy();
    let allowed = match (&review.spec.resource_attributes, &review.spec.non_resource_attributes) {
        (Some(a), None) => {
            let all = |text: &str| if text.is_empty() { "*".to_string() } else { text.to_string() };
            let (verb, resource) = (all(&a.verb), all(&a.resource));
            let action = Action {
                verb: &verb,
                group: &a.group,
                resource: &resource,
                subresource: &a.subresource,
                name: &a.name,
                namespace: &a.namespace,
                path: "",
            };
            policy.allows(&call.user, &action)
        }
        (None, Some(a)) => policy.allows(&call.user, &Action { verb: &a.verb, path: &a.path, ..Default::default() }),
        _ => {
            let why = "SelfSubjectAccessReview.authorization.k8s.io \"\" is invalid: spec.resourceAttributes: Invalid value: \"null\": exactly one of \
                       nonResourceAttributes or resourceAttributes must be specified";
            return Err(Status::unprocessable(why));
        }
    };
    Ok(json!({"allowed": allowed}))
}

fn rules(call: &Call<'_>, namespace: &str) -> Value {
    let policy = call.server.policy();
    let everything: PolicyRule =
        PolicyRule { verbs: vec!["*".into()], api_groups: vec!["*".into()], resources: vec!["*".into()], ..Default::default() };
    let mut all: Vec<PolicyRule> = policy.rules(&call.user, namespace).cloned().collect();
    if is_master(&call.user) {
        all.push(everything);
    }
    let (paths, resources): (Vec<_>, Vec<_>) = all.into_iter().partition(|r| !r.non_resource_urls.is_empty());
    let resources: Vec<Value> = resources
        .into_iter()
        .map(|r| json!({"verbs": r.verbs, "apiGroups": r.api_groups, "resources": r.resources, "resourceNames": r.resource_names}))
        .collect();
    let paths: Vec<Value> = paths.into_iter().map(|r| json!({"verbs": r.verbs, "nonResourceURLs": r.non_resource_urls})).collect();
    json!({"resourceRules": resources, "nonResourceRules": paths, "incomplete": false})
}

/// A role or binding must not hold more than the one who writes it has, unless they may `escalate` or `bind`.
pub(super) fn check_rights(call: &Call<'_>, object: &Value) -> Result<(), Status> {
    let kind = call.kind;
    if kind.group != "rbac.authorization.k8s.io" {
        return Ok(());
    }
    let policy = call.server.policy();
    let namespace = call.target.namespace.as_str();
    let (verb, wanted, name) = if object.get("roleRef").is_some() {
        let role: RoleRef = view(&object["roleRef"]).unwrap_or_default();
        ("bind", policy.rules_of(namespace, &role).to_vec(), role.name)
    } else {
        let mut rules: Vec<PolicyRule> = object.get("rules").and_then(|r| view(r).ok()).unwrap_or_default();
        // an aggregated role gets the rules of others: whoever makes one needs all
        if object.get("aggregationRule").is_some() {
            rules.push(PolicyRule {
                verbs: vec!["*".into()],
                api_groups: vec!["*".into()],
                resources: vec!["*".into()],
                ..Default::default()
            });
        }
        ("escalate", rules, call.target.name.clone())
    };
    let resource = if verb == "bind" && object["roleRef"]["kind"] == "Role" {
        "roles"
    } else if verb == "bind" {
        "clusterroles"
    } else {
        kind.plural
    };
    let action = Action { verb, group: kind.group, resource, name: &name, namespace, ..Default::default() };
    if policy.beyond(&call.user, namespace, &wanted).is_empty() || policy.allows(&call.user, &action) {
        return Ok(());
    }
    let why = format!(
        "user {:?} (groups={:?}) is attempting to grant RBAC permissions not currently held",
        call.user.name, call.user.groups
    );
    Err(Status::forbidden(Some((kind.group, kind.plural)), object["metadata"]["name"].as_str().unwrap_or(""), &why))
}
