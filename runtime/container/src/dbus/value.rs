//! Values of D-Bus.

/// A value with its type.
#[derive(Debug, Clone, PartialEq)]
#[allow(missing_docs, reason = "they are the types of the D-Bus specification, by its own names")]
pub enum Value {
    Boolean(bool),
    Byte(u8),
    Int16(i16),
    Uint16(u16),
    Int32(i32),
    Uint32(u32),
    Int64(i64),
    Uint64(u64),
    Double(f64),
    String(String),
    ObjectPath(String),
    Signature(String),
    /// The signature of its elements, and they.
    Array(String, Vec<Value>),
    Struct(Vec<Value>),
    DictEntry(Box<(Value, Value)>),
    Variant(Box<Value>),
}

impl Value {
    /// The type as D-Bus writes it.
    pub(crate) fn signature(&self) -> String {
        match self {
            Value::Boolean(_) => "b".into(),
            Value::Byte(_) => "y".into(),
            Value::Int16(_) => "n".into(),
            Value::Uint16(_) => "q".into(),
            Value::Int32(_) => "i".into(),
            Value::Uint32(_) => "u".into(),
            Value::Int64(_) => "x".into(),
            Value::Uint64(_) => "t".into(),
            Value::Double(_) => "d".into(),
            Value::String(_) => "s".into(),
            Value::ObjectPath(_) => "o".into(),
            Value::Signature(_) => "g".into(),
            Value::Array(element, _) => format!("a{element}"),
            Value::Struct(members) => format!("({})", members.iter().map(Value::signature).collect::<String>()),
            Value::DictEntry(entry) => format!("{{{}{}}}", entry.0.signature(), entry.1.signature()),
            Value::Variant(_) => "v".into(),
        }
    }

    /// A text.
    pub fn string(text: impl Into<String>) -> Value {
        Value::String(text.into())
    }
}

/// Named values as the calls of systemd take them: `a(sv)`.
pub(crate) fn named<'a>(properties: impl Iterator<Item = &'a (String, Value)>) -> Value {
    let one = |(name, value): &(String, Value)| {
        Value::Struct(vec![Value::string(name.as_str()), Value::Variant(Box::new(value.clone()))])
    };
    Value::Array("(sv)".into(), properties.map(one).collect())
}
