//! create, update, patch, delete.

use api::meta::Time;
use api::patch::{self, Writer};
use api::status::Status;
use hyper::body::Incoming;
use hyper::{Request, Response};
use serde_json::{Value, json};

use super::alias;
use super::answer::{self, Body};
use super::body::{self, PATCHES, dry_run};
use super::node;
use super::read::Choice;
use super::route::Call;
use super::shape::Shape;
use crate::objects::{Context, DeleteOptions, Deleted, Part, Propagation, prefix};

pub(super) fn context(call: &Call<'_>) -> Result<Context, Status> {
    let given = call.query.text("fieldManager");
    if given.len() > 128 || given.chars().any(char::is_control) {
        return Err(Status::unprocessable("fieldManager: Invalid value: must be at most 128 printable characters"));
    }
    let agent = call.agent.split('/').next().filter(|agent| !agent.is_empty()).unwrap_or("unknown");
    let manager = if given.is_empty() { agent } else { given }.to_string();
    Ok(Context { manager, dry_run: dry_run(call)?, applied: false, spoken: Some(call.kind) })
}

fn part(call: &Call<'_>) -> Part {
    if call.target.part == "status" { Part::Status } else { Part::Main }
}

pub(super) fn answered(
    call: &Call<'_>,
    code: u16,
    entry: &crate::store::Entry,
    warnings: &[String],
) -> Result<Response<Body>, Status> {
    let shape = Shape::wanted(&call.accept, &call.query)?;
    let mut response = answer::json(code, shape.one(call.kind, entry));
    answer::warn(&mut response, warnings);
    Ok(response)
}

pub(super) async fn create(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    if !call.target.name.is_empty() || call.kind.namespaced && call.target.namespace.is_empty() {
        return Err(Status::not_allowed());
    }
    let bytes = body::bytes(request).await?;
    let (mut object, warnings) = body::object(call, &bytes)?;
    node::check_new(call, &object)?;
    super::review::check_rights(call, &object)?;
    call.kind.keep(&mut object);
    alias::check(call.kind, &object, None)?;
    let entry = call.server.objects.create(call.kind.kept(), &call.target.namespace, object, &context(call)?).await?;
    answered(call, 201, &entry, &warnings)
}

pub(super) async fn update(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let bytes = body::bytes(request).await?;
    let (mut object, warnings) = body::object(call, &bytes)?;
    super::review::check_rights(call, &object)?;
    call.kind.keep(&mut object);
    let target = &call.target;
    let entry = call
        .server
        .objects
        .update(call.kind.kept(), &target.namespace, &target.name, part(call), &context(call)?, |old| {
            node::check_change(call, old, &object)?;
            alias::check(call.kind, &object, Some(old))?;
            Ok(object.clone())
        })
        .await?;
    answered(call, 200, &entry, &warnings)
}

pub(super) async fn patch(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let bytes = body::bytes(request).await?;
    match call.media() {
        "application/apply-patch+yaml" => return apply(call, &bytes).await,
        media if !PATCHES.contains(&media) => return Err(Status::unsupported_media(media, &PATCHES)),
        _ => {}
    }
    let (patch, twice) = body::any(call, &bytes)?;
    let mut warnings = Vec::new();
    let (target, context) = (&call.target, context(call)?);
    let changed = call.server.objects.update(call.kind.kept(), &target.namespace, &target.name, part(call), &context, |old| {
        let mut new = old.clone();
        call.kind.show(&mut new);
        change(call, call.media(), &mut new, patch.clone())?;
        warnings = body::check(call, &mut new, twice.clone())?;
        node::check_change(call, old, &new)?;
        super::review::check_rights(call, &new)?;
        call.kind.keep(&mut new);
        alias::check(call.kind, &new, Some(old))?;
        Ok(new)
    });
    let entry = changed.await?;
    answered(call, 200, &entry, &warnings)
}

/// Applies one of the three patches that look at the object as it is.
pub(super) fn change(call: &Call<'_>, media: &str, object: &mut Value, change: Value) -> Result<(), Status> {
    match media {
        "application/json-patch+json" => {
            const MOST: usize = 10_000;
            if change.as_array().is_some_and(|list| list.len() > MOST) {
                return Err(Status::too_large());
            }
            patch::operations(object, change).map_err(|e| match e {
                patch::NotPatched::Decode(_) => Status::bad_request(e.to_string()),
                other => Status::unprocessable(other.to_string()),
            })
        }
        "application/merge-patch+json" if change.is_object() => {
            patch::merge(object, change);
            Ok(())
        }
        "application/strategic-merge-patch+json" => {
            patch::strategic(object, change, call.kind.table).map_err(|e| Status::unprocessable(e.to_string()))
        }
        "application/merge-patch+json" => Err(Status::bad_request("a merge patch must be an object")),
        other => Err(Status::unsupported_media(other, &PATCHES)),
    }
}

/// Who applies: they must say so.
pub(super) fn applier(call: &Call<'_>) -> Result<String, Status> {
    let manager = call.query.text("fieldManager");
    if manager.is_empty() {
        return Err(Status::unprocessable(
            "PatchOptions.meta.k8s.io \"\" is invalid: fieldManager: Required value: is required for apply patch",
        ));
    }
    Ok(manager.into())
}

