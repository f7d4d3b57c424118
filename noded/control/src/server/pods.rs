//! What the API server asks nodes for: logs of pods, and streams to them. It says what may be done to which container, and carries the rest.

use api::kinds;
use api::kinds::node::NODE;
use api::kinds::pod::{POD, Pod};
use api::status::Status;
use bytes::Bytes;
use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{AUTHORIZATION, CONNECTION, CONTENT_TYPE, COOKIE, HOST, HeaderValue, UPGRADE};
use hyper::upgrade::OnUpgrade;
use hyper::{HeaderMap, Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use jiff::Timestamp;

use super::Server;
use super::answer::{self, Body};
use super::route::Call;
use super::standing::Standing;
use crate::auth::User;
use crate::tunnel::options::{LogOptions, StreamOptions};
use crate::tunnel::{Link, PROTOCOL, Permit, SERVERS, no_logs};
use std::sync::Arc;

/// The most that a node says when something is wrong.
const WORDS: usize = 64 << 10;

/// Bytes that are carried at once.
const PIECE: usize = 32 << 10;

/// Takes over the connection of a node. Only a node can be it.
pub(super) fn connect(server: &Arc<Server>, user: &User, mut request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let Some(node) = user.node().map(String::from) else {
        let why = format!("User {:?} is not a node", user.name);
        return Err(if user.is_known() { Status::forbidden(None, "", &why) } else { Status::unauthorized() });
    };
    let wanted = request.headers().get(UPGRADE).is_some_and(|v| v == PROTOCOL);
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>().filter(|_| wanted) else {
        return Err(Status::bad_request(format!("an upgrade to {PROTOCOL} is needed")));
    };
    let known = request.headers().get(SERVERS).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|id| id == server.id) {
        return Err(Status::conflict(&NODE, &node, "it is connected to this server, by another address"));
    }
    let standing = Standing::of(&server.objects, &node, request.extensions_mut().remove())?;
    let server = server.clone();
    let id = HeaderValue::from_str(&server.id).map_err(Status::internal)?;
    tokio::spawn(async move { Link::serve(&server.nodes, node, upgrade, standing.end()).await });
    let mut response = answer::typed(101, "", Bytes::new());
    let headers = response.headers_mut();
    headers.remove(CONTENT_TYPE);
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static(PROTOCOL));
    headers.insert(SERVERS, id);
    Ok(response)
}

fn pod(call: &Call<'_>) -> Result<Pod, Status> {
    let object = call.server.objects.get(&POD, &call.target.namespace, &call.target.name)?.object();
    kinds::view(&object).map_err(Status::internal)
}

/// The container that is meant.
fn container(pod: &Pod, given: &str) -> Result<String, Status> {
    let (spec, name) = (&pod.spec, &pod.metadata.name);
    let (main, init) = (spec.containers.iter().map(|c| &c.name), spec.init_containers.iter().map(|c| &c.name));
    let ephemeral = spec.ephemeral_containers.iter().map(|c| &c.name);
    if !given.is_empty() {
        let is_there = main.chain(init).chain(ephemeral).any(|c| c == given);
        let wrong = || Status::bad_request(format!("container {given} is not valid for pod {name}"));
        return is_there.then(|| given.to_string()).ok_or_else(wrong);
    }
    let names = |all: Vec<&String>| all.iter().map(|n| n.as_str()).collect::<Vec<_>>().join(" ");
    match (main.collect::<Vec<_>>().as_slice(), init.collect::<Vec<_>>()) {
        ([one], _) => Ok((*one).clone()),
        (several, init) => {
            let mut why =
                format!("a container name must be specified for pod {name}, choose one of: [{}]", names(several.to_vec()));
            if !init.is_empty() {
                why.push_str(&format!(" or one of the init containers: [{}]", names(init)));
            }
            Err(Status::bad_request(why))
        }
    }
}

