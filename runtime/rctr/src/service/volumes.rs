//! `/volumes`.

use std::collections::BTreeMap;

use anyhow::Result;
use engine::VolumeSpec;
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};

use super::answer::{Answer, done, json as document};
use super::call::Call;
use super::refused::bad;
use crate::verbs::volume::{filter, prune as pruning, shape};

/// `GET /volumes`.
pub(super) fn list(call: &mut Call) -> Result<Answer> {
    let filters = call.query.filters(filter::parse)?;
    let volumes = call.service.engine.volumes()?;
    let fitting = volumes.iter().filter(|volume| filter::fit(&filters, volume));
    document(json!({ "Volumes": fitting.map(shape).collect::<Vec<_>>(), "Warnings": Value::Null }))
}

/// `GET /volumes/NAME`.
pub(super) fn look(call: &mut Call) -> Result<Answer> {
    document(shape(&call.service.engine.volume(call.name())?))
}

/// What is asked for.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Asked {
    name: String,
    driver: String,
    driver_opts: Option<BTreeMap<String, String>>,
    labels: Option<BTreeMap<String, String>>,
    cluster_volume_spec: Option<Value>,
}

/// `POST /volumes/create`.
pub(super) fn make(call: &mut Call) -> Result<Answer> {
    let asked: Asked = call.document()?;
    if !matches!(asked.driver.as_str(), "" | "local") {
        return Err(bad(format!("Driver: {:?}: local is the only one", asked.driver)));
    }
    if asked.cluster_volume_spec.is_some() {
        return Err(bad("ClusterVolumeSpec: it is not supported"));
    }
    let spec = VolumeSpec { labels: asked.labels.unwrap_or_default(), options: asked.driver_opts.unwrap_or_default() };
    spec.check_options()?;
    let name = Some(asked.name.as_str()).filter(|name| !name.is_empty());
    Ok(Answer::Json(StatusCode::CREATED, shape(&call.service.engine.volume_create(name, &spec)?)))
}

/// `DELETE /volumes/NAME`.
pub(super) fn remove(call: &mut Call) -> Result<Answer> {
    match call.service.engine.volume_remove(call.name()) {
        Err(engine::Error::NoSuchVolume(_)) if call.query.is("force") => {}
        other => drop(other?),
    }
    done()
}

/// `POST /volumes/prune`.
pub(super) fn prune(call: &mut Call) -> Result<Answer> {
    let (gone, freed) = pruning::prune(&call.service.engine, false, &call.query.filters(filter::parse_prune)?)?;
    document(json!({ "VolumesDeleted": gone, "SpaceReclaimed": freed }))
}
