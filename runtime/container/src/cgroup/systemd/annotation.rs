//! Properties that a configuration gives as annotations: `org.systemd.property.NAME`, with a value in GVariant's text format
//! (<https://docs.gtk.org/glib/gvariant-text-format.html>).

use super::super::Error;
use crate::dbus::Value;

const PREFIX: &str = "org.systemd.property.";

/// The properties among `annotations`. As with runc a name that ends in `Sec` is one of `USec`, its value a number of seconds.
///
/// # Errors
/// [`Error::Limit`] for what is no name of a property, or no value.
pub fn annotations<'a>(annotations: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Vec<(String, Value)>, Error> {
    let ours = annotations.filter_map(|(key, text)| Some((key.strip_prefix(PREFIX)?, text)));
    let mut all = ours.map(|(name, text)| property(name, text)).collect::<Result<Vec<_>, _>>()?;
    all.sort_by(|one, other| one.0.cmp(&other.0));
    Ok(all)
}

fn property(name: &str, text: &str) -> Result<(String, Value), Error> {
    let bad = |why: String| Error::Limit { field: "annotations", asked: format!("{PREFIX}{name}={text}"), why };
    if name.len() < 3 || !name.bytes().all(|byte| byte.is_ascii_alphabetic()) {
        return Err(bad("no name of a property".to_owned()));
    }
    let value = parse(text).map_err(|why| bad(format!("not in GVariant's text format: {why}")))?;
    match name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
        Some(stem) => {
            let value = microseconds(&value).ok_or_else(|| bad("a time is a number that is not negative".to_owned()))?;
            Ok((format!("{stem}USec"), value))
        }
        None => Ok((name.to_owned(), value)),
    }
}

fn microseconds(seconds: &Value) -> Option<Value> {
    let whole = match *seconds {
        Value::Byte(value) => u64::from(value),
        Value::Uint16(value) => u64::from(value),
        Value::Uint32(value) => u64::from(value),
        Value::Uint64(value) => value,
        Value::Int16(value) => u64::try_from(value).ok()?,
        Value::Int32(value) => u64::try_from(value).ok()?,
        Value::Int64(value) => u64::try_from(value).ok()?,
        Value::Double(value) if (0.0..1e12).contains(&value) => return Some(Value::Uint64((value * 1e6) as u64)),
        _ => return None,
    };
    whole.checked_mul(1_000_000).map(Value::Uint64)
}

/// Reads one value.
fn parse(text: &str) -> Result<Value, String> {
    let mut parser = Parser { rest: text, depth: 0 };
    let value = parser.value(None)?;
    match parser.blank() {
        "" => Ok(value),
        rest => Err(format!("{rest:?} is too much")),
    }
}

/// Values may be in values, but not without end.
const DEPTH: u32 = 32;

struct Parser<'a> {
    rest: &'a str,
    depth: u32,
}