async fn apply(call: &Call<'_>, bytes: &[u8]) -> Result<Response<Body>, Status> {
    let manager = applier(call)?;
    let (mut config, warnings) = body::object(call, bytes)?;
    if config["metadata"].get("managedFields").is_some() {
        return Err(Status::bad_request("metadata.managedFields must be nil"));
    }
    super::review::check_rights(call, &config)?;
    call.kind.keep(&mut config);
    let (kind, context) = (call.kind.kept(), Context { applied: true, ..context(call)? });
    let writer = Writer { manager, api_version: call.kind.api_version(), subresource: call.target.part.clone() };
    let force = call.query.flag("force");
    let (objects, target) = (&call.server.objects, &call.target);
    let laid = |live: Option<&Value>| {
        let laid = patch::apply(live, &config, kind.table, &writer, force, Time::now())
            .map(|a| a.object)
            .map_err(|c| Status::apply_conflict(&c))?;
        alias::check(call.kind, &laid, live)?;
        Ok(laid)
    };
    loop {
        let changed = objects.update(kind, &target.namespace, &target.name, part(call), &context, |old| {
            let mut new = laid(Some(old))?;
            if let Some(asked) = config["metadata"].get("resourceVersion") {
                new["metadata"]["resourceVersion"] = asked.clone();
            }
            node::check_change(call, old, &new)?;
            Ok(new)
        });
        match changed.await {
            Err(status) if status.code == 404 && status.details["kind"] == call.kind.plural && call.target.part.is_empty() => {
                node::check_new(call, &config)?;
                match objects.create(kind, &target.namespace, laid(None)?, &context).await {
                    // made by another since we looked
                    Err(status) if status.reason == "AlreadyExists" && !context.dry_run => {}
                    made => return answered(call, 201, &*made?, &warnings),
                }
            }
            changed => return answered(call, 200, &*changed?, &warnings),
        }
    }
}

/// Deletion's options: from the body, where there is one, and from the query.
pub(super) fn delete_options(call: &Call<'_>, given: &Value) -> Result<DeleteOptions, Status> {
    let number = |name: &str| given[name].as_i64().or_else(|| call.query.text(name).parse().ok());
    let text = |name: &str| {
        given[name].as_str().map(String::from).or_else(|| Some(call.query.text(name)).filter(|t| !t.is_empty()).map(String::from))
    };
    let grace = number("gracePeriodSeconds");
    if grace.is_some_and(|g| g < 0) {
        return Err(Status::unprocessable("gracePeriodSeconds: Invalid value: must be greater than or equal to 0"));
    }
    let orphans = given["orphanDependents"].as_bool().unwrap_or_else(|| call.query.flag("orphanDependents"));
    let propagation = match text("propagationPolicy").as_deref() {
        Some("Orphan") => Propagation::Orphan,
        Some("Foreground") => Propagation::Foreground,
        Some("Background") | None if !orphans => Propagation::Background,
        Some("Background") | None => Propagation::Orphan,
        Some(other) => {
            let why = format!(
                "propagationPolicy: Unsupported value: {other:?}: supported values: \"Background\", \"Foreground\", \"Orphan\""
            );
            return Err(Status::unprocessable(why));
        }
    };
    let condition = |name: &str| given["preconditions"][name].as_str().map(String::from);
    let dry_run = dry_run(call)? || given["dryRun"].as_array().is_some_and(|d| d.iter().any(|d| d == "All"));
    Ok(DeleteOptions { grace, propagation, uid: condition("uid"), resource_version: condition("resourceVersion"), dry_run })
}

async fn options(call: &Call<'_>, request: Request<Incoming>) -> Result<DeleteOptions, Status> {
    let bytes = body::bytes(request).await?;
    let given = if bytes.is_empty() { json!({}) } else { body::any(call, &bytes)?.0 };
    delete_options(call, &given)
}

pub(super) async fn delete(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let options = options(call, request).await?;
    let target = &call.target;
    match call.server.objects.delete(call.kind.kept(), &target.namespace, &target.name, &options).await? {
        Deleted::Gone(entry) => {
            let object = entry.object();
            Ok(answer::object(200, &Status::deleted(call.kind, &target.name, object["metadata"]["uid"].as_str().unwrap_or(""))))
        }
        Deleted::Going(entry) => answered(call, 200, &entry, &[]),
    }
}

pub(super) async fn delete_all(call: &Call<'_>, request: Request<Incoming>) -> Result<Response<Body>, Status> {
    let options = options(call, request).await?;
    let choice = Choice::of(call)?;
    let objects = &call.server.objects;
    let all = objects.store().list(&prefix(call.kind, &call.target.namespace), None).map_err(|e| Status::expired(e.to_string()))?;
    for entry in all.entries.iter().filter(|e| choice.takes(e)) {
        let object = entry.object();
        let of = |field: &str| object["metadata"][field].as_str().unwrap_or("").to_string();
        match objects.delete(call.kind.kept(), &of("namespace"), &of("name"), &options).await {
            // gone already, which is what is wanted
            Err(status) if status.code == 404 => {}
            other => drop(other?),
        }
    }
    Ok(answer::object(
        200,
        &json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": {"group": call.kind.group, "kind": call.kind.plural}}),
    ))
}
