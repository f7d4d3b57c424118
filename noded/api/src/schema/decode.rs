//! Strangers' JSON against the table: wrong types are refused, unknown fields are found and taken out, nulls mean nothing.

use serde_json::{Map, Value};

use super::{Object, Type};
use crate::meta::{MicroTime, Time};
use crate::quantity::Quantity;

/// What was found on the way.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Decoded {
    /// Fields that no table has, by their path.
    pub unknown: Vec<String>,
}

/// A value that is not what its field needs; the text is the one that Go's decoder gives, which clients show.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("{0}")]
pub struct NotDecoded(pub String);

/// Checks `value` against `object` in place: nulls and unknown fields go, numbers become quantities' text.
///
/// # Errors
/// The first value of a wrong type.
pub fn decode(value: &mut Value, object: &'static Object) -> Result<Decoded, NotDecoded> {
    let mut decoded = Decoded::default();
    let mut path = Path { parts: Vec::new(), holder: object.short_name() };
    fields(value, object, &mut path, &mut decoded)?;
    Ok(decoded)
}

struct Path {
    parts: Vec<String>,
    holder: &'static str,
}

impl Path {
    fn full(&self) -> String {
        let mut text = String::new();
        for part in &self.parts {
            if !text.is_empty() && !part.starts_with('[') {
                text.push('.');
            }
            text.push_str(part);
        }
        text
    }

    /// Go names the fields alone, without positions in lists.
    fn wrong(&self, value: &Value, needed: &str) -> NotDecoded {
        let found = match value {
            Value::Null => "null",
            Value::Bool(_) => "bool",
            Value::Number(_) => "number",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        let names: Vec<&str> = self.parts.iter().map(String::as_str).filter(|p| !p.starts_with('[')).collect();
        NotDecoded(format!(
            "json: cannot unmarshal {found} into Go struct field {}.{} of type {needed}",
            self.holder,
            names.join(".")
        ))
    }
}

fn fields(value: &mut Value, object: &'static Object, path: &mut Path, decoded: &mut Decoded) -> Result<(), NotDecoded> {
    let Value::Object(map) = value else { return Err(path.wrong(value, &format!("v1.{}", object.short_name()))) };
    let mut unknown = Vec::new();
    for (name, inner) in map.iter_mut() {
        let Some(field) = object.field(name) else {
            path.parts.push(name.clone());
            decoded.unknown.push(path.full());
            path.parts.pop();
            unknown.push(name.clone());
            continue;
        };
        if inner.is_null() {
            continue;
        }
        path.parts.push(name.clone());
        let holder = std::mem::replace(&mut path.holder, object.short_name());
        any(inner, field.ty, path, decoded)?;
        path.holder = holder;
        path.parts.pop();
    }
    for name in unknown {
        map.shift_remove(&name);
    }
    map.retain(|_, v| !v.is_null());
    Ok(())
}

fn any(value: &mut Value, ty: &'static Type, path: &mut Path, decoded: &mut Decoded) -> Result<(), NotDecoded> {
    match ty {
        Type::Any => Ok(()),
        Type::Object(object) => fields(value, object, path, decoded),
        Type::Map(inner) => entries(value, inner, path, decoded),
        Type::List(inner) => items(value, inner, path, decoded),
        plain => scalar(value, plain, path),
    }
}

fn entries(value: &mut Value, inner: &'static Type, path: &mut Path, decoded: &mut Decoded) -> Result<(), NotDecoded> {
    let Value::Object(map) = value else { return Err(path.wrong(value, &format!("map[string]{}", go_name(inner)))) };
    drop_nulls(map, inner);
    for (key, entry) in map.iter_mut() {
        path.parts.push(key.clone());
        any(entry, inner, path, decoded)?;
        path.parts.pop();
    }
    Ok(())
}

/// In Go a null in a map of texts is an empty text; of anything else it is nothing.
fn drop_nulls(map: &mut Map<String, Value>, inner: &Type) {
    if matches!(inner, Type::String | Type::Bytes) {
        map.values_mut().filter(|v| v.is_null()).for_each(|v| *v = Value::String(String::new()));
    } else {
        map.retain(|_, v| !v.is_null());
    }
}

fn items(value: &mut Value, inner: &'static Type, path: &mut Path, decoded: &mut Decoded) -> Result<(), NotDecoded> {
    let Value::Array(list) = value else { return Err(path.wrong(value, &format!("[]{}", go_name(inner)))) };
    for (at, item) in list.iter_mut().enumerate() {
        path.parts.push(format!("[{at}]"));
        any(item, inner, path, decoded)?;
        path.parts.pop();
    }
    Ok(())
}

fn scalar(value: &mut Value, ty: &Type, path: &Path) -> Result<(), NotDecoded> {
    let fits = match (ty, &*value) {
        (Type::String | Type::IntOrString, Value::String(_)) | (Type::Bool, Value::Bool(_)) => true,
        (Type::Int32 | Type::IntOrString, Value::Number(n)) => n.as_i64().is_some_and(|n| i32::try_from(n).is_ok()),
        (Type::Int64, Value::Number(n)) => n.as_i64().is_some(),
        (Type::Bytes, Value::String(text)) => {
            if crate::values::base64_ok(text) {
                true
            } else {
                return Err(NotDecoded("illegal base64 data".into()));
            }
        }
        (Type::Time, Value::String(text)) => return Time::parse(text).map(drop).map_err(NotDecoded),
        (Type::MicroTime, Value::String(text)) => return MicroTime::parse(text).map(drop).map_err(NotDecoded),
        (Type::Quantity, Value::String(text)) => return Quantity::parse(text).map(drop).map_err(|e| NotDecoded(e.to_string())),
        (Type::Quantity, Value::Number(n)) => {
            let text = n.to_string();
            Quantity::parse(&text).map_err(|e| NotDecoded(e.to_string()))?;
            *value = Value::String(text);
            true
        }
        _ => false,
    };
    if fits { Ok(()) } else { Err(path.wrong(value, go_name(ty))) }
}

fn go_name(ty: &Type) -> &'static str {
    match ty {
        Type::String => "string",
        Type::Bytes => "[]uint8",
        Type::Time => "v1.Time",
        Type::MicroTime => "v1.MicroTime",
        Type::Quantity => "resource.Quantity",
        Type::IntOrString => "intstr.IntOrString",
        Type::Bool => "bool",
        Type::Int32 => "int32",
        Type::Int64 => "int64",
        Type::Any => "interface {}",
        Type::Object(object) => object.short_name(),
        Type::Map(_) => "map[string]string",
        Type::List(_) => "[]string",
    }
}
