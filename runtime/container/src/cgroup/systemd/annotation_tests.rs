use proptest::prelude::*;

use super::*;

fn one(name: &str, text: &str) -> Result<(String, Value), String> {
    let key = format!("{PREFIX}{name}");
    let all = annotations([(key.as_str(), text), ("org.other", "x")].into_iter());
    all.map(|mut all| all.remove(0)).map_err(|error| error.to_string())
}

fn strings(texts: &[&str]) -> Value {
    Value::Array("s".into(), texts.iter().map(|text| Value::string(*text)).collect())
}

#[test]
fn values_have_the_types_that_are_written_or_seen() {
    let pair = |a: &str, b: u64| Value::Struct(vec![Value::string(a), Value::Uint64(b)]);
    for (text, value) in [
        ("true", Value::Boolean(true)),
        ("5", Value::Int32(5)),
        ("-0x10", Value::Int32(-16)),
        ("010", Value::Int32(8)),
        ("1.5", Value::Double(1.5)),
        ("uint64 123456789", Value::Uint64(123_456_789)),
        (" byte 0xff ", Value::Byte(255)),
        ("int64 -1", Value::Int64(-1)),
        ("'inactive-or-failed'", Value::string("inactive-or-failed")),
        ("\"it's \\u00e4\\n\"", Value::string("it's ä\n")),
        ("objectpath '/a/b'", Value::ObjectPath("/a/b".into())),
        ("['a', \"b\"]", strings(&["a", "b"])),
        ("@as []", strings(&[])),
        ("[uint16 1, 2]", Value::Array("q".into(), vec![Value::Uint16(1), Value::Uint16(2)])),
        ("@a(st) [('/dev/sda', 5)]", Value::Array("(st)".into(), vec![pair("/dev/sda", 5)])),
        ("('x', uint64 7)", pair("x", 7)),
        ("<'x'>", Value::Variant(Box::new(Value::string("x")))),
        (
            "{'k': <uint32 1>}",
            Value::Array(
                "{sv}".into(),
                vec![Value::DictEntry(Box::new((Value::string("k"), Value::Variant(Box::new(Value::Uint32(1))))))],
            ),
        ),
        ("b'ab'", Value::Array("y".into(), vec![Value::Byte(97), Value::Byte(98), Value::Byte(0)])),
    ] {
        assert_eq!(one("Some", text), Ok(("Some".to_owned(), value)), "{text}");
    }
}

#[test]
fn seconds_become_microseconds() {
    assert_eq!(one("TimeoutStopSec", "2").unwrap(), ("TimeoutStopUSec".into(), Value::Uint64(2_000_000)));
    assert_eq!(one("RuntimeMaxSec", "0.5").unwrap(), ("RuntimeMaxUSec".into(), Value::Uint64(500_000)));
    assert_eq!(one("TimeoutStopUSec", "uint64 7").unwrap(), ("TimeoutStopUSec".into(), Value::Uint64(7)));
    for text in ["-1", "'2'", "uint64 18446744073709551615"] {
        assert!(one("RuntimeMaxSec", text).unwrap_err().ends_with("a time is a number that is not negative"), "{text}");
    }
}

#[test]
fn nonsense_is_refused() {
    for text in [
        "",
        "yes",
        "5 6",
        "'open",
        "[1, 'a']",
        "[]",
        "{}",
        "()",
        "@q 70000",
        "byte 256",
        "@zz 5",
        "@as",
        "uint64 'x'",
        "[1",
        "<1",
        "1e400",
        "objectpath 'x'",
        "@(s 5",
    ] {
        let error = one("Some", text).unwrap_err();
        assert!(error.starts_with(&format!("annotations {PREFIX}Some={text}: not in GVariant's text format: ")), "{text}: {error}");
    }
    assert!(one("Some", &"[".repeat(100_000)).unwrap_err().ends_with("too many values in values"));
    for name in ["A", "Some-Name", "Some.Name", "So1"] {
        assert!(one(name, "5").unwrap_err().ends_with("no name of a property"), "{name}");
    }
}

proptest! {
    #[test]
    fn any_text_is_survived(text in "[ -~ä]{0,40}", values in "[\\[\\](){}<>@asxt'0-9, :]{0,40}") {
        let _ = parse(&text);
        let _ = parse(&values);
        let _ = split(&values);
    }
}
