//! The form in which a client wants objects: whole, as a table, or their metadata only.

use api::kinds::Kind;
use api::status::Status;
use api::table;
use serde_json::{Value, json};

use super::alias;
use super::target::Query;
use crate::store::Entry;

/// The form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    Whole,
    /// A table, with this much of each object in its row.
    Table(Included),
    Metadata,
}

/// What a row of a table carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Included {
    Nothing,
    Metadata,
    Object,
}

impl Shape {
    /// The first form of those that the client takes which we have.
    pub(super) fn wanted(accept: &str, query: &Query) -> Result<Self, Status> {
        if accept.is_empty() {
            return Ok(Self::Whole);
        }
        for choice in accept.split(',') {
            let mut parts = choice.split(';').map(str::trim);
            let media = parts.next().unwrap_or("");
            let has = |word: &str| choice.split(';').any(|p| p.trim() == word);
            if !matches!(media, "application/json" | "application/*" | "*/*") {
                continue;
            }
            let is_meta = has("g=meta.k8s.io") && has("v=v1");
            match choice.split(';').find_map(|p| p.trim().strip_prefix("as=")) {
                None => return Ok(Self::Whole),
                Some("Table") if is_meta => {
                    return Ok(Self::Table(match query.text("includeObject") {
                        "None" => Included::Nothing,
                        "Object" => Included::Object,
                        _ => Included::Metadata,
                    }));
                }
                Some("PartialObjectMetadata" | "PartialObjectMetadataList") if is_meta => return Ok(Self::Metadata),
                Some(_) => {}
            }
        }
        Err(Status::not_acceptable())
    }

    /// One object in this form.
    pub(super) fn one(self, kind: &Kind, entry: &Entry) -> Vec<u8> {
        match self {
            Self::Whole => alias::bytes(kind, entry).to_vec(),
            Self::Metadata => metadata(&entry.object()).to_string().into_bytes(),
            Self::Table(included) => {
                let meta = json!({"resourceVersion": entry.object()["metadata"]["resourceVersion"]});
                table_of(kind, vec![row(kind, entry, included)], &meta, true).to_string().into_bytes()
            }
        }
    }
}

/// The metadata of an object as an object of its own.
pub(super) fn metadata(object: &Value) -> Value {
    json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": object["metadata"]})
}

/// One row of a table.
pub(super) fn row(kind: &Kind, entry: &Entry, included: Included) -> Value {
    let mut object = entry.object();
    let mut row = json!({"cells": table::cells(kind.kept(), &object, jiff::Timestamp::now())});
    match included {
        Included::Nothing => {}
        Included::Metadata => row["object"] = metadata(&object),
        Included::Object => {
            kind.show(&mut object);
            row["object"] = object;
        }
    }
    row
}

/// A table; of a watch only the first one names its columns.
pub(super) fn table_of(kind: &Kind, rows: Vec<Value>, meta: &Value, with_columns: bool) -> Value {
    let columns = if with_columns { table::definitions(kind.kept()) } else { Value::Array(Vec::new()) };
    json!({"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": columns, "rows": rows})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_form_that_we_have_is_given() {
        let wanted = |accept: &str| Shape::wanted(accept, &Query::default());
        let kubectl =
            "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json";
        assert_eq!(wanted(kubectl).unwrap(), Shape::Table(Included::Metadata));
        assert_eq!(wanted("application/vnd.kubernetes.protobuf,application/json").unwrap(), Shape::Whole);
        assert_eq!(wanted("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1").unwrap(), Shape::Metadata);
        assert_eq!((wanted("*/*").unwrap(), wanted("").unwrap()), (Shape::Whole, Shape::Whole));
        assert_eq!(wanted("application/vnd.kubernetes.protobuf").unwrap_err().code, 406);
    }
}
