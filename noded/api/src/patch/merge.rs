//! Merge patches (RFC 7386).

use serde_json::{Map, Value};

/// Lays `patch` over `object`: nulls remove, objects merge, all else replaces.
pub fn merge(object: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *object = patch;
        return;
    };
    if !object.is_object() {
        *object = Value::Object(Map::new());
    }
    let Value::Object(map) = object else { return };
    for (key, value) in patch {
        if value.is_null() {
            map.shift_remove(&key);
        } else {
            merge(map.entry(key).or_insert(Value::Null), value);
        }
    }
}
