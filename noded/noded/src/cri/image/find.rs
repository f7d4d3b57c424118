//! From what a client names to an image.

use cri::ImageSpec;
use images::{Image, Store};

use crate::cri::{Answer, status};

/// The name in a request: a reference, an id, or the beginning of an id.
pub(super) fn name(spec: Option<ImageSpec>) -> Answer<String> {
    let name = spec.map(|spec| spec.image).unwrap_or_default();
    if name.is_empty() {
        return Err(status::invalid("image: it is empty"));
    }
    Ok(name)
}

/// The image of this name, or none. A text that can be no name of an image names none.
pub(super) fn image(store: &Store, name: &str) -> Answer<Option<Image>> {
    match store.image(name) {
        Ok(image) => Ok(Some(image)),
        Err(images::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(status::of_image(&error)),
    }
}
