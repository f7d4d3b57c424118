//! What is served, and how the server is: discovery, OpenAPI, version, health.

use std::sync::LazyLock;

use api::status::Status;
use api::{discovery, openapi};
use hyper::HeaderMap;
use hyper::Response;
use hyper::header::{ACCEPT, CONTENT_TYPE, ETAG, HeaderValue, IF_NONE_MATCH, VARY};
use ring::digest::{SHA256, digest};
use serde_json::{Map, Value, json};

use super::Server;
use super::answer::{self, Body};

/// The version of Kubernetes whose API this is a part of.
const VERSION: (&str, &str, &str) = ("1", "34", "v1.34.0+noded");

/// Documents that never change while this process lives: path, text, hash.
static OPENAPI: LazyLock<Vec<(String, String, String)>> = LazyLock::new(|| {
    let groups = discovery::groups().into_iter();
    let document = |(group, version): (&str, &str)| {
        let path = if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") };
        let text = openapi::document(group, version)?.to_string();
        let hash = hash(text.as_bytes());
        Some((path, text, hash))
    };
    groups.filter_map(document).collect()
});

fn hash(bytes: &[u8]) -> String {
    digest(&SHA256, bytes).as_ref().iter().take(32).map(|b| format!("{b:02X}")).collect()
}

pub(super) fn answer(server: &Server, path: &str, headers: &HeaderMap) -> Result<Response<Body>, Status> {
    let accept = headers.get(ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or("");
    let aggregated =
        accept.split(',').any(|a| a.contains("g=apidiscovery.k8s.io") && a.contains("v=v2") && !a.contains("v=v2beta1"));
    let parts: Vec<&str> = path.trim_matches('/').split('/').collect();
    let text = match parts.as_slice() {
        ["api"] | ["apis"] if aggregated => {
            let mut response = tagged(discovery::aggregated(parts[0] == "api").to_string(), headers);
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(discovery::AGGREGATED));
            response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
            return Ok(response);
        }
        ["api"] => discovery::core_versions(&server.address).to_string(),
        ["apis"] => discovery::group_list().to_string(),
        ["apis", group] => discovery::one_group(group).ok_or_else(Status::no_such_path)?.to_string(),
        ["api", version] => discovery::resource_list("", version).ok_or_else(Status::no_such_path)?.to_string(),
        ["apis", group, version] => discovery::resource_list(group, version).ok_or_else(Status::no_such_path)?.to_string(),
        ["openapi", "v3"] => openapi_index().to_string(),
        ["openapi", "v3", rest @ ..] => {
            let path = rest.join("/");
            OPENAPI.iter().find(|(p, _, _)| *p == path).ok_or_else(Status::no_such_path)?.1.clone()
        }
        ["version"] => version().to_string(),
        ["healthz" | "livez" | "readyz"] => return Ok(answer::typed(200, "text/plain; charset=utf-8", "ok")),
        _ => return Err(Status::no_such_path()),
    };
    Ok(tagged(text, headers))
}

/// A document with its tag; nothing but the tag for who has it already.
fn tagged(text: String, headers: &HeaderMap) -> Response<Body> {
    let tag = format!("\"{}\"", hash(text.as_bytes()));
    let is_known = headers.get(IF_NONE_MATCH).is_some_and(|v| v.as_bytes() == tag.as_bytes());
    let mut response = if is_known { answer::json(304, "") } else { answer::json(200, text) };
    if let Ok(value) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, value);
    }
    response
}

fn openapi_index() -> Value {
    let paths: Map<String, Value> = OPENAPI
        .iter()
        .map(|(path, _, hash)| (path.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{path}?hash={hash}")})))
        .collect();
    json!({"paths": paths})
}

fn version() -> Value {
    let (major, minor, whole) = VERSION;
    let platform = format!("linux/{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
    json!({"major": major, "minor": minor, "gitVersion": whole, "gitCommit": "", "gitTreeState": "clean", "buildDate": "1970-01-01T00:00:00Z",
        "goVersion": "", "compiler": "rustc", "platform": platform})
}
