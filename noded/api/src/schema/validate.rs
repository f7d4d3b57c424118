//! The rules that the table states: required, choices, ranges, formats, what never changes.

use serde_json::Value;

use super::{Field, Object, Type};
use crate::errors::{FieldError, FieldErrors};

/// Applies the table's rules to `value`, whose place is `path`.
pub fn check_object(value: &Value, object: &'static Object, path: &str, errors: &mut FieldErrors) {
    for field in object.fields {
        let at = join(path, field.name);
        match value.get(field.name) {
            None | Some(Value::Null) => missing(field, &at, errors),
            Some(inner) if field.is_required && is_blank(inner) => errors.push(FieldError::required(at, "")),
            Some(inner) => check_field(inner, field, &at, errors),
        }
    }
}

fn missing(field: &Field, at: &str, errors: &mut FieldErrors) {
    if field.is_required {
        errors.push(FieldError::required(at, ""));
    }
}

fn is_blank(value: &Value) -> bool {
    matches!(value, Value::String(text) if text.is_empty()) || matches!(value, Value::Array(list) if list.is_empty())
}

fn check_field(value: &Value, field: &'static Field, at: &str, errors: &mut FieldErrors) {
    if let (Some(check), Some(text)) = (field.format, value.as_str())
        && !text.is_empty()
    {
        check(text).into_iter().for_each(|why| errors.push(FieldError::invalid(at, value, why)));
    }
    if let Some(text) = value.as_str()
        && !field.choices.is_empty()
        && !(field.choices.contains(&text) || text.is_empty() && !field.is_required && field.constant.is_none())
    {
        errors.push(FieldError::unsupported(at, text, field.choices));
    }
    if let (Some((least, greatest)), Some(number)) = (field.range, value.as_i64())
        && !(least..=greatest).contains(&number)
    {
        errors.push(FieldError::invalid(at, value, out_of(least, greatest)));
    }
    below(value, field.ty, at, errors);
}

fn out_of(least: i64, greatest: i64) -> String {
    match (least, greatest) {
        (0, i64::MAX) => "must be greater than or equal to 0".into(),
        (least, i64::MAX) => format!("must be greater than or equal to {least}"),
        (least, greatest) => format!("must be between {least} and {greatest}, inclusive"),
    }
}

fn below(value: &Value, ty: &'static Type, at: &str, errors: &mut FieldErrors) {
    match (ty, value) {
        (Type::Object(object), _) => check_object(value, object, at, errors),
        (Type::List(inner), Value::Array(list)) => {
            list.iter().enumerate().for_each(|(n, item)| below(item, inner, &format!("{at}[{n}]"), errors));
        }
        (Type::Map(inner), Value::Object(map)) => {
            map.iter().for_each(|(key, item)| below(item, inner, &format!("{at}[{key}]"), errors))
        }
        _ => {}
    }
}

/// Finds fields that never change and did.
pub fn check_immutable(new: &Value, old: &Value, object: &'static Object, path: &str, errors: &mut FieldErrors) {
    for field in object.fields {
        let at = join(path, field.name);
        let (was, is) = (old.get(field.name), new.get(field.name));
        if field.is_immutable {
            // what was not there yet may still be set once
            if was.is_some() && was != is {
                errors.push(FieldError::invalid(&at, is.unwrap_or(&Value::Null), "field is immutable".into()));
            }
        } else if let (Type::Object(inner), Some(was), Some(is)) = (field.ty, was, is) {
            check_immutable(is, was, inner, &at, errors);
        }
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.into() } else { format!("{path}.{name}") }
}
