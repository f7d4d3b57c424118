//! Rules about devices as properties, for the devices controller of v1: at each `daemon-reload` systemd writes its own list anew.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::super::limits::{access, is_all};
use super::properties::Property;
use crate::dbus::Value;

/// The rules as systemd can tell them. It knows no exception from what is allowed; those are only written.
pub(super) fn devices(rules: &[LinuxDeviceCgroup]) -> Vec<Property> {
    let text = |name: &str, value: &str| (name.to_owned(), Value::string(value));
    let anew = rules.iter().rposition(is_all);
    if rules.is_empty() || anew.is_some_and(|at| rules[at].allow()) {
        return vec![text("DevicePolicy", "auto")];
    }
    let known = std::fs::read_to_string("/proc/devices").unwrap_or_default();
    let exceptions = rules[anew.map_or(0, |at| at + 1)..].iter().filter(|rule| rule.allow());
    let entries = exceptions.flat_map(|rule| specifiers(rule, &known).into_iter().map(|name| (name, access(rule))));
    let entries = entries.map(|(name, access)| Value::Struct(vec![Value::String(name), Value::string(access)])).collect();
    vec![text("DevicePolicy", "strict"), ("DeviceAllow".to_owned(), Value::Array("(ss)".into(), entries))]
}

/// A node by its numbers, or groups by the names of their drivers: `char-pts` (proc(5), `/proc/devices`). A driver that is not loaded has no
/// name, and no device.
fn specifiers(rule: &LinuxDeviceCgroup, devices: &str) -> Vec<String> {
    let (kind, heading) = match rule.typ() {
        Some(LinuxDeviceType::B) => ("block", "Block devices:"),
        _ => ("char", "Character devices:"),
    };
    let number = |number: Option<i64>| number.filter(|number| *number >= 0);
    match (number(rule.major()), number(rule.minor())) {
        (Some(major), Some(minor)) => vec![format!("/dev/{kind}/{major}:{minor}")],
        (None, None) => vec![format!("{kind}-*")],
        (None, Some(_)) => Vec::new(),
        (Some(major), None) => {
            let group = |line: &str| {
                let (number, name) = line.trim().split_once(' ')?;
                (number.parse() == Ok(major)).then(|| format!("{kind}-{name}"))
            };
            devices
                .lines()
                .skip_while(|line| *line != heading)
                .skip(1)
                .take_while(|line| !line.is_empty())
                .filter_map(group)
                .collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn rules_have_names() {
        const DEVICES: &str = "Character devices:\n  1 mem\n136 pts\n137 pts\n\nBlock devices:\n  8 sd\n136 other\n";
        let names = |rule| specifiers(&serde_json::from_value(rule).unwrap(), DEVICES);
        assert_eq!(names(json!({"allow": true, "type": "c", "major": 1, "minor": 3})), ["/dev/char/1:3"]);
        assert_eq!(names(json!({"allow": true, "type": "c", "major": 136})), ["char-pts"]);
        assert_eq!(names(json!({"allow": true, "type": "b", "major": 8, "minor": -1})), ["block-sd"]);
        assert_eq!(names(json!({"allow": true, "type": "b"})), ["block-*"]);
        assert!(names(json!({"allow": true, "type": "c", "major": 99})).is_empty());
    }

    #[test]
    fn what_is_free_stays_free() {
        let rules = |rules| devices(&serde_json::from_value::<Vec<_>>(rules).unwrap());
        assert_eq!(rules(json!([{"allow": true, "type": "a"}])), [("DevicePolicy".to_owned(), Value::string("auto"))]);
        assert_eq!(rules(json!([{"allow": false}])).len(), 2);
    }
}
