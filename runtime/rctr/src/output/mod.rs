//! What is printed: tables, templates, and amounts as people read them.

pub(crate) mod amount;
pub(crate) mod ports;
pub(crate) mod progress;
pub(crate) mod table;
pub(crate) mod template;
pub(crate) mod told;
pub(crate) mod whole;
