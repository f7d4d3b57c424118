//! Connections and requests: each is handled by a thread that may wait, and what has to wait for long by none.

use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, UPGRADE};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::Interest;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, oneshot};

use super::answer::{Answer, Answered, Body, Output, failure, line, response};
use super::call::{Call, Input, Query};
use super::route::{self, Handler};
use super::session::{Wire, watch};
use super::socket::Socket;
use super::{Busy, Service};

/// More connections wait in the kernel.
pub(super) const CONNECTIONS: usize = 256;

/// Of a request's head.
const HEAD: usize = 64 << 10;

/// How long a client may take for that.
const PATIENCE: Duration = Duration::from_secs(30);

/// Serves until nothing was asked for a while, or a signal comes.
pub(super) async fn run(service: Arc<Service>, socket: &Socket, idle: Option<Duration>, end: OwnedFd) -> Result<()> {
    let listener = socket.listener.try_clone().and_then(UnixListener::from_std).context("set up the socket")?;
    let end = watch(end, Interest::READABLE).context("listen to signals")?;
    let slots = Arc::new(Semaphore::new(CONNECTIONS));
    let quiet = quiet(&service, idle);
    tokio::pin!(quiet);
    loop {
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, listener.accept().await)
        };
        tokio::select! {
            (slot, accepted) = accepted => match accepted {
                Ok((stream, _)) => {
                    let service = Arc::clone(&service);
                    tokio::spawn(async move {
                        connection(service, stream).await;
                        drop(slot);
                    });
                }
                // Mostly a lack of descriptors, which passes.
                Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
            },
            () = &mut quiet => return Ok(()),
            _ = end.readable() => return Ok(()),
        }
    }
}

/// Until nothing was asked for so long.
async fn quiet(service: &Service, idle: Option<Duration>) {
    let Some(idle) = idle else { return std::future::pending().await };
    let mut busy = service.busy.subscribe();
    loop {
        // The sender is the service's own.
        let _ = busy.wait_for(|count| *count == 0).await;
        if tokio::time::timeout(idle, busy.wait_for(|count| *count > 0)).await.is_err() {
            return;
        }
    }
}

async fn connection(service: Arc<Service>, stream: UnixStream) {
    let answering = service_fn(move |request| {
        let service = Arc::clone(&service);
        async move { Ok::<_, Infallible>(answer(service, request).await) }
    });
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_buf_size(HEAD);
    // What it ended with is the client's business.
    let _ = builder.serve_connection(TokioIo::new(stream), answering).with_upgrades().await;
}

/// One request.
async fn answer(service: Arc<Service>, mut request: Request<Incoming>) -> Response<Answered> {
    let busy = service.busy();
    let (path, query) = (request.uri().path(), request.uri().query().unwrap_or_default());
    let route::Found { handler, names } = match route::find(request.method(), path) {
        Ok(found) => found,
        Err(error) => return refused(&error, busy),
    };
    let query = Query::parse(query);
    let upgrades = wants_upgrade(request.headers());
    let upgrade = upgrades.then(|| hyper::upgrade::on(&mut request));
    let (parts, body) = request.into_parts();
    let call = Call { service, names, query, headers: parts.headers, upgrades, body: Input::new(body) };
    let (send, receive) = oneshot::channel();
    tokio::task::spawn_blocking(move || handle(handler, call, upgrade, busy, send));
    // Without an answer the thread has ended as it should not.
    receive.await.unwrap_or_else(|_| response(StatusCode::INTERNAL_SERVER_ERROR, "", &[], Body::Whole(None), None))
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    let has = |name, word: &str| {
        let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|own| own.trim().eq_ignore_ascii_case(word))
    };
    has(CONNECTION, "upgrade") && has(UPGRADE, "tcp")
}

fn refused(error: &anyhow::Error, busy: Busy) -> Response<Answered> {
    let (status, document) = failure(error);
    response(status, JSON, &[], Body::Whole(Some(line(&document).into())), Some(busy))
}

const JSON: &str = "application/json";

/// Calls the handler, answers, and writes what is a stream.
fn handle(handler: Handler, mut call: Call, upgrade: Option<OnUpgrade>, busy: Busy, send: oneshot::Sender<Response<Answered>>) {
    let answer = match handler(&mut call) {
        Ok(answer) => answer,
        Err(error) => return drop(send.send(refused(&error, busy))),
    };
    // A client that has gone is told nothing: then dropping the response undoes what it holds.
    match answer {
        Answer::Empty(status) => drop(send.send(response(status, "", &[], Body::Whole(None), Some(busy)))),
        Answer::Json(status, value) => {
            drop(send.send(response(status, JSON, &[], Body::Whole(Some(line(&value).into())), Some(busy))));
        }
        Answer::Later(value) => drop(send.send(response(StatusCode::OK, JSON, &[], Body::Later(value), Some(busy)))),
        Answer::Stream(kind, headers, write) => match Output::new() {
            Ok((mut output, body)) => {
                if send.send(response(StatusCode::OK, kind, &headers, body, Some(busy))).is_ok() {
                    // What goes wrong from here on has no status any more.
                    if let Err(error) = write(&mut output) {
                        output.fail(&error);
                    }
                }
            }
            Err(error) => drop(send.send(refused(&error.into(), busy))),
        },
        Answer::Connection { tty, serve } => connected(tty, serve, upgrade, &call.service, busy, send),
    }
}

/// Gives the connection away, or without an upgrade what is sent back.
fn connected(
    tty: bool,
    serve: Box<dyn FnOnce(Wire) -> super::answer::Later<()> + Send>,
    upgrade: Option<OnUpgrade>,
    service: &Service,
    busy: Busy,
    send: oneshot::Sender<Response<Answered>>,
) {
    let kind = if tty { "application/vnd.docker.raw-stream" } else { "application/vnd.docker.multiplexed-stream" };
    let own = service.busy();
    match upgrade {
        Some(upgrade) => {
            let headers = [("Connection", "Upgrade".to_owned()), ("Upgrade", "tcp".to_owned())];
            let answered = send.send(response(StatusCode::SWITCHING_PROTOCOLS, kind, &headers, Body::Whole(None), Some(busy)));
            if answered.is_ok() {
                tokio::spawn(async move {
                    if let Ok(Some(wire)) = upgrade.await.map(Wire::of) {
                        serve(wire).await;
                    }
                    drop(own);
                });
            }
        }
        None => {
            let (wire, body) = Wire::one_way();
            if send.send(response(StatusCode::OK, kind, &[], body, Some(busy))).is_ok() {
                tokio::spawn(async move {
                    serve(wire).await;
                    drop(own);
                });
            }
        }
    }
}
