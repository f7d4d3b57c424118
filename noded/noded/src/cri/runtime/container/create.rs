//! CreateContainer.

use std::path::Path;
use std::sync::Arc;

use cri::{ContainerConfig, CreateContainerRequest, CreateContainerResponse};
use engine::{Error, Pod};
use images::{Image, Store};
use tonic::Status;

use super::check::{self, Seccomp, Wanted};
use super::maybe;
use crate::cri::local::Beyond;
use crate::cri::runtime::kept::{self, Kept};
use crate::cri::runtime::{pod, selinux};
use crate::cri::{Answer, check as say, status as code};
use crate::host::limits;
use crate::node::Node;

/// The longest profile of system calls that is read.
const PROFILE: usize = 1 << 20;

/// Makes a container. A kubelet that has lost patience asks again for the same: it gets the same container.
pub(in crate::cri) async fn create(
    node: &Arc<Node>,
    request: CreateContainerRequest,
    beyond: Beyond,
) -> Answer<CreateContainerResponse> {
    let config = say::there("config", request.config)?;
    let metadata = say::there("metadata", config.metadata.as_ref())?;
    say::id("pod_sandbox_id", &request.pod_sandbox_id)?;
    let key = format!("{}\n{}\n{}", request.pod_sandbox_id, metadata.name, metadata.attempt);
    let own = Arc::clone(node);
    let container_id = node.containers.join(&key, move || made(&own, &request.pod_sandbox_id, config, &beyond)).await?;
    Ok(CreateContainerResponse { container_id })
}

fn made(node: &Node, pod_id: &str, config: ContainerConfig, beyond: &Beyond) -> Answer<String> {
    let pod = pod::find(node, pod_id)?;
    let wanted = check::wanted(&pod.record.id, &kept::pod(&pod), &config, beyond)?;
    let context = config.linux.as_ref().and_then(|linux| linux.security_context.as_ref());
    let relabel = config.mounts.iter().any(|mount| mount.selinux_relabel);
    selinux::refuse(context.and_then(|context| context.selinux_options.as_ref()), relabel)?;
    let store = node.engine().images();
    let image = store.image(&wanted.image).map_err(|error| code::of_image(&error))?;
    let kept = kept(store, &wanted, &image, config)?;
    let request = completed(wanted, &kept)?;
    match node.engine().create(&request, &image) {
        Ok(record) => {
            node.events.container(&record.id, cri::ContainerEventType::ContainerCreatedEvent);
            Ok(record.id)
        }
        Err(Error::NameInUse { name, id }) => found(node, &pod, &kept, &name, &id),
        Err(error) => Err(refused(&kept.config, &error)),
    }
}

/// What is kept beside the container: how the kubelet wants it back, with the images that it is made of.
fn kept(store: &Store, wanted: &Wanted, image: &Image, mut config: ContainerConfig) -> Answer<Kept> {
    for mount in config.mounts.iter_mut().filter_map(|mount| mount.image.as_mut()) {
        let missing = |error: &images::Error| {
            let status = code::of_image(error);
            Status::new(status.code(), format!("ImageVolumeMountFailed: {}", status.message()))
        };
        let own = store.image(&mount.image).map_err(|error| missing(&error))?;
        // As PullImage has answered it: what a volume and a container have in common is told by it (KEP-5365).
        mount.image_ref = own.id.to_string();
    }
    let (name, image_ref) = reference(store, image)?;
    let name = if wanted.request.image.is_empty() { name } else { wanted.request.image.clone() };
    Ok(Kept { config, image: name, image_ref })
}

/// The name of an image, and its name with a digest; its id where it has none.
fn reference(store: &Store, image: &Image) -> Answer<(String, String)> {
    let id = image.id.to_string();
    let all = store.images().map_err(|error| code::of_image(&error))?;
    let name =
        image.names.first().or_else(|| all.iter().filter(|other| other.id == image.id).flat_map(|other| &other.names).next());
    Ok(name.map_or_else(|| (id.clone(), id.clone()), |name| (name.to_string(), name.with_digest(&image.target).to_string())))
}

/// The request with what is read from the host.
fn completed(wanted: Wanted, kept: &Kept) -> Answer<engine::CreateRequest> {
    let Wanted { mut request, seccomp, .. } = wanted;
    request.image.clone_from(&kept.image);
    request.tuning.ulimits.extend(limits::of_containers());
    if let Seccomp::File(path) = seccomp {
        request.security.seccomp_profile = Some(profile(&path)?);
    }
    if let Some(member) = &mut request.pod {
        member.extra = kept.to_value();
    }
    Ok(request)
}

fn profile(path: &Path) -> Answer<String> {
    let read = std::fs::File::open(path).map_err(|error| error.to_string());
    let bytes = read.and_then(|file| sys::fs::read_all(file, PROFILE).map_err(|error| error.to_string()));
    let failed = |why: String| code::invalid(format_args!("seccomp.localhost_ref: {}: {why}", path.display()));
    String::from_utf8(bytes.map_err(failed)?).map_err(|_| failed("it is no text".to_owned()))
}

/// A container that is there is the one that is wanted, if it is what is asked for.
fn found(node: &Node, pod: &Pod, kept: &Kept, name: &str, id: &str) -> Answer<String> {
    let exists = |why: &str| Status::already_exists(format!("container {name} exists already as {id}{why}"));
    match maybe(node, id)? {
        Some(member) if member.pod == pod.record.id && member.kept.config == kept.config => Ok(member.id().to_owned()),
        Some(_) => Err(exists(", with another configuration: remove it first")),
        None => Err(Status::aborted(format!("container {name} was just removed: ask again"))),
    }
}

/// The kubelet tells a volume that is an image by the first word.
fn refused(config: &ContainerConfig, error: &Error) -> Status {
    let status = code::of(error);
    let of_image = matches!(error, Error::Invalid { what, .. } if config.mounts.iter().any(|mount| {
        mount.image.is_some() && what.contains(&mount.container_path)
    }));
    match of_image {
        true => Status::new(status.code(), format!("ImageVolumeMountFailed: {}", status.message())),
        false => status,
    }
}
