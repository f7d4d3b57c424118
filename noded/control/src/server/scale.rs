//! The number of replicas, by an address of its own.

use api::meta::{LabelSelector, Time};
use api::patch::{self, Writer};
use api::selector;
use api::status::Status;
use hyper::Response;
use serde_json::{Value, json};

use super::answer::{self, Body};
use super::body;
use super::route::Call;
use super::write;
use crate::objects::{Context, Part};

const PART: Part = Part::Whole("scale");

/// The number of replicas as an object.
fn scale_of(object: &Value) -> Value {
    let meta = &object["metadata"];
    let chosen: LabelSelector = serde_json::from_value(object["spec"]["selector"].clone()).unwrap_or_default();
    json!({
        "kind": "Scale", "apiVersion": "autoscaling/v1",
        "metadata": {"name": meta["name"], "namespace": meta["namespace"], "uid": meta["uid"], "resourceVersion": meta["resourceVersion"],
            "creationTimestamp": meta["creationTimestamp"]},
        "spec": {"replicas": object["spec"]["replicas"].as_i64().unwrap_or(0)},
        "status": {"replicas": object["status"]["replicas"].as_i64().unwrap_or(0), "selector": selector::shown(&chosen)},
    })
}

/// As it is.
pub(super) fn get(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let entry = call.server.objects.get(call.kind, &call.target.namespace, &call.target.name)?;
    Ok(answer::object(200, &scale_of(&entry.object())))
}

/// Sets it, in one of the five ways to write.
pub(super) async fn set(call: &Call<'_>, verb: &str, bytes: &[u8]) -> Result<Response<Body>, Status> {
    let (given, _) = body::any(call, bytes)?;
    if verb == "patch" && call.media() == "application/apply-patch+yaml" {
        return apply(call, &given).await;
    }
    let (target, context) = (&call.target, write::context(call)?);
    let entry = call.server.objects.update(call.kind, &target.namespace, &target.name, PART, &context, |old| {
        let mut scale = scale_of(old);
        match (verb, call.media()) {
            ("update", _) => scale = given.clone(),
            // a strategic merge patch of an object without lists is a merge patch
            (_, "application/strategic-merge-patch+json" | "application/merge-patch+json") => {
                api::patch::merge(&mut scale, given.clone())
            }
            (_, media) => write::change(call, media, &mut scale, given.clone())?,
        }
        let mut new = old.clone();
        new["spec"]["replicas"] = replicas(&scale)?.unwrap_or(0).into();
        if let Some(version) = scale["metadata"].get("resourceVersion") {
            new["metadata"]["resourceVersion"] = version.clone();
        }
        Ok(new)
    });
    Ok(answer::object(200, &scale_of(&entry.await?.object())))
}

fn replicas(scale: &Value) -> Result<Option<i32>, Status> {
    let wrong = || Status::bad_request("spec.replicas must be a whole number");
    let given = scale["spec"].get("replicas").filter(|given| !given.is_null());
    given.map(|given| given.as_i64().and_then(|number| i32::try_from(number).ok()).ok_or_else(wrong)).transpose()
}

/// An apply. What it owns is the number in the object itself, where whoever applies the whole object meets it.
async fn apply(call: &Call<'_>, given: &Value) -> Result<Response<Body>, Status> {
    let manager = write::applier(call)?;
    if given["apiVersion"] != "autoscaling/v1" || given["kind"] != "Scale" {
        return Err(Status::bad_request("what is applied must be a Scale of autoscaling/v1"));
    }
    if given["metadata"].get("managedFields").is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    let (kind, target) = (call.kind, &call.target);
    let mut config = json!({"apiVersion": kind.api_version(), "kind": kind.kind, "metadata": {"name": target.name, "namespace": target.namespace}});
    if let Some(replicas) = replicas(given)? {
        config["spec"]["replicas"] = replicas.into();
    }
    let context = Context { applied: true, ..write::context(call)? };
    let writer = Writer { manager, api_version: kind.api_version(), subresource: "scale".into() };
    let entry = call.server.objects.update(kind, &target.namespace, &target.name, PART, &context, |old| {
        let laid = patch::apply(Some(old), &config, kind.table, &writer, call.query.flag("force"), Time::now());
        let mut new = laid.map_err(|conflicts| Status::apply_conflict(&conflicts))?.object;
        if let Some(asked) = given["metadata"].get("resourceVersion") {
            new["metadata"]["resourceVersion"] = asked.clone();
        }
        Ok(new)
    });
    Ok(answer::object(200, &scale_of(&entry.await?.object())))
}
