//! Who answers, and what the host has.

use std::time::UNIX_EPOCH;

use anyhow::Result;
use hyper::StatusCode;
use serde_json::json;

use super::answer::{Answer, json as document};
use super::call::Call;
use super::create::LOG_DRIVER;
use super::refused::Refused;
use super::{OLDEST, VERSION};
use crate::output::amount::rfc3339;
use crate::verbs;
use crate::verbs::system::df::Usage;

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
    version["Components"] = json!([{ "Name": "Engine", "Version": version["Version"], "Details": details }]);
    version["Platform"] = json!({ "Name": "rctr" });
    document(version)
}

/// `GET /info`.
pub(super) fn info(call: &mut Call) -> Result<Answer> {
    let mut shape = verbs::info::shape(&call.service.engine)?;
    shape["LoggingDriver"] = LOG_DRIVER.into();
    document(shape)
}

/// `GET /system/df`.
pub(super) fn usage(call: &mut Call) -> Result<Answer> {
    let engine = &call.service.engine;
    let usage = Usage::look(engine)?;
    let images = usage.images.iter().map(|image| {
        let mut row = super::images::row(image);
        (row["Containers"], row["SharedSize"]) = (usage.users(image).into(), usage.bytes(image, true).into());
        row
    });
    let volumes = usage.volumes.iter().map(|(volume, bytes)| {
        let mut row = verbs::volume::shape(volume);
        row["UsageData"] = json!({ "Size": bytes, "RefCount": volume.users.len() });
        row
    });
    let containers = usage.containers.iter().map(|(container, _)| super::containers::look::row(engine, container, true));
    let steps = usage.builds.steps.iter().map(|step| {
        let used = step.used.duration_since(UNIX_EPOCH).unwrap_or_default();
        let used = rfc3339(u64::try_from(used.as_nanos()).unwrap_or(u64::MAX));
        json!({
            "ID": step.key, "Type": "regular", "Description": step.what, "InUse": false, "Shared": step.shared, "Size": step.bytes,
            "LastUsedAt": used,
        })
    });
    document(json!({
        "LayersSize": usage.layer_bytes(),
        "Images": images.collect::<Vec<_>>(),
        "Containers": containers.collect::<Result<Vec<_>>>()?,
        "Volumes": volumes.collect::<Vec<_>>(),
        "BuildCache": steps.collect::<Vec<_>>(),
        "BuilderSize": usage.builds.reclaimable(),
    }))
}

/// What BuildKit's clients ask for first.
pub(super) fn no_session(_: &mut Call) -> Result<Answer> {
    let why = "BuildKit is not served: build with DOCKER_BUILDKIT=0 in the environment, or with rctr build";
    Err(Refused(StatusCode::NOT_IMPLEMENTED, why.to_owned()).into())
}
