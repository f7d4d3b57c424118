//! Server-side apply, and who owns which field.
//!
//! Each writer's entry in `metadata.managedFields` names the fields that it wrote last. An apply sets the fields of its configuration,
//! removes those that it had applied before and nobody else owns, and stops where it would change what another writer owns.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::fields::{Path, Shape, Step, entry_step, from_tree, leaves, shown, to_tree};
use crate::kinds;
use crate::meta::{ManagedFieldsEntry, Time};
use crate::schema::{ListKind, Object, Type};

/// Who writes, and through which part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The writer's name.
    pub manager: String,
    /// Group and version that it writes in.
    pub api_version: String,
    /// `status`, `scale`, or nothing.
    pub subresource: String,
}

/// Fields that others own: who, and which.
pub type Conflicts = Vec<(String, String)>;

/// The outcome of an apply.
#[derive(Debug)]
pub struct Applied {
    /// The object with its new managed fields.
    pub object: Value,
    /// Whether anything but managed fields changed.
    pub changed: bool,
}

struct Owner {
    entry: ManagedFieldsEntry,
    fields: BTreeSet<Path>,
}

impl Owner {
    fn is(&self, writer: &Writer, operation: &str) -> bool {
        let e = &self.entry;
        e.operation == operation
            && e.manager == writer.manager
            && e.subresource == writer.subresource
            && (operation == "Apply" || e.api_version == writer.api_version)
    }

    fn new(writer: &Writer, operation: &str) -> Self {
        let entry = ManagedFieldsEntry {
            api_version: writer.api_version.clone(),
            fields_type: "FieldsV1".into(),
            manager: writer.manager.clone(),
            operation: operation.into(),
            subresource: writer.subresource.clone(),
            ..Default::default()
        };
        Self { entry, fields: BTreeSet::new() }
    }

    /// As conflict messages call it.
    fn shown(&self) -> String {
        let e = &self.entry;
        let mut text = format!("{:?}", e.manager);
        if !e.subresource.is_empty() {
            text.push_str(&format!(" with subresource {:?}", e.subresource));
        }
        if e.operation == "Update" {
            text.push_str(&format!(" using {}", e.api_version));
        }
        text
    }
}

/// The words of a writer's version for fields that are kept by another name: theirs, and as they are kept.
fn words(api_version: &str, object: &Value) -> &'static [(&'static str, &'static str)] {
    let kind = kinds::find_kind(api_version, object["kind"].as_str().unwrap_or(""));
    kind.and_then(|kind| kind.kept_as).map_or(&[], |kept| kept.names)
}

/// A path whose first field has another name, if it has one.
fn renamed(mut path: Path, other: impl Fn(&str) -> Option<&'static str>) -> Path {
    if let Some(Step::Field(name)) = path.first_mut()
        && let Some(other) = other(name)
    {
        *name = other.into();
    }
    path
}

fn owners(object: &Value) -> Vec<Owner> {
    let entries: Vec<ManagedFieldsEntry> =
        object["metadata"].get("managedFields").and_then(|m| kinds::view(m).ok()).unwrap_or_default();
    let owner = |entry: ManagedFieldsEntry| {
        let words = words(&entry.api_version, object);
        let kept = |name: &str| words.iter().find(|(theirs, _)| *theirs == name).map(|(_, kept)| *kept);
        Owner { fields: from_tree(&entry.fields_v1).into_iter().map(|path| renamed(path, kept)).collect(), entry }
    };
    entries.into_iter().map(owner).collect()
}

/// A path in the words of a version.
fn in_words(path: &Path, words: &[(&'static str, &'static str)]) -> Path {
    renamed(path.clone(), |name| words.iter().find(|(_, kept)| *kept == name).map(|(theirs, _)| *theirs))
}

