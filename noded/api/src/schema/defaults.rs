//! Constants of the table, where nothing was given.

use serde_json::{Map, Value};

use super::{Constant, Object, Type};

/// Fills in the defaults of `object` and of everything present below it.
pub fn fill_defaults(value: &mut Value, object: &'static Object) {
    let Value::Object(map) = value else { return };
    for field in object.fields {
        if let Some(constant) = field.constant
            && !map.contains_key(field.name)
        {
            map.insert(field.name.into(), constant.value());
        }
        if let Some(inner) = map.get_mut(field.name) {
            below(inner, field.ty);
        }
    }
}

fn below(value: &mut Value, ty: &'static Type) {
    match (ty, value) {
        (Type::Object(object), value) => fill_defaults(value, object),
        (Type::List(inner), Value::Array(list)) => list.iter_mut().for_each(|v| below(v, inner)),
        (Type::Map(inner), Value::Object(map)) => map.values_mut().for_each(|v| below(v, inner)),
        _ => {}
    }
}

impl Constant {
    /// As JSON.
    pub fn value(self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Number(number) => number.into(),
            Self::Flag(flag) => flag.into(),
            Self::Empty => Value::Object(Map::new()),
        }
    }
}
