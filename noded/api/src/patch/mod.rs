//! The four ways to change a part of an object.

mod apply;
mod fields;
mod merge;
mod strategic;
#[cfg(test)]
mod tests;

use serde_json::Value;

pub use apply::{Applied, Conflicts, Writer, apply, track};
pub use fields::{Path, Step};
pub use merge::merge;
pub use strategic::strategic;

/// A patch that cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum NotPatched {
    /// A strategic merge patch that makes no sense for the object.
    #[error("{0}")]
    Strategic(String),
    /// A JSON patch of which an operation failed.
    #[error("the server rejected our request due to an error in our request: {0}")]
    Operation(#[source] json_patch::PatchError),
    /// No list of operations.
    #[error("error decoding patch: {0}")]
    Decode(#[source] serde_json::Error),
}

/// Applies a JSON patch (RFC 6902): all operations, or none.
///
/// # Errors
/// What is no patch, or an operation that failed.
pub fn operations(object: &mut Value, patch: Value) -> Result<(), NotPatched> {
    let patch: json_patch::Patch = serde_json::from_value(patch).map_err(NotPatched::Decode)?;
    json_patch::patch(object, &patch).map_err(NotPatched::Operation)
}
