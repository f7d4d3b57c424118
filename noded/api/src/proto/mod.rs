//! Protobuf, as Kubernetes' own clients write objects: turned into JSON by the tables.
//!
//! `numbers.txt` has one line for each table: its name without `io.k8s.`, then `field=NUMBER`; `*NUMBER:field=NUMBER,…` is a message whose
//! fields are, in JSON, those of the object around it. The numbers are those of Kubernetes' published interface.
//!
//! Only reading is needed: every such client takes JSON back.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use crate::meta::{MicroTime, Time};
use crate::schema::{Field, Object, Type};

/// The first bytes of a body.
const MAGIC: &[u8] = b"k8s\0";
/// Messages are never nested deeper.
const DEEPEST: usize = 64;

/// A body that makes no sense.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum NotProtobuf {
    /// It does not begin as it must, or ends too early.
    #[error("the body is not protobuf as Kubernetes writes it")]
    Malformed,
    /// Something of which we have no numbers.
    #[error("{0} cannot be read from protobuf: send JSON")]
    Unknown(String),
}

/// Numbers of one message.
#[derive(Default)]
struct Numbers {
    fields: HashMap<u32, &'static str>,
    inlined: HashMap<u32, HashMap<u32, &'static str>>,
}

static NUMBERS: LazyLock<HashMap<&'static str, Numbers>> = LazyLock::new(|| {
    let pairs = |text: &'static str, separator| -> HashMap<u32, &'static str> {
        text.split(separator)
            .filter_map(|p| p.split_once('='))
            .filter_map(|(name, number)| Some((number.parse().ok()?, name)))
            .collect()
    };
    let line = |line: &'static str| {
        let (name, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut numbers = Numbers::default();
        for word in rest.split(' ') {
            match word.strip_prefix('*').and_then(|w| w.split_once(':')) {
                Some((number, inner)) => drop(number.parse().map(|n| numbers.inlined.insert(n, pairs(inner, ',')))),
                None => numbers.fields.extend(pairs(word, ' ')),
            }
        }
        (name, numbers)
    };
    include_str!("numbers.txt").lines().map(line).collect()
});

