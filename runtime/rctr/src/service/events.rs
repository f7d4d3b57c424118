//! `GET /events`.

use anyhow::Result;
use engine::EventOptions;

use super::answer::{Answer, lines};
use super::call::Call;
use crate::parse;
use crate::verbs::events::{filter, fits};

/// Streams what happens, one document for each.
pub(super) fn events(call: &mut Call) -> Result<Answer> {
    let filters = call.query.filters(filter)?;
    let options =
        EventOptions { since: call.query.parsed("since", parse::moment)?, until: call.query.parsed("until", parse::moment)? };
    // Before the head is sent: from then on nothing is missed.
    let mut events = call.service.engine.events(options)?;
    lines(move |out| {
        events.until(out.gone().try_clone_to_owned()?);
        for event in events {
            let event = event?;
            if fits(&filters, &event) {
                out.document(&serde_json::to_value(&event)?)?;
            }
        }
        Ok(())
    })
}
