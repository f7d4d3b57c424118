//! What a controller wants done.

use std::time::Duration;

use api::kinds::Kind;
use serde_json::Value;

/// One thing to do.
#[derive(Debug, Clone)]
pub enum Action {
    /// Make an object.
    Create(&'static Kind, String, Value),
    /// Lay a merge patch over an object: kind, namespace, name.
    Patch(&'static Kind, String, String, Value),
    /// Lay a merge patch over an object's status.
    Status(&'static Kind, String, String, Value),
    /// Delete an object, if it is the one with this uid.
    Delete(&'static Kind, String, String, String),
    /// The same, but after its dependents.
    DeleteLast(&'static Kind, String, String, String),
    /// Take a finalizer away; a namespace's own one by its name.
    Release(&'static Kind, String, String, &'static str),
    /// Tell people: about which object (`involvedObject`), Normal or Warning, one word, the words.
    Tell(Value, &'static str, &'static str, String),
    /// Look again, after a while.
    After(Duration),
}

impl PartialEq for Action {
    /// Kinds are the same when they are the same table.
    fn eq(&self, other: &Self) -> bool {
        format!("{self:?}") == format!("{other:?}")
    }
}