/// Reads a body; `table` finds the table of what it names by version and kind.
///
/// # Errors
/// What makes no sense, and what has no table.
pub fn read(body: &[u8], table: impl FnOnce(&str, &str) -> Option<&'static Object>) -> Result<Value, NotProtobuf> {
    let envelope = body.strip_prefix(MAGIC).ok_or(NotProtobuf::Malformed)?;
    let (mut version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    for part in parts(envelope)? {
        match part {
            (1, Wire::Bytes(named)) => {
                for part in parts(named)? {
                    match part {
                        (1, Wire::Bytes(text)) => version = utf8(text)?,
                        (2, Wire::Bytes(text)) => kind = utf8(text)?,
                        _ => {}
                    }
                }
            }
            (2, Wire::Bytes(bytes)) => raw = bytes,
            _ => {}
        }
    }
    let table = table(&version, &kind).ok_or_else(|| NotProtobuf::Unknown(format!("{version} {kind}")))?;
    let mut object = json!({"apiVersion": version, "kind": kind});
    if let (Value::Object(map), Value::Object(fields)) = (&mut object, message(raw, table, 0)?) {
        map.extend(fields.into_iter().filter(|(name, _)| name != "apiVersion" && name != "kind"));
    }
    Ok(object)
}

enum Wire<'a> {
    Number(u64),
    Bytes(&'a [u8]),
}

fn varint(bytes: &mut &[u8]) -> Result<u64, NotProtobuf> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(NotProtobuf::Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(NotProtobuf::Malformed)
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Result<&'a [u8], NotProtobuf> {
    let length = usize::try_from(length).map_err(|_| NotProtobuf::Malformed)?;
    let (taken, rest) = bytes.split_at_checked(length).ok_or(NotProtobuf::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

/// The fields of a message: number and value.
fn parts(mut bytes: &[u8]) -> Result<Vec<(u32, Wire<'_>)>, NotProtobuf> {
    let mut found = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let number = u32::try_from(tag >> 3).map_err(|_| NotProtobuf::Malformed)?;
        let value = match tag & 7 {
            0 => Wire::Number(varint(&mut bytes)?),
            1 => Wire::Bytes(take(&mut bytes, 8)?),
            2 => {
                let length = varint(&mut bytes)?;
                Wire::Bytes(take(&mut bytes, length)?)
            }
            5 => Wire::Bytes(take(&mut bytes, 4)?),
            _ => return Err(NotProtobuf::Malformed),
        };
        found.push((number, value));
    }
    Ok(found)
}

fn utf8(bytes: &[u8]) -> Result<String, NotProtobuf> {
    String::from_utf8(bytes.to_vec()).map_err(|_| NotProtobuf::Malformed)
}

fn message(bytes: &[u8], object: &'static Object, depth: usize) -> Result<Value, NotProtobuf> {
    let numbers = NUMBERS.get(object.name.trim_start_matches("io.k8s.")).ok_or_else(|| NotProtobuf::Unknown(object.name.into()))?;
    if depth > DEEPEST {
        return Err(NotProtobuf::Malformed);
    }
    let mut map = Map::new();
    for (number, wire) in parts(bytes)? {
        match (numbers.fields.get(&number), numbers.inlined.get(&number), &wire) {
            (Some(name), _, _) => put(&mut map, object, name, &wire, depth)?,
            (None, Some(inner), Wire::Bytes(bytes)) => {
                for (number, wire) in parts(bytes)? {
                    match inner.get(&number) {
                        Some(name) => put(&mut map, object, name, &wire, depth)?,
                        None => return Err(NotProtobuf::Unknown(format!("field {number} in {}", object.name))),
                    }
                }
            }
            // a default of another kind, or a field of a newer version: JSON would have an unknown field
            _ => {}
        }
    }
    Ok(Value::Object(map))
}

fn put(
    map: &mut Map<String, Value>,
    object: &'static Object,
    name: &str,
    wire: &Wire<'_>,
    depth: usize,
) -> Result<(), NotProtobuf> {
    let Some(field) = object.field(name) else { return Ok(()) };
    match (field.ty, wire) {
        (Type::List(inner), wire) => {
            let value = value(wire, inner, name, depth)?;
            if let Value::Array(list) = map.entry(name).or_insert_with(|| Value::Array(Vec::new())) {
                list.push(value);
            }
        }
        (Type::Map(inner), Wire::Bytes(bytes)) => {
            let (mut key, mut entry) = (String::new(), empty(inner));
            for part in parts(bytes)? {
                match part {
                    (1, Wire::Bytes(text)) => key = utf8(text)?,
                    (2, wire) => entry = value(&wire, inner, name, depth)?,
                    _ => {}
                }
            }
            if let Value::Object(entries) = map.entry(name).or_insert_with(|| Value::Object(Map::new())) {
                entries.insert(key, entry);
            }
        }
        (ty, wire) => {
            let value = value(wire, ty, name, depth)?;
            if says_something(&value, field) {
                map.insert(name.into(), value);
            }
        }
    }
    Ok(())
}

fn empty(ty: &Type) -> Value {
    if matches!(ty, Type::Object(_) | Type::Map(_)) { json!({}) } else { "".into() }
}

/// Protobuf writes what was not given as zero, unless it may be absent: then a zero was given.
fn says_something(value: &Value, field: &Field) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Bool(flag) => *flag || field.is_optional,
        Value::Number(number) => number.as_i64() != Some(0) || field.is_optional || matches!(field.ty, Type::IntOrString),
        _ => true,
    }
}

fn value(wire: &Wire<'_>, ty: &'static Type, name: &str, depth: usize) -> Result<Value, NotProtobuf> {
    Ok(match (ty, wire) {
        (Type::String, Wire::Bytes(bytes)) => utf8(bytes)?.into(),
        (Type::Bytes, Wire::Bytes(bytes)) => crate::values::base64(bytes).into(),
        (Type::Bool, Wire::Number(number)) => (*number != 0).into(),
        // 32 bits too are written as 64, with their sign
        (Type::Int32 | Type::Int64, Wire::Number(number)) => (*number as i64).into(),
        (Type::Time | Type::MicroTime, Wire::Bytes(bytes)) => time(bytes, matches!(ty, Type::MicroTime))?,
        (Type::Quantity, Wire::Bytes(bytes)) => first_text(bytes)?,
        (Type::IntOrString, Wire::Bytes(bytes)) => int_or_string(bytes)?,
        (Type::Object(object), Wire::Bytes(bytes)) => message(bytes, object, depth + 1)?,
        // both are messages of one field, whose bytes are JSON
        (Type::Any, Wire::Bytes(bytes)) if matches!(name, "fieldsV1" | "data") => {
            let text = first_text(bytes)?;
            serde_json::from_str(text.as_str().unwrap_or("")).map_err(|_| NotProtobuf::Malformed)?
        }
        // the answer of a review, which is the server's to write
        (Type::Any, _) if name == "status" => Value::Null,
        (Type::Any, _) => return Err(NotProtobuf::Unknown(format!("field {name}"))),
        _ => return Err(NotProtobuf::Malformed),
    })
}

fn first_text(bytes: &[u8]) -> Result<Value, NotProtobuf> {
    let text = parts(bytes)?.into_iter().find_map(|part| if let (1, Wire::Bytes(text)) = part { Some(text) } else { None });
    text.map_or(Ok(Value::Null), |t| utf8(t).map(Value::from))
}

