//! Kinds whose objects are kept as those of another kind: clients see and write them in their own form.

use api::errors::FieldErrors;
use api::kinds::Kind;
use api::schema;
use api::status::Status;
use serde_json::Value;

use crate::store::Entry;

/// What is kept, as clients of this kind see it.
pub(super) fn object(kind: &Kind, entry: &Entry) -> Value {
    let mut object = entry.object();
    kind.show(&mut object);
    object
}

/// The same as JSON.
pub(super) fn bytes(kind: &Kind, entry: &Entry) -> bytes::Bytes {
    match kind.kept_as {
        None => entry.value.clone(),
        Some(_) => object(kind, entry).to_string().into(),
    }
}

/// Applies the rules of the form in which a client has spoken. All others are applied when it is written. Both objects are as they are kept.
pub(super) fn check(kind: &'static Kind, new: &Value, old: Option<&Value>) -> Result<(), Status> {
    if kind.kept_as.is_none() {
        return Ok(());
    }
    let shown = |object: &Value| {
        let mut object = object.clone();
        kind.show(&mut object);
        object
    };
    let (new, mut errors) = (shown(new), FieldErrors::new());
    match old {
        // what the older form allows may be there, and stays
        Some(old) => schema::check_immutable(&new, &shown(old), kind.table, "", &mut errors),
        None => (kind.validate)(&new, &mut errors),
    }
    schema::check_object(&new, kind.table, "", &mut errors);
    let name = new["metadata"]["name"].as_str().unwrap_or("");
    if errors.is_empty() { Ok(()) } else { Err(Status::invalid(kind, name, &errors)) }
}
