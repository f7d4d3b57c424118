//! The node's own connection to the API server, over which it is asked for logs, streams, and what is used: nothing has to reach the node. See
//! [`control::tunnel`], which is the other end.

mod beat;
mod logs;
mod routes;
mod usage;

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Response};
use control::tunnel::{ALIVE, STREAMS, WINDOW};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};

use super::api::Refused;
use super::effects::Shared;
use crate::host::log;
use crate::sessions::Sessions;
pub(super) use beat::Heart;
use routes::Asked;

/// The shortest and the longest pause before the next try.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Keeps a connection for ever.
pub(super) async fn run(shared: Arc<Shared>, heart: Heart) {
    let asked = Arc::new(Asked {
        sessions: Arc::new(Sessions::new(&shared.node)),
        shared: Arc::clone(&shared),
        meter: usage::Meter::default(),
        heart,
    });
    let (mut pause, mut told) = (SHORTEST, false);
    loop {
        let begun = Instant::now();
        match connection(&shared, &asked).await {
            Ok(()) => told = false,
            Err(error) if !told => {
                told = true;
                log::failed("keep a connection to the API server", &error);
            }
            Err(_) => {}
        }
        if begun.elapsed() > LONGEST {
            pause = SHORTEST;
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST);
    }
}

/// Serves one connection to its end.
async fn connection(shared: &Shared, asked: &Arc<Asked>) -> Result<(), Refused> {
    let io = shared.api.upgrade(control::tunnel::PATH, control::tunnel::PROTOCOL).await?;
    let mut builder = hyper::server::conn::http2::Builder::new(TokioExecutor::new());
    builder.timer(TokioTimer::new()).keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE).max_concurrent_streams(STREAMS);
    builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW * STREAMS);
    let service = service_fn(|request| answer(Arc::clone(asked), request));
    builder.serve_connection(TokioIo::new(io), service).await.map_err(|error| Refused::Away(error.to_string()))
}

/// A question is answered; a CONNECT becomes a connection of its own, for one request that is upgraded.
async fn answer(asked: Arc<Asked>, mut request: hyper::Request<Incoming>) -> Result<Response<Body>, Infallible> {
    if request.method() != Method::CONNECT {
        return Ok(asked.answer(request.map(Body::new)).await);
    }
    let upgrade = hyper::upgrade::on(&mut request);
    tokio::spawn(async move {
        let Ok(io) = upgrade.await else { return };
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let asked = Arc::clone(&asked);
            async move { Ok::<_, Infallible>(asked.answer(request.map(Body::new)).await) }
        });
        // What it ended with is the client's business.
        let _ = hyper::server::conn::http1::Builder::new().serve_connection(io, service).with_upgrades().await;
    });
    Ok(Response::new(Body::empty()))
}
