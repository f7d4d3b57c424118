//! What the API server may ask for. It has checked who may do it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use control::server::Query;
use control::tunnel::BYTES;
use control::tunnel::options::{LogOptions, StreamOptions};
use cri::{AttachRequest, ContainerStatus, ExecRequest};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use serde_json::json;
use streaming::Job;
use tonic::{Code, Status};

use super::super::actual::name_of;
use super::super::effects::Shared;
use super::super::{statics, worker};
use super::logs;
use crate::cri::local;
use crate::sessions::Sessions;

/// How long whoever listens on a pod's port may take to answer.
const DIALLING: Duration = Duration::from_secs(10);

/// Answers questions about the pods of this node.
pub(super) struct Asked {
    pub(super) shared: Arc<Shared>,
    pub(super) sessions: Arc<Sessions>,
    pub(super) meter: super::usage::Meter,
    pub(super) heart: super::Heart,
}

impl Asked {
    /// Answers one.
    pub(super) async fn answer(&self, request: Request) -> Response {
        let path = request.uri().path().to_owned();
        let query = Query::parse(request.uri().query().unwrap_or_default());
        let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
        let job = match *parts.as_slice() {
            ["logs", uid, container] => return self.log(uid, container, &query).await.unwrap_or_else(refused),
            ["beat"] => return self.heart.beats().into_response(),
            ["usage"] => {
                return self
                    .meter
                    .usage(&self.shared.node)
                    .await
                    .map_or_else(refused, |usage| json!(usage).to_string().into_response());
            }
            ["exec", uid, container] => self.exec(uid, container, &query).await,
            ["attach", uid, container] => self.attach(uid, container, &query).await,
            ["dial", uid, port] => return self.dial(uid, port, request).await.unwrap_or_else(refused),
            ["portforward", uid] => self.forward(uid, &query).await,
            _ => Err(Status::unimplemented(format!("{path}: this node does not know what it is"))),
        };
        match job {
            Ok(job) => streaming::answer(&self.sessions, job, request).await,
            Err(status) => refused(status),
        }
    }

    async fn log(&self, uid: &str, container: &str, query: &Query) -> Result<Response, Status> {
        let options = LogOptions::read(query, jiff::Timestamp::now()).map_err(|status| Status::invalid_argument(status.message))?;
        let found = self.containers(uid).await?.into_iter().filter(|found| name_of(found) == container);
        let found = found.into_iter().nth(usize::from(options.previous)).ok_or_else(|| Status::not_found("it has no log"))?;
        let stream = logs::stream(&self.shared.node, found.id, options).await?;
        Ok(Body::from_stream(stream).into_response())
    }

    async fn exec(&self, uid: &str, container: &str, query: &Query) -> Result<Job, Status> {
        let StreamOptions { stdin, stdout, stderr, tty, command } = options(query, true)?;
        let container_id = self.running(uid, container).await?;
        local::exec_job(&self.shared.node, ExecRequest { container_id, cmd: command, tty, stdin, stdout, stderr }).await
    }

    async fn attach(&self, uid: &str, container: &str, query: &Query) -> Result<Job, Status> {
        let StreamOptions { stdin, stdout, stderr, tty, .. } = options(query, false)?;
        let container_id = self.running(uid, container).await?;
        local::attach_job(&self.shared.node, AttachRequest { container_id, stdin, tty, stdout, stderr }).await
    }

    async fn forward(&self, uid: &str, query: &Query) -> Result<Job, Status> {
        // old clients name them beforehand, others with each stream
        let ports = query.all("ports").flat_map(|list| list.split(',')).map(str::parse).collect::<Result<Vec<i32>, _>>();
        let ports = ports.map_err(|_| Status::invalid_argument("ports: they must be numbers from 1 to 65535"))?;
        let (node, name, uid) = (Arc::clone(&self.shared.node), self.shared.place.node.clone(), self.own(uid));
        let found = blocking(move || Ok(worker::sandboxes(&node, &name, &uid).into_iter().next())).await?;
        let pod = found.ok_or_else(|| Status::not_found("the pod is not on this node"))?;
        local::forward_job(&self.shared.node, pod.record.id, ports).await
    }

    /// Connects to a port of a pod, at the pod's address: what listens on the pod's loopback interface alone is not for others.
    async fn dial(&self, uid: &str, port: &str, mut request: Request) -> Result<Response, Status> {
        let port: u16 = port.parse().map_err(|_| Status::invalid_argument("it is no port"))?;
        let upgrade = request.extensions_mut().remove::<OnUpgrade>().ok_or_else(|| Status::invalid_argument("no upgrade"))?;
        let (node, name, uid) = (Arc::clone(&self.shared.node), self.shared.place.node.clone(), self.own(uid));
        let pod = blocking(move || Ok(worker::sandboxes(&node, &name, &uid).into_iter().next())).await?;
        let pod = pod.filter(|pod| pod.ready).ok_or_else(|| Status::not_found("the pod is not on this node"))?;
        let host = worker::address(&pod).unwrap_or_else(|| self.shared.place.host.clone());
        let refused = |why: &dyn std::fmt::Display| Status::unavailable(format!("dial {host}:{port}: {why}"));
        let dialled = tokio::time::timeout(DIALLING, tokio::net::TcpStream::connect((host.as_str(), port))).await;
        let mut far = dialled.map_err(|_| refused(&"no answer"))?.map_err(|error| refused(&error))?;
        tokio::spawn(async move {
            let Ok(near) = upgrade.await else { return };
            // whoever breaks off ends it for both
            let _ = tokio::io::copy_bidirectional(&mut TokioIo::new(near), &mut far).await;
        });
        Ok((StatusCode::SWITCHING_PROTOCOLS, [(header::CONNECTION, "Upgrade"), (header::UPGRADE, BYTES)]).into_response())
    }

    /// The uid by which a pod is known here: the API has others for static pods.
    fn own(&self, uid: &str) -> String {
        let known = statics::known(&self.shared.statics.borrow(), self.shared.mirrors.borrow().as_ref());
        known.get(uid).cloned().unwrap_or_else(|| uid.to_owned())
    }

    /// The container of this name that runs, or ran last.
    async fn running(&self, uid: &str, name: &str) -> Result<String, Status> {
        let found = self.containers(uid).await?.into_iter().find(|found| name_of(found) == name);
        found.map(|found| found.id).ok_or_else(|| Status::not_found(format!("container not found ({name:?})")))
    }

    /// All containers of a pod of this node, newest first.
    async fn containers(&self, uid: &str) -> Result<Vec<ContainerStatus>, Status> {
        let (node, name, uid) = (Arc::clone(&self.shared.node), self.shared.place.node.clone(), self.own(uid));
        blocking(move || {
            let sandboxes = worker::sandboxes(&node, &name, &uid);
            let containers = sandboxes.iter().map(|pod| local::containers(&node, pod)).collect::<Result<Vec<_>, _>>()?;
            Ok(containers.into_iter().flatten().collect())
        })
        .await
    }
}

fn options(query: &Query, exec: bool) -> Result<StreamOptions, Status> {
    StreamOptions::read(query, exec).map_err(|status| Status::invalid_argument(status.message))
}

/// Runs what blocks beside the tasks.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Status> + Send + 'static) -> Result<T, Status> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|_| Err(Status::internal("the call failed in itself")))
}

fn refused(status: Status) -> Response {
    let code = match status.code() {
        Code::InvalidArgument | Code::FailedPrecondition => StatusCode::BAD_REQUEST,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::Unimplemented => StatusCode::NOT_IMPLEMENTED,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (code, status.message().to_owned()).into_response()
}
