//! CRI v1: each call is a function of a request, which runs on a thread that may block.
//!
//! ```text
//! image/ runtime/   one file a call
//! status.rs         errors of the engine as codes of gRPC
//! deadline.rs       how long clients wait
//! ```

mod check;
mod deadline;
mod image;
pub(crate) mod local;
mod runtime;
mod status;
mod stream;

pub(crate) use runtime::{Mirror, mirror, stdin_once};

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context as _, Result};
use cri::image_service_server::ImageServiceServer;
use cri::runtime_service_server::RuntimeServiceServer;
use futures_util::Stream;
use tokio::sync::watch;
use tonic::service::InterceptorLayer;
use tonic::transport::Server;
use tonic::{Code, Request, Response, Status};

use self::deadline::Deadline;
use crate::host::log::{Level, hears, say};
use crate::node::Node;

/// The longest request, as the kubelet has it.
const MESSAGE: usize = 16 << 20;

/// The longest answer: that of ExecSync, with both outputs. Lists come in parts when they are longer than what a client takes.
const ANSWER: usize = 2 * runtime::OUTPUT + (1 << 20);

/// Calls that one connection may have under way.
const AT_ONCE: u32 = 1024;

/// Serves both services on connections, until it is time to stop and all calls are done.
pub(crate) async fn serve(
    node: Arc<Node>,
    connections: impl Stream<Item = std::io::Result<tokio::net::UnixStream>> + Send + 'static,
    mut stopping: watch::Receiver<bool>,
) -> Result<()> {
    let calls = Calls { node, stopping: stopping.clone() };
    let images = ImageServiceServer::new(calls.clone()).max_decoding_message_size(MESSAGE).max_encoding_message_size(ANSWER);
    let runtime = RuntimeServiceServer::new(calls).max_decoding_message_size(MESSAGE).max_encoding_message_size(ANSWER);
    let stop = async move { drop(stopping.wait_for(|stopping| *stopping).await) };
    let builder = Server::builder().max_concurrent_streams(AT_ONCE).layer(InterceptorLayer::new(deadline::note));
    let server = { builder }.add_service(images).add_service(runtime);
    server.serve_with_incoming_shutdown(connections, stop).await.context("serve CRI")
}

/// Both services.
#[derive(Debug, Clone)]
pub(super) struct Calls {
    pub(super) node: Arc<Node>,
    /// Says when streams without an end have to end.
    pub(super) stopping: watch::Receiver<bool>,
}

/// What a call answers.
pub(super) type Answer<T> = Result<T, Status>;

impl Calls {
    /// Does a call on a thread that may block.
    pub(super) async fn call<I, O>(
        &self,
        name: &'static str,
        request: Request<I>,
        verb: fn(&Node, I) -> Answer<O>,
    ) -> Answer<Response<O>>
    where
        I: Send + 'static,
        O: Send + 'static,
    {
        let node = Arc::clone(&self.node);
        self.told(name, request, |request| async move {
            let work = tokio::task::spawn_blocking(move || verb(&node, request));
            work.await.unwrap_or_else(|_| Err(Status::internal(format!("{name} failed in itself"))))
        })
        .await
    }

    /// Does a call as a task, and says what became of it: what failed in us to all, the rest to those who want to know.
    pub(super) async fn told<I, O, W: Future<Output = Answer<O>>>(
        &self,
        name: &'static str,
        request: Request<I>,
        work: impl FnOnce(I) -> W,
    ) -> Answer<Response<O>> {
        let (begun, _call) = (Instant::now(), self.node.begin());
        let deadline = Deadline::of(&request);
        let answer = Deadline::keep(deadline, work(request.into_inner())).await.map_err(bounded);
        let code = answer.as_ref().map_or_else(Status::code, |_| Code::Ok);
        let level = if matches!(code, Code::Internal | Code::Unknown | Code::DataLoss) { Level::Warning } else { Level::Debug };
        if hears(level) {
            let said = answer.as_ref().map_or_else(|status| format!(": {}", status.message()), |_| String::new());
            let micros = begun.elapsed().as_micros().to_string();
            say(
                level,
                &format!("{name}{said}"),
                &[("CRI_CALL", name), ("CRI_CODE", &format!("{code:?}")), ("CRI_MICROS", &micros)],
            );
        }
        answer.map(Response::new)
    }
}

/// The longest message of an error. It travels in a header, and one that repeats what a client has sent may be longer than those may be: then
/// the client is told of a broken connection instead.
const WORDS: usize = 2048;

fn bounded(status: Status) -> Status {
    let message = status.message();
    match message.len() {
        0..=WORDS => status,
        all => Status::new(status.code(), format!("{}… ({all} bytes)", &message[..message.floor_char_boundary(WORDS)])),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_not_as_long_as_a_client_likes() {
        let long = bounded(Status::invalid_argument("ä".repeat(5000)));
        assert_eq!(long.code(), Code::InvalidArgument);
        assert!(long.message().ends_with("… (10000 bytes)") && long.message().len() < WORDS + 30, "{}", long.message());
        assert_eq!(bounded(Status::not_found("short")).message(), "short");
    }
}
