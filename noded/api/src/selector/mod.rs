//! Selecting objects by labels and fields.

mod field;
mod label;

pub use field::{FieldSelector, at_path};
pub use label::{LabelRule, LabelRules, NotASelector, matches, rules, shown};
