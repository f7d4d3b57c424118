//! What happens to an object between a client's words and the store.

use serde_json::Value;

use crate::errors::{FieldError, FieldErrors};
use crate::kinds::Kind;
use crate::schema;
use crate::{json, names};

/// Fills in all defaults.
pub fn complete(kind: &Kind, object: &mut Value) {
    schema::fill_defaults(object, kind.table);
    (kind.defaults)(object);
    json::drop_nulls(object);
}

/// Everything that is wrong with an object, or with the change from `old` to it.
pub fn validate(kind: &Kind, object: &Value, old: Option<&Value>) -> FieldErrors {
    let mut errors = FieldErrors::new();
    metadata(kind, &object["metadata"], &mut errors);
    schema::check_object(object, kind.table, "", &mut errors);
    (kind.validate)(object, &mut errors);
    if let Some(old) = old {
        schema::check_immutable(object, old, kind.table, "", &mut errors);
        (kind.validate_update)(object, old, &mut errors);
    }
    errors
}

fn metadata(kind: &Kind, meta: &Value, errors: &mut FieldErrors) {
    const MOST_ANNOTATIONS: usize = 256 << 10;
    match meta["name"].as_str().unwrap_or("") {
        "" => errors.push(FieldError::required("metadata.name", "name or generateName is required")),
        name => (kind.name_check)(name)
            .into_iter()
            .for_each(|why| errors.push(FieldError::invalid("metadata.name", &meta["name"], why))),
    }
    if kind.namespaced && meta["namespace"].as_str().unwrap_or("").is_empty() && kind.is_kept() {
        errors.push(FieldError::required("metadata.namespace", ""));
    }
    labels(&meta["labels"], "metadata.labels", errors);
    let mut size = 0;
    for (key, value) in meta["annotations"].as_object().into_iter().flatten() {
        size += key.len() + value.as_str().map_or(0, str::len);
        names::qualified_name(&key.to_lowercase())
            .into_iter()
            .for_each(|why| errors.push(FieldError::invalid("metadata.annotations", &key.as_str().into(), why)));
    }
    if size > MOST_ANNOTATIONS {
        errors.push(FieldError::too_long("metadata.annotations", MOST_ANNOTATIONS));
    }
    for finalizer in meta["finalizers"].as_array().into_iter().flatten() {
        let name = finalizer.as_str().unwrap_or("");
        names::qualified_name(name)
            .into_iter()
            .for_each(|why| errors.push(FieldError::invalid("metadata.finalizers", finalizer, why)));
    }
    let controllers = meta["ownerReferences"].as_array().into_iter().flatten().filter(|r| r["controller"] == true).count();
    if controllers > 1 {
        errors.push(FieldError::invalid(
            "metadata.ownerReferences",
            &meta["ownerReferences"],
            "Only one reference can have Controller set to true".into(),
        ));
    }
}

/// Checks keys and values of labels at `path`.
pub(crate) fn labels(labels: &Value, path: &str, errors: &mut FieldErrors) {
    for (key, value) in labels.as_object().into_iter().flatten() {
        names::qualified_name(key).into_iter().for_each(|why| errors.push(FieldError::invalid(path, &key.as_str().into(), why)));
        names::label_value(value.as_str().unwrap_or(""))
            .into_iter()
            .for_each(|why| errors.push(FieldError::invalid(path, value, why)));
    }
}
