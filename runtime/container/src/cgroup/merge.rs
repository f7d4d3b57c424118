//! Limits that change, with what they depend on.

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value};

/// Limits that are written together: each is completed by what is known of the others.
const TOGETHER: [(&str, &[&str]); 2] = [("cpu", &["quota", "period"]), ("memory", &["limit", "swap"])];
/// Here 0 is a value; elsewhere it is as good as nothing.
const ZERO: [&str; 3] = ["burst", "idle", "swappiness"];

/// Takes a change into what is `known` of a container's limits, and returns what is to be written: the change, completed by the limits
/// that are only understood together with it. Rules about devices are no part of it.
///
/// # Errors
/// Those of serialising, for values that no text can have given.
pub fn merge(known: &mut LinuxResources, change: &LinuxResources) -> serde_json::Result<LinuxResources> {
    let (mut all, mut new) = (members(known)?, members(change)?);
    for controller in ["cpu", "memory"] {
        if let Some(Value::Object(limits)) = new.get_mut(controller) {
            let nothing = |value: &Value| value.as_i64() == Some(0) || value.as_str() == Some("");
            limits.retain(|name, value| !nothing(value) || ZERO.contains(&name.as_str()));
        }
    }
    // Unlimited memory without a word on swap is both, as it is at the start.
    if let Some(Value::Object(memory)) = new.get_mut("memory")
        && memory.get("limit") == Some(&Value::from(-1))
        && !memory.contains_key("swap")
    {
        memory.insert("swap".to_owned(), Value::from(-1));
    }
    for (controller, names) in TOGETHER {
        let before = all.get(controller).and_then(Value::as_object);
        let Some(limits) = new.get_mut(controller).and_then(Value::as_object_mut) else { continue };
        if names.iter().any(|name| limits.contains_key(*name)) {
            for name in names.iter().filter(|name| !limits.contains_key(**name)).collect::<Vec<_>>() {
                limits.extend(before.and_then(|before| before.get(*name)).map(|value| ((*name).to_owned(), value.clone())));
            }
        }
    }
    overlay(&mut all, &new);
    *known = resources(all)?;
    resources(new)
}

fn members(resources: &LinuxResources) -> serde_json::Result<Map<String, Value>> {
    let mut members = match serde_json::to_value(resources)? {
        Value::Object(members) => members,
        _ => Map::new(),
    };
    members.remove("devices");
    Ok(members)
}

fn resources(members: Map<String, Value>) -> serde_json::Result<LinuxResources> {
    let mut resources: LinuxResources = serde_json::from_value(Value::Object(members))?;
    resources.set_devices(None);
    Ok(resources)
}

/// Objects are merged, everything else is replaced.
fn overlay(all: &mut Map<String, Value>, new: &Map<String, Value>) {
    for (name, value) in new {
        match (all.get_mut(name), value) {
            (Some(Value::Object(old)), Value::Object(new)) => overlay(old, new),
            _ => drop(all.insert(name.clone(), value.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(known: Value, change: Value, written: Value, after: Value) {
        let mut known: LinuxResources = serde_json::from_value(known).unwrap();
        let change = serde_json::from_value(change).unwrap();
        assert_eq!(Value::Object(members(&merge(&mut known, &change).unwrap()).unwrap()), written);
        assert_eq!(Value::Object(members(&known).unwrap()), after);
    }

    #[test]
    fn a_period_keeps_its_time() {
        let after = json!({"cpu": {"quota": 5000, "period": 20000, "shares": 7}});
        check(
            json!({"cpu": {"quota": 5000, "period": 10000, "shares": 7}}),
            json!({"cpu": {"period": 20000, "quota": 0}}),
            json!({"cpu": {"quota": 5000, "period": 20000}}),
            after,
        );
    }

    #[test]
    fn swap_counts_from_memory() {
        check(
            json!({"memory": {"limit": 100, "swap": 300}}),
            json!({"memory": {"limit": 200}}),
            json!({"memory": {"limit": 200, "swap": 300}}),
            json!({"memory": {"limit": 200, "swap": 300}}),
        );
        check(
            json!({"memory": {"limit": 100, "swap": 300}}),
            json!({"memory": {"limit": -1}}),
            json!({"memory": {"limit": -1, "swap": -1}}),
            json!({"memory": {"limit": -1, "swap": -1}}),
        );
    }

    #[test]
    fn what_is_not_given_is_not_written() {
        check(
            json!({"memory": {"limit": 100, "reservation": 50}, "pids": {"limit": 5}, "unified": {"a.b": "1"}}),
            json!({"memory": {"reservation": 60}, "cpu": {"burst": 0, "idle": 0, "shares": 0}, "unified": {"a.c": "2"}}),
            json!({"memory": {"reservation": 60}, "cpu": {"burst": 0, "idle": 0}, "unified": {"a.c": "2"}}),
            json!({"memory": {"limit": 100, "reservation": 60}, "cpu": {"burst": 0, "idle": 0}, "pids": {"limit": 5},
                "unified": {"a.b": "1", "a.c": "2"}}),
        );
    }
}
