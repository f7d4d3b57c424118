//! Field selectors: equality on the few fields that a kind offers for it.

use serde_json::Value;

use super::label::NotASelector;
use crate::kinds::Kind;

/// Rules on fields that must all be true: path, equal or not, value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FieldSelector(pub Vec<(String, bool, String)>);

impl FieldSelector {
    /// Reads `a.b=c,d!=e` for a kind. The rules are for objects as they are kept.
    ///
    /// # Errors
    /// Text that makes no sense, or a field that the kind does not offer.
    pub fn parse(text: &str, kind: &Kind) -> Result<Self, NotASelector> {
        let mut rules = Vec::new();
        for part in split(text).into_iter().filter(|p| !p.is_empty()) {
            let (path, equal, value) = match (part.split_once("!="), part.split_once('=')) {
                (Some((path, value)), _) => (path, false, value),
                (None, Some((path, value))) => (path, true, value.strip_prefix('=').unwrap_or(value)),
                (None, None) => return Err(NotASelector(format!("invalid selector: '{part}'; can't understand '{part}'"))),
            };
            let known =
                path == "metadata.name" || kind.namespaced && path == "metadata.namespace" || kind.selectable.contains(&path);
            if !known {
                return Err(NotASelector(format!("field label not supported: {path}")));
            }
            rules.push((kind.kept_path(path), equal, unescaped(value)));
        }
        Ok(Self(rules))
    }

    /// Whether `object` obeys all rules.
    pub fn allows(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, equal, value)| (at_path(object, path) == *value) == *equal)
    }

    /// The value that a field must have, where one is asked for.
    pub fn wanted(&self, path: &str) -> Option<&str> {
        self.0.iter().find(|(p, equal, _)| p == path && *equal).map(|(_, _, v)| v.as_str())
    }
}

/// Splits at commas; a backslash takes a comma into a value.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut from, mut escaped) = (Vec::new(), 0, false);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b',' => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn unescaped(value: &str) -> String {
    let mut text = String::new();
    let mut letters = value.chars();
    while let Some(letter) = letters.next() {
        text.extend(if letter == '\\' { letters.next() } else { Some(letter) });
    }
    text
}

/// The value at a path, as the text that field selectors compare; nothing is an empty text.
pub fn at_path(object: &Value, path: &str) -> String {
    let mut value = object;
    for part in path.split('.') {
        match value.get(part) {
            Some(inner) => value = inner,
            // a flag that is not there is off
            None => return if matches!(part, "unschedulable" | "hostNetwork") { "false".into() } else { String::new() },
        }
    }
    match value {
        Value::String(text) => text.clone(),
        Value::Null | Value::Object(_) | Value::Array(_) => String::new(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::kinds::pod::POD;

    #[test]
    fn fields_select() {
        let pod = json!({"metadata": {"name": "a"}, "spec": {"nodeName": "n"}, "status": {"phase": "Running"}});
        let allows = |text: &str| FieldSelector::parse(text, &POD).unwrap().allows(&pod);
        assert!(allows("spec.nodeName=n,status.phase!=Succeeded,status.phase!=Failed") && allows("metadata.name=a") && allows(""));
        assert!(!allows("metadata.name=b") && !allows("status.phase!=Running") && allows("spec.hostNetwork=false"));
        assert_eq!(FieldSelector::parse("spec.foo=x", &POD).unwrap_err().0, "field label not supported: spec.foo");
        assert!(FieldSelector::parse("x", &POD).is_err());
    }
}
