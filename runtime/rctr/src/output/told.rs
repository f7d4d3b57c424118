//! Events about images: who works with them tells.

use engine::{Actor, Engine};

/// Something has happened to the image that `id` is an id or name of.
pub(crate) fn image(engine: &Engine, action: &str, id: &str, name: &str) {
    let attributes = [("name".to_owned(), name.to_owned())].into();
    engine.note("image", action, Actor { id: id.to_owned(), attributes });
}
