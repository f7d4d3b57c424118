//! Former states of what has several: the templates of daemon sets.

use serde_json::Value;

use super::{Kind, printed};
use crate::meta::ObjectMeta;
use crate::schema::types;
use crate::table::{Column, column};

types! {
    /// A state that can be gone back to.
    ControllerRevision = "io.k8s.api.apps.v1.ControllerRevision" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The state: a patch that brings it back.
        data = "data": Option<Value>;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Its number: the greatest one is the state of now.
        revision = "revision": i64 [required];
    }
}

const COLUMNS: &[Column] = &[column("Controller", "Whose state it is."), column("Revision", "Its number.")];

/// Former states.
pub static CONTROLLER_REVISION: Kind = Kind {
    group: "apps",
    columns: COLUMNS,
    row: |object, _| {
        let revision: ControllerRevision = printed(object);
        let owner = revision.metadata.owner_references.iter().find(|o| o.controller == Some(true));
        let group = |version: &str| version.split_once('/').map_or(String::new(), |(group, _)| format!(".{group}"));
        let named = owner.map(|o| format!("{}{}/{}", o.kind.to_lowercase(), group(&o.api_version), o.name));
        vec![named.unwrap_or_else(|| "<none>".into()).into(), revision.revision.into()]
    },
    validate: |object, errors| {
        if object["revision"].as_i64().is_some_and(|number| number < 0) {
            errors.push(crate::errors::FieldError::invalid(
                "revision",
                &object["revision"],
                "must be greater than or equal to 0".into(),
            ));
        }
    },
    validate_update: |new, old, errors| {
        if new["data"] != old["data"] {
            errors.push(crate::errors::FieldError::invalid("data", &new["data"], "field is immutable".into()));
        }
    },
    ..Kind::new("ControllerRevision", "controllerrevisions", "controllerrevision", ControllerRevision::TABLE)
};