impl<'a> Parser<'a> {
    fn blank(&mut self) -> &'a str {
        self.rest = self.rest.trim_start();
        self.rest
    }

    fn eat(&mut self, token: char) -> bool {
        let found = self.blank().strip_prefix(token);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, token: char) -> Result<(), String> {
        if self.eat(token) { Ok(()) } else { Err(format!("{token:?} is missing")) }
    }

    /// Letters, digits and what numbers have.
    fn word(&mut self) -> &'a str {
        let rest = self.blank();
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && !"+-._".contains(c)).unwrap_or(rest.len());
        let (word, rest) = rest.split_at(end);
        self.rest = rest;
        word
    }

    /// A value of the type that is wanted, or of the one that it looks like.
    fn value(&mut self, want: Option<&str>) -> Result<Value, String> {
        self.depth += 1;
        if self.depth > DEPTH {
            return Err("too many values in values".to_owned());
        }
        let value = match self.blank().chars().next() {
            None => Err("nothing there".to_owned()),
            Some('@') => self.typed(),
            Some('[') => self.array(want),
            Some('(') => self.tuple(want),
            Some('{') => self.dictionary(want),
            Some('<') => self.variant(),
            Some('\'' | '"') => self.string().and_then(|text| textual(want.unwrap_or("s"), text)),
            Some('b') if self.rest.starts_with("b'") || self.rest.starts_with("b\"") => self.bytes(),
            Some(_) => self.plain(want),
        }?;
        self.depth -= 1;
        match want.filter(|want| *want != value.signature()) {
            Some(want) => Err(format!("a value of type {} where {want} is wanted", value.signature())),
            None => Ok(value),
        }
    }

    /// `@au []`.
    fn typed(&mut self) -> Result<Value, String> {
        let signature = &self.rest[1..];
        let end = signature.find(char::is_whitespace).ok_or("a type without a value")?;
        let (signature, rest) = signature.split_at(end);
        if split(signature).is_none_or(|(_, rest)| !rest.is_empty()) {
            return Err(format!("{signature:?} is not a type"));
        }
        self.rest = rest;
        self.value(Some(signature))
    }

    fn array(&mut self, want: Option<&str>) -> Result<Value, String> {
        self.expect('[')?;
        let mut element = want.and_then(|want| want.strip_prefix('a')).map(str::to_owned);
        let mut values = Vec::new();
        while !self.eat(']') {
            if !values.is_empty() {
                self.expect(',')?;
            }
            let value = self.value(element.as_deref())?;
            element.get_or_insert_with(|| value.signature());
            values.push(value);
        }
        Ok(Value::Array(element.ok_or("an empty array needs a type, as in @as []")?, values))
    }

    fn tuple(&mut self, want: Option<&str>) -> Result<Value, String> {
        self.expect('(')?;
        let mut types = want.and_then(|want| want.strip_prefix('(')).and_then(|want| want.strip_suffix(')'));
        let mut members = Vec::new();
        while !self.eat(')') {
            if !members.is_empty() {
                self.expect(',')?;
                if self.eat(')') {
                    break;
                }
            }
            let (first, rest) = types.and_then(split).map_or((None, None), |(first, rest)| (Some(first), Some(rest)));
            members.push(self.value(first)?);
            types = rest;
        }
        if members.is_empty() { Err("an empty tuple is nothing on D-Bus".to_owned()) } else { Ok(Value::Struct(members)) }
    }

    fn dictionary(&mut self, want: Option<&str>) -> Result<Value, String> {
        self.expect('{')?;
        let want = want.and_then(|want| want.strip_prefix("a{")).and_then(|want| want.strip_suffix('}')).and_then(split);
        let (mut key, mut value) = (want.map(|(key, _)| key.to_owned()), want.map(|(_, value)| value.to_owned()));
        let mut entries = Vec::new();
        while !self.eat('}') {
            if !entries.is_empty() {
                self.expect(',')?;
            }
            let one = self.value(key.as_deref())?;
            self.expect(':')?;
            let other = self.value(value.as_deref())?;
            key.get_or_insert_with(|| one.signature());
            value.get_or_insert_with(|| other.signature());
            entries.push(Value::DictEntry(Box::new((one, other))));
        }
        let (key, value) = key.zip(value).ok_or("an empty dictionary needs a type, as in @a{sv} {}")?;
        Ok(Value::Array(format!("{{{key}{value}}}"), entries))
    }

    fn variant(&mut self) -> Result<Value, String> {
        self.expect('<')?;
        let value = self.value(None)?;
        self.expect('>')?;
        Ok(Value::Variant(Box::new(value)))
    }

    /// In either quotes, with the escapes of C.
    fn string(&mut self) -> Result<String, String> {
        let mut chars = self.rest.char_indices();
        let quote = chars.next().map_or('\'', |(_, quote)| quote);
        let mut text = String::new();
        while let Some((at, c)) = chars.next() {
            if c == quote {
                self.rest = &self.rest[at + 1..];
                return if text.contains('\0') { Err("a text with a NUL".to_owned()) } else { Ok(text) };
            }
            if c != '\\' {
                text.push(c);
                continue;
            }
            match chars.next().map(|(_, c)| c) {
                Some(kind @ ('u' | 'U')) => {
                    let length = if kind == 'u' { 4 } else { 8 };
                    let digits: String = chars.by_ref().take(length).map(|(_, digit)| digit).collect();
                    let code = Some(digits).filter(|digits| digits.len() == length);
                    let code = code.and_then(|digits| u32::from_str_radix(&digits, 16).ok()).and_then(char::from_u32);
                    text.push(code.ok_or("a broken \\u in a text")?);
                }
                Some('a') => text.push('\x07'),
                Some('b') => text.push('\x08'),
                Some('f') => text.push('\x0c'),
                Some('n') => text.push('\n'),
                Some('r') => text.push('\r'),
                Some('t') => text.push('\t'),
                Some('v') => text.push('\x0b'),
                Some('\n') => {}
                Some(other) => text.push(other),
                None => break,
            }
        }
        Err("a text without its end".to_owned())
    }

    /// `b'…'`: an array of bytes that ends in a zero.
    fn bytes(&mut self) -> Result<Value, String> {
        self.rest = &self.rest[1..];
        let text = self.string()?;
        Ok(Value::Array("y".into(), text.bytes().chain([0]).map(Value::Byte).collect()))
    }

    /// A number, a truth value, or the name of a type before a value.
    fn plain(&mut self, want: Option<&str>) -> Result<Value, String> {
        let word = self.word();
        let signature = match word {
            "true" => return Ok(Value::Boolean(true)),
            "false" => return Ok(Value::Boolean(false)),
            "boolean" => "b",
            "byte" => "y",
            "int16" => "n",
            "uint16" => "q",
            "int32" => "i",
            "uint32" => "u",
            "int64" => "x",
            "uint64" => "t",
            "double" => "d",
            "string" => "s",
            "objectpath" => "o",
            "signature" => "g",
            _ => return number(word, want),
        };
        self.value(Some(signature))
    }
}

