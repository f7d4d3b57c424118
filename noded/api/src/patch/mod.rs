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
    /// More is copied than any object may be.
    #[error("the patch copies more than an object may be")]
    TooMuch,
    /// No list of operations.
    #[error("error decoding patch: {0}")]
    Decode(#[source] serde_json::Error),
}

/// All that the `copy` operations of one patch may add: a few lines could double an object until no memory is left.
const MOST_COPIED: usize = 3 << 20;

/// Applies a JSON patch (RFC 6902). After an error the object is of no use.
///
/// # Errors
/// What is no patch, an operation that failed, copies that are too much.
pub fn operations(object: &mut Value, patch: Value) -> Result<(), NotPatched> {
    let json_patch::Patch(all) = serde_json::from_value(patch).map_err(NotPatched::Decode)?;
    let mut copied = 0;
    for operation in all {
        if let json_patch::PatchOperation::Copy(copy) = &operation {
            copied += object.pointer(copy.from.as_str()).map_or(0, |v| v.to_string().len());
            if copied > MOST_COPIED {
                return Err(NotPatched::TooMuch);
            }
        }
        json_patch::patch(object, std::slice::from_ref(&operation)).map_err(NotPatched::Operation)?;
    }
    Ok(())
}
