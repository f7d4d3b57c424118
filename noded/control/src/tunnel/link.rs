//! One node's connection, seen from the API server.

use std::sync::Arc;

use api::status::Status;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::client::conn::{http1, http2};
use hyper::header::{CONNECTION, HOST, UPGRADE};
use hyper::rt::{Executor, Read, Write};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::TokioTimer;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::time::timeout;

use super::{ALIVE, BYTES, Nodes, STREAMS, WINDOW};

/// Streams that people hold open; the others are for short questions.
const HELD: usize = STREAMS as usize - 16;

/// The most that a node says when something is wrong.
const WORDS: usize = 4 << 10;

/// How long a node may take to begin an answer.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(30);

/// One node's connection.
#[derive(Debug)]
pub struct Link {
    node: String,
    requests: http2::SendRequest<Empty<Bytes>>,
    held: Arc<Semaphore>,
    end: watch::Sender<bool>,
}

/// Runs what a connection consists of until it is ended: hyper itself would let streams that are open go on.
#[derive(Debug, Clone)]
struct Until(watch::Receiver<bool>);

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for Until {
    fn execute(&self, work: F) {
        let mut ended = self.0.clone();
        tokio::spawn(async move {
            tokio::select! {
                _ = work => {}
                _ = ended.wait_for(|ended| *ended) => {}
            }
        });
    }
}

/// A right to one stream; it is held for as long as the stream lives.
pub(crate) type Permit = OwnedSemaphorePermit;

impl Link {
    /// Serves a node's connection once it is upgraded, until it ends, is replaced by a newer one, or is not allowed any more.
    pub async fn serve(nodes: &Nodes, node: String, upgrade: OnUpgrade, forbidden: impl Future<Output = ()>) {
        if let Ok(Ok(io)) = timeout(PATIENCE, upgrade).await {
            Self::over(nodes, node, io, forbidden).await;
        }
    }

    /// The same over any bytes.
    pub(super) async fn over(
        nodes: &Nodes,
        node: String,
        io: impl Read + Write + Unpin + Send + 'static,
        forbidden: impl Future<Output = ()>,
    ) {
        let end = watch::Sender::new(false);
        let mut builder = http2::Builder::new(Until(end.subscribe()));
        builder.timer(TokioTimer::new()).keep_alive_interval(ALIVE).keep_alive_timeout(ALIVE).keep_alive_while_idle(true);
        builder.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW * STREAMS);
        let Ok((requests, connection)) = builder.handshake(io).await else { return };
        let link = Arc::new(Link { node: node.clone(), requests, held: Arc::new(Semaphore::new(HELD)), end });
        nodes.enter(&node, &link);
        let mut ended = link.end.subscribe();
        tokio::select! {
            _ = connection => link.end(),
            _ = ended.wait_for(|ended| *ended) => {}
            () = forbidden => link.end(),
            () = nodes.pulse.follow(&link) => {}
        }
        nodes.leave(&node, &link);
    }

    /// Whose connection it is.
    pub(super) fn node(&self) -> &str {
        &self.node
    }

    /// Ends the connection, and all that goes over it.
    pub(super) fn end(&self) {
        self.end.send_replace(true);
    }

    /// The right to hold a stream open.
    ///
    /// # Errors
    /// 429: too many are open.
    pub fn permit(&self) -> Result<Permit, Status> {
        let free = Arc::clone(&self.held).try_acquire_owned();
        free.map_err(|_| Status::too_many(format!("node {:?} has {HELD} streams open, and takes no more", self.node), 1))
    }

    /// Asks the node for what is at a path.
    ///
    /// # Errors
    /// 503: the connection is lost. 504: the node says nothing.
    pub async fn get(&self, path: &str) -> Result<Response<Incoming>, Status> {
        let uri = format!("http://node{path}");
        let request = Request::builder().uri(uri).body(Empty::new()).map_err(Status::internal)?;
        self.send(request).await
    }

    /// Passes on a request that asks for an upgrade. A node that agrees answers 101.
    ///
    /// # Errors
    /// As [`Link::get`].
    pub async fn upgrade(&self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Status> {
        let connect = Request::builder().method(Method::CONNECT).uri("node:80").body(Empty::new()).map_err(Status::internal)?;
        let mut opened = self.send(connect).await?;
        if !opened.status().is_success() {
            return Err(self.lost());
        }
        let io: Upgraded = hyper::upgrade::on(&mut opened).await.map_err(|_| self.lost())?;
        let (mut requests, connection) = http1::handshake(io).await.map_err(|_| self.lost())?;
        tokio::spawn(connection.with_upgrades());
        let answer = timeout(PATIENCE, requests.send_request(request)).await.map_err(|_| self.silent())?;
        answer.map_err(|_| self.lost())
    }

    /// A connection to a port of a pod, at the pod's address.
    ///
    /// # Errors
    /// As [`Link::get`]; 503 as well: nobody listens there.
    pub async fn dial(&self, uid: &str, port: u16) -> Result<Upgraded, Status> {
        let request = Request::builder().uri(format!("/dial/{uid}/{port}")).header(HOST, "node").header(CONNECTION, "Upgrade");
        let request = request.header(UPGRADE, BYTES).body(Empty::new()).map_err(Status::internal)?;
        let mut answer = self.upgrade(request).await?;
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            let words = Limited::new(answer.into_body(), WORDS).collect().await.map(|body| body.to_bytes()).unwrap_or_default();
            return Err(Status::unavailable(format!("error trying to reach service: {}", String::from_utf8_lossy(&words))));
        }
        hyper::upgrade::on(&mut answer).await.map_err(|_| self.lost())
    }

    async fn send(&self, request: Request<Empty<Bytes>>) -> Result<Response<Incoming>, Status> {
        let answer = timeout(PATIENCE, self.requests.clone().send_request(request)).await.map_err(|_| self.silent())?;
        answer.map_err(|_| self.lost())
    }

    fn lost(&self) -> Status {
        Status::unavailable(format!("the connection to node {:?} is lost", self.node))
    }

    fn silent(&self) -> Status {
        Status::timeout(format!("node {:?} does not answer", self.node))
    }
}
