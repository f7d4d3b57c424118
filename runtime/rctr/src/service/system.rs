//! Who answers, and what the host has.

use std::collections::BTreeSet;

use anyhow::Result;
use hyper::StatusCode;
use serde_json::json;

use super::answer::{Answer, json as document};
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
    version["Components"] = json!([{ "Name": "Engine", "Version": version["Version"], "Details": details }]);
    version["Platform"] = json!({ "Name": "rctr" });
    document(version)
}

/// `GET /info`.
pub(super) fn info(call: &mut Call) -> Result<Answer> {
    document(verbs::info::shape(&call.service.engine)?)
}

/// `GET /system/df`.
pub(super) fn usage(call: &mut Call) -> Result<Answer> {
    let engine = &call.service.engine;
    let (images, containers) = (engine.images().images()?, engine.containers()?);
    let layers: BTreeSet<_> = images.iter().flat_map(|image| &image.layers).map(|layer| &layer.digest).collect();
    let whole: u64 = layers.iter().map(|digest| engine.images().unpacked_size(digest).unwrap_or_default()).sum();
    let rows = images.iter().map(|image| {
        let users = containers.iter().filter(|container| container.record.image.manifest == image.manifest).count();
        let mut row = super::images::row(image);
        (row["Containers"], row["SharedSize"]) = (users.into(), 0.into());
        row
    });
    let volumes = engine.volumes()?;
    let volumes = volumes.iter().map(|volume| {
        let mut row = verbs::volume::shape(volume);
        row["UsageData"] = json!({ "Size": engine.volume_size(volume), "RefCount": volume.users.len() });
        row
    });
    let containers = containers.iter().map(|container| super::containers::look::row(engine, container, true));
    document(json!({
        "LayersSize": whole,
        "Images": rows.collect::<Vec<_>>(),
        "Containers": containers.collect::<Result<Vec<_>>>()?,
        "Volumes": volumes.collect::<Vec<_>>(),
        "BuildCache": [],
        "BuilderSize": engine.build_cache()?.reclaimable(),
    }))
}

/// What BuildKit's clients ask for first.
pub(super) fn no_session(_: &mut Call) -> Result<Answer> {
    let why = "BuildKit is not served: build with DOCKER_BUILDKIT=0 in the environment, or with rctr build";
    Err(Refused(StatusCode::NOT_IMPLEMENTED, why.to_owned()).into())
}