fn time(bytes: &[u8], micro: bool) -> Result<Value, NotProtobuf> {
    let (mut seconds, mut nanos) = (0, 0);
    let all = parts(bytes)?;
    if all.is_empty() {
        return Ok(Value::Null);
    }
    for part in all {
        match part {
            (1, Wire::Number(number)) => seconds = number as i64,
            (2, Wire::Number(number)) => nanos = i32::try_from(number as i64).map_err(|_| NotProtobuf::Malformed)?,
            _ => {}
        }
    }
    let at = jiff::Timestamp::new(seconds, nanos).map_err(|_| NotProtobuf::Malformed)?;
    Ok(if micro { MicroTime(at).to_string() } else { Time(at).to_string() }.into())
}

fn int_or_string(bytes: &[u8]) -> Result<Value, NotProtobuf> {
    let (mut is_text, mut number, mut text) = (false, 0, String::new());
    for part in parts(bytes)? {
        match part {
            (1, Wire::Number(kind)) => is_text = kind == 1,
            (2, Wire::Number(value)) => number = value as i64,
            (3, Wire::Bytes(value)) => text = utf8(value)?,
            _ => {}
        }
    }
    Ok(if is_text { text.into() } else { number.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{self, deployment, pod};

    /// A field of bytes.
    fn part(number: u8, bytes: &[u8]) -> Vec<u8> {
        [&[number << 3 | 2, u8::try_from(bytes.len()).unwrap()], bytes].concat()
    }

    fn body(version: &str, kind: &str, raw: &[u8]) -> Vec<u8> {
        let named = [part(1, version.as_bytes()), part(2, kind.as_bytes())].concat();
        [MAGIC.to_vec(), part(1, &named), part(2, raw)].concat()
    }

    fn table(version: &str, kind: &str) -> Option<&'static Object> {
        kinds::find_kind(version, kind).map(|k| k.table)
    }

    #[test]
    fn a_message_becomes_the_json_that_would_have_been_sent() {
        let meta = [part(1, b"web"), part(3, b""), part(11, &[part(1, b"app"), part(2, b"web")].concat())].concat();
        let strategy = part(2, &[part(1, &[8, 1, 26, 3, b'2', b'5', b'%']), part(2, &[8, 0, 16, 1])].concat());
        // replicas 0 is given (it may be absent), minReadySeconds 0 is not
        let spec = [vec![8, 0], vec![40, 0], part(4, &strategy)].concat();
        let raw = [part(1, &meta), part(2, &spec), part(3, &[])].concat();
        let object = read(&body("apps/v1", "Deployment", &raw), table).unwrap();
        let rolling = json!({"maxUnavailable": "25%", "maxSurge": 1});
        let expected = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"app": "web"}},
            "spec": {"replicas": 0, "strategy": {"rollingUpdate": rolling}}, "status": {}});
        assert_eq!(object, expected);
    }

    #[test]
    fn messages_that_json_does_not_show_are_taken_apart() {
        // a volume with its source, a probe with its handler
        let volume = [part(1, b"v"), part(2, &part(6, &part(1, b"s")))].concat();
        let get = part(2, &part(1, b"/ok"));
        let probe = [part(1, &get), vec![16, 5]].concat();
        let container = [part(1, b"c"), part(10, &probe)].concat();
        let raw = part(2, &[part(1, &volume), part(2, &container)].concat());
        let object = read(&body("v1", "Pod", &raw), table).unwrap();
        assert_eq!(object["spec"]["volumes"][0], json!({"name": "v", "secret": {"secretName": "s"}}));
        assert_eq!(object["spec"]["containers"][0]["livenessProbe"], json!({"httpGet": {"path": "/ok"}, "initialDelaySeconds": 5}));
    }

    #[test]
    fn every_table_has_numbers() {
        fn visit(object: &'static Object) {
            assert!(NUMBERS.contains_key(object.name.trim_start_matches("io.k8s.")), "{}", object.name);
            for field in object.fields {
                let mut ty = field.ty;
                while let Type::List(inner) | Type::Map(inner) = ty {
                    ty = inner;
                }
                if let Type::Object(inner) = ty {
                    visit(inner);
                }
            }
        }
        kinds::KINDS.iter().for_each(|k| visit(k.table));
        assert_eq!(NUMBERS["api.core.v1.PodSpec"].fields[&2], "containers");
        let _ = (&deployment::DEPLOYMENT, &pod::POD);
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [&b""[..], b"k8s", b"k8s\0\xff", b"k8s\0\x0a\x05ab", b"{}"] {
            assert!(read(bad, table).is_err(), "{bad:?}");
        }
        assert!(matches!(read(&body("x/v1", "X", b""), table), Err(NotProtobuf::Unknown(_))));
    }

    proptest::proptest! {
        #[test]
        fn no_bytes_panic(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..60)) {
            let _ = read(&body("v1", "Pod", &bytes), table);
        }
    }
}
