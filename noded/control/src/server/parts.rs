//! Parts of objects with addresses of their own: scale, binding, eviction, token, finalize, ephemeralcontainers, resize, proxy.

use api::errors::FieldErrors;
use api::kinds::pod::{POD, take_resources, validate_added, validate_resized};
use api::meta::Time;
use api::status::Status;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::body;
use super::node;
use super::pods;
use super::route::Call;
use super::{proxy, scale, write};
use crate::auth::{Claims, ISSUER};
use crate::objects::Part;
use crate::store::Entry;

pub(super) async fn answer(call: &Call<'_>, verb: &str, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let part = call.kind.subresources.iter().find(|s| s.name == call.target.part).ok_or_else(Status::no_such_path)?;
    if !part.verbs.contains(&verb) {
        return Err(Status::not_allowed());
    }
    match (part.name, verb) {
        ("scale", "get") => scale::get(call),
        ("scale", _) => scale::set(call, verb, body::bytes(request).await?.as_ref()).await,
        ("binding", _) => bind(call, body::bytes(request).await?.as_ref()).await,
        ("eviction", _) => evict(call, body::bytes(request).await?.as_ref()).await,
        ("token", _) => token(call, body::bytes(request).await?.as_ref()),
        ("finalize", _) => finalize(call, body::bytes(request).await?.as_ref()).await,
        ("ephemeralcontainers" | "resize", "get") => {
            let entry = call.server.objects.get(call.kind, &call.target.namespace, &call.target.name)?;
            write::answered(call, 200, &entry, &[])
        }
        ("ephemeralcontainers", _) => inner(call, verb, body::bytes(request).await?.as_ref(), &EPHEMERAL).await,
        ("resize", _) => inner(call, verb, body::bytes(request).await?.as_ref(), &RESIZE).await,
        ("log", _) => pods::log(call, request.uri().query().unwrap_or("")).await,
        ("proxy", _) => proxy::answer(call, request).await,
        ("exec" | "attach" | "portforward", _) => pods::stream(call, request).await,
        _ => Err(Status::no_such_path()),
    }
}

async fn whole(
    call: &Call<'_>,
    part: &'static str,
    change: impl FnMut(&Value) -> Result<Value, Status> + Send,
) -> Result<std::sync::Arc<Entry>, Status> {
    let (target, context) = (&call.target, write::context(call)?);
    call.server.objects.update(call.kind, &target.namespace, &target.name, Part::Whole(part), &context, change).await
}

/// Puts a pod on a node, once.
pub(crate) fn bound(pod: &Value, node: &str) -> Result<Value, Status> {
    let name = pod["metadata"]["name"].as_str().unwrap_or("");
    if pod["metadata"].get("deletionTimestamp").is_some() {
        return Err(Status::conflict(&POD, name, &format!("pod {name} is being deleted, cannot be assigned to a host")));
    }
    if let Some(taken) = pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        return Err(Status::conflict(&POD, name, &format!("pod {name} is already assigned to node {taken:?}")));
    }
    let mut new = pod.clone();
    new["spec"]["nodeName"] = node.into();
    let condition =
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": Time::now().to_string()});
    let mut conditions: Vec<Value> = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|c| c["type"] != "PodScheduled");
    conditions.push(condition);
    new["status"]["conditions"] = conditions.into();
    Ok(new)
}

async fn bind(call: &Call<'_>, bytes: &[u8]) -> Result<Response<Body>, Status> {
    let (binding, _) = body::any(call, bytes)?;
    let node = binding["target"]["name"].as_str().filter(|n| !n.is_empty());
    let node = node.ok_or_else(|| Status::unprocessable("Binding is invalid: target.name: Required value"))?.to_string();
    whole(call, "binding", |pod| bound(pod, &node)).await?;
    Ok(answer::object(201, &success()))
}

fn success() -> Value {
    json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201})
}

async fn evict(call: &Call<'_>, bytes: &[u8]) -> Result<Response<Body>, Status> {
    let (eviction, _) = body::any(call, bytes)?;
    let options = write::delete_options(call, &eviction["deleteOptions"])?;
    call.server.objects.delete(call.kind, &call.target.namespace, &call.target.name, &options).await?;
    Ok(answer::object(201, &success()))
}

