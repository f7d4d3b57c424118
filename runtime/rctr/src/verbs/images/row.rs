//! An image as rows, one for each of its names.

use images::{Image, Reference, Store};
use serde_json::{Value, json};

use super::created;
use super::filter::Wanted;
use crate::output::amount::{rfc3339, since, size, span};

/// Rows with the fields that Docker's templates know, and when the image was used last.
pub(super) fn rows(store: &Store, image: &Image, whole: bool, wanted: &Wanted<'_>) -> Vec<Value> {
    if !wanted.image(image) {
        return Vec::new();
    }
    let id = if whole { image.id.to_string() } else { image.id.short().to_owned() };
    let ago = |time| if time == 0 { "N/A".to_owned() } else { format!("{} ago", span(since(time))) };
    let used = store.last_used(image).unwrap_or_default();
    let row = |repository: String, tag: String| {
        json!({
            "Repository": repository, "Tag": tag, "ID": id, "CreatedSince": ago(created(image)), "Size": size(image.size),
            "CreatedAt": image.config.created, "Digest": image.target,
            "LastUsed": ago(used), "LastUsedAt": rfc3339(used),
        })
    };
    let none = || "<none>".to_owned();
    if image.names.is_empty() {
        return if wanted.nameless() { vec![row(none(), none())] } else { Vec::new() };
    }
    let named = |name: &Reference| row(name.familiar_name(), name.tag().map_or_else(none, str::to_owned));
    image.names.iter().filter(|name| wanted.name(name)).map(named).collect()
}
