//! Events: what was told is written, and forgotten in time.

use std::time::Duration;

use api::kinds::event::EVENT;
use api::patch::merge;
use api::status::Status;
use serde_json::Value;

use crate::events::Happened;
use crate::objects::{Context, DeleteOptions, Objects, Part};

/// Writes an event: a new one, or an equal one again.
pub(crate) async fn tell(objects: &Objects, happened: &Happened<'_>) -> Result<(), Status> {
    let Some(told) = objects.told.tell(happened, jiff::Timestamp::now()) else { return Ok(()) };
    let (namespace, context) = (happened.namespace(), Context { manager: happened.component.into(), ..Default::default() });
    if told.count > 1 {
        let patch = told.patch();
        let change = |old: &Value| {
            let mut new = old.clone();
            merge(&mut new, patch.clone());
            Ok(new)
        };
        match objects.update(&EVENT, namespace, &told.name, Part::Main, &context, change).await {
            // forgotten meanwhile
            Err(status) if status.code == 404 => {}
            written => return written.map(drop),
        }
    }
    match objects.create(&EVENT, namespace, told.object(happened), &context).await {
        // nobody is told in a namespace that goes
        Err(status) if matches!(status.code, 403 | 404) => Ok(()),
        made => made.map(drop),
    }
}

/// Events go after an hour, also in a store that does not see to it by itself.
pub async fn forget_events(objects: Objects) {
    const KEPT: i64 = 3600;
    if objects.store().forgets_events() {
        return;
    }
    loop {
        tokio::time::sleep(Duration::from_secs(60)).await;
        let now = jiff::Timestamp::now();
        for event in objects.all::<api::kinds::event::Event>(&EVENT, "") {
            let last = event.last_timestamp.or(event.metadata.creation_timestamp).unwrap_or_default();
            if last.seconds_until(now) > KEPT {
                // one that has gone meanwhile is gone
                let _ = objects.delete(&EVENT, &event.metadata.namespace, &event.metadata.name, &DeleteOptions::default()).await;
            }
        }
    }
}
