//! Who comes with a certificate, and for how long: a connection may be older than what it was opened with.

use std::sync::Arc;
use std::time::Duration;

use api::kinds::config::SECRET;
use api::kinds::node::NODE;
use api::status::Status;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::auth::Certified;
use crate::join::NAMESPACE;
use crate::objects::{Objects, key};
use crate::store::{Event, Gone, Watch};

/// The longest pause between two looks at the clock, which may be set.
const LOOK: i64 = 60;

/// The name of the secret that says whose a node's name is.
pub(super) fn secret(node: &str) -> String {
    format!("node-key-{node}")
}

/// What is kept there: the key that has the name, and the one that the node renewed its certificate with, for it may not have got the answer.
pub(super) fn keys(own: &str, before: Option<&str>) -> Value {
    let mut data = json!({"key": STANDARD.encode(own)});
    if let Some(before) = before {
        data["before"] = STANDARD.encode(before).into();
    }
    data
}

/// Whether a certificate is good: it has not ended, and the name of its node has not gone to another key.
pub(super) fn is_good(objects: &Objects, certified: &Certified) -> bool {
    jiff::Timestamp::now().as_second() <= certified.end && has_name(objects, certified)
}

fn has_name(objects: &Objects, certified: &Certified) -> bool {
    let kept = certified.user.node().and_then(|node| objects.get(&SECRET, NAMESPACE, &secret(node)).ok());
    // the control plane's own node has no secret
    kept.is_none_or(|kept| {
        let data = &kept.object()["data"];
        let own = STANDARD.encode(&certified.key);
        ["key", "before"].iter().any(|field| data[*field] == *own)
    })
}

/// How long a node's connection lasts: until its certificate ends, or the node is deleted.
pub(super) struct Standing {
    objects: Objects,
    node: String,
    certified: Option<Arc<Certified>>,
    watch: Watch,
}

impl Standing {
    /// That of a node which is there.
    ///
    /// # Errors
    /// 404: it is not.
    pub(super) fn of(objects: &Objects, node: &str, certified: Option<Arc<Certified>>) -> Result<Self, Status> {
        let watch = begin(objects, node)?;
        Ok(Self { objects: objects.clone(), node: node.to_owned(), certified, watch })
    }

    /// Waits for its end.
    pub(super) async fn end(mut self) {
        let own = key(&NODE, "", &self.node);
        let is_gone = |event: &Arc<Event>| event.before.as_ref().is_some_and(|before| *before.key == own) && event.after.is_none();
        loop {
            let now = jiff::Timestamp::now().as_second();
            let left = self.certified.as_ref().map_or(LOOK, |certified| certified.end + 1 - now);
            if left <= 0 || self.certified.as_ref().is_some_and(|certified| !has_name(&self.objects, certified)) {
                return;
            }
            let nap = Duration::from_secs(left.min(LOOK).unsigned_abs());
            match tokio::time::timeout(nap, self.watch.next()).await {
                Err(_) => {}
                Ok(Ok(events)) if events.is_empty() || events.iter().any(is_gone) => return,
                Ok(Ok(_)) => {}
                Ok(Err(Gone { .. })) => match begin(&self.objects, &self.node) {
                    Ok(watch) => self.watch = watch,
                    Err(_) => return,
                },
            }
        }
    }
}

/// What happens to a node that is there.
fn begin(objects: &Objects, node: &str) -> Result<Watch, Status> {
    let watch = objects.store().watch(&key(&NODE, "", node), objects.store().revision());
    let watch = watch.map_err(|gone| Status::expired(gone.to_string()))?;
    objects.get(&NODE, "", node)?;
    Ok(watch)
}
