//! Events: what happened to an object, for people.

use serde_json::{Value, json};

use super::config::ObjectReference;
use super::{Kind, printed};
use crate::errors::FieldError;
use crate::meta::{MicroTime, ObjectMeta, Time};
use crate::schema::types;
use crate::table::{Column, column, since, wide};

types! {
    /// Something that happened to an object.
    Event = "io.k8s.api.core.v1.Event" {
        /// What was done.
        action = "action": String;
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// How often.
        count = "count": i32;
        /// When it was first seen, to the microsecond.
        event_time = "eventTime": Option<MicroTime>;
        /// When it was first seen.
        first_timestamp = "firstTimestamp": Option<Time>;
        /// The object.
        involved_object = "involvedObject": ObjectReference [required];
        /// The kind.
        kind = "kind": String;
        /// When it was last seen.
        last_timestamp = "lastTimestamp": Option<Time>;
        /// Words for a person.
        message = "message": String;
        /// Name and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// One word for a program.
        reason = "reason": String;
        /// A second object.
        related = "related": Option<ObjectReference>;
        /// The program that tells.
        reporting_component = "reportingComponent": String [or_text("")];
        /// Where that program runs.
        reporting_instance = "reportingInstance": String [or_text("")];
        /// A row of equal events.
        series = "series": Option<EventSeries>;
        /// The program that tells, as older clients write it.
        source = "source": Option<EventSource> [or_empty];
        /// Normal or Warning.
        type_ = "type": String;
    }

    /// A row of equal events.
    EventSeries = "io.k8s.api.core.v1.EventSeries" {
        /// How many.
        count = "count": i32;
        /// When the last one was seen.
        last_observed_time = "lastObservedTime": Option<MicroTime>;
    }

    /// The program that tells.
    EventSource = "io.k8s.api.core.v1.EventSource" {
        /// The program.
        component = "component": String;
        /// The node.
        host = "host": String;
    }
}

const COLUMNS: &[Column] = &[
    column("Last Seen", "How long ago it was last seen."),
    column("Type", "Normal or Warning."),
    column("Reason", "One word."),
    column("Object", "The object."),
    wide("Subobject", "The part of the object."),
    wide("Source", "The program that tells."),
    column("Message", "What happened."),
    wide("First Seen", "How long ago it was first seen."),
    wide("Count", "How often."),
    wide("Name", "The event's name."),
];

/// Events.
pub static EVENT: Kind = Kind {
    short: &["ev"],
    columns: COLUMNS,
    row,
    selectable: &[
        "involvedObject.kind",
        "involvedObject.namespace",
        "involvedObject.name",
        "involvedObject.uid",
        "involvedObject.apiVersion",
        "involvedObject.resourceVersion",
        "involvedObject.fieldPath",
        "reason",
        "reportingComponent",
        "source",
        "type",
    ],
    validate: |object, errors| {
        let (own, other) = (&object["metadata"]["namespace"], &object["involvedObject"]["namespace"]);
        let fits = if other.as_str().unwrap_or("").is_empty() { own == "default" || own == "kube-system" } else { own == other };
        if !fits {
            errors.push(FieldError::invalid("involvedObject.namespace", other, "does not match event.namespace".into()));
        }
    },
    ..Kind::new("Event", "events", "event", Event::TABLE)
};

fn row(object: &Value, now: jiff::Timestamp) -> Vec<Value> {
    let event: Event = printed(object);
    let first = event.first_timestamp.or(event.event_time.map(|t| Time(t.0)));
    let last = event.series.as_ref().and_then(|s| s.last_observed_time).map(|t| Time(t.0)).or(event.last_timestamp).or(first);
    let ago = |time: Option<Time>| time.map_or_else(|| "<unknown>".to_string(), |t| since(&t, now));
    let source = event.source.unwrap_or_default();
    let component = if source.component.is_empty() { event.reporting_component } else { source.component };
    let count = event.series.map_or(event.count.max(1), |s| s.count);
    vec![
        ago(last).into(),
        event.type_.into(),
        event.reason.into(),
        format!("{}/{}", event.involved_object.kind.to_lowercase(), event.involved_object.name).into(),
        event.involved_object.field_path.into(),
        if source.host.is_empty() { component.into() } else { format!("{component}, {}", source.host).into() },
        event.message.trim().into(),
        ago(first).into(),
        json!(count),
        object["metadata"]["name"].clone(),
    ]
}
