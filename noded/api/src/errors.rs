//! What is wrong with an object, field by field, in the words that Kubernetes' clients and users know.

use serde_json::Value;

/// All that is wrong with one object.
pub type FieldErrors = Vec<FieldError>;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldError {
    /// The machine's word, such as `FieldValueInvalid`.
    pub reason: &'static str,
    /// Where, such as `spec.containers[0].name`.
    pub field: String,
    /// The person's words.
    pub message: String,
}

impl FieldError {
    /// A field that must be there is not.
    pub fn required(field: impl Into<String>, why: &str) -> Self {
        let why = if why.is_empty() { String::new() } else { format!(": {why}") };
        Self { reason: "FieldValueRequired", field: field.into(), message: format!("Required value{why}") }
    }

    /// A value that breaks a rule.
    pub fn invalid(field: impl Into<String>, value: &Value, why: String) -> Self {
        Self { reason: "FieldValueInvalid", field: field.into(), message: format!("Invalid value: {}: {why}", shown(value)) }
    }

    /// A value that is none of those allowed.
    pub fn unsupported(field: impl Into<String>, value: &str, choices: &[&str]) -> Self {
        let mut choices: Vec<String> = choices.iter().map(|c| format!("{c:?}")).collect();
        choices.sort();
        Self {
            reason: "FieldValueNotSupported",
            field: field.into(),
            message: format!("Unsupported value: {value:?}: supported values: {}", choices.join(", ")),
        }
    }

    /// Something that this object must not do.
    pub fn forbidden(field: impl Into<String>, why: &str) -> Self {
        Self { reason: "FieldValueForbidden", field: field.into(), message: format!("Forbidden: {why}") }
    }

    /// An entry that is there twice.
    pub fn duplicate(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueDuplicate", field: field.into(), message: format!("Duplicate value: {}", shown(value)) }
    }

    /// Something named that does not exist.
    pub fn not_found(field: impl Into<String>, value: &Value) -> Self {
        Self { reason: "FieldValueNotFound", field: field.into(), message: format!("Not found: {}", shown(value)) }
    }

    /// Too long a text.
    pub fn too_long(field: impl Into<String>, most: usize) -> Self {
        Self { reason: "FieldValueTooLong", field: field.into(), message: format!("Too long: may not be more than {most} bytes") }
    }
}

impl std::fmt::Display for FieldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.field, self.message)
    }
}

/// A value in a message, cut where it is long.
fn shown(value: &Value) -> String {
    const MOST: usize = 2048;
    let mut text = value.to_string();
    if text.len() > MOST {
        let at = (0..=MOST).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        text.truncate(at);
        text.push_str("...");
    }
    text
}
