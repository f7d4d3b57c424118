//! From one description: a typed view with serde's help, and its table of fields.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Type;
use crate::meta::{MicroTime, Time};
use crate::quantity::Quantity;
use crate::values::IntOrString;

/// What has an entry in the tables.
pub trait Described {
    /// What its JSON may be.
    const TYPE: Type;
    /// Being absent is another thing than being zero.
    const IS_OPTIONAL: bool = false;
}

/// Values that are left out of JSON when they say nothing.
pub trait Lean {
    /// Whether it says nothing.
    fn is_empty(&self) -> bool;
}

macro_rules! plain {
    ($($ty:ty => $as:expr, |$v:ident| $empty:expr;)*) => { $(
        impl Described for $ty {
            const TYPE: Type = $as;
        }
        impl Lean for $ty {
            fn is_empty(&self) -> bool {
                let $v = self;
                $empty
            }
        }
    )* };
}

plain! {
    String => Type::String, |v| v.as_str().is_empty();
    bool => Type::Bool, |v| !*v;
    i32 => Type::Int32, |v| *v == 0;
    i64 => Type::Int64, |v| *v == 0;
    Value => Type::Any, |v| v.is_null();
    Box<Value> => Type::Any, |v| v.is_null();
    Time => Type::Time, |_v| false;
    MicroTime => Type::MicroTime, |_v| false;
    Quantity => Type::Quantity, |_v| false;
    IntOrString => Type::IntOrString, |_v| false;
}

/// Bytes that travel as base64 text; a view keeps the text.
#[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(transparent)]
pub struct Base64(pub String);

impl Described for Base64 {
    const TYPE: Type = Type::Bytes;
}

impl Lean for Base64 {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<T: Described> Described for Option<T> {
    const TYPE: Type = T::TYPE;
    const IS_OPTIONAL: bool = true;
}

impl<T> Lean for Option<T> {
    fn is_empty(&self) -> bool {
        self.is_none()
    }
}

impl<T: Described> Described for Vec<T> {
    const TYPE: Type = Type::List(&T::TYPE);
}

impl<T> Lean for Vec<T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

impl<T: Described> Described for BTreeMap<String, T> {
    const TYPE: Type = Type::Map(&T::TYPE);
}

impl<T> Lean for BTreeMap<String, T> {
    fn is_empty(&self) -> bool {
        self.is_empty()
    }
}

/// Writes a typed view and its table; see the module above.
macro_rules! types {
    ($(
        $(#[doc = $doc:literal])+
        $name:ident = $wire:literal {
            $( $(#[doc = $field_doc:literal])+ $field:ident = $field_wire:literal : $ty:ty $( [ $($option:ident $( ( $($arg:tt)* ) )? ),* ] )? ; )*
        }
    )*) => { $(
        $(#[doc = $doc])+
        #[derive(Debug, Clone, Default, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(default)]
        pub struct $name {
            $(
                $(#[doc = $field_doc])+
                #[serde(rename = $field_wire, skip_serializing_if = "crate::schema::Lean::is_empty")]
                pub $field: $ty,
            )*
        }

        const _: () = {
            static TABLE: crate::schema::Object = crate::schema::Object {
                name: $wire,
                doc: concat!($($doc),+),
                fields: &[$(
                    crate::schema::Field::new($field_wire, concat!($($field_doc),+), &<$ty as crate::schema::Described>::TYPE)
                        .optional(<$ty as crate::schema::Described>::IS_OPTIONAL)
                        $( $( .$option( $( $($arg)* )? ) )* )?,
                )*],
            };

            impl crate::schema::Described for $name {
                const TYPE: crate::schema::Type = crate::schema::Type::Object(&TABLE);
            }

            impl $name {
                /// The table of its fields.
                pub const TABLE: &'static crate::schema::Object = &TABLE;
            }

            impl crate::schema::Lean for $name {
                fn is_empty(&self) -> bool {
                    *self == Self::default()
                }
            }
        };
    )* };
}
pub(crate) use types;
