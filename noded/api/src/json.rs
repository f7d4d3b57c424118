//! JSON and YAML as strangers write them: keys that are there twice are found.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::options::DuplicateKeyPolicy;

/// Reads one value; says which keys were there more than once (the last one counts).
///
/// # Errors
/// Text that is no JSON, or is nested deeper than 128 times.
pub fn parse(bytes: &[u8]) -> Result<(Value, Vec<String>), serde_json::Error> {
    let mut found = Found::new();
    let mut source = serde_json::Deserializer::from_slice(bytes);
    let value = Any { path: String::new(), found: &mut found }.deserialize(&mut source)?;
    source.end()?;
    Ok((value, found.twice))
}

/// The same of one YAML document.
///
/// # Errors
/// What is wrong with it, in one line: text that is no YAML, more than one document, nesting without end, or aliases that make much out of
/// little.
pub fn parse_yaml(bytes: &[u8]) -> Result<(Value, Vec<String>), String> {
    let options = serde_saphyr::options! { duplicate_keys: DuplicateKeyPolicy::PassThrough };
    let mut found = Found::new();
    let value = serde_saphyr::with_deserializer_from_slice_with_options(bytes, options, |source| {
        Any { path: String::new(), found: &mut found }.deserialize(source)
    });
    // the first line says what is wrong; the others show the place
    let value = value.map_err(|error| error.to_string().lines().next().unwrap_or_default().to_owned())?;
    Ok((value, found.twice))
}

/// What is found on the way.
struct Found {
    twice: Vec<String>,
    /// So much may still come: a text that is named is small, and what its names stand for may be no end of it.
    room: usize,
}

impl Found {
    /// More than any text that is taken.
    const ROOM: usize = 16 << 20;

    fn new() -> Self {
        Self { twice: Vec::new(), room: Self::ROOM }
    }

    fn take<E: Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.room = self.room.checked_sub(bytes).ok_or_else(|| E::custom("the document excessively uses aliases"))?;
        Ok(())
    }
}

struct Any<'a> {
    path: String,
    found: &'a mut Found,
}

impl<'de> DeserializeSeed<'de> for Any<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, source: D) -> Result<Value, D::Error> {
        source.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Any<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, v: bool) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_i64<E>(self, v: i64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_u64<E>(self, v: u64) -> Result<Value, E> {
        Ok(v.into())
    }

    fn visit_f64<E>(self, v: f64) -> Result<Value, E> {
        Ok(Number::from_f64(v).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E: Error>(self, v: &str) -> Result<Value, E> {
        self.found.take::<E>(v.len())?;
        Ok(v.into())
    }

    fn visit_string<E: Error>(self, v: String) -> Result<Value, E> {
        self.found.take::<E>(v.len())?;
        Ok(v.into())
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Any { path: format!("{}[{}]", self.path, list.len()), found: self.found })? {
            self.found.take::<A::Error>(1)?;
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            let path = if self.path.is_empty() { key.clone() } else { format!("{}.{key}", self.path) };
            if map.contains_key(&key) {
                self.found.twice.push(path.clone());
            }
            self.found.take::<A::Error>(key.len() + 1)?;
            let value = entries.next_value_seed(Any { path, found: self.found }).map_err(A::Error::custom)?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

/// Takes out every null: in Kubernetes it says the same as nothing.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            map.values_mut().for_each(drop_nulls);
        }
        Value::Array(list) => list.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_that_are_there_twice_are_found() {
        let (value, twice) = parse(br#"{"a": {"b": 1, "b": 2}, "c": [{"d": 1, "d": null}]}"#).unwrap();
        assert_eq!(twice, ["a.b", "c[0].d"]);
        assert_eq!(value["a"]["b"], 2);
        assert!(parse(b"{} x").is_err() && parse(b"{").is_err());
        assert!(parse("[".repeat(200).as_bytes()).is_err());
    }

    #[test]
    fn yaml_says_the_same() {
        let text = "# a note\na: {b: 1, b: 2}\nc:\n- d: 'x'\n  e: yes\n- &name text\n- *name\n- ~\n- 1.5\n- true\n1: key\n";
        let (value, twice) = parse_yaml(text.as_bytes()).unwrap();
        assert_eq!(twice, ["a.b"]);
        assert_eq!(value["c"][0]["d"], "x");
        assert_eq!(value["c"].as_array().unwrap()[1..], [json!("text"), json!("text"), Value::Null, json!(1.5), json!(true)]);
        assert_eq!((&value["a"]["b"], &value["1"]), (&json!(2), &json!("key")));
        assert_eq!(parse_yaml(br#"{"a": [1, {"b": null}]}"#).unwrap().0, json!({"a": [1, {"b": null}]}), "JSON is YAML");
        for bad in ["a: [", "a: b\n---\nc: d\n", "a: *nobody"] {
            let why = parse_yaml(bad.as_bytes()).expect_err(bad);
            assert!(!why.is_empty() && !why.contains('\n'), "{bad}: {why}");
        }
        assert!(parse_yaml(&[0xff, 0xfe, 0xff]).is_err() && parse_yaml("[".repeat(10_000).as_bytes()).is_err());
    }

    /// Nine names, each for nine of the one before; and one long text that is named very often.
    #[test]
    fn little_does_not_become_much() {
        let mut laughs = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
        for at in 1..9 {
            let all = vec![format!("*a{}", at - 1); 9].join(", ");
            laughs.push_str(&format!("a{at}: &a{at} [{all}]\n"));
        }
        assert!(parse_yaml(laughs.as_bytes()).is_err());
        let often = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 50].join(", "));
        assert!(parse_yaml(often.as_bytes()).is_err());
    }
}