fn put_owners(object: &mut Value, owners: Vec<Owner>) {
    let entries: Vec<Value> = owners
        .into_iter()
        .filter(|o| !o.fields.is_empty())
        .map(|o| {
            let words = words(&o.entry.api_version, object);
            let fields = o.fields.iter().map(|path| in_words(path, words)).collect();
            let entry = ManagedFieldsEntry { fields_v1: to_tree(&fields), ..o.entry };
            serde_json::to_value(entry).unwrap_or_default()
        })
        .collect();
    let Value::Object(meta) = &mut object["metadata"] else { return };
    if entries.is_empty() {
        meta.shift_remove("managedFields");
    } else {
        meta.insert("managedFields".into(), entries.into());
    }
}

/// Fields that nobody owns: the server writes them.
fn is_own(path: &Path) -> bool {
    const META: [&str; 10] = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "generation",
        "managedFields",
        "resourceVersion",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
    ];
    match path.as_slice() {
        [Step::Field(first)] => matches!(first.as_str(), "apiVersion" | "kind" | "metadata"),
        [Step::Field(first), Step::Field(second), ..] => first == "metadata" && META.contains(&second.as_str()),
        _ => false,
    }
}

/// Notes a write that was no apply: what it changed is the writer's now, what it removed is nobody's.
pub fn track(old: Option<&Value>, new: &mut Value, object: &'static Object, writer: &Writer, now: Time) {
    let empty = Value::Null;
    let before = leaves(old.unwrap_or(&empty), object);
    let after = leaves(new, object);
    let changed: BTreeSet<Path> =
        after.iter().filter(|(p, v)| !is_own(p) && before.get(*p) != Some(*v)).map(|(p, _)| p.clone()).collect();
    let is_there = |p: &Path| after.contains_key(p);
    // clients send back the list that they read, or one that they have changed on purpose
    let given = new["metadata"].get("managedFields").and_then(Value::as_array).is_some_and(|m| !m.is_empty());
    let mut all = owners(if given { new } else { old.unwrap_or(&empty) });
    for owner in &mut all {
        let mine = owner.is(writer, "Update");
        owner.fields.retain(|p| is_there(p) && (mine || !changed.contains(p)));
    }
    if !changed.is_empty() {
        let at = all.iter().position(|o| o.is(writer, "Update")).unwrap_or_else(|| {
            all.push(Owner::new(writer, "Update"));
            all.len() - 1
        });
        all[at].fields.extend(changed);
        all[at].entry.time = Some(now);
    }
    put_owners(new, all);
}

/// Applies `config` to `live`, which is absent where the object is new.
///
/// # Errors
/// What others own and would change, unless `force` takes it from them.
pub fn apply(
    live: Option<&Value>,
    config: &Value,
    object: &'static Object,
    writer: &Writer,
    force: bool,
    now: Time,
) -> Result<Applied, Conflicts> {
    let wanted = leaves(config, object);
    let mine: BTreeSet<Path> = wanted.keys().filter(|p| !is_own(p)).cloned().collect();
    let mut merged = live.cloned().unwrap_or_else(|| json!({}));
    lay_over(&mut merged, config, Shape::plain(Type::Object(object)));
    let mut all = live.map(owners).unwrap_or_default();
    let before = live.map(|l| leaves(l, object)).unwrap_or_default();
    let changes = |p: &Path| wanted.contains_key(p) && before.get(p) != wanted.get(p);
    let mut conflicts = Conflicts::new();
    for owner in all.iter_mut().filter(|o| !o.is(writer, "Apply")) {
        let contested: Vec<Path> = owner.fields.iter().filter(|p| changes(p)).cloned().collect();
        for path in contested {
            if force {
                owner.fields.remove(&path);
            } else {
                conflicts.push((owner.shown(), shown(&in_words(&path, words(&writer.api_version, config)))));
            }
        }
    }
    if !conflicts.is_empty() {
        return Err(conflicts);
    }
    let former: BTreeSet<Path> = all.iter().filter(|o| o.is(writer, "Apply")).flat_map(|o| o.fields.clone()).collect();
    all.retain(|o| !o.is(writer, "Apply"));
    let held: BTreeSet<&Path> = all.iter().flat_map(|o| &o.fields).chain(&mine).collect();
    let mut gone: Option<&Path> = None;
    for path in former.iter().filter(|p| !held.iter().any(|h| h.starts_with(p))) {
        // an entry goes as a whole; its fields follow it in the order of paths
        if gone.is_none_or(|whole| !path.starts_with(whole)) {
            remove(&mut merged, path, Shape::plain(Type::Object(object)));
            gone = Some(path);
        }
    }
    let unchanged = live.is_some_and(|l| without_fields(l) == without_fields(&merged));
    let mut owner = Owner::new(writer, "Apply");
    let same_set = unchanged && former == mine;
    owner.entry.time = Some(if same_set { apply_time(live, writer).unwrap_or(now) } else { now });
    owner.fields = mine;
    all.push(owner);
    put_owners(&mut merged, all);
    Ok(Applied { object: merged, changed: !unchanged })
}

