//! How messages are shown as JSON.

use serde::Serializer;

/// What was not said, or is as if it had not been said.
pub(crate) fn is_nothing<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Bytes that are nearly always text. Where they are none, that is seen.
pub(crate) fn text<S: Serializer>(bytes: &[u8], to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&String::from_utf8_lossy(bytes))
}
