//! A container in a pod: an ordinary one that shares what the pod has.

use std::borrow::Cow;
use std::fs::File;
use std::path::PathBuf;

use sys::Call;

use super::record::PodRecord;
use super::request::{PodMember, PodSharing};
use super::{MEMBERS, find, run};
use crate::config::Config;
use crate::error::During;
use crate::request::{CreateRequest, NetworkMode, Sharing, Users};
use crate::{Engine, Error, Record, names, scope};

/// A request, completed by what the pod decides.
pub(crate) struct Within<'a> {
    pub(crate) request: Cow<'a, CreateRequest>,
    /// The pod stays as it is while this is held.
    hold: Option<File>,
}

/// Completes a request for a container in a pod. Any other stays as it is.
///
/// # Errors
/// [`Error::NoSuchPod`], [`Error::PodNotReady`].
pub(crate) fn within<'a>(engine: &Engine, request: &'a CreateRequest) -> Result<Within<'a>, Error> {
    let config = &engine.config;
    let Some(member) = &request.pod else { return Ok(Within { request: Cow::Borrowed(request), hold: None }) };
    let id = find::resolve(config, &member.pod)?;
    let hold = find::lock(config, &id, true)?;
    let pod = find::load(config, &id)?.ok_or_else(|| Error::NoSuchPod(member.pod.clone()))?;
    if !pod.ready {
        return Err(Error::PodNotReady(id[..12].to_owned()));
    }
    let mut own = request.clone();
    own.pod = Some(PodMember { pod: id.clone(), ..member.clone() });
    own.name.get_or_insert_with(|| name(&pod.record, member));
    (own.networks, own.ports, own.publish_all) = (Vec::new(), Vec::new(), false);
    (own.network, own.namespaces.uts, own.hostname) = match pod.record.has_network() {
        true => (NetworkMode::Pod(id.clone()), Sharing::Pod(id.clone()), Some(run::hostname(&pod.record))),
        false => (NetworkMode::Host, Sharing::Host, None),
    };
    own.namespaces.ipc = match pod.record.request.ipc {
        PodSharing::Pod => Sharing::Pod(id.clone()),
        PodSharing::Host => Sharing::Host,
    };
    own.users = Users::Host;
    own.namespaces.users = pod.record.request.users.clone();
    if let Sharing::Pod(_) = own.namespaces.pid {
        own.namespaces.pid = Sharing::Container(engine.pod_init(&pod.record)?);
    }
    // Whoever makes pods has limits of its own.
    own.resources.tiny = true;
    let parent = pod.record.cgroup(config)?;
    own.tuning.scope = scope::is_slice(&parent);
    own.tuning.cgroup_parent = Some(parent);
    Ok(Within { request: Cow::Owned(own), hold: Some(hold) })
}

impl Within<'_> {
    /// Notes that the container `id` belongs to the pod, before there is one.
    pub(crate) fn note(&self, config: &Config, id: &str) -> Result<(), Error> {
        let (Some(member), Some(_)) = (&self.request.pod, &self.hold) else { return Ok(()) };
        let path = config.pod(&member.pod).join(MEMBERS).join(id);
        File::create(&path).call(|| format!("open({path:?}, O_CREAT)")).during(|| "make a container of a pod").map(drop)
    }
}

/// Takes that back, once there is no container.
pub(crate) fn forget(config: &Config, pod: Option<&PodMember>, id: &str) {
    if let Some(member) = pod {
        let _ = std::fs::remove_file(config.pod(&member.pod).join(MEMBERS).join(id));
    }
}

/// Makes sure that the pod of a container, if it has one, is there for its start.
///
/// # Errors
/// [`Error::PodNotReady`].
pub(crate) fn still_ready(config: &Config, record: &Record) -> Result<(), Error> {
    let Some(member) = &record.pod else { return Ok(()) };
    match find::load(config, &member.pod)? {
        Some(pod) if pod.ready => Ok(()),
        _ => Err(Error::PodNotReady(member.pod[..12].to_owned())),
    }
}

/// Where a pod keeps a namespace, or its shared memory.
pub(crate) fn pinned(config: &Config, pod: &str, name: &str) -> PathBuf {
    config.pod_runtime(pod).join(name)
}

/// The name of a container that was given none: who it is, as the kubelet's first runtimes had it. It says all that is unique about it, or
/// ends with a number that does.
pub(super) fn name(pod: &PodRecord, member: &PodMember) -> String {
    let request = &pod.request;
    let mut parts = vec![&member.name, &request.name, &request.namespace, &request.uid].into_iter().cloned().collect::<Vec<_>>();
    if request.attempt > 0 {
        parts.push(format!("{}", request.attempt));
    }
    let name = format!("k8s_{}_{}", parts.join("_"), member.attempt);
    if names::check(&name).is_ok() && !parts.iter().any(|part| part.contains('_')) {
        return name;
    }
    let fine = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '-' };
    let readable: String = member.name.chars().map(fine).take(64).collect();
    let unique = images::Digest::sha256(format!("{}/{}/{}", pod.id, member.attempt, member.name).as_bytes());
    format!("k8s_{readable}_{}", &unique.hex()[..32])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pod::PodRequest;

    fn named(container: &str, pod: &str, attempt: u32) -> String {
        let request = PodRequest {
            name: pod.to_owned(),
            namespace: "default".to_owned(),
            uid: "1-2".to_owned(),
            attempt,
            ..PodRequest::default()
        };
        let record = PodRecord { id: "ab".repeat(32), created: 0, request };
        let member = PodMember { pod: record.id.clone(), name: container.to_owned(), attempt: 3, extra: serde_json::Value::Null };
        name(&record, &member)
    }

    #[test]
    fn a_name_says_who_it_is() {
        assert_eq!(named("web", "shop", 0), "k8s_web_shop_default_1-2_3");
        assert_eq!(named("web", "shop", 2), "k8s_web_shop_default_1-2_2_3");
    }

    #[test]
    fn what_is_no_name_becomes_one() {
        let odd = named("a b/c", "shop", 0);
        assert!(odd.starts_with("k8s_a-b-c_") && names::check(&odd).is_ok(), "{odd}");
        assert_ne!(odd, named("a b c", "shop", 0));
        let long = named("web", &"p".repeat(253), 0);
        assert!(names::check(&long).is_ok() && long.len() < 128, "{long}");
        // Each could be read as the other one.
        assert_ne!(named("a_b", "c", 0), named("a", "b_c", 0));
    }
}
