//! The processes that containers of a pod share. A namespace of processes ends with its first one, so that is a container too: of nothing but a
//! program that waits and reaps, made when the first container asks for it.

use images::{Digest, Image, ImageConfig};
use serde_json::Value;

use super::member::name;
use super::record::PodRecord;
use super::request::PodMember;
use crate::request::{CreateRequest, LogConfig, Security, Tuning};
use crate::{Engine, Error, StartOptions, names};

/// The name of that container in its pod, under which Kubernetes knew such a thing first. No container of a Kubernetes pod can have it.
pub const POD_INIT: &str = "POD";

fn member(pod: &PodRecord) -> PodMember {
    PodMember { pod: pod.id.clone(), name: POD_INIT.to_owned(), attempt: 0, extra: Value::Null }
}

impl Engine {
    /// The running container whose processes those of the pod are.
    pub(super) fn pod_init(&self, pod: &PodRecord) -> Result<String, Error> {
        let made = match of_pod(self, pod) {
            Some(id) => Ok(id),
            None => self.create(&request(pod), &nothing()).map(|record| record.id),
        };
        let id = match made {
            // Somebody else has made it meanwhile.
            Err(Error::NameInUse { id, .. }) => names::resolve(&self.config, &id)?,
            made => made?,
        };
        match self.start(&id, &StartOptions::default()) {
            Ok(_) | Err(Error::Running(_)) => Ok(id),
            Err(error) => Err(error),
        }
    }
}

/// The id of that container, if there is one.
pub(super) fn of_pod(engine: &Engine, pod: &PodRecord) -> Option<String> {
    names::holder(&engine.config, &name(pod, &member(pod)))
}

fn request(pod: &PodRecord) -> CreateRequest {
    CreateRequest {
        image: POD_INIT.to_owned(),
        cmd: vec!["--pause".to_owned()],
        pod: Some(member(pod)),
        // Whoever shares its processes finds nothing here to make use of.
        security: Security {
            cap_drop: vec!["ALL".to_owned()],
            no_new_privileges: true,
            readonly_rootfs: true,
            ..Security::default()
        },
        tuning: Tuning { init: true, log: LogConfig { none: true, ..LogConfig::default() }, ..Tuning::default() },
        ..CreateRequest::default()
    }
}

/// An image without files: what it takes is mounted.
fn nothing() -> Image {
    let digest = Digest::sha256(b"");
    Image {
        id: digest.clone(),
        manifest: digest.clone(),
        target: digest,
        names: Vec::new(),
        layers: Vec::new(),
        config: ImageConfig::default(),
        size: 0,
    }
}