fn textual(want: &str, text: String) -> Result<Value, String> {
    match want {
        "o" if text.starts_with('/') => Ok(Value::ObjectPath(text)),
        "o" => Err(format!("{text:?} is not an object path")),
        "g" if text.len() < 256 => Ok(Value::Signature(text)),
        _ => Ok(Value::String(text)),
    }
}

/// `int32` and `double` are what numbers look like.
fn number(word: &str, want: Option<&str>) -> Result<Value, String> {
    let unsigned = word.trim_start_matches(['+', '-']);
    let hex = unsigned.strip_prefix("0x").or(unsigned.strip_prefix("0X"));
    let real = hex.is_none() && unsigned.contains(['.', 'e', 'E']);
    let wrong = |kind: &str| format!("{word:?} is not a number of type {kind}");
    let whole = || -> Option<i128> {
        let value = match hex {
            Some(digits) => i128::from_str_radix(digits, 16).ok()?,
            None if unsigned.len() > 1 && unsigned.starts_with('0') => i128::from_str_radix(unsigned, 8).ok()?,
            None => unsigned.parse().ok()?,
        };
        Some(if word.starts_with('-') { -value } else { value })
    };
    let want = want.unwrap_or(if real { "d" } else { "i" });
    let value = match want {
        "d" => word.parse().ok().filter(|value: &f64| value.is_finite()).map(Value::Double),
        "y" => whole().and_then(|value| value.try_into().ok()).map(Value::Byte),
        "n" => whole().and_then(|value| value.try_into().ok()).map(Value::Int16),
        "q" => whole().and_then(|value| value.try_into().ok()).map(Value::Uint16),
        "i" => whole().and_then(|value| value.try_into().ok()).map(Value::Int32),
        "u" => whole().and_then(|value| value.try_into().ok()).map(Value::Uint32),
        "x" => whole().and_then(|value| value.try_into().ok()).map(Value::Int64),
        "t" => whole().and_then(|value| value.try_into().ok()).map(Value::Uint64),
        _ => None,
    };
    value.ok_or_else(|| wrong(want))
}

/// The first complete type of a signature, and the rest (D-Bus specification, "Signature Strings").
fn split(signature: &str) -> Option<(&str, &str)> {
    let end = match signature.as_bytes().first()? {
        b'a' if signature[1..].starts_with('{') => {
            let (key, rest) = split(&signature[2..]).filter(|(key, _)| key.len() == 1 && *key != "v")?;
            let (value, _) = split(rest).filter(|(_, rest)| rest.starts_with('}'))?;
            3 + key.len() + value.len()
        }
        b'a' => 1 + split(&signature[1..])?.0.len(),
        b'(' => {
            let mut at = 1;
            while !signature[at..].starts_with(')') {
                at += split(&signature[at..])?.0.len();
            }
            if at == 1 {
                return None;
            }
            at + 1
        }
        byte if b"bynqiuxtdsogv".contains(byte) => 1,
        _ => return None,
    };
    Some(signature.split_at(end))
}

#[cfg(test)]
#[path = "annotation_tests.rs"]
mod tests;
