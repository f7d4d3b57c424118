//! OpenAPI v3 documents, made from the tables: for `kubectl explain`, for its validation, and for its choice of patches.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::discovery::kinds_of;
use crate::kinds::Kind;
use crate::schema::{Field, ListKind, Object, Type};

const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// Values that are written in more than one way have names of their own.
const QUANTITY: &str = "io.k8s.apimachinery.pkg.api.resource.Quantity";
const INT_OR_STRING: &str = "io.k8s.apimachinery.pkg.util.intstr.IntOrString";

/// The document of a group and version; nothing for what is not served.
pub fn document(group: &str, version: &str) -> Option<Value> {
    let mut schemas = BTreeMap::new();
    let mut paths = Map::new();
    for kind in kinds_of(group, version) {
        collect(kind.table, &mut schemas);
        let gvk = json!([{"group": kind.group, "version": kind.version, "kind": kind.kind}]);
        if let Some(schema) = schemas.get_mut(kind.table.name) {
            schema["x-kubernetes-group-version-kind"] = gvk;
        }
        add_paths(kind, &mut paths);
    }
    let name = if group.is_empty() { "Kubernetes" } else { group };
    (!paths.is_empty()).then(|| json!({"openapi": "3.0.0", "info": {"title": name, "version": version}, "paths": paths, "components": {"schemas": schemas}}))
}

fn add_paths(kind: &Kind, paths: &mut Map<String, Value>) {
    let root =
        if kind.group.is_empty() { format!("/api/{}", kind.version) } else { format!("/apis/{}/{}", kind.group, kind.version) };
    let inside = if kind.namespaced { "/namespaces/{namespace}" } else { "" };
    let list = format!("{root}{inside}/{}", kind.plural);
    if kind.allows("create") {
        paths.insert(list.clone(), json!({"post": operation(kind, "post", &["application/json"])}));
    }
    if kind.is_kept() {
        let one = json!({
            "get": operation(kind, "get", &[]), "put": operation(kind, "put", &["application/json"]),
            "patch": operation(kind, "patch", &PATCHES), "delete": operation(kind, "delete", &[]),
        });
        paths.insert(format!("{list}/{{name}}"), one);
    } else if !kind.allows("create") {
        paths.insert(format!("{list}/{{name}}"), json!({"get": operation(kind, "get", &[])}));
    }
}

fn operation(kind: &Kind, action: &str, bodies: &[&str]) -> Value {
    let reference = json!({"$ref": format!("#/components/schemas/{}", kind.table.name)});
    let gvk = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut operation = json!({
        "x-kubernetes-action": action, "x-kubernetes-group-version-kind": gvk,
        "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": reference}}}},
    });
    if !bodies.is_empty() {
        let query = |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string"}});
        operation["parameters"] = json!([query("dryRun"), query("fieldManager"), query("fieldValidation")]);
        let content: Map<String, Value> = bodies.iter().map(|b| ((*b).to_string(), json!({"schema": reference}))).collect();
        operation["requestBody"] = json!({"required": true, "content": content});
    }
    operation
}

fn collect(object: &'static Object, schemas: &mut BTreeMap<&'static str, Value>) {
    if schemas.contains_key(object.name) {
        return;
    }
    schemas.insert(object.name, Value::Null);
    let mut properties = Map::new();
    for field in object.fields {
        below(field.ty, schemas);
        properties.insert(field.name.into(), property(field));
    }
    let mut schema = json!({"type": "object", "description": object.doc.trim(), "properties": properties});
    let required: Vec<&str> = object.fields.iter().filter(|f| f.is_required).map(|f| f.name).collect();
    if !required.is_empty() {
        schema["required"] = json!(required);
    }
    schemas.insert(object.name, schema);
}

fn below(ty: &'static Type, schemas: &mut BTreeMap<&'static str, Value>) {
    match ty {
        Type::Object(inner) => collect(inner, schemas),
        Type::Map(inner) | Type::List(inner) => below(inner, schemas),
        Type::Quantity => {
            schemas.entry(QUANTITY).or_insert_with(|| {
                let doc = "An amount of a resource, such as 500m or 1Gi.";
                json!({"description": doc, "oneOf": [{"type": "string"}, {"type": "number"}]})
            });
        }
        Type::IntOrString => {
            schemas.entry(INT_OR_STRING).or_insert_with(|| {
                let (doc, either) = ("A number, or a name or percentage.", json!([{"type": "integer"}, {"type": "string"}]));
                json!({"description": doc, "oneOf": either, "format": "int-or-string"})
            });
        }
        _ => {}
    }
}

