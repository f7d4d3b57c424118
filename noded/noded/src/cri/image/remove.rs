//! RemoveImage.

use cri::{RemoveImageRequest, RemoveImageResponse};

use super::find;
use crate::cri::{Answer, status};
use crate::node::Node;

/// Removes the image that a name or id means, under all its names, in whatever repositories they are. One that a container needs stays
/// without a name, and goes with the container's last use. That there is none is fine.
pub(super) fn remove(node: &Node, request: RemoveImageRequest) -> Answer<RemoveImageResponse> {
    let engine = node.engine();
    let store = engine.images();
    let Some(image) = find::image(store, &find::name(request.image)?)? else { return Ok(RemoveImageResponse {}) };
    let id = image.id.to_string();
    // The same image may be here under several manifests.
    let manifests =
        store.images().map_err(|error| status::of_image(&error))?.into_iter().filter(|other| other.id == image.id).count();
    for _ in 0..manifests.max(1) {
        match store.remove(&id, true, &|image| engine.users_of(image)) {
            Ok(_) | Err(images::Error::InUse { .. }) => {}
            Err(images::Error::NotFound { .. }) => break,
            Err(error) => return Err(status::of_image(&error)),
        }
    }
    Ok(RemoveImageResponse {})
}
