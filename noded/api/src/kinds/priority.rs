//! Classes of importance: which pods go before others, and push them away.

use serde_json::Value;

use super::{Kind, printed};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::ObjectMeta;
use crate::schema::types;
use crate::table::{Column, column, number};

types! {
    /// A name for an importance.
    PriorityClass = "io.k8s.api.scheduling.v1.PriorityClass" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// For which pods it is, in words for people.
        description = "description": String;
        /// Pods that name no class are of this one.
        global_default = "globalDefault": bool;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Whether its pods push others away.
        preemption_policy = "preemptionPolicy": String [or_text("PreemptLowerPriority"), one_of(&["PreemptLowerPriority", "Never"])];
        /// The importance: the greater, the more.
        value = "value": i32 [required];
    }
}

/// Classes that every cluster has: name, value, description.
pub const SYSTEM: [(&str, i32, &str); 2] = [
    (
        "system-cluster-critical",
        2_000_000_000,
        "For pods without which the cluster does not work, but which may run on another node.",
    ),
    ("system-node-critical", 2_000_001_000, "For pods without which their node does not work."),
];

/// The greatest importance that people may give.
const GREATEST: i64 = 1_000_000_000;

const COLUMNS: &[Column] = &[
    number("Value", "The importance."),
    Column { name: "Global-Default", kind: "boolean", priority: 0, doc: "Whether pods that name no class are of this one." },
    column("Age", "How long ago the object was made."),
    column("PreemptionPolicy", "Whether its pods push others away."),
];

/// Classes of importance.
pub static PRIORITY_CLASS: Kind = Kind {
    group: "scheduling.k8s.io",
    short: &["pc"],
    namespaced: false,
    columns: COLUMNS,
    row: |object, _| {
        let class: PriorityClass = printed(object);
        vec![class.value.into(), class.global_default.into(), class.preemption_policy.into()]
    },
    validate,
    validate_update,
    ..Kind::new("PriorityClass", "priorityclasses", "priorityclass", PriorityClass::TABLE)
};

fn validate(object: &Value, errors: &mut FieldErrors) {
    let (name, value) = (object["metadata"]["name"].as_str().unwrap_or(""), object["value"].as_i64().unwrap_or(0));
    if !name.starts_with("system-") {
        if value > GREATEST {
            let why = format!("maximum allowed value of a user defined priority is {GREATEST}");
            errors.push(FieldError::forbidden("value", &why));
        }
        return;
    }
    let wrong = match SYSTEM.iter().find(|(known, ..)| *known == name) {
        None => format!("{name} is not a known system priority class"),
        Some((_, own, _)) if i64::from(*own) != value => format!("value of {name} PriorityClass must be {own}"),
        Some(_) if object["globalDefault"] == true => format!("globalDefault of {name} PriorityClass must be false"),
        Some(_) => return,
    };
    let why = format!("priority class names with 'system-' prefix are reserved for system use only. error: {wrong}");
    errors.push(FieldError::forbidden("metadata.name", &why));
}

/// Pods keep the importance with which they were made: a class keeps what it means.
fn validate_update(new: &Value, old: &Value, errors: &mut FieldErrors) {
    if new["value"] != old["value"] {
        errors.push(FieldError::forbidden("value", "may not be changed in an update."));
    }
    if new["preemptionPolicy"] != old["preemptionPolicy"] {
        errors.push(FieldError::invalid("preemptionPolicy", &new["preemptionPolicy"], "field is immutable".into()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(name: &str, value: i64) -> Vec<String> {
        let mut errors = FieldErrors::new();
        validate(&json!({"metadata": {"name": name}, "value": value}), &mut errors);
        errors.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn the_systems_names_and_numbers_are_its_own() {
        assert!(wrong("high", GREATEST).is_empty() && wrong("low", -5).is_empty());
        assert_eq!(
            wrong("high", GREATEST + 1),
            ["value: Forbidden: maximum allowed value of a user defined priority is 1000000000"]
        );
        for (name, value, _) in SYSTEM {
            assert!(wrong(name, i64::from(value)).is_empty());
            assert_eq!(wrong(name, 7).len(), 1);
        }
        assert!(wrong("system-mine", 7)[0].contains("reserved for system use only. error: system-mine is not a known"));
    }

    #[test]
    fn a_class_keeps_what_it_means() {
        let class = |value: i64, policy: &str| json!({"value": value, "preemptionPolicy": policy});
        let mut errors = FieldErrors::new();
        validate_update(&class(2, "Never"), &class(1, "PreemptLowerPriority"), &mut errors);
        assert_eq!(errors.len(), 2, "{errors:?}");
    }
}
