//! The tables that `kubectl get` prints.

use serde_json::{Value, json};

use crate::kinds::Kind;
use crate::meta::Time;

/// A column.
#[derive(Debug, Clone, Copy)]
pub struct Column {
    /// Its heading.
    pub name: &'static str,
    /// string, integer or boolean.
    pub kind: &'static str,
    /// 0 is always shown, 1 with `-o wide` only.
    pub priority: i32,
    /// What it says.
    pub doc: &'static str,
}

/// A column that is always shown.
pub(crate) const fn column(name: &'static str, doc: &'static str) -> Column {
    Column { name, kind: "string", priority: 0, doc }
}

/// A column of numbers.
pub(crate) const fn number(name: &'static str, doc: &'static str) -> Column {
    Column { name, kind: "integer", priority: 0, doc }
}

/// A column for `-o wide`.
pub(crate) const fn wide(name: &'static str, doc: &'static str) -> Column {
    Column { name, kind: "string", priority: 1, doc }
}

const NAME: Column = column("Name", "The object's name, unique in its namespace.");
const AGE: Column = column("Age", "How long ago the object was made.");

/// The marker after which wide columns begin is a kind's first wide column: AGE stands before it, as upstream prints it.
fn columns(kind: &Kind) -> Vec<Column> {
    let split = kind.columns.iter().position(|c| c.priority > 0).unwrap_or(kind.columns.len());
    // what is not kept has no age
    let has_age = !kind.is_kept() || kind.columns.iter().any(|c| matches!(c.name, "Age" | "Last Seen" | "Created At"));
    let mut all = if has_age && kind.columns[0].name == "Last Seen" { Vec::new() } else { vec![NAME] };
    all.extend(&kind.columns[..split]);
    if !has_age {
        all.push(AGE);
    }
    all.extend(&kind.columns[split..]);
    all
}

/// The definitions of a kind's columns.
pub fn definitions(kind: &Kind) -> Value {
    let all = columns(kind);
    all.iter()
        .map(|c| {
            let format = if c.name == "Name" { "name" } else { "" };
            json!({"name": c.name, "type": c.kind, "format": format, "description": c.doc, "priority": c.priority})
        })
        .collect()
}

/// The cells of one object.
pub fn cells(kind: &Kind, object: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let own = (kind.row)(object, now);
    let mut own = own.into_iter();
    columns(kind)
        .iter()
        .map(|c| match c.name {
            "Name" => object["metadata"]["name"].clone(),
            "Age" => age_of(object, now).into(),
            _ => own.next().unwrap_or_else(|| "".into()),
        })
        .collect()
}

/// How long ago an object was made.
pub(crate) fn age_of(object: &Value, now: jiff::Timestamp) -> String {
    object["metadata"]["creationTimestamp"]
        .as_str()
        .and_then(|t| Time::parse(t).ok())
        .map_or_else(|| "<unknown>".into(), |t| since(&t, now))
}

/// How long ago a time was.
pub(crate) fn since(time: &Time, now: jiff::Timestamp) -> String {
    duration(time.seconds_until(now))
}

/// A duration in two of its greatest units, as upstream prints it.
pub fn duration(seconds: i64) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86400);
    let two = |great: i64, unit: char, small: i64, below: char| {
        if small == 0 { format!("{great}{unit}") } else { format!("{great}{unit}{small}{below}") }
    };
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..0 => "0s".into(),
        0..120 => format!("{seconds}s"),
        120..600 => two(minutes, 'm', seconds % 60, 's'),
        600..10800 => format!("{minutes}m"),
        10800..28800 => two(hours, 'h', minutes % 60, 'm'),
        28800..172_800 => format!("{hours}h"),
        172_800..691_200 => two(days, 'd', hours % 24, 'h'),
        691_200..63_072_000 => format!("{days}d"),
        63_072_000..252_288_000 => two(days / 365, 'y', days % 365, 'd'),
        _ => format!("{}y", days / 365),
    }
}

/// Words with commas between, `<none>` for no word.
pub(crate) fn listed<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let words: Vec<String> = items.into_iter().map(|i| i.to_string()).collect();
    or_none(&words.join(","))
}

/// `<none>` for nothing.
pub(crate) fn or_none(text: &str) -> String {
    if text.is_empty() { "<none>".into() } else { text.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_printed_as_kubectl_users_know_them() {
        for (seconds, text) in [
            (5, "5s"),
            (119, "119s"),
            (150, "2m30s"),
            (180, "3m"),
            (700, "11m"),
            (11_000, "3h3m"),
            (90_000, "25h"),
            (200_000, "2d7h"),
            (-5, "<invalid>"),
        ] {
            assert_eq!(duration(seconds), text);
        }
    }
}
