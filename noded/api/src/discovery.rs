//! What is served: the documents that clients ask for first.

use serde_json::{Value, json};

use crate::kinds::{KINDS, Kind};

/// The media type of the aggregated form, as its documents are labelled.
pub const AGGREGATED: &str = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList";

/// Groups and versions in the order of their first kind; the core group is empty.
pub fn groups() -> Vec<(&'static str, &'static str)> {
    let mut found = Vec::new();
    for kind in KINDS {
        if !found.contains(&(kind.group, kind.version)) {
            found.push((kind.group, kind.version));
        }
    }
    found
}

/// The kinds of a group and version.
pub fn kinds_of(group: &str, version: &str) -> impl Iterator<Item = &'static Kind> {
    KINDS.iter().copied().filter(move |k| k.group == group && k.version == version)
}

/// `/api`: versions of the core group.
pub fn core_versions(address: &str) -> Value {
    json!({"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": address}]})
}

fn group(group: &str, version: &str) -> Value {
    let this = json!({"groupVersion": format!("{group}/{version}"), "version": version});
    json!({"name": group, "versions": [this], "preferredVersion": this})
}

/// `/apis`: all groups but the core.
pub fn group_list() -> Value {
    let all: Vec<Value> = groups().into_iter().filter(|(g, _)| !g.is_empty()).map(|(g, v)| group(g, v)).collect();
    json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": all})
}

/// `/apis/GROUP`; nothing for a group that is not served.
pub fn one_group(name: &str) -> Option<Value> {
    let (_, version) = groups().into_iter().find(|(g, _)| *g == name && !g.is_empty())?;
    let mut object = group(name, version);
    object["kind"] = "APIGroup".into();
    object["apiVersion"] = "v1".into();
    Some(object)
}

/// `/api/v1` and `/apis/GROUP/VERSION`; nothing for what is not served.
pub fn resource_list(group: &str, version: &str) -> Option<Value> {
    let mut resources = Vec::new();
    for kind in kinds_of(group, version) {
        let mut resource = json!({
            "name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced, "kind": kind.kind, "verbs": kind.verbs,
        });
        if !kind.short.is_empty() {
            resource["shortNames"] = json!(kind.short);
        }
        if !kind.categories.is_empty() {
            resource["categories"] = json!(kind.categories);
        }
        resources.push(resource);
        for (name, (group, version, served), verbs) in parts(kind) {
            let mut part = json!({"name": format!("{}/{name}", kind.plural), "singularName": "", "namespaced": kind.namespaced, "kind": served, "verbs": verbs});
            if (group, version) != (kind.group, kind.version) {
                part["group"] = group.into();
                part["version"] = version.into();
            }
            resources.push(part);
        }
    }
    let name = if group.is_empty() { version.to_string() } else { format!("{group}/{version}") };
    (!resources.is_empty())
        .then(|| json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": name, "resources": resources}))
}

type Part = (&'static str, (&'static str, &'static str, &'static str), &'static [&'static str]);

/// The parts of a kind's objects that have addresses of their own.
fn parts(kind: &'static Kind) -> Vec<Part> {
    let status = kind.has_status.then_some(("status", (kind.group, kind.version, kind.kind), &["get", "patch", "update"][..]));
    kind.subresources.iter().map(|s| (s.name, s.response, s.verbs)).chain(status).collect()
}

/// The aggregated form of `/api` (only the core group) or `/apis` (all others).
pub fn aggregated(core: bool) -> Value {
    let items: Vec<Value> = groups()
        .into_iter()
        .filter(|(g, _)| g.is_empty() == core)
        .map(|(group, version)| {
            let resources: Vec<Value> = kinds_of(group, version).map(aggregated_kind).collect();
            let mut meta = json!({"creationTimestamp": null});
            if !group.is_empty() {
                meta["name"] = group.into();
            }
            json!({"metadata": meta, "versions": [{"version": version, "freshness": "Current", "resources": resources}]})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated_kind(kind: &'static Kind) -> Value {
    let response = |(group, version, kind): (&str, &str, &str)| json!({"group": group, "version": version, "kind": kind});
    let subresources: Vec<Value> = parts(kind)
        .into_iter()
        .map(|(name, kind, verbs)| json!({"subresource": name, "responseKind": response(kind), "verbs": verbs}))
        .collect();
    let mut resource = json!({
        "resource": kind.plural, "responseKind": response((kind.group, kind.version, kind.kind)),
        "scope": if kind.namespaced { "Namespaced" } else { "Cluster" }, "singularResource": kind.singular, "verbs": kind.verbs,
    });
    for (field, words) in [("shortNames", kind.short), ("categories", kind.categories)] {
        if !words.is_empty() {
            resource[field] = json!(words);
        }
    }
    if !subresources.is_empty() {
        resource["subresources"] = subresources.into();
    }
    resource
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_name_every_kind() {
        let plain: usize = groups().iter().map(|(g, v)| resource_list(g, v).unwrap()["resources"].as_array().unwrap().len()).sum();
        let of = |document: &Value| -> usize {
            let versions =
                document["items"].as_array().unwrap().iter().flat_map(|i| i["versions"][0]["resources"].as_array().unwrap());
            versions.map(|r| 1 + r["subresources"].as_array().map_or(0, Vec::len)).sum()
        };
        assert_eq!(plain, of(&aggregated(true)) + of(&aggregated(false)));
        assert!(resource_list("apps", "v2").is_none() && one_group("").is_none());
    }

    #[test]
    fn names_are_unique() {
        // Endpoints are many even if there is one.
        let singular = |k: &&Kind| Some(k.singular).filter(|name| *name != k.plural);
        // what nodes and pods use has their names, in a group of its own, and so has what is the same in two groups
        let mut names: Vec<&str> = KINDS
            .iter()
            .filter(|k| (k.is_kept() || k.allows("create")) && k.kept_as.is_none())
            .flat_map(|k| k.short.iter().copied().chain([k.plural]).chain(singular(k)))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