/// A token for a service account, bound to the account and, where named, to a pod.
fn token(call: &Call<'_>, bytes: &[u8]) -> Result<Response<Body>, Status> {
    const SHORTEST: i64 = 600;
    const LONGEST: i64 = 86400;
    let (mut request, _) = body::any(call, bytes)?;
    let (namespace, name) = (&call.target.namespace, &call.target.name);
    let account = call.server.objects.get(call.kind, namespace, name)?.object();
    node::check_token(call, &request)?;
    let seconds = request["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    if seconds < SHORTEST {
        let why = "TokenRequest.authentication.k8s.io \"\" is invalid: spec.expirationSeconds: Invalid value: may not specify a duration less than 10 minutes";
        return Err(Status::unprocessable(why));
    }
    let mut audiences: Vec<String> = serde_json::from_value(request["spec"]["audiences"].clone()).unwrap_or_default();
    if audiences.is_empty() {
        audiences.push(ISSUER.into());
    }
    let mut bound = json!({"namespace": namespace, "serviceaccount": {"name": name, "uid": account["metadata"]["uid"]}});
    let reference = &request["spec"]["boundObjectRef"];
    if reference["kind"] == "Pod" {
        let pod_name = reference["name"].as_str().unwrap_or("");
        let pod = call.server.objects.get(&POD, namespace, pod_name)?.object();
        let given = reference["uid"].as_str().unwrap_or("");
        if !given.is_empty() && pod["metadata"]["uid"] != given {
            return Err(Status::conflict(&POD, pod_name, "the UID in the bound object reference does not match"));
        }
        if pod["spec"]["serviceAccountName"] != **name {
            let why = format!("cannot bind token for serviceaccount {name:?} to pod running with different serviceaccount name.");
            return Err(Status::bad_request(why));
        }
        bound["pod"] = json!({"name": pod_name, "uid": pod["metadata"]["uid"]});
    }
    let now = jiff::Timestamp::now().as_second();
    let expires = now + seconds.min(LONGEST);
    let claims = Claims {
        iss: ISSUER.into(),
        sub: format!("system:serviceaccount:{namespace}:{name}"),
        aud: audiences,
        exp: expires,
        nbf: now,
        iat: now,
        bound,
    };
    let token = call.server.tokens.signer.sign(&claims).ok_or_else(|| Status::internal("sign a token"))?;
    let expires = jiff::Timestamp::from_second(expires).map_or_else(|_| Time::now(), Time);
    request["kind"] = "TokenRequest".into();
    request["apiVersion"] = "authentication.k8s.io/v1".into();
    request["status"] = json!({"token": token, "expirationTimestamp": expires.to_string()});
    Ok(answer::object(201, &request))
}

async fn finalize(call: &Call<'_>, bytes: &[u8]) -> Result<Response<Body>, Status> {
    let (given, _) = body::object(call, bytes)?;
    let entry = whole(call, "finalize", |old| {
        let mut new = old.clone();
        new["spec"]["finalizers"] = given["spec"].get("finalizers").cloned().unwrap_or_else(|| json!([]));
        Ok(new)
    });
    Ok(answer::json(200, entry.await?.value.clone()))
}

/// A part of what is desired that changes by its own rules.
struct Inner {
    name: &'static str,
    /// Checks the new object beside the old one.
    check: fn(&Value, &Value, &mut FieldErrors),
    /// Takes the part from the new object.
    take: fn(&mut Value, &Value),
}

/// Containers for looking into a pod are only ever added.
const EPHEMERAL: Inner = Inner {
    name: "ephemeralcontainers",
    check: validate_added,
    take: |new, from| {
        new["spec"]["ephemeralContainers"] = from["spec"].get("ephemeralContainers").cloned().unwrap_or_else(|| json!([]));
    },
};

/// Resources change while the pod runs.
const RESIZE: Inner = Inner { name: "resize", check: validate_resized, take: take_resources };

async fn inner(call: &Call<'_>, verb: &str, bytes: &[u8], part: &Inner) -> Result<Response<Body>, Status> {
    let (given, _) = body::any(call, bytes)?;
    let entry = whole(call, part.name, |old| {
        let mut changed = old.clone();
        if verb == "update" {
            changed = given.clone();
        } else {
            write::change(call, call.media(), &mut changed, given.clone())?;
        }
        body::check(call, &mut changed, Vec::new())?;
        let mut errors = FieldErrors::new();
        (part.check)(&changed, old, &mut errors);
        if !errors.is_empty() {
            return Err(Status::invalid(call.kind, &call.target.name, &errors));
        }
        let mut new = old.clone();
        (part.take)(&mut new, &changed);
        // whoever names a revision means no other one
        new["metadata"]["resourceVersion"] = changed["metadata"]["resourceVersion"].clone();
        Ok(new)
    });
    write::answered(call, 200, &*entry.await?, &[])
}
