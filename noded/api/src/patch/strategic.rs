//! Strategic merge patches: like merge patches, but lists whose table names a merge key are merged entry by entry.
//!
//! Directives: `$patch: replace | delete | merge`, `$retainKeys`, `$deleteFromPrimitiveList/FIELD`, `$setElementOrder/FIELD`.

use serde_json::{Map, Value};

use super::NotPatched;
use crate::schema::{Field, Object, Type};

type Entries = Map<String, Value>;

/// Lays `patch` over `target`.
///
/// # Errors
/// A patch that is no object, an unknown directive, an entry without its merge key.
pub fn strategic(target: &mut Value, patch: Value, object: &'static Object) -> Result<(), NotPatched> {
    match (target, patch) {
        (Value::Object(target), Value::Object(patch)) => over(target, patch, Some(object)),
        _ => Err(wrong("unable to apply a strategic merge patch that is no object")),
    }
}

fn wrong(why: impl Into<String>) -> NotPatched {
    NotPatched::Strategic(why.into())
}

fn over(target: &mut Entries, mut patch: Entries, object: Option<&'static Object>) -> Result<(), NotPatched> {
    if let Some(directive) = patch.shift_remove("$patch") {
        match directive.as_str() {
            Some("replace") => {
                *target = plain(patch);
                return Ok(());
            }
            Some("delete") => {
                target.clear();
                return Ok(());
            }
            Some("merge") => {}
            _ => return Err(wrong(format!("Unknown patch type found: {directive}"))),
        }
    }
    if let Some(Value::Array(kept)) = patch.shift_remove("$retainKeys") {
        target.retain(|key, _| kept.iter().any(|k| k == key));
    }
    let (mut orders, mut removals) = (Vec::new(), Vec::new());
    for (key, value) in patch {
        if let Some(name) = key.strip_prefix("$setElementOrder/") {
            orders.push((name.to_string(), value));
        } else if let Some(name) = key.strip_prefix("$deleteFromPrimitiveList/") {
            removals.push((name.to_string(), value));
        } else {
            field(target, key, value, object)?;
        }
    }
    for (name, gone) in removals {
        if let (Some(Value::Array(list)), Value::Array(gone)) = (target.get_mut(&name), gone) {
            list.retain(|item| !gone.contains(item));
        }
    }
    for (name, order) in orders {
        if let (Some(Value::Array(list)), Value::Array(order)) = (target.get_mut(&name), order) {
            reorder(list, &order, object.and_then(|o| o.field(&name)));
        }
    }
    Ok(())
}

fn field(target: &mut Entries, key: String, value: Value, object: Option<&'static Object>) -> Result<(), NotPatched> {
    let table = object.and_then(|o| o.field(&key));
    match value {
        Value::Null => {
            target.shift_remove(&key);
        }
        Value::Object(patch) => {
            let inner = match table.map(|f| f.ty) {
                Some(Type::Object(inner)) => Some(*inner),
                _ => None,
            };
            let place = target.entry(key).or_insert_with(|| Value::Object(Entries::new()));
            if !place.is_object() {
                *place = Value::Object(Entries::new());
            }
            if let Value::Object(place) = place {
                over(place, patch, inner)?;
            }
        }
        Value::Array(patch) => {
            let place = target.entry(key).or_insert_with(|| Value::Array(Vec::new()));
            match (place, table.and_then(|f| f.merge_key)) {
                (Value::Array(list), Some("")) => {
                    for item in patch {
                        if !list.contains(&item) {
                            list.push(item);
                        }
                    }
                }
                (Value::Array(list), Some(merge_key)) => entries(list, patch, merge_key, table)?,
                (place, _) => *place = Value::Array(patch.into_iter().map(plain_value).collect()),
            }
        }
        other => {
            target.insert(key, other);
        }
    }
    Ok(())
}

fn entries(list: &mut Vec<Value>, patch: Vec<Value>, key: &str, table: Option<&'static Field>) -> Result<(), NotPatched> {
    let inner = match table.map(|f| f.ty) {
        Some(Type::List(Type::Object(inner))) => Some(*inner),
        _ => None,
    };
    let replaces = |item: &Value| item["$patch"] == "replace" && item.get(key).is_none();
    if patch.iter().any(replaces) {
        *list = patch.into_iter().filter(|item| !replaces(item)).map(plain_value).collect();
        return Ok(());
    }
    for item in patch {
        let Value::Object(mut item) = item else { return Err(wrong(format!("an entry of a list merged by {key:?} is no object"))) };
        let Some(value) = item.get(key).cloned() else {
            let shown = Value::Object(item);
            return Err(wrong(format!("map: {shown} does not contain declared merge key: {key}")));
        };
        if item.get("$patch").is_some_and(|d| d == "delete") {
            list.retain(|there| there[key] != value);
            continue;
        }
        match list.iter_mut().find(|there| there[key] == value) {
            Some(Value::Object(there)) => over(there, item, inner)?,
            _ => {
                item.shift_remove("$patch");
                let mut made = Entries::new();
                over(&mut made, item, inner)?;
                list.push(Value::Object(made));
            }
        }
    }
    Ok(())
}

/// Brings entries into the order given; those that it does not name keep their place behind the one they stood behind.
fn reorder(list: &mut Vec<Value>, order: &[Value], table: Option<&'static Field>) {
    let key = table.and_then(|f| f.merge_key).unwrap_or("");
    let place =
        |item: &Value| order.iter().position(|o| if key.is_empty() { o == item } else { !o[key].is_null() && o[key] == item[key] });
    let mut last = 0;
    let mut ranked: Vec<((usize, usize), Value)> = Vec::with_capacity(list.len());
    for (at, item) in std::mem::take(list).into_iter().enumerate() {
        last = place(&item).map_or(last, |p| p + 1);
        ranked.push(((place(&item).map_or(last, |p| p + 1), at), item));
    }
    ranked.sort_by_key(|(rank, _)| *rank);
    list.extend(ranked.into_iter().map(|(_, item)| item));
}

/// A part that is new as a whole: directives in it mean nothing.
fn plain(mut map: Entries) -> Entries {
    map.retain(|key, value| !key.starts_with('$') && !value.is_null());
    for value in map.values_mut() {
        *value = plain_value(value.take());
    }
    map
}

fn plain_value(value: Value) -> Value {
    match value {
        Value::Object(map) => Value::Object(plain(map)),
        Value::Array(list) => Value::Array(list.into_iter().map(plain_value).collect()),
        other => other,
    }
}