fn property(field: &'static Field) -> Value {
    let mut schema = shape(field.ty);
    schema["description"] = field.doc.trim().into();
    if let Some(constant) = field.constant {
        schema["default"] = constant.value();
    }
    if !field.choices.is_empty() {
        schema["enum"] = json!(field.choices);
    }
    match (field.ty, field.list) {
        (Type::List(_), ListKind::Atomic) if field.merge_key.is_none() => schema["x-kubernetes-list-type"] = "atomic".into(),
        (Type::List(_), ListKind::Set) => schema["x-kubernetes-list-type"] = "set".into(),
        (Type::List(_), ListKind::Map(keys)) => {
            schema["x-kubernetes-list-type"] = "map".into();
            schema["x-kubernetes-list-map-keys"] = json!(keys);
        }
        _ if field.is_atomic => schema["x-kubernetes-map-type"] = "atomic".into(),
        _ => {}
    }
    let strategy = match (field.merge_key.is_some(), field.retains_keys) {
        (true, true) => "merge,retainKeys",
        (true, false) => "merge",
        (false, true) => "retainKeys",
        (false, false) => return schema,
    };
    schema["x-kubernetes-patch-strategy"] = strategy.into();
    if let Some(key) = field.merge_key.filter(|k| !k.is_empty()) {
        schema["x-kubernetes-patch-merge-key"] = key.into();
    }
    schema
}

fn shape(ty: &'static Type) -> Value {
    match ty {
        Type::String => json!({"type": "string"}),
        Type::Bytes => json!({"type": "string", "format": "byte"}),
        Type::Time | Type::MicroTime => json!({"type": "string", "format": "date-time"}),
        Type::Quantity | Type::IntOrString => json!({"allOf": [bare(ty)]}),
        Type::Bool => json!({"type": "boolean"}),
        Type::Int32 => json!({"type": "integer", "format": "int32"}),
        Type::Int64 => json!({"type": "integer", "format": "int64"}),
        Type::Any => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
        // a description beside a reference is only heard inside allOf
        Type::Object(object) => json!({"allOf": [reference(object.name)]}),
        Type::Map(inner) => json!({"type": "object", "additionalProperties": bare(inner)}),
        Type::List(inner) => json!({"type": "array", "items": bare(inner)}),
    }
}

fn bare(ty: &'static Type) -> Value {
    match ty {
        Type::Object(object) => reference(object.name),
        // by their names, as kubectl explain shows them
        Type::Quantity => reference(QUANTITY),
        Type::IntOrString => reference(INT_OR_STRING),
        other => shape(other),
    }
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::discovery::groups;
    use crate::kinds::KINDS;

    /// Every reference leads somewhere, and every field says what it is.
    #[test]
    fn documents_are_whole() {
        for (group, version) in groups() {
            let document = document(group, version).unwrap();
            let text = document.to_string();
            for part in text.split("#/components/schemas/").skip(1) {
                let name = &part[..part.find('"').unwrap()];
                assert!(document["components"]["schemas"][name].is_object(), "{name}");
            }
            for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
                for (field, property) in schema["properties"].as_object().into_iter().flatten() {
                    assert!(property["description"].as_str().is_some_and(|d| d.len() > 3), "{name}.{field}");
                }
            }
        }
    }

    /// A merge key is a field of the entries; names of tables are told apart.
    #[test]
    fn tables_fit_together() {
        fn visit(object: &'static Object, seen: &mut BTreeMap<&'static str, *const Object>) {
            let at: *const Object = object;
            if let Some(other) = seen.insert(object.name, at) {
                assert!(std::ptr::eq(other, at), "{} is there twice", object.name);
                return;
            }
            for field in object.fields {
                let mut ty = field.ty;
                while let Type::List(inner) | Type::Map(inner) = ty {
                    ty = inner;
                }
                if let Type::Object(inner) = ty {
                    if let Some(key) = field.merge_key {
                        assert!(inner.field(key).is_some(), "{}.{}", object.name, field.name);
                    }
                    if let ListKind::Map(keys) = field.list {
                        assert!(keys.iter().all(|k| inner.field(k).is_some()), "{}.{}", object.name, field.name);
                    }
                    visit(inner, seen);
                }
            }
        }
        let mut seen = BTreeMap::new();
        KINDS.iter().for_each(|k| visit(k.table, &mut seen));
    }
}
