//! The node's own connections to the API servers, over which it is asked for logs, streams, and what is used: nothing has to reach the node. See
//! [`control::tunnel`], which is the other end.
//!
//! A client may ask any server, so there is one to each: to those that the node was told and to those that the service `kubernetes` lists.
//! One that is known by several addresses has one.

mod beat;
mod logs;
mod routes;
mod usage;

use std::collections::{BTreeSet, HashMap};
use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Response};
use control::tunnel::{ALIVE, STREAMS, WINDOW};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::task::{AbortHandle, JoinSet};

use super::api::Refused;
use super::effects::Shared;
use crate::host::log;
use crate::sessions::Sessions;
pub(super) use beat::Heart;
use routes::Asked;

/// The shortest and the longest pause before the next try.
const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(10);

/// Keeps connections for ever.
pub(super) async fn run(shared: Arc<Shared>, heart: Heart) {
    let asked = Arc::new(Asked {
        sessions: Arc::new(Sessions::new(&shared.node)),
        shared: Arc::clone(&shared),
        meter: usage::Meter::default(),
        heart,
    });
    let connected = Arc::new(Connected::default());
    let (mut kept, mut tasks) = (HashMap::<String, AbortHandle>::new(), JoinSet::new());
    let mut news = shared.api.servers().news();
    loop {
        news.borrow_and_update();
        let servers = shared.api.servers().all();
        let gone = kept.extract_if(|server, _| !servers.contains(server));
        gone.for_each(|(_, task)| task.abort());
        for server in servers {
            kept.entry(server).or_insert_with_key(|server| {
                tasks.spawn(keep(Arc::clone(&shared), Arc::clone(&asked), Arc::clone(&connected), server.clone()))
            });
        }
        // it is never gone: the API has it
        if news.changed().await.is_err() {
            return;
        }
    }
}

/// Keeps a connection to one server for ever.
async fn keep(shared: Arc<Shared>, asked: Arc<Asked>, connected: Arc<Connected>, server: String) {
    let (mut pause, mut told) = (SHORTEST, false);
    loop {
        let begun = Instant::now();
        match connection(&shared, &asked, &connected, &server).await {
            Ok(()) => told = false,
            // by another address
            Err(error) if error.is_conflict() => pause = LONGEST,
            Err(error) if !told => {
                told = true;
                log::failed(&format!("keep a connection to the API server {server}"), &error);
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

/// Ids of servers that there is a connection to.
#[derive(Debug, Default)]
struct Connected(Mutex<BTreeSet<String>>);

/// One of them is among them for as long as this lives.
struct Entered(Arc<Connected>, String);

impl Connected {
    fn all(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn enter(self: &Arc<Self>, id: String) -> Entered {
        self.all().insert(id.clone());
        Entered(Arc::clone(self), id)
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.0.all().remove(&self.1);
    }
}

/// Serves one connection to its end.
async fn connection(shared: &Shared, asked: &Arc<Asked>, connected: &Arc<Connected>, server: &str) -> Result<(), Refused> {
    let known = connected.all().iter().cloned().collect::<Vec<_>>().join(",");
    let (io, id) = shared.api.connect(server, &known).await?;
    let _entered = connected.enter(id);
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
