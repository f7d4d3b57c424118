//! The addresses that [`Jobs`] gives out, served.

use std::sync::Arc;

use axum::Router;
use axum::extract::ws::{WebSocketUpgrade, rejection::WebSocketUpgradeRejection};
use axum::extract::{FromRequestParts as _, Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use crate::remote::{self, Remote};
use crate::{Backend, Job, Jobs, carried, forward, websocket};

/// The header by which SPDY clients and the server agree on a version.
const VERSION: &str = "x-stream-protocol-version";

struct Server<B> {
    jobs: Arc<Jobs>,
    backend: Arc<B>,
}

/// Serves every address of `jobs` once.
pub fn router<B: Backend>(jobs: Arc<Jobs>, backend: Arc<B>) -> Router {
    Router::new().route("/{verb}/{token}", any(stream::<B>)).with_state(Arc::new(Server { jobs, backend }))
}

async fn stream<B: Backend>(
    State(server): State<Arc<Server<B>>>,
    Path((verb, token)): Path<(String, String)>,
    socket: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
    request: Request,
) -> Response {
    let Some(job) = server.jobs.take(&verb, &token) else {
        return (StatusCode::NOT_FOUND, "no such stream: its address works once, within a minute\n").into_response();
    };
    upgraded(&server.backend, job, socket.ok(), request)
}

/// Does `job` on the connection of a request that asks for an upgrade: whoever calls has seen to it that the client may have it.
pub async fn answer<B: Backend>(backend: &Arc<B>, job: Job, request: Request) -> Response {
    let (mut parts, body) = request.into_parts();
    let socket = WebSocketUpgrade::from_request_parts(&mut parts, &()).await.ok();
    upgraded(backend, job, socket, Request::from_parts(parts, body))
}

fn upgraded<B: Backend>(backend: &Arc<B>, job: Job, socket: Option<WebSocketUpgrade>, request: Request) -> Response {
    match socket {
        Some(socket) => over_websocket(backend, job, socket),
        None => over_spdy(backend, job, request),
    }
}

fn over_websocket<B: Backend>(backend: &Arc<B>, job: Job, socket: WebSocketUpgrade) -> Response {
    let socket = socket.max_message_size(websocket::MAX_MESSAGE).max_frame_size(websocket::MAX_MESSAGE);
    let is_forward = matches!(job, Job::Forward { .. });
    let carried = is_forward.then_some(forward::CARRIED);
    let socket = socket.protocols(carried.into_iter().chain(websocket::PROTOCOLS));
    let protocol = socket.selected_protocol().and_then(|protocol| protocol.to_str().ok());
    let (version, is_carried) = (remote::websocket_version(protocol), protocol == Some(forward::CARRIED));
    let backend = Arc::clone(backend);
    socket.on_upgrade(move |socket| async move {
        match job {
            Job::Forward { pod, .. } if is_carried => forward::over_spdy(carried::bytes(socket), &pod, &backend).await,
            Job::Forward { pod, ports } => forward::over_websocket(socket, &pod, &ports, &backend).await,
            job => {
                if let Some(remote) = Remote::new(job) {
                    remote.over_websocket(socket, version, &*backend).await;
                }
            }
        }
    })
}

fn over_spdy<B: Backend>(backend: &Arc<B>, job: Job, mut request: Request) -> Response {
    let asks = |name, value: &str| {
        let words =
            request.headers().get_all(name).iter().filter_map(|header| header.to_str().ok()).flat_map(|header| header.split(','));
        words.map(str::trim).any(|word| word.eq_ignore_ascii_case(value))
    };
    if !asks(header::CONNECTION, "upgrade") || !asks(header::UPGRADE, "SPDY/3.1") {
        return (StatusCode::BAD_REQUEST, "the stream needs an upgrade to SPDY/3.1 or WebSocket\n").into_response();
    }
    let known: &[&str] = if matches!(job, Job::Forward { .. }) { &[forward::PROTOCOL] } else { &remote::PROTOCOLS };
    let Some(protocol) = agreed(request.headers(), known) else {
        let accepted = known.iter().map(|protocol| ("x-accepted-stream-protocol-versions", *protocol));
        let refusal = (StatusCode::FORBIDDEN, "none of the versions of the protocol that were offered is known\n");
        return (axum::response::AppendHeaders(accepted.collect::<Vec<_>>()), refusal).into_response();
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return (StatusCode::INTERNAL_SERVER_ERROR, "this connection cannot be upgraded\n").into_response();
    };
    let backend = Arc::clone(backend);
    tokio::spawn(async move {
        // A client that hangs up before the upgrade has lost its stream.
        let Ok(io) = upgrade.await else { return };
        let io = TokioIo::new(io);
        match job {
            Job::Forward { pod, .. } => forward::over_spdy(io, &pod, &backend).await,
            job => {
                if let Some(remote) = Remote::new(job) {
                    remote.over_spdy(io, remote::version(protocol), &*backend).await;
                }
            }
        }
    });
    let headers = [(header::CONNECTION.as_str(), "Upgrade"), (header::UPGRADE.as_str(), "SPDY/3.1"), (VERSION, protocol)];
    (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
}

/// The first of `known`, best first, that the client offers. One that offers nothing means the oldest.
fn agreed(headers: &HeaderMap, known: &[&'static str]) -> Option<&'static str> {
    let mut offers =
        headers.get_all(VERSION).iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(',')).peekable();
    if offers.peek().is_none() {
        return known.last().copied();
    }
    let offers: Vec<&str> = offers.map(str::trim).collect();
    known.iter().copied().find(|protocol| offers.contains(protocol))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_common_version_is_taken() {
        let offered = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(VERSION, axum::http::HeaderValue::from_static(value));
            }
            agreed(&headers, &remote::PROTOCOLS)
        };
        assert_eq!(offered(&["v2.channel.k8s.io", "v4.channel.k8s.io", "v3.channel.k8s.io"]), Some("v4.channel.k8s.io"));
        assert_eq!(offered(&["channel.k8s.io, v3.channel.k8s.io"]), Some("v3.channel.k8s.io"));
        assert_eq!(offered(&[]), Some("channel.k8s.io"));
        assert_eq!(offered(&["v9.channel.k8s.io"]), None);
    }
}
