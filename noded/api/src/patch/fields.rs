//! Fields as paths, and sets of them as `fieldsV1` writes them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use crate::schema::{Field, ListKind, Object, Type};

/// One step into an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A field or a key of a map.
    Field(String),
    /// An entry of a list, by its keys as JSON.
    Key(String),
    /// An entry of a set, as JSON.
    Value(String),
}

/// The way to a field.
pub type Path = Vec<Step>;

/// What is at the end of each path: the value of a leaf, nothing for an entry of a list whose fields are paths of their own.
pub(super) type Leaves<'a> = BTreeMap<Path, Option<&'a Value>>;

/// How one value is cut into fields.
#[derive(Clone, Copy)]
pub(super) struct Shape {
    pub(super) ty: Type,
    pub(super) list: ListKind,
    pub(super) is_atomic: bool,
}

impl Shape {
    pub(super) fn of(field: &'static Field) -> Self {
        Self { ty: *field.ty, list: field.list, is_atomic: field.is_atomic }
    }

    pub(super) const fn plain(ty: Type) -> Self {
        Self { ty, list: ListKind::Atomic, is_atomic: false }
    }
}

/// All leaves of an object.
pub(super) fn leaves<'a>(value: &'a Value, object: &'static Object) -> Leaves<'a> {
    let mut found = Leaves::new();
    let mut path = Path::new();
    for (name, inner) in value.as_object().into_iter().flatten() {
        if let Some(field) = object.field(name) {
            path.push(Step::Field(name.clone()));
            below(inner, Shape::of(field), &mut path, &mut found);
            path.pop();
        }
    }
    found
}

fn below<'a>(value: &'a Value, shape: Shape, path: &mut Path, found: &mut Leaves<'a>) {
    match (shape.ty, value) {
        _ if shape.is_atomic => drop(found.insert(path.clone(), Some(value))),
        (Type::Object(_) | Type::Map(_), Value::Object(map)) if !map.is_empty() => {
            for (name, inner) in map {
                let next = match shape.ty {
                    Type::Object(object) => object.field(name).map(Shape::of),
                    Type::Map(inner) => Some(Shape::plain(*inner)),
                    _ => None,
                };
                if let Some(next) = next {
                    path.push(Step::Field(name.clone()));
                    below(inner, next, path, found);
                    path.pop();
                }
            }
        }
        (Type::List(inner), Value::Array(list)) if shape.list != ListKind::Atomic => {
            for item in list {
                path.push(entry_step(item, shape.list, inner));
                found.insert(path.clone(), matches!(shape.list, ListKind::Set).then_some(item));
                if let ListKind::Map(_) = shape.list {
                    below(item, Shape::plain(*inner), path, found);
                }
                path.pop();
            }
        }
        _ => drop(found.insert(path.clone(), Some(value))),
    }
}

/// What tells an entry of a list from the others.
pub(super) fn entry_step(item: &Value, list: ListKind, inner: &'static Type) -> Step {
    match list {
        ListKind::Map(keys) => {
            let mut named: BTreeMap<&str, Value> = BTreeMap::new();
            for key in keys {
                let default = || match inner {
                    Type::Object(object) => object.field(key).and_then(|f| f.constant).map(|c| c.value()),
                    _ => None,
                };
                if let Some(value) = item.get(*key).cloned().or_else(default) {
                    named.insert(key, value);
                }
            }
            Step::Key(serde_json::to_string(&named).unwrap_or_default())
        }
        _ => Step::Value(item.to_string()),
    }
}

/// A set as the tree of `fieldsV1`.
pub(super) fn to_tree(set: &BTreeSet<Path>) -> Value {
    let mut root = Map::new();
    for path in set {
        let mut at = &mut root;
        for step in path {
            let name = match step {
                Step::Field(name) => format!("f:{name}"),
                Step::Key(keys) => format!("k:{keys}"),
                Step::Value(value) => format!("v:{value}"),
            };
            let Value::Object(inner) = at.entry(name).or_insert_with(|| Value::Object(Map::new())) else {
                unreachable!("only objects are put in")
            };
            at = inner;
        }
        // an entry that is owned itself, beside its fields
        if matches!(path.last(), Some(Step::Key(_))) {
            at.insert(".".into(), Value::Object(Map::new()));
        }
    }
    Value::Object(root)
}

/// Reads the tree of `fieldsV1`; what makes no sense is left out.
pub(super) fn from_tree(tree: &Value) -> BTreeSet<Path> {
    let mut set = BTreeSet::new();
    walk(tree, &mut Path::new(), &mut set, 0);
    set
}

fn walk(tree: &Value, path: &mut Path, set: &mut BTreeSet<Path>, depth: usize) {
    const DEEPEST: usize = 100;
    let Value::Object(map) = tree else { return };
    if (map.is_empty() || map.contains_key(".")) && !path.is_empty() {
        set.insert(path.clone());
    }
    for (name, inner) in map.iter().filter(|_| depth < DEEPEST) {
        let step = match name.split_at_checked(2) {
            Some(("f:", rest)) => Step::Field(rest.into()),
            Some(("k:", rest)) => Step::Key(rest.into()),
            Some(("v:", rest)) => Step::Value(rest.into()),
            _ => continue,
        };
        path.push(step);
        walk(inner, path, set, depth + 1);
        path.pop();
    }
}

/// A path as messages show it: `.spec.containers[name="a"].image`.
pub(super) fn shown(path: &Path) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) => text.push_str(&format!(".{name}")),
            Step::Value(value) => text.push_str(&format!("[={value}]")),
            Step::Key(keys) => {
                let keys: Map<String, Value> = serde_json::from_str(keys).unwrap_or_default();
                let pairs: Vec<String> = keys.iter().map(|(k, v)| format!("{k}={v}")).collect();
                text.push_str(&format!("[{}]", pairs.join(",")));
            }
        }
    }
    text
}
