//! Label selectors: as text in a query, and as objects in a spec.

use std::collections::BTreeMap;

use crate::meta::LabelSelector;
use crate::names;

/// Text that is no selector.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("unable to parse requirement: {0}")]
pub struct NotASelector(pub String);

/// One rule on a label.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelRule {
    /// The value is one of these.
    In(String, Vec<String>),
    /// The value is none of these, or the label is missing.
    NotIn(String, Vec<String>),
    /// The label is there.
    Exists(String),
    /// The label is missing.
    Missing(String),
    /// The value is a greater number.
    Above(String, i64),
    /// The value is a smaller number.
    Below(String, i64),
}

/// Rules that must all be true.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabelRules(pub Vec<LabelRule>);

impl LabelRule {
    /// Whether `labels` obey it.
    pub fn allows(&self, labels: &BTreeMap<String, String>) -> bool {
        let number = |key: &str| labels.get(key).and_then(|v| v.parse::<i64>().ok());
        match self {
            Self::In(key, values) => labels.get(key).is_some_and(|v| values.contains(v)),
            Self::NotIn(key, values) => labels.get(key).is_none_or(|v| !values.contains(v)),
            Self::Exists(key) => labels.contains_key(key),
            Self::Missing(key) => !labels.contains_key(key),
            Self::Above(key, than) => number(key).is_some_and(|v| v > *than),
            Self::Below(key, than) => number(key).is_some_and(|v| v < *than),
        }
    }
}

impl LabelRules {
    /// Whether `labels` obey all rules.
    pub fn allow(&self, labels: &BTreeMap<String, String>) -> bool {
        self.0.iter().all(|rule| rule.allows(labels))
    }

    /// Reads `a=b,c!=d,e in (f,g),h,!i`.
    ///
    /// # Errors
    /// The part that makes no sense.
    pub fn parse(text: &str) -> Result<Self, NotASelector> {
        parts(text).into_iter().filter(|p| !p.trim().is_empty()).map(|p| rule(p.trim())).collect::<Result<_, _>>().map(Self)
    }
}

/// Splits at commas outside of brackets.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut depth, mut from) = (Vec::new(), 0i32, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'(' => depth += 1,
            b')' => depth -= 1,
            b',' if depth == 0 => {
                parts.push(&text[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[from..]);
    parts
}

fn rule(text: &str) -> Result<LabelRule, NotASelector> {
    let bad = || NotASelector(format!("found {text:?}, expected: a key with =, ==, !=, in, notin, <, >, or nothing after it"));
    let rule = if let Some(key) = text.strip_prefix('!') {
        LabelRule::Missing(key.trim().into())
    } else if let Some((key, value)) = text.split_once("!=") {
        LabelRule::NotIn(key.trim().into(), vec![value.trim().into()])
    } else if let Some((head, values)) = text.split_once('(') {
        let values: Vec<String> = values.strip_suffix(')').ok_or_else(bad)?.split(',').map(|v| v.trim().into()).collect();
        match head.split_whitespace().collect::<Vec<_>>()[..] {
            [key, "in"] => LabelRule::In(key.into(), values),
            [key, "notin"] => LabelRule::NotIn(key.into(), values),
            _ => return Err(bad()),
        }
    } else if let Some((key, value)) = text.split_once('=') {
        LabelRule::In(key.trim().into(), vec![value.strip_prefix('=').unwrap_or(value).trim().into()])
    } else if let Some((key, value)) = text.split_once('>') {
        LabelRule::Above(key.trim().into(), value.trim().parse().map_err(|_| bad())?)
    } else if let Some((key, value)) = text.split_once('<') {
        LabelRule::Below(key.trim().into(), value.trim().parse().map_err(|_| bad())?)
    } else {
        LabelRule::Exists(text.into())
    };
    check(&rule)?;
    Ok(rule)
}

fn check(rule: &LabelRule) -> Result<(), NotASelector> {
    let (key, values): (&str, &[String]) = match rule {
        LabelRule::In(key, values) | LabelRule::NotIn(key, values) => (key, values),
        LabelRule::Exists(key) | LabelRule::Missing(key) | LabelRule::Above(key, _) | LabelRule::Below(key, _) => (key, &[]),
    };
    if let Some(why) = names::qualified_name(key).into_iter().next() {
        return Err(NotASelector(format!("key: Invalid value: {key:?}: {why}")));
    }
    match values.iter().find_map(|v| names::label_value(v).into_iter().next().map(|why| (v, why))) {
        Some((value, why)) => Err(NotASelector(format!("values[0][{key}]: Invalid value: {value:?}: {why}"))),
        None => Ok(()),
    }
}

/// The rules of a selector object.
pub fn rules(selector: &LabelSelector) -> LabelRules {
    let equal = selector.match_labels.iter().map(|(key, value)| LabelRule::In(key.clone(), vec![value.clone()]));
    let others = selector.match_expressions.iter().map(|rule| {
        let (key, values) = (rule.key.clone(), rule.values.clone());
        match rule.operator.as_str() {
            "In" => LabelRule::In(key, values),
            "NotIn" => LabelRule::NotIn(key, values),
            "Exists" => LabelRule::Exists(key),
            "DoesNotExist" => LabelRule::Missing(key),
            // validation lets nothing else in; a rule that is not known selects nothing
            _ => LabelRule::In(key, Vec::new()),
        }
    });
    LabelRules(equal.chain(others).collect())
}

/// Whether `labels` obey a selector object; an empty one selects everything.
pub fn matches(selector: &LabelSelector, labels: &BTreeMap<String, String>) -> bool {
    rules(selector).allow(labels)
}

/// A selector object as text: what `scale` and tables show.
pub fn shown(selector: &LabelSelector) -> String {
    let all: Vec<String> = rules(selector)
        .0
        .iter()
        .map(|rule| match rule {
            LabelRule::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
            LabelRule::In(key, values) => format!("{key} in ({})", values.join(",")),
            LabelRule::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
            LabelRule::Exists(key) => key.clone(),
            LabelRule::Missing(key) => format!("!{key}"),
            LabelRule::Above(key, than) => format!("{key}>{than}"),
            LabelRule::Below(key, than) => format!("{key}<{than}"),
        })
        .collect();
    all.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()
    }

    #[test]
    fn text_selects() {
        let web = labels(&[("app", "web"), ("tier", "3")]);
        for yes in
            ["", "app=web", "app==web,tier", "app in (web, db)", "app notin (db)", "!gone", "gone!=x", "tier>2", "app , tier"]
        {
            assert!(LabelRules::parse(yes).unwrap().allow(&web), "{yes}");
        }
        for no in ["app=db", "!app", "gone", "app in (db)", "app notin (web)", "app!=web", "tier<3", "gone=x"] {
            assert!(!LabelRules::parse(no).unwrap().allow(&web), "{no}");
        }
        for bad in ["app in web", "=x", "a b", "app in (web", "a=b c", "tier>x", "-a=b"] {
            assert!(LabelRules::parse(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn no_text_panics(text in "[a-z=!,()<> ./é-]{0,40}") {
            let _ = LabelRules::parse(&text).map(|r| r.allow(&BTreeMap::new()));
        }
    }
}
