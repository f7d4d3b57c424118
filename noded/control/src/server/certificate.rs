//! Certificates of nodes: for hosts that come with a token, and for nodes before their own runs out.

use api::kinds::config::SECRET;
use api::kinds::node::NODE;
use api::status::Status;
use hyper::body::Incoming;
use hyper::{Method, Request, Response};
use serde_json::{Value, json};
use std::sync::Arc;

use super::answer::{self, Body};
use super::target::Query;
use super::{Server, body, standing};
use crate::auth::{Certified, User};
use crate::certs::Wanted;
use crate::join::{ANYONE, NAMESPACE};
use crate::objects::{Context, Part};

/// Answers a request for a certificate.
pub(super) async fn answer(server: &Server, user: &User, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    if request.method() != Method::POST {
        return Err(Status::not_allowed());
    }
    let query = Query::parse(request.uri().query().unwrap_or(""));
    let name = query.text("node").to_string();
    let by_token = user.groups.iter().any(|g| g == ANYONE);
    match user.node() {
        Some(own) if own == name => {}
        None if by_token => {}
        _ if !user.is_known() => return Err(Status::unauthorized()),
        _ => return Err(Status::forbidden(None, "", &format!("User {:?} gets no certificate of node {name:?}", user.name))),
    }
    if let Some(why) = api::names::dns_subdomain(&name).first() {
        return Err(Status::bad_request(format!("node: Invalid value: {name:?}: {why}")));
    }
    let presented = request.extensions().get::<Arc<Certified>>().filter(|_| !by_token).map(|certified| certified.key.clone());
    let text = body::bytes(request).await?;
    let wanted = std::str::from_utf8(&text).ok().and_then(Wanted::read);
    let wanted = wanted
        .ok_or_else(|| Status::bad_request("the body is no request for a certificate (PEM) that is signed with its own key"))?;
    bind(server, &name, standing::keys(&wanted.key_hash(), presented.as_deref()), by_token).await?;
    let signed = server.authority.sign_node(&name, &wanted, server.node_certificates).map_err(Status::internal)?;
    Ok(answer::typed(201, "application/x-pem-file", signed))
}

/// Keeps whose name it is: the key's that got it first, or that its owner has now. One without a Node may be had by another.
async fn bind(server: &Server, node: &str, data: Value, by_token: bool) -> Result<(), Status> {
    let (name, is_there) = (standing::secret(node), || server.objects.get(&NODE, "", node).is_ok());
    let context = Context { manager: "noded".into(), ..Default::default() };
    let taken = || {
        let why = format!("node {node:?} is there already, and has another key: delete it first if this host is to take its place");
        Status::forbidden(Some(("", "nodes")), node, &why)
    };
    if by_token && is_there() && server.objects.get(&SECRET, NAMESPACE, &name).is_err() {
        // the control plane's own node, whose key it keeps for itself
        return Err(taken());
    }
    let object = json!({"metadata": {"name": name, "namespace": NAMESPACE}, "type": "dev.rctr/node-key", "data": data});
    match server.objects.create(&SECRET, NAMESPACE, object, &context).await {
        Err(status) if status.reason == "AlreadyExists" => {}
        made => return made.map(drop),
    }
    let change = |kept: &Value| {
        if by_token && kept["data"]["key"] != data["key"] && is_there() {
            return Err(taken());
        }
        let mut new = kept.clone();
        new["data"] = data.clone();
        Ok(new)
    };
    server.objects.update(&SECRET, NAMESPACE, &name, Part::Main, &context, change).await.map(drop)
}
