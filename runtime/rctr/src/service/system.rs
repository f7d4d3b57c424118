//! Who answers, and what the host has.

use anyhow::Result;
use hyper::StatusCode;

use super::answer::{Answer, json};
use super::call::Call;
use super::refused::Refused;
use super::{OLDEST, VERSION};
use crate::verbs;

/// `OK`, and the version in the head of the answer.
pub(super) fn ping(_: &mut Call) -> Result<Answer> {
    let headers = vec![
        // The classic one: BuildKit is not here.
        ("Builder-Version", "1".to_owned()),
        ("Cache-Control", "no-cache, no-store, must-revalidate".to_owned()),
        ("Pragma", "no-cache".to_owned()),
        ("Swarm", "inactive".to_owned()),
    ];
    Ok(Answer::Stream("text/plain; charset=utf-8", headers, Box::new(|out| Ok(std::io::Write::write_all(out, b"OK")?))))
}

/// `GET /version`.
pub(super) fn version(_: &mut Call) -> Result<Answer> {
    let mut version = verbs::version::program();
    let text = |(major, minor): (u32, u32)| format!("{major}.{minor}");
    (version["ApiVersion"], version["MinAPIVersion"]) = (text(VERSION).into(), text(OLDEST).into());
    let details = version.clone();
    version["Components"] = serde_json::json!([{ "Name": "Engine", "Version": version["Version"], "Details": details }]);
    version["Platform"] = serde_json::json!({ "Name": "rctr" });
    json(version)
}

/// `GET /info`.
pub(super) fn info(call: &mut Call) -> Result<Answer> {
    json(verbs::info::shape(&call.service.engine)?)
}

/// What BuildKit's clients ask for first.
pub(super) fn no_session(_: &mut Call) -> Result<Answer> {
    let why = "BuildKit is not served: build with DOCKER_BUILDKIT=0 in the environment, or with rctr build";
    Err(Refused(StatusCode::NOT_IMPLEMENTED, why.to_owned()).into())
}
