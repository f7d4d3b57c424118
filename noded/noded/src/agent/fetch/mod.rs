//! What the API has beside a pod and the pod uses: ConfigMaps, Secrets, tokens.

mod seen;
mod tokens;

use std::collections::BTreeSet;

use api::kinds::pod::Pod;
use api::kinds::pod::container::EphemeralContainer;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

pub(super) use seen::Seen;
pub(super) use tokens::{Tokens, tokens};

use super::api::{Api, Refused};
use super::wanted::environment::{Keys, Sources};

/// What was fetched before.
#[derive(Debug, Default)]
pub(super) struct Fetched {
    pub(super) tokens: Tokens,
    pub(super) seen: Seen,
}

/// ConfigMaps and Secrets that a pod names, as far as they are there: as they are now where `fresh`, else as they were a moment ago.
pub(super) async fn sources(api: &Api, seen: &Seen, pod: &Pod, fresh: bool) -> Result<Sources, Refused> {
    let mut sources = Sources::default();
    let (maps, secrets) = names(pod);
    for (secret, name) in maps.into_iter().map(|name| (false, name)).chain(secrets.into_iter().map(|name| (true, name))) {
        let key = (pod.metadata.namespace.clone(), secret, name.clone());
        if let Some(keys) = seen.get(key, fresh, engine::now(), read(api, &pod.metadata.namespace, secret, &name)).await? {
            let all = if secret { &mut sources.secrets } else { &mut sources.config_maps };
            all.insert(name, keys);
        }
    }
    Ok(sources)
}

async fn read(api: &Api, namespace: &str, secret: bool, name: &str) -> Result<Option<Keys>, Refused> {
    let plural = if secret { "secrets" } else { "configmaps" };
    match api.get(&format!("/api/v1/namespaces/{namespace}/{plural}/{name}")).await {
        Ok(object) => Ok(Some(keys(&object, secret))),
        Err(error) if error.is_missing() => Ok(None),
        Err(error) => Err(error),
    }
}

fn keys(object: &Value, secret: bool) -> Keys {
    let entries = |field: &str| object[field].as_object().into_iter().flatten().map(|(key, value)| (key.clone(), value.clone()));
    let bytes = |(key, value): (String, Value)| Some((key, STANDARD.decode(value.as_str()?).ok()?));
    let text = |(key, value): (String, Value)| Some((key, value.as_str()?.as_bytes().to_vec()));
    match secret {
        true => entries("data").filter_map(bytes).collect(),
        false => entries("data").filter_map(text).chain(entries("binaryData").filter_map(bytes)).collect(),
    }
}

/// Names of the ConfigMaps and of the Secrets.
fn names(pod: &Pod) -> (BTreeSet<String>, BTreeSet<String>) {
    let (mut maps, mut secrets) = (BTreeSet::new(), BTreeSet::new());
    let added: Vec<_> = pod.spec.ephemeral_containers.iter().map(EphemeralContainer::container).collect();
    for container in pod.spec.containers.iter().chain(&pod.spec.init_containers).chain(&added) {
        for from in &container.env_from {
            maps.extend(from.config_map_ref.iter().map(|reference| reference.name.clone()));
            secrets.extend(from.secret_ref.iter().map(|reference| reference.name.clone()));
        }
        for from in container.env.iter().filter_map(|variable| variable.value_from.as_ref()) {
            maps.extend(from.config_map_key_ref.iter().map(|reference| reference.name.clone()));
            secrets.extend(from.secret_key_ref.iter().map(|reference| reference.name.clone()));
        }
    }
    for volume in &pod.spec.volumes {
        maps.extend(volume.config_map.iter().map(|map| map.name.clone()));
        secrets.extend(volume.secret.iter().map(|secret| secret.secret_name.clone()));
        for source in volume.projected.iter().flat_map(|projected| &projected.sources) {
            maps.extend(source.config_map.iter().map(|map| map.name.clone()));
            secrets.extend(source.secret.iter().map(|secret| secret.name.clone()));
        }
    }
    secrets.extend(pod.spec.image_pull_secrets.iter().map(|secret| secret.name.clone()));
    (maps, secrets)
}

/// The login for a registry in the pod's secrets.
pub(super) fn login(pod: &Pod, sources: &Sources, registry: &str) -> Option<cri::AuthConfig> {
    let hub = |host: &str| matches!(host, "docker.io" | "index.docker.io" | "registry-1.docker.io");
    let is_for = |address: &str| {
        let host = address.split_once("://").map_or(address, |(_, rest)| rest).split('/').next().unwrap_or_default();
        host == registry || hub(host) && hub(registry)
    };
    for secret in &pod.spec.image_pull_secrets {
        let Some(keys) = sources.secrets.get(&secret.name) else { continue };
        let read = |key: &str| serde_json::from_slice::<Value>(keys.get(key)?).ok();
        // The old form has no `auths` around its entries.
        let auths = read(".dockerconfigjson").map(|mut config| config["auths"].take()).or_else(|| read(".dockercfg"));
        let auths = auths.unwrap_or_default();
        let entry = auths.as_object().and_then(|all| all.iter().find(|(address, _)| is_for(address)));
        if let Some((address, entry)) = entry {
            let text = |field: &str| entry[field].as_str().unwrap_or_default().to_owned();
            return Some(cri::AuthConfig {
                username: text("username"),
                password: text("password"),
                auth: if text("username").is_empty() { text("auth") } else { String::new() },
                server_address: address.clone(),
                identity_token: text("identitytoken"),
                ..cri::AuthConfig::default()
            });
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn everything_that_a_pod_names_is_fetched() {
        let pod: Pod = serde_json::from_value(json!({"spec": {
            "containers": [{"name": "a", "envFrom": [{"configMapRef": {"name": "m1"}}], "env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s1", "key": "k"}}}]}],
            "volumes": [{"name": "v", "secret": {"secretName": "s2"}}, {"name": "w", "projected": {"sources": [{"configMap": {"name": "m2"}}]}}],
            "imagePullSecrets": [{"name": "s3"}]
        }}))
        .unwrap();
        let (maps, secrets) = names(&pod);
        assert_eq!(maps.into_iter().collect::<Vec<_>>(), ["m1", "m2"]);
        assert_eq!(secrets.into_iter().collect::<Vec<_>>(), ["s1", "s2", "s3"]);
        let file = json!({"auths": {"https://r.io/v2/": {"username": "u", "password": "p"}}}).to_string().into_bytes();
        let sources = Sources {
            secrets: [("s3".to_owned(), Keys::from([(".dockerconfigjson".to_owned(), file)]))].into(),
            ..Sources::default()
        };
        assert_eq!(login(&pod, &sources, "r.io").unwrap().username, "u");
        assert!(login(&pod, &sources, "r.io.evil").is_none());
        let old = json!({"r.io": {"username": "old", "password": "p"}}).to_string().into_bytes();
        let secrets = [("s3".to_owned(), Keys::from([(".dockercfg".to_owned(), old)]))].into();
        assert_eq!(login(&pod, &Sources { secrets, ..Sources::default() }, "r.io").unwrap().username, "old");
    }
}
