//! `POST /containers/NAME/wait`: the head comes at once, so that a client knows that it waits before it starts the container.

use std::sync::{Arc, Mutex};

use anyhow::Result;
use engine::{Condition, Container, Exit};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::super::answer::{Answer, Later};
use super::super::call::Call;
use super::super::expect::Waiting;
use super::super::refused::bad;
use super::super::{Service, session};
use crate::exit;

/// Answers how the container has ended.
pub(in super::super) fn wait(call: &mut Call) -> Result<Answer> {
    let condition = match call.query.get("condition").unwrap_or("not-running") {
        "not-running" => Condition::NotRunning,
        "next-exit" => Condition::NextExit,
        "removed" => Condition::Removed,
        other => return Err(bad(format!("condition: there are not-running, next-exit and removed, and no {other:?}"))),
    };
    let (service, container) = (&call.service, call.service.engine.container(call.name())?);
    // The monitor tells of the end when all of it is done, for one that is removed then as well.
    let told = condition != Condition::Removed || container.record.remove;
    if told && container.is_running() {
        if let Some(session) = service.engine.end_of(&container)? {
            let session = Arc::new(Mutex::new(session));
            return Ok(Answer::Later(Box::pin(async move { answer(Ok(session::ended(&session).await)) })));
        }
    } else if told && condition != Condition::NotRunning {
        let (send, receive) = oneshot::channel();
        service.expected.add(&container.record.id, Waiting::End(send));
        return Ok(Answer::Later(Box::pin(started(Arc::clone(service), container, condition, receive))));
    }
    let watched = watch(Arc::clone(service), container, condition)?;
    Ok(Answer::Later(Box::pin(async move { answer(watched.await) })))
}

/// The end of one that is yet to start: by this service, which then tells, or else by somebody who is seen in its record alone.
async fn started(service: Arc<Service>, container: Container, condition: Condition, mut told: oneshot::Receiver<Exit>) -> Value {
    let id = container.record.id.clone();
    let watched = match watch(Arc::clone(&service), container, condition) {
        Ok(watched) => watched,
        Err(error) => return answer(Err(error)),
    };
    tokio::select! {
        exit = &mut told => exit.map_or_else(|_| not_started(), |exit| answer(Ok(Some(exit)))),
        seen = watched => match service.expected.has(&id) {
            true => answer(seen),
            false => told.await.map_or_else(|_| not_started(), |exit| answer(Ok(Some(exit)))),
        },
    }
}

/// Until its record says so. Its thread ends when nobody waits any more.
fn watch(service: Arc<Service>, container: Container, condition: Condition) -> Result<Later<Result<Option<Exit>>>> {
    let (enough, held) = std::io::pipe()?;
    Ok(Box::pin(async move {
        let waiting = tokio::task::spawn_blocking(move || {
            use std::os::fd::AsFd;
            service.engine.wait_until(&container, condition, enough.as_fd())
        });
        let exit = waiting.await;
        drop(held);
        Ok(exit??)
    }))
}

/// Whoever has tried to start it knows why.
fn not_started() -> Value {
    json!({ "StatusCode": exit::FAILED })
}

fn answer(exit: Result<Option<Exit>>) -> Value {
    match exit {
        Ok(Some(exit)) => json!({ "StatusCode": exit.code }),
        Ok(None) => json!({ "StatusCode": exit::FAILED, "Error": { "Message": "its monitor ended unexpectedly" } }),
        Err(error) => json!({ "StatusCode": exit::FAILED, "Error": { "Message": exit::chain(&error) } }),
    }
}
