//! Fields of JSON as flags.

use serde_json::{Map, Value};

/// Why a body is not taken: one line that names the field.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) struct Refusal(pub(in super::super) String);

/// What becomes of a field.
pub(super) enum Field {
    /// Its value is that of this flag: a truth sets it, a number or a text is its value, each of a list, and `KEY=VALUE` of an object.
    Flag(&'static str),
    /// It needs a look of its own.
    Own(fn(&Value, &mut Words) -> Result<(), String>),
    /// It says nothing to us, or is read elsewhere.
    Fine,
}

/// All fields that are known of an object.
pub(super) type Table = &'static [(&'static str, Field)];

/// The words of a command line.
#[derive(Debug, Default)]
pub(in super::super) struct Words(Vec<String>);

impl Words {
    /// `--NAME=VALUE`: in one word, so that a value is never taken for a flag.
    pub(in super::super) fn flag(&mut self, name: &str, value: impl std::fmt::Display) {
        self.0.push(format!("--{name}={value}"));
    }

    /// `--NAME`.
    pub(in super::super) fn switch(&mut self, name: &str) {
        self.0.push(format!("--{name}"));
    }

    pub(in super::super) fn done(self) -> Vec<String> {
        self.0
    }

    /// Takes all fields of an object. Clients send all that they know, most of it as nothing: that is fine, whatever its name is.
    ///
    /// # Errors
    /// A field that is something is not known, or not what it should be.
    pub(super) fn table(&mut self, table: Table, object: &Map<String, Value>, place: &str) -> Result<(), Refusal> {
        for (key, value) in object {
            let field = table.iter().find(|(own, _)| own == key).map(|(_, field)| field);
            let done = match field {
                Some(Field::Fine) => Ok(()),
                Some(Field::Own(own)) if !value.is_null() => own(value, self),
                _ if is_nothing(value) => Ok(()),
                Some(Field::Flag(name)) => self.generic(name, value),
                Some(Field::Own(_)) => Ok(()),
                None => Err("it is not supported".to_owned()),
            };
            done.map_err(|why| Refusal(format!("{place}{key}: {why}")))?;
        }
        Ok(())
    }

    fn generic(&mut self, name: &str, value: &Value) -> Result<(), String> {
        match value {
            Value::Bool(_) => self.switch(name),
            Value::Array(values) => {
                for value in values {
                    self.flag(name, text(value)?);
                }
            }
            Value::Object(pairs) => {
                for (key, value) in pairs {
                    self.flag(name, format!("{key}={}", text(value)?));
                }
            }
            value => self.flag(name, text(value)?),
        }
        Ok(())
    }
}

/// A text, or a number in digits.
pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(number) => Ok(number.to_string()),
        _ => Err(format!("{value} is neither a text nor a number")),
    }
}

/// A list of texts; nothing is an empty one.
pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    match value {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.iter().map(text).collect(),
        _ => Err("it is no list of texts".to_owned()),
    }
}

/// Objects of a list; nothing is an empty one.
pub(super) fn objects(value: &Value) -> Result<Vec<&Map<String, Value>>, String> {
    let wrong = || "it is no list of objects".to_owned();
    match value {
        Value::Null => Ok(Vec::new()),
        value => value.as_array().ok_or_else(wrong)?.iter().map(|one| one.as_object().ok_or_else(wrong)).collect(),
    }
}

/// A field as a text; without it an empty one.
pub(super) fn part(object: &Map<String, Value>, key: &str) -> Result<String, String> {
    object
        .get(key)
        .filter(|value| !value.is_null())
        .map_or(Ok(String::new()), |value| text(value).map_err(|why| format!("{key}: {why}")))
}

/// The value that Go gives to what nobody has set.
pub(in super::super) fn is_nothing(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(values) => values.is_empty(),
        Value::Object(fields) => fields.values().all(is_nothing),
        Value::Bool(true) => false,
    }
}

/// All that is known of an object is something.
///
/// # Errors
/// Something else is, too.
pub(super) fn only(object: &Map<String, Value>, known: &[&str]) -> Result<(), String> {
    match object.iter().find(|(key, value)| !known.contains(&key.as_str()) && !is_nothing(value)) {
        Some((key, _)) => Err(format!("{key}: it is not supported")),
        None => Ok(()),
    }
}

/// What the command line would say, in one line and without its advice.
pub(in super::super) fn refused(error: &clap::Error) -> Refusal {
    let text = error.render().to_string();
    let first = text.split("\n\n").next().unwrap_or_default();
    Refusal(first.trim_start_matches("error: ").split_whitespace().collect::<Vec<_>>().join(" "))
}
