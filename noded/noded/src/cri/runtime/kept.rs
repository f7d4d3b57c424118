//! What the client said, kept with what was made of it, so that it can be given back to the letter.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cri::{ContainerConfig, PodSandboxConfig};
use engine::{Container, Pod, PodMember};
use prost::Message;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// Beside a pod.
pub(super) fn of_pod(config: &PodSandboxConfig) -> Value {
    Value::String(encoded(config))
}

/// The configuration of a pod. A pod that somebody else has made has what is known of it.
pub(super) fn pod(pod: &Pod) -> PodSandboxConfig {
    let request = &pod.record.request;
    let known = || PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: request.name.clone(),
            uid: request.uid.clone(),
            namespace: request.namespace.clone(),
            attempt: request.attempt,
        }),
        labels: request.labels.clone(),
        annotations: request.annotations.clone(),
        ..PodSandboxConfig::default()
    };
    request.extra.as_str().and_then(decoded).unwrap_or_else(known)
}

/// Beside a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Beside {
    config: String,
    image: String,
    image_ref: String,
}

/// A container as its client asked for it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Kept {
    pub(super) config: ContainerConfig,
    /// The image's name, as people know it.
    pub(super) image: String,
    /// The image with its digest, or its id where it came without a registry.
    pub(super) image_ref: String,
}

impl Kept {
    /// As it is kept.
    pub(super) fn to_value(&self) -> Value {
        let beside = Beside { config: encoded(&self.config), image: self.image.clone(), image_ref: self.image_ref.clone() };
        serde_json::to_value(beside).unwrap_or_default()
    }

    /// A container of a pod that somebody else has made has what is known of it.
    pub(super) fn of(container: &Container, member: &PodMember) -> Kept {
        let beside = Beside::deserialize(&member.extra).unwrap_or_default();
        let known = || ContainerConfig {
            metadata: Some(cri::ContainerMetadata { name: member.name.clone(), attempt: member.attempt }),
            ..ContainerConfig::default()
        };
        let config = Some(beside.config).filter(|text| !text.is_empty()).and_then(|text| decoded(&text)).unwrap_or_else(known);
        let image = &container.record.image;
        let named = |own: String, other: String| if own.is_empty() { other } else { own };
        Kept { config, image: named(beside.image, image.name.clone()), image_ref: named(beside.image_ref, image.id.to_string()) }
    }
}

fn encoded(message: &impl Message) -> String {
    STANDARD.encode(message.encode_to_vec())
}

fn decoded<M: Message + Default>(text: &str) -> Option<M> {
    M::decode(STANDARD.decode(text).ok()?.as_slice()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_comes_back() {
        let annotations = [("a\n".to_owned(), "\u{0}{\"b\":1}".to_owned())].into();
        let config = PodSandboxConfig { annotations, ..PodSandboxConfig::default() };
        let value = of_pod(&config);
        assert_eq!(value.as_str().and_then(decoded), Some(config));
        assert_eq!(decoded::<PodSandboxConfig>("?"), None);
    }

    #[test]
    fn what_was_said_is_shown_by_the_names_of_the_interface() {
        let config = ContainerConfig {
            envs: vec![cri::KeyValue { key: "A".to_owned(), value: b"b".to_vec() }],
            mounts: vec![cri::Mount {
                host_path: "/x".to_owned(),
                uid_mappings: vec![cri::IdMapping::default()],
                ..Default::default()
            }],
            labels: [("empty".to_owned(), String::new())].into(),
            cdi_devices: vec![cri::CdiDevice { name: "v/c=d".to_owned() }],
            ..ContainerConfig::default()
        };
        let expected = serde_json::json!({
            "envs": [{ "key": "A", "value": "b" }], "mounts": [{ "host_path": "/x", "uidMappings": [{}] }], "labels": { "empty": "" },
            "CDI_devices": [{ "name": "v/c=d" }],
        });
        assert_eq!(serde_json::to_value(config).unwrap(), expected);
    }
}
