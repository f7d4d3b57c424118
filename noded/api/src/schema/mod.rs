//! What a kind's fields are: one table from which decoding, defaults, validation, patches and the OpenAPI documents are made.
//!
//! A table is written once, with the typed view of the same object, by the macro `types!`:
//!
//! ```text
//! types! { /// doc  Name = "io.k8s.api.core.v1.Name" { /// doc  field = "wireName": Type [options]; } }
//! ```
//!
//! The options are the methods of [`Field`]. Objects themselves stay JSON: a typed view is for who reads them.

mod decode;
mod defaults;
mod describe;
mod validate;

pub use decode::{Decoded, NotDecoded, decode};
pub use defaults::fill_defaults;
pub(crate) use describe::types;
pub use describe::{Base64, Described, Lean};
pub use validate::{check_immutable, check_object};

/// What a value may be.
#[derive(Debug, Clone, Copy)]
pub enum Type {
    /// Text.
    String,
    /// Bytes as base64 text.
    Bytes,
    /// A point in time, RFC 3339.
    Time,
    /// A point in time with microseconds.
    MicroTime,
    /// An amount such as `500m` or `1Gi`; a number is taken as text.
    Quantity,
    /// A number or text: a port, or a percentage.
    IntOrString,
    /// true or false.
    Bool,
    /// A whole number of 32 bits.
    Int32,
    /// A whole number of 64 bits.
    Int64,
    /// Any JSON that the server does not look into.
    Any,
    /// An object with known fields.
    Object(&'static Object),
    /// An object whose keys are chosen by the user.
    Map(&'static Type),
    /// A list.
    List(&'static Type),
}

/// An object with known fields.
#[derive(Debug)]
pub struct Object {
    /// The name in OpenAPI documents, such as `io.k8s.api.core.v1.Pod`.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// Its fields.
    pub fields: &'static [Field],
}

/// How the entries of a list are told apart by server-side apply.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ListKind {
    /// The list is one value with one owner.
    Atomic,
    /// Each entry is its own key.
    Set,
    /// Entries are objects, told apart by these fields.
    Map(&'static [&'static str]),
}

/// A default that needs no thought: a constant.
#[derive(Debug, Clone, Copy)]
pub enum Constant {
    /// Text.
    Text(&'static str),
    /// A number.
    Number(i64),
    /// true or false.
    Flag(bool),
    /// An empty object.
    Empty,
}

/// One field of an object.
#[derive(Debug)]
pub struct Field {
    /// The name in JSON.
    pub name: &'static str,
    /// What it is, in a sentence.
    pub doc: &'static str,
    /// What it may hold.
    pub ty: &'static Type,
    /// Being absent is another thing than being zero.
    pub is_optional: bool,
    /// An object without it is refused.
    pub is_required: bool,
    /// It never changes after creation.
    pub is_immutable: bool,
    /// The list's kind, for server-side apply.
    pub list: ListKind,
    /// A map or object that has one owner as a whole.
    pub is_atomic: bool,
    /// The field that tells a list's entries apart in strategic merge patches; empty: the entries are plain values that are merged.
    pub merge_key: Option<&'static str>,
    /// A strategic merge patch may clear the fields that it does not name (a union).
    pub retains_keys: bool,
    /// The value where none is given.
    pub constant: Option<Constant>,
    /// The only values allowed.
    pub choices: &'static [&'static str],
    /// The least and the greatest number allowed.
    pub range: Option<(i64, i64)>,
    /// What is wrong with a text: no answer, nothing.
    pub format: Option<fn(&str) -> Vec<String>>,
}

impl Field {
    pub(crate) const fn new(name: &'static str, doc: &'static str, ty: &'static Type) -> Self {
        Self {
            name,
            doc,
            ty,
            is_optional: false,
            is_required: false,
            is_immutable: false,
            list: ListKind::Atomic,
            is_atomic: false,
            merge_key: None,
            retains_keys: false,
            constant: None,
            choices: &[],
            range: None,
            format: None,
        }
    }

    pub(crate) const fn optional(mut self, optional: bool) -> Self {
        self.is_optional = optional;
        self
    }

    pub(crate) const fn required(mut self) -> Self {
        self.is_required = true;
        self
    }

    pub(crate) const fn immutable(mut self) -> Self {
        self.is_immutable = true;
        self
    }

    pub(crate) const fn atomic(mut self) -> Self {
        self.is_atomic = true;
        self
    }

    pub(crate) const fn retain_keys(mut self) -> Self {
        self.retains_keys = true;
        self
    }

    /// A list of plain values that each appear once.
    pub(crate) const fn set(mut self) -> Self {
        self.list = ListKind::Set;
        self
    }

    /// A list of objects told apart by `keys`.
    pub(crate) const fn keyed(mut self, keys: &'static [&'static str]) -> Self {
        self.list = ListKind::Map(keys);
        self
    }

    /// A list that strategic merge patches merge by `key`.
    pub(crate) const fn merged(mut self, key: &'static str) -> Self {
        self.merge_key = Some(key);
        self
    }

    /// A list told apart and merged by one and the same field.
    pub(crate) const fn by(self, keys: &'static [&'static str]) -> Self {
        let key = keys[0];
        self.keyed(keys).merged(key)
    }

    pub(crate) const fn or_text(mut self, value: &'static str) -> Self {
        self.constant = Some(Constant::Text(value));
        self
    }

    pub(crate) const fn or_number(mut self, value: i64) -> Self {
        self.constant = Some(Constant::Number(value));
        self
    }

    pub(crate) const fn or_flag(mut self, value: bool) -> Self {
        self.constant = Some(Constant::Flag(value));
        self
    }

    pub(crate) const fn or_empty(mut self) -> Self {
        self.constant = Some(Constant::Empty);
        self
    }

    pub(crate) const fn one_of(mut self, choices: &'static [&'static str]) -> Self {
        self.choices = choices;
        self
    }

    pub(crate) const fn within(mut self, least: i64, greatest: i64) -> Self {
        self.range = Some((least, greatest));
        self
    }

    pub(crate) const fn format(mut self, check: fn(&str) -> Vec<String>) -> Self {
        self.format = Some(check);
        self
    }
}

impl Object {
    /// The field of this name.
    pub fn field(&self, name: &str) -> Option<&'static Field> {
        self.fields.iter().find(|f| f.name == name)
    }

    /// The last part of the name, as error messages call it.
    pub fn short_name(&self) -> &'static str {
        self.name.rsplit('.').next().unwrap_or(self.name)
    }
}