/// Text of a container's log.
pub(super) async fn log(call: &Call<'_>, query: &str) -> Result<Response<Body>, Status> {
    let pod = pod(call)?;
    let options = LogOptions::read(&call.query, Timestamp::now())?;
    let container = container(&pod, call.query.text("container"))?;
    if pod.spec.node_name.is_empty() {
        return Ok(answer::typed(200, "text/plain", Bytes::new()));
    }
    let link = call.server.nodes.link(&pod.spec.node_name)?;
    let permit = link.permit()?;
    let answer = link.get(&format!("/logs/{}/{container}?{query}", pod.metadata.uid)).await?;
    match answer.status() {
        StatusCode::OK => {}
        StatusCode::NOT_FOUND => return Err(no_logs(&pod, &container, options.previous)),
        _ => return Err(said(answer).await),
    }
    // the stream is held until the client has heard all, or is gone
    let body = answer.into_body().map_frame(move |frame| {
        let _held = &permit;
        frame
    });
    let mut response = Response::new(body.boxed_unsync());
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Ok(response)
}

/// exec, attach and port-forward: the node speaks with the client.
pub(super) async fn stream(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let pod = pod(call)?;
    let part = call.target.part.as_str();
    let mut path = format!("/{part}/{}", pod.metadata.uid);
    if part != "portforward" {
        path.push_str(&format!("/{}", container(&pod, call.query.text("container"))?));
        StreamOptions::read(&call.query, part == "exec")?;
    }
    if pod.spec.node_name.is_empty() {
        return Err(Status::bad_request(format!("pod {} does not have a host assigned", pod.metadata.name)));
    }
    let link = call.server.nodes.link(&pod.spec.node_name)?;
    let permit = link.permit()?;
    let query = request.uri().query().unwrap_or("");
    let onward = onward(&request, &format!("{path}?{query}"))?;
    let mut answer = link.upgrade(onward).await?;
    if answer.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(said(answer).await);
    }
    tokio::spawn(carry(hyper::upgrade::on(request), hyper::upgrade::on(&mut answer), (permit, link)));
    let mut response = answer::typed(101, "", Bytes::new());
    *response.headers_mut() = answer.headers().clone();
    Ok(response)
}

/// Carries bytes between a client and a node, once both connections are upgraded, and holds what belongs to them as long.
pub(super) async fn carry(near: OnUpgrade, far: OnUpgrade, held: (Permit, Arc<Link>)) {
    let (Ok(near), Ok(far)) = tokio::join!(near, far) else { return };
    let (mut near, mut far) = (TokioIo::new(near), TokioIo::new(far));
    // whoever breaks off ends it for both
    let _ = tokio::io::copy_bidirectional_with_sizes(&mut near, &mut far, PIECE, PIECE).await;
    drop(held);
}

/// The client's request for the node: who the client is stays here.
fn onward(request: &Request<Incoming>, path: &str) -> Result<Request<Empty<Bytes>>, Status> {
    let mut onward = Request::builder().method(request.method()).uri(path).body(Empty::new()).map_err(Status::internal)?;
    let mut headers: HeaderMap = request.headers().clone();
    for secret in [AUTHORIZATION, COOKIE] {
        headers.remove(secret);
    }
    headers.insert(HOST, HeaderValue::from_static("node"));
    *onward.headers_mut() = headers;
    Ok(onward)
}

/// What a node says is wrong.
async fn said(answer: Response<Incoming>) -> Status {
    let code = answer.status();
    let words = Limited::new(answer.into_body(), WORDS).collect().await;
    let words = words.map(|body| String::from_utf8_lossy(&body.to_bytes()).trim().to_string()).unwrap_or_default();
    match code {
        StatusCode::BAD_REQUEST => Status::bad_request(words),
        StatusCode::NOT_FOUND => Status::absent(words),
        StatusCode::TOO_MANY_REQUESTS => Status::too_many(words, 1),
        _ => Status::internal(words),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn the_container_is_named_where_there_are_several() {
        let pod = |spec| serde_json::from_value::<Pod>(json!({"metadata": {"name": "p"}, "spec": spec})).unwrap();
        let one = pod(json!({"containers": [{"name": "a"}], "initContainers": [{"name": "i"}]}));
        assert_eq!((container(&one, ""), container(&one, "i")), (Ok("a".into()), Ok("i".into())));
        assert_eq!(container(&one, "x").unwrap_err().message, "container x is not valid for pod p");
        let two = pod(json!({"containers": [{"name": "a"}, {"name": "b"}], "initContainers": [{"name": "i"}]}));
        assert_eq!(
            container(&two, "").unwrap_err().message,
            "a container name must be specified for pod p, choose one of: [a b] or one of the init containers: [i]"
        );
    }
}
