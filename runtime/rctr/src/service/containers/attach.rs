//! `POST /containers/NAME/attach`, and sizes of terminals.

use std::sync::{Arc, Mutex};

use anyhow::{Context as _, Result};
use engine::{Condition, Container, LogOptions, Stream};
use tokio::sync::oneshot;

use super::super::answer::{Answer, Later, done};
use super::super::call::{Call, Query};
use super::super::expect::{self, Start, Waiting};
use super::super::refused::bad;
use super::super::session::{Listening, Wire, carry, head};
use super::super::{Service, lock};
use crate::detach::{self, Keys};

/// Gives the connection to a container that runs, or is to be started.
pub(in super::super) fn attach(call: &mut Call) -> Result<Answer> {
    let query = &call.query;
    let (service, container) = (Arc::clone(&call.service), call.service.engine.container(call.name())?);
    let (id, tty) = (container.record.id.clone(), container.record.tty);
    // What is not asked for is not shown, but without any word about it all is.
    let none = ["stdin", "stdout", "stderr"].iter().all(|stream| query.get(stream).is_none());
    let stdin = query.is("stdin") && container.record.stdin && call.upgrades;
    let keys = keys(query)?;
    let listening = Listening { tty, stdin, stdout: none || query.is("stdout"), stderr: none || query.is("stderr"), keys };
    let before = if query.is("logs") { written(&service, &id, &listening)? } else { Vec::new() };
    if !query.is("stream") {
        return Ok(connection(tty, move |mut wire| Box::pin(async move { drop(wire.send(&before).await) })));
    }
    if container.is_running() {
        let session = Arc::new(Mutex::new(service.engine.attach(&id, stdin)?.1));
        return Ok(connection(tty, move |mut wire| {
            Box::pin(async move {
                if wire.send(&before).await.is_ok() {
                    carry(wire, &session, listening).await;
                }
            })
        }));
    }
    let (send, receive) = oneshot::channel();
    service.expected.add(&id, Waiting::Listener { stdin, send });
    Ok(connection(tty, move |wire| Box::pin(started(service, container, wire, before, listening, receive))))
}

fn connection(tty: bool, serve: impl FnOnce(Wire) -> Later<()> + Send + 'static) -> Answer {
    Answer::Connection { tty, serve: Box::new(serve) }
}

/// Listens once it is started: by this service, or else by somebody who is seen in its record alone.
async fn started(
    service: Arc<Service>,
    container: Container,
    mut wire: Wire,
    before: Vec<u8>,
    listening: Listening,
    mut told: oneshot::Receiver<Start>,
) {
    if wire.send(&before).await.is_err() {
        return;
    }
    let Ok((enough, held)) = std::io::pipe() else { return };
    let (of_record, stdin) = (Arc::clone(&service), listening.stdin);
    let id = container.record.id.clone();
    let seen = tokio::task::spawn_blocking(move || {
        use std::os::fd::AsFd;
        of_record.engine.wait_until(&container, Condition::Running, enough.as_fd())
    });
    let start = tokio::select! {
        start = &mut told => start.ok(),
        () = wire.hung_up() => None,
        _ = seen => match service.expected.has(&id) {
            true => {
                let session = service.engine.attach(&id, stdin).ok();
                session.map(|(_, session)| Start { session: Arc::new(Mutex::new(session)), ends: Vec::new() })
            }
            false => told.await.ok(),
        },
    };
    // Nothing is watched any more.
    drop(held);
    if let Some(Start { session, ends }) = start {
        match carry(wire, &session, listening).await {
            Some(exit) => expect::told(ends, Some(exit)),
            None => expect::tell_end(&service, session, ends),
        }
    }
}

/// What to type to leave.
pub(in super::super) fn keys(query: &Query) -> Result<Option<Keys>> {
    let keys = query.parsed("detachKeys", detach::keys)?;
    Ok(keys.or_else(|| detach::keys(detach::DEFAULT).ok()))
}

/// What it has written so far, as it would have been sent.
fn written(service: &Service, id: &str, listening: &Listening) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for line in service.engine.logs(id, &LogOptions::default())? {
        let mut line = line?;
        let error = line.stream == Stream::Stderr;
        if if error { listening.stderr } else { listening.stdout } {
            if !line.partial {
                line.bytes.push(b'\n');
            }
            if !listening.tty {
                bytes.extend(head(error, line.bytes.len()));
            }
            bytes.extend(line.bytes);
        }
    }
    Ok(bytes)
}

/// `h` and `w`.
pub(in super::super) fn size(query: &Query) -> Result<(u16, u16)> {
    let number = |key: &str| -> Result<u16> {
        let text = query.get(key).with_context(|| format!("{key}: a number is needed")).map_err(|error| bad(error.to_string()))?;
        text.parse().map_err(|_| bad(format!("{key}: {text:?} is no number of characters")))
    };
    Ok((number("h")?, number("w")?))
}

/// `POST /containers/NAME/resize`.
pub(in super::super) fn resize(call: &mut Call) -> Result<Answer> {
    let (rows, columns) = size(&call.query)?;
    let container = call.service.engine.container(call.name())?;
    if !container.is_running() {
        // It is to have this size from its start on.
        lock(&call.service.sizes).insert(container.record.id.clone(), (rows, columns));
    }
    call.service.engine.resize(&container.record.id, rows, columns)?;
    done()
}
