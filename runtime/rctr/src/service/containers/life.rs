//! Containers start, stop, and go.

use anyhow::Result;
use engine::{Error, Grace, StartOptions, parse_signal};
use hyper::StatusCode;
use serde_json::json;

use super::super::answer::{Answer, done, json as document};
use super::super::call::{Call, Query};
use super::super::expect;
use super::super::lock;
use super::super::refused::bad;
use crate::{parse, verbs};

/// What has been so before.
fn unchanged() -> Result<Answer> {
    Ok(Answer::Empty(StatusCode::NOT_MODIFIED))
}

/// `POST /containers/NAME/start`.
pub(in super::super) fn start(call: &mut Call) -> Result<Answer> {
    let service = &call.service;
    let record = service.engine.container(call.name())?.record;
    let size = lock(&service.sizes).remove(&record.id);
    let waiting = service.expected.take(&record.id);
    let options = StartOptions { attach: expect::wanted(&waiting), size };
    match service.engine.start(&record.id, &options) {
        Ok(session) => expect::tell(service, &record.id, waiting, session),
        Err(Error::Running(_)) => return unchanged(),
        Err(error) => {
            // As with Docker, one that is to be removed does not outlive a failed start.
            if record.remove {
                let _ = service.engine.remove(&record.id, true, true);
            }
            return Err(error.into());
        }
    }
    done()
}

/// `t`: seconds, -1 for ever; and `signal`.
fn ending(query: &Query) -> Result<(Option<i32>, Grace)> {
    let signal = query.get("signal").map(parse_signal).transpose()?;
    Ok((signal, query.parsed("t", parse::grace)?.unwrap_or_default()))
}

/// `POST /containers/NAME/stop`.
pub(in super::super) fn stop(call: &mut Call) -> Result<Answer> {
    let (signal, grace) = ending(&call.query)?;
    let container = call.service.engine.container(call.name())?;
    if !container.is_running() {
        return unchanged();
    }
    call.service.engine.stop(&container.record.id, signal, grace)?;
    done()
}

/// `POST /containers/NAME/restart`.
pub(in super::super) fn restart(call: &mut Call) -> Result<Answer> {
    let (signal, grace) = ending(&call.query)?;
    call.service.engine.restart(call.name(), signal, grace)?;
    done()
}

/// `POST /containers/NAME/kill`.
pub(in super::super) fn kill(call: &mut Call) -> Result<Answer> {
    let signal = parse_signal(call.query.get("signal").unwrap_or("KILL"))?;
    call.service.engine.kill(call.name(), signal)?;
    done()
}

/// `POST /containers/NAME/pause`.
pub(in super::super) fn pause(call: &mut Call) -> Result<Answer> {
    call.service.engine.pause(call.name())?;
    done()
}

/// `POST /containers/NAME/unpause`.
pub(in super::super) fn unpause(call: &mut Call) -> Result<Answer> {
    call.service.engine.unpause(call.name())?;
    done()
}

/// `POST /containers/NAME/rename`.
pub(in super::super) fn rename(call: &mut Call) -> Result<Answer> {
    let new = call.query.get("name").ok_or_else(|| bad("name: a new name is needed"))?;
    call.service.engine.rename(call.name(), new.trim_start_matches('/'))?;
    done()
}

/// `DELETE /containers/NAME`.
pub(in super::super) fn remove(call: &mut Call) -> Result<Answer> {
    if call.query.is("link") {
        return Err(bad("link: there are no links"));
    }
    call.service.engine.remove(call.name(), call.query.is("force"), call.query.is("v"))?;
    done()
}

/// `POST /containers/prune`.
pub(in super::super) fn prune(call: &mut Call) -> Result<Answer> {
    let pruned = verbs::container_prune::prune(&call.service.engine, &call.query.filters(parse::prune_filter)?)?;
    document(json!({ "ContainersDeleted": pruned.lines, "SpaceReclaimed": pruned.freed }))
}
