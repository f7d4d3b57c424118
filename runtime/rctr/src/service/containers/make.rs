//! Containers are made and changed.

use anyhow::{Context as _, Result};
use hyper::StatusCode;
use serde_json::{Value, json};

use super::super::answer::{Answer, json as document};
use super::super::call::Call;
use super::super::create::{self, Refusal};
use super::super::lock;
use super::super::refused::bad;
use crate::verbs;

/// `POST /containers/create`.
pub(in super::super) fn create(call: &mut Call) -> Result<Answer> {
    let body = call.object()?;
    let name = call.query.get("name").map(|name| name.trim_start_matches('/').to_owned());
    let platform = call.query.parsed("platform", |text| text.parse::<images::Platform>().map_err(|error| error.to_string()))?;
    let asked = create::read(&body, name.as_deref()).map_err(refused)?;
    let service = &call.service;
    let image = service.engine.images().image_for(&asked.image, platform.as_ref())?;
    for mounted in asked.args.mounted_images() {
        service.engine.images().image(mounted)?;
    }
    let request = verbs::create::request(&service.engine, asked.args)?;
    let request = asked.more.apply(request);
    let record = service.engine.create(&request, &image)?;
    if let Some(size) = asked.size {
        lock(&service.sizes).insert(record.id.clone(), size);
    }
    Ok(Answer::Json(StatusCode::CREATED, json!({ "Id": record.id, "Warnings": [] })))
}

fn refused(Refusal(why): Refusal) -> anyhow::Error {
    bad(why)
}

/// `POST /containers/NAME/update`.
pub(in super::super) fn update(call: &mut Call) -> Result<Answer> {
    let body = call.object()?;
    let change = create::change(&body).map_err(refused)?;
    call.service.engine.update(call.name(), &change).with_context(|| format!("update {}", call.name()))?;
    document(json!({ "Warnings": Value::Null }))
}