fn apply_time(live: Option<&Value>, writer: &Writer) -> Option<Time> {
    owners(live?).into_iter().find(|o| o.is(writer, "Apply"))?.entry.time
}

fn without_fields(object: &Value) -> Value {
    let mut object = object.clone();
    if let Some(Value::Object(meta)) = object.get_mut("metadata") {
        meta.shift_remove("managedFields");
    }
    object
}

/// Sets in `target` what `config` says.
fn lay_over(target: &mut Value, config: &Value, shape: Shape) {
    match (shape.ty, &mut *target, config) {
        _ if shape.is_atomic => *target = config.clone(),
        (Type::Object(_) | Type::Map(_), Value::Object(there), Value::Object(config)) => {
            for (name, value) in config {
                let next = match shape.ty {
                    Type::Object(object) => object.field(name).map(Shape::of),
                    Type::Map(inner) => Some(Shape::plain(*inner)),
                    _ => None,
                };
                match (there.get_mut(name), next) {
                    (Some(place), Some(next)) => lay_over(place, value, next),
                    _ => drop(there.insert(name.clone(), value.clone())),
                }
            }
        }
        (Type::List(inner), Value::Array(there), Value::Array(config)) if shape.list != ListKind::Atomic => {
            for item in config {
                let step = entry_step(item, shape.list, inner);
                match there.iter_mut().find(|t| entry_step(t, shape.list, inner) == step) {
                    Some(place) => lay_over(place, item, Shape::plain(*inner)),
                    None => there.push(item.clone()),
                }
            }
        }
        _ => *target = config.clone(),
    }
}

/// Takes out what is at the end of a path, and objects that are empty without it.
fn remove(value: &mut Value, path: &[Step], shape: Shape) {
    let Some((step, rest)) = path.split_first() else { return };
    match (step, value) {
        (Step::Field(name), Value::Object(map)) => {
            let next = match shape.ty {
                Type::Object(object) => object.field(name).map(Shape::of),
                Type::Map(inner) => Some(Shape::plain(*inner)),
                _ => None,
            };
            if rest.is_empty() {
                map.shift_remove(name);
            } else if let (Some(inner), Some(next)) = (map.get_mut(name), next) {
                remove(inner, rest, next);
                if inner.as_object().is_some_and(serde_json::Map::is_empty) || inner.as_array().is_some_and(Vec::is_empty) {
                    map.shift_remove(name);
                }
            }
        }
        (step, Value::Array(list)) => {
            let Type::List(inner) = shape.ty else { return };
            let Some(at) = list.iter().position(|item| entry_step(item, shape.list, inner) == *step) else { return };
            if rest.is_empty() {
                list.remove(at);
            } else {
                remove(&mut list[at], rest, Shape::plain(*inner));
            }
        }
        _ => {}
    }
}
