//! Events once more, as events.k8s.io/v1 has them: the same objects, with other names for some fields and stricter rules for whoever writes.

use serde_json::{Value, json};

use super::config::ObjectReference;
use super::event::{EVENT, EventSource};
use super::{KeptAs, Kind};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::{MicroTime, ObjectMeta, Time};
use crate::names;
use crate::schema::types;

types! {
    /// Something that happened to an object.
    Event = "io.k8s.api.events.v1.Event" {
        /// What was done.
        action = "action": String [immutable];
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// How often, as older clients write it.
        deprecated_count = "deprecatedCount": i32;
        /// When it was first seen, as older clients write it.
        deprecated_first_timestamp = "deprecatedFirstTimestamp": Option<Time>;
        /// When it was last seen, as older clients write it.
        deprecated_last_timestamp = "deprecatedLastTimestamp": Option<Time>;
        /// The program that tells, as older clients write it.
        deprecated_source = "deprecatedSource": Option<EventSource>;
        /// When it was first seen.
        event_time = "eventTime": Option<MicroTime> [immutable];
        /// The kind.
        kind = "kind": String;
        /// Name and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// Words for a person.
        note = "note": String [immutable];
        /// One word for a program.
        reason = "reason": String [immutable];
        /// The object.
        regarding = "regarding": Option<ObjectReference> [immutable];
        /// A second object.
        related = "related": Option<ObjectReference> [immutable];
        /// The program that tells.
        reporting_controller = "reportingController": String [immutable];
        /// Where that program runs.
        reporting_instance = "reportingInstance": String [immutable];
        /// A row of equal events.
        series = "series": Option<EventSeries>;
        /// Normal or Warning.
        type_ = "type": String [immutable, one_of(&["Normal", "Warning"])];
    }

    /// A row of equal events.
    EventSeries = "io.k8s.api.events.v1.EventSeries" {
        /// How many.
        count = "count": i32 [required, within(2, i64::MAX)];
        /// When the last one was seen.
        last_observed_time = "lastObservedTime": Option<MicroTime> [required];
    }
}

/// Names of fields here, and as they are kept.
static KEPT: KeptAs = KeptAs {
    kind: &EVENT,
    names: &[
        ("deprecatedCount", "count"),
        ("deprecatedFirstTimestamp", "firstTimestamp"),
        ("deprecatedLastTimestamp", "lastTimestamp"),
        ("deprecatedSource", "source"),
        ("note", "message"),
        ("regarding", "involvedObject"),
        ("reportingController", "reportingComponent"),
    ],
};

/// Events of the newer group.
pub static EVENT_V1: Kind = Kind {
    group: "events.k8s.io",
    short: &["ev"],
    kept_as: Some(&KEPT),
    selectable: &[
        "regarding.kind",
        "regarding.namespace",
        "regarding.name",
        "regarding.uid",
        "regarding.apiVersion",
        "regarding.resourceVersion",
        "regarding.fieldPath",
        "reason",
        "reportingController",
        "type",
    ],
    validate,
    ..Kind::new("Event", "events", "event", Event::TABLE)
};

/// Bytes of words for programs, and of those for people.
const WORD: usize = 128;
const NOTE: usize = 1024;

/// Rules for whoever makes one. Those that the older group has hold, too, when it is kept.
fn validate(object: &Value, errors: &mut FieldErrors) {
    let text = |field: &str| object[field].as_str().unwrap_or("");
    if text("eventTime").is_empty() {
        errors.push(FieldError::required("eventTime", ""));
    }
    for field in ["action", "reason", "reportingController", "reportingInstance", "type"] {
        if text(field).is_empty() {
            errors.push(FieldError::required(field, ""));
        }
    }
    if !text("reportingController").is_empty() {
        for why in names::qualified_name(text("reportingController")) {
            errors.push(FieldError::invalid("reportingController", &object["reportingController"], why));
        }
    }
    for (field, most) in [("action", WORD), ("reason", WORD), ("reportingInstance", WORD), ("note", NOTE)] {
        if text(field).len() > most {
            errors.push(FieldError::invalid(field, &json!(""), format!("can have at most {most} characters")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selector::FieldSelector;

    fn event() -> Value {
        json!({"apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e", "namespace": "d"},
            "eventTime": "2026-01-01T00:00:00.000000Z", "regarding": {"kind": "Pod", "namespace": "d", "name": "p"}, "note": "n",
            "reason": "R", "action": "A", "type": "Normal", "reportingController": "x.y/z", "reportingInstance": "i",
            "series": {"count": 2, "lastObservedTime": "2026-01-01T00:00:01.000000Z"}})
    }

    #[test]
    fn it_is_the_same_by_another_name() {
        let (first, mut object) = (event(), event());
        EVENT_V1.keep(&mut object);
        assert_eq!(
            (&object["apiVersion"], &object["message"], &object["involvedObject"]["name"]),
            (&json!("v1"), &json!("n"), &json!("p"))
        );
        assert!(object.get("note").is_none() && object.get("regarding").is_none());
        assert_eq!(crate::prepare::validate(&EVENT, &object, None), []);
        EVENT_V1.show(&mut object);
        assert_eq!(object, first);
        assert!(KEPT.names.iter().all(|(here, there)| Event::TABLE.field(here).is_some() && EVENT.table.field(there).is_some()));
        let both = |field: &&crate::schema::Field| !KEPT.names.iter().any(|(here, _)| *here == field.name);
        assert!(Event::TABLE.fields.iter().filter(both).all(|field| EVENT.table.field(field.name).is_some()));
    }

    #[test]
    fn whoever_writes_it_says_all() {
        let errors = |object: &Value| {
            let mut errors = FieldErrors::new();
            validate(object, &mut errors);
            errors.into_iter().map(|error| error.field).collect::<Vec<_>>()
        };
        assert_eq!(errors(&event()), [""; 0]);
        for field in ["eventTime", "action", "reason", "reportingController", "reportingInstance", "type"] {
            let mut object = event();
            object.as_object_mut().unwrap().shift_remove(field);
            assert_eq!(errors(&object), [field]);
        }
        for (field, length) in [("note", 1025), ("reason", 129)] {
            let mut object = event();
            object[field] = "x".repeat(length).into();
            assert_eq!(errors(&object), [field]);
        }
    }

    #[test]
    fn selectors_speak_of_what_is_kept() {
        let rules = FieldSelector::parse("regarding.name=p,reason!=R", &EVENT_V1).unwrap();
        assert_eq!(rules.wanted("involvedObject.name"), Some("p"));
        let mut object = event();
        EVENT_V1.keep(&mut object);
        assert!(!rules.allows(&object));
        object["reason"] = "S".into();
        assert!(rules.allows(&object) && FieldSelector::parse("involvedObject.name=p", &EVENT_V1).is_err());
    }
}
