//! What a client sends.

use api::json;
use api::kinds::{self, Kind};
use api::proto;
use api::schema;
use api::status::Status;
use bytes::Bytes;
use http_body_util::{BodyExt, Limited};
use hyper::Request;
use hyper::body::Incoming;
use serde_json::Value;

use super::route::Call;

/// The most that a body may be.
const MOST: usize = 3 << 20;

/// The whole body.
pub(super) async fn bytes(request: Request<Incoming>) -> Result<Bytes, Status> {
    let read = Limited::new(request.into_body(), MOST).collect();
    // a client that sends slower than this is not sending
    let read = tokio::time::timeout(std::time::Duration::from_secs(60), read).await;
    match read {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(e)) if e.is::<http_body_util::LengthLimitError>() => Err(Status::too_large()),
        Ok(Err(e)) => Err(Status::bad_request(format!("read the body: {e}"))),
        Err(_) => Err(Status::timeout("the body did not arrive in time")),
    }
}

/// Forms of bodies, and of patches.
const FORMS: [&str; 3] = ["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];
pub(super) const PATCHES: [&str; 4] = [
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/apply-patch+yaml",
];

/// An object, a patch or whatever else a client sends, and the keys that are in it twice. The client says what it sends, but for protobuf,
/// which says so itself.
pub(super) fn any(call: &Call<'_>, bytes: &[u8]) -> Result<(Value, Vec<String>), Status> {
    if bytes.starts_with(b"k8s\0") {
        return proto::read(bytes, kinds::table).map(|object| (object, Vec::new())).map_err(|e| Status::bad_request(e.to_string()));
    }
    let as_json = || json::parse(bytes).map_err(|e| Status::bad_request(format!("the body is not JSON: {e}")));
    match call.media() {
        "application/yaml" | "application/apply-patch+yaml" => {
            // most of those who say YAML send JSON
            as_json().or_else(|_| json::parse_yaml(bytes)).map_err(|e| Status::bad_request(format!("the body is not YAML: {e}")))
        }
        media if media.is_empty() || FORMS.contains(&media) || PATCHES.contains(&media) => as_json(),
        other => Err(Status::unsupported_media(other, &FORMS)),
    }
}

/// An object of the call's kind, and what the client is to be warned of.
pub(super) fn object(call: &Call<'_>, bytes: &[u8]) -> Result<(Value, Vec<String>), Status> {
    let (mut object, twice) = any(call, bytes)?;
    named(call.kind, &mut object)?;
    let warnings = check(call, &mut object, twice)?;
    placed(call, &mut object)?;
    Ok((object, warnings))
}

/// The object must say that it is what the path says.
fn named(kind: &Kind, object: &mut Value) -> Result<(), Status> {
    if !object.is_object() {
        return Err(Status::bad_request("the body is not an object"));
    }
    for (field, own) in [("apiVersion", kind.api_version()), ("kind", kind.kind.to_string())] {
        match object.get(field).and_then(Value::as_str) {
            Some(given) if given == own => {}
            None | Some("") => object[field] = own.into(),
            Some(given) => {
                let what = if field == "kind" { "kind" } else { "API version" };
                return Err(Status::bad_request(format!(
                    "the {what} in the data ({given}) does not match the expected {what} ({own})"
                )));
            }
        }
    }
    Ok(())
}

/// Wrong types and, where the client wants it so, unknown fields are refused.
pub(super) fn check(call: &Call<'_>, object: &mut Value, twice: Vec<String>) -> Result<Vec<String>, Status> {
    let kind = call.kind;
    let what = format!("{} in version {:?} cannot be handled as a {}", kind.kind, kind.version, kind.kind);
    let found = schema::decode(object, kind.table).map_err(|e| Status::bad_request(format!("{what}: {e}")))?;
    let unknown = found.unknown.into_iter().map(|f| format!("unknown field {f:?}"));
    let all: Vec<String> = unknown.chain(twice.into_iter().map(|f| format!("duplicate field {f:?}"))).collect();
    match call.query.text("fieldValidation") {
        _ if all.is_empty() => Ok(all),
        "Strict" => Err(Status::bad_request(format!("{what}: strict decoding error: {}", all.join(", ")))),
        "Ignore" => Ok(Vec::new()),
        "" | "Warn" => Ok(all),
        other => Err(Status::unprocessable(format!(
            "fieldValidation: Unsupported value: {other:?}: supported values: \"Ignore\", \"Strict\", \"Warn\""
        ))),
    }
}

/// The object must be where the path says.
fn placed(call: &Call<'_>, object: &mut Value) -> Result<(), Status> {
    if !object["metadata"].is_object() {
        object["metadata"] = Value::Object(serde_json::Map::new());
    }
    let target = &call.target;
    let given = object["metadata"]["namespace"].as_str().unwrap_or("").to_string();
    if call.kind.namespaced && !given.is_empty() && given != target.namespace {
        return Err(Status::bad_request(format!(
            "the namespace of the provided object does not match the namespace sent on the request ({given} and {})",
            target.namespace
        )));
    }
    if target.name.is_empty() {
        return Ok(());
    }
    match object["metadata"]["name"].as_str().unwrap_or("") {
        "" => object["metadata"]["name"] = target.name.clone().into(),
        name if name == target.name => {}
        name => {
            let why = format!("the name of the object ({name}) does not match the name on the URL ({})", target.name);
            return Err(Status::bad_request(why));
        }
    }
    Ok(())
}

/// Whether only the outcome is wanted.
pub(super) fn dry_run(call: &Call<'_>) -> Result<bool, Status> {
    match call.query.text("dryRun") {
        "" => Ok(false),
        "All" => Ok(true),
        other => Err(Status::unprocessable(format!("dryRun: Unsupported value: {other:?}: supported values: \"All\""))),
    }
}
