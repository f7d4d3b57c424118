//! ListImages.

use cri::{Image, ListImagesRequest, ListImagesResponse, StreamImagesRequest};

use super::view;
use crate::cri::{Answer, status};
use crate::host::log;
use crate::node::Node;

pub(super) fn list(node: &Node, request: ListImagesRequest) -> Answer<ListImagesResponse> {
    let images = all(node, StreamImagesRequest { filter: request.filter })?;
    Ok(ListImagesResponse { images })
}

/// The images that pass the filter. An image that is damaged is not there: the kubelet pulls it again.
pub(in super::super) fn all(node: &Node, request: StreamImagesRequest) -> Answer<Vec<Image>> {
    let listing = node.engine().images().list().map_err(|error| status::of_image(&error))?;
    for damage in &listing.damaged {
        log::failed(&format!("image {}", damage.name), &damage.error);
    }
    let mut images = view::images(&listing.images, &node.config().images.pinned);
    let wanted = request.filter.and_then(|filter| filter.image).map(|spec| spec.image).filter(|name| !name.is_empty());
    if let Some(wanted) = wanted {
        let id = super::find::image(node.engine().images(), &wanted)?.map(|image| image.id.to_string());
        images.retain(|image| Some(&image.id) == id.as_ref());
    }
    Ok(images)
}
