//! ImageStatus.

use cri::{ImageStatusRequest, ImageStatusResponse};

use super::{find, view};
use crate::cri::{Answer, status};
use crate::node::Node;

/// The image, or none.
pub(in crate::cri) fn status(node: &Node, request: ImageStatusRequest) -> Answer<ImageStatusResponse> {
    let store = node.engine().images();
    let Some(found) = find::image(store, &find::name(request.image)?)? else { return Ok(ImageStatusResponse::default()) };
    // All its names, also those of the same image from another registry.
    let all = store.images().map_err(|error| status::of_image(&error))?;
    let same: Vec<_> = all.into_iter().filter(|image| image.id == found.id).collect();
    let image = view::images(&same, &node.config().images.pinned).into_iter().next();
    let info = match request.verbose {
        true => view::info(&found, &store.config_bytes(&found).map_err(|error| status::of_image(&error))?),
        false => Default::default(),
    };
    Ok(ImageStatusResponse { image, info })
}
