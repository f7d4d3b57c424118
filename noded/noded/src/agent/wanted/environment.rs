//! Environment variables, from wherever they come.

use std::collections::BTreeMap;

use api::kinds::pod::Pod;
use api::kinds::pod::container::{Container, EnvVar};

use super::{Place, facts};

/// Keys and values of an object.
pub(in super::super) type Keys = BTreeMap<String, Vec<u8>>;

/// ConfigMaps and Secrets that a pod uses, as far as they are there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in super::super) struct Sources {
    pub(in super::super) config_maps: BTreeMap<String, Keys>,
    pub(in super::super) secrets: BTreeMap<String, Keys>,
}

impl Sources {
    /// The keys of an object; none if it may be missing.
    pub(in super::super) fn object(&self, secret: bool, name: &str, optional: Option<bool>) -> Result<Option<&Keys>, String> {
        let (what, all) = if secret { ("secret", &self.secrets) } else { ("configmap", &self.config_maps) };
        match all.get(name) {
            None if optional != Some(true) => Err(format!("{what} {name:?} not found")),
            found => Ok(found),
        }
    }

    fn key(&self, secret: bool, name: &str, key: &str, optional: Option<bool>) -> Result<Option<String>, String> {
        let what = if secret { "Secret" } else { "ConfigMap" };
        let Some(keys) = self.object(secret, name, optional)? else { return Ok(None) };
        match keys.get(key) {
            Some(value) => Ok(Some(text(value).ok_or_else(|| format!("key {key} in {what} {name} is no text"))?)),
            None if optional == Some(true) => Ok(None),
            None => Err(format!("couldn't find key {key} in {what} {name}")),
        }
    }
}

fn text(value: &[u8]) -> Option<String> {
    std::str::from_utf8(value).ok().filter(|text| !text.contains('\0')).map(str::to_owned)
}

/// The variables of a container in order, each once. The last one of a name counts; `links` are those that tell of services.
pub(in super::super) fn environment(
    pod: &Pod,
    container: &Container,
    sources: &Sources,
    ips: &[String],
    place: &Place,
    links: Vec<(String, String)>,
) -> Result<Vec<(String, String)>, String> {
    let mut all = links;
    for from in &container.env_from {
        let (secret, reference) = match (&from.config_map_ref, &from.secret_ref) {
            (Some(reference), _) => (false, reference),
            (None, Some(reference)) => (true, reference),
            (None, None) => continue,
        };
        for (key, value) in sources.object(secret, &reference.name, reference.optional)?.into_iter().flatten() {
            // Keys that are no names are left out.
            if let Some(value) = text(value).filter(|_| !key.contains('=')) {
                set(&mut all, format!("{}{key}", from.prefix), value);
            }
        }
    }
    for variable in &container.env {
        if let Some(value) = value(pod, container, variable, sources, &all, (ips, place))? {
            set(&mut all, variable.name.clone(), value);
        }
    }
    Ok(all)
}

fn set(all: &mut Vec<(String, String)>, name: String, value: String) {
    all.retain(|(other, _)| *other != name);
    all.push((name, value));
}

fn value(
    pod: &Pod,
    container: &Container,
    variable: &EnvVar,
    sources: &Sources,
    before: &[(String, String)],
    (ips, place): (&[String], &Place),
) -> Result<Option<String>, String> {
    let Some(from) = &variable.value_from else { return Ok(Some(expanded(&variable.value, before))) };
    if let Some(reference) = &from.field_ref {
        return facts::field(&reference.field_path, pod, ips, place).map(Some);
    }
    if let Some(reference) = &from.resource_field_ref {
        return facts::resource(reference, pod, Some(container)).map(Some);
    }
    if let Some(reference) = &from.config_map_key_ref {
        return sources.key(false, &reference.name, &reference.key, reference.optional);
    }
    if let Some(reference) = &from.secret_key_ref {
        return sources.key(true, &reference.name, &reference.key, reference.optional);
    }
    Ok(None)
}

/// Text with `$(NAME)` replaced by variables; `$$` is a dollar, and what names nothing stays as it is.
pub(super) fn expanded(text: &str, variables: &[(String, String)]) -> String {
    replaced(text, variables, &mut |name| format!("$({name})"))
}

/// The same where each name has to name something; the first one that does not otherwise.
pub(super) fn filled(text: &str, variables: &[(String, String)]) -> Result<String, String> {
    let mut missing = None;
    let text = replaced(text, variables, &mut |name| {
        missing.get_or_insert_with(|| name.to_owned());
        String::new()
    });
    missing.map_or(Ok(text), Err)
}

fn replaced(text: &str, variables: &[(String, String)], unknown: &mut dyn FnMut(&str) -> String) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        let name = after.strip_prefix('(').and_then(|inner| inner.split_once(')'));
        match (after.strip_prefix('$'), name) {
            (Some(tail), _) => {
                out.push('$');
                rest = tail;
            }
            (None, Some((name, tail))) => {
                match variables.iter().find(|(known, _)| known == name) {
                    Some((_, value)) => out.push_str(value),
                    None => out.push_str(&unknown(name)),
                }
                rest = tail;
            }
            (None, None) => {
                out.push('$');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::place;
    use super::*;

    fn of(env: serde_json::Value, env_from: serde_json::Value) -> Result<Vec<(String, String)>, String> {
        let pod: Pod = serde_json::from_value(
            json!({"metadata": {"name": "p"}, "spec": {"containers": [{"name": "a", "env": env, "envFrom": env_from}]}}),
        )
        .unwrap();
        let keys = |value: &str| Keys::from([("K".to_owned(), value.as_bytes().to_vec())]);
        let sources = Sources { config_maps: [("c".to_owned(), keys("1"))].into(), secrets: [("s".to_owned(), keys("2"))].into() };
        environment(
            &pod,
            &pod.spec.containers[0],
            &sources,
            &[],
            &place(),
            vec![("K_SERVICE_HOST".to_owned(), "10.96.0.2".to_owned())],
        )
    }

    #[test]
    fn variables_come_from_everywhere() {
        let env = json!([
            {"name": "A", "value": "x$(P_K)$$(A)$(NO)$"},
            {"name": "E", "value": "$(K_SERVICE_HOST)"},
            {"name": "B", "valueFrom": {"secretKeyRef": {"name": "s", "key": "K"}}},
            {"name": "C", "valueFrom": {"configMapKeyRef": {"name": "no", "key": "K", "optional": true}}},
            {"name": "D", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
            {"name": "B", "value": "$(D)"},
        ]);
        let pairs = of(env, json!([{"prefix": "P_", "configMapRef": {"name": "c"}}])).unwrap();
        let service = ("K_SERVICE_HOST", "10.96.0.2");
        let expected = [service, ("P_K", "1"), ("A", "x1$(A)$(NO)$"), ("E", "10.96.0.2"), ("D", "p"), ("B", "p")];
        assert_eq!(pairs, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_missing_is_named() {
        let secret = |name: &str, key: &str| json!([{"name": "A", "valueFrom": {"secretKeyRef": {"name": name, "key": key}}}]);
        assert_eq!(of(secret("no", "K"), json!([])).unwrap_err(), "secret \"no\" not found");
        assert_eq!(of(secret("s", "no"), json!([])).unwrap_err(), "couldn't find key no in Secret s");
        assert_eq!(of(json!([]), json!([{"configMapRef": {"name": "no"}}])).unwrap_err(), "configmap \"no\" not found");
    }
}
