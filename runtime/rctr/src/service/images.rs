//! `/images`: what is here.

use std::io::{BufWriter, Write as _};
use std::sync::Arc;

use anyhow::Result;
use engine::CommitRequest;
use hyper::StatusCode;
use images::{Change, Image, Reference};
use serde_json::{Value, json};

use super::answer::{Answer, Output, json as document, lines};
use super::call::{Call, Query};
use super::progress::{self, LOAD};
use super::refused::bad;
use crate::context::policy;
use crate::output::{amount, told};
use crate::verbs::images::{created, filter};
use crate::verbs::{history, inspect, prune as pruning, rmi, tag as tagging};

/// `GET /images/json`.
pub(super) fn list(call: &mut Call) -> Result<Answer> {
    let store = call.service.engine.images();
    let filters = call.query.filters(filter::parse)?;
    let wanted = filter::Wanted::new(&filters, None, store)?;
    let mut images = store.images()?;
    images.sort_by_key(|image| std::cmp::Reverse(created(image)));
    let fits = |image: &&Image| {
        wanted.image(image)
            && if image.names.is_empty() { wanted.nameless() } else { image.names.iter().any(|name| wanted.name(name)) }
    };
    document(images.iter().filter(fits).map(row).collect())
}

/// One image of the list, made of what `inspect` says.
pub(super) fn row(image: &Image) -> Value {
    let whole = inspect::image::shape(image);
    json!({
        "Id": whole["Id"], "ParentId": "", "RepoTags": whole["RepoTags"], "RepoDigests": whole["RepoDigests"],
        "Created": created(image) / 1_000_000_000, "Size": whole["Size"], "VirtualSize": whole["Size"], "SharedSize": -1,
        "Labels": whole["Config"]["Labels"], "Containers": -1,
    })
}

/// `GET /images/NAME/json`.
pub(super) fn look(call: &mut Call) -> Result<Answer> {
    document(inspect::image::shape(&call.service.engine.images().image(call.name())?))
}

/// `GET /images/NAME/history`.
pub(super) fn steps(call: &mut Call) -> Result<Answer> {
    let engine = &call.service.engine;
    let image = engine.images().image(call.name())?;
    let steps = history::steps(engine, &image)?;
    let rows = steps.iter().rev().enumerate().map(|(at, (step, size))| {
        let time = step.created.as_deref().and_then(amount::parse_rfc3339).unwrap_or_default();
        let tags = if at == 0 { inspect::image::shape(&image)["RepoTags"].clone() } else { Value::Null };
        json!({
            "Id": if at == 0 { image.id.to_string() } else { "<missing>".to_owned() }, "Created": time / 1_000_000_000,
            "CreatedBy": step.created_by, "Tags": tags, "Size": size, "Comment": step.comment,
        })
    });
    document(rows.collect())
}

/// `NAME` and `TAG` of a query.
fn named(query: &Query, name: &str, tag: &str) -> Result<Option<Reference>> {
    let Some(name) = query.get(name) else { return Ok(None) };
    let whole = match query.get(tag) {
        Some(tag) if tag.contains(':') => format!("{name}@{tag}"),
        Some(tag) => format!("{name}:{tag}"),
        None => name.to_owned(),
    };
    Ok(Some(whole.parse::<Reference>()?))
}

/// `POST /images/NAME/tag`.
pub(super) fn tag(call: &mut Call) -> Result<Answer> {
    let target = named(&call.query, "repo", "tag")?.ok_or_else(|| bad("repo: a name is needed"))?;
    tagging::tag(&call.service.engine, call.name(), &target)?;
    Ok(Answer::Empty(StatusCode::CREATED))
}

/// `DELETE /images/NAME`.
pub(super) fn remove(call: &mut Call) -> Result<Answer> {
    let removed = rmi::remove(&call.service.engine, call.name(), call.query.is("force"))?;
    let untagged = removed.untagged.iter().map(|name| json!({ "Untagged": name }));
    document(untagged.chain(removed.deleted.iter().map(|digest| json!({ "Deleted": digest }))).collect())
}

/// `POST /images/prune`: those without a name, or with `dangling=false` all that no container uses.
pub(super) fn prune(call: &mut Call) -> Result<Answer> {
    let (mut all, mut filters) = (false, Vec::new());
    for text in call.query.filters(|text| Ok(text.to_owned()))? {
        match text.strip_prefix("dangling=") {
            Some(value) => all = matches!(value, "false" | "0"),
            None => filters.push(crate::parse::prune_filter(&text).map_err(|why| bad(format!("filters: {why}")))?),
        }
    }
    let pruned = pruning::prune(&call.service.engine, all, &pruning::Which::fitting(&filters))?;
    let gone = pruned.lines.iter().filter_map(|line| match line.split_once(": ")? {
        ("untagged", name) => Some(json!({ "Untagged": name })),
        (_, digest) => Some(json!({ "Deleted": digest })),
    });
    document(json!({ "ImagesDeleted": gone.collect::<Vec<_>>(), "SpaceReclaimed": pruned.freed }))
}

/// `POST /commit`.
pub(super) fn commit(call: &mut Call) -> Result<Answer> {
    let body: Option<serde_json::Map<String, Value>> = call.document()?;
    if let Some((key, _)) = body.iter().flatten().find(|(_, value)| !super::create::is_nothing(value)) {
        return Err(bad(format!("{key}: how the image runs is changed by the query's changes")));
    }
    let query = &call.query;
    let text = |key: &str| query.get(key).unwrap_or_default().to_owned();
    let request = CommitRequest {
        name: named(query, "repo", "tag")?,
        author: text("author"),
        message: text("comment"),
        changes: changes(query)?,
        pause: query.is_or("pause", true),
        created: amount::rfc3339(engine::now()),
    };
    let container = query.get("container").ok_or_else(|| bad("container: a name is needed"))?;
    let image = call.service.engine.commit(container, &request)?;
    Ok(Answer::Json(StatusCode::CREATED, json!({ "Id": image.id })))
}

/// Lines of a Dockerfile.
pub(super) fn changes(query: &Query) -> Result<Vec<Change>> {
    let lines = query.all("changes").flat_map(str::lines).filter(|line| !line.trim().is_empty());
    lines.map(|line| line.parse::<Change>().map_err(|error| bad(format!("changes: {error}")))).collect()
}

/// `GET /images/get` and `GET /images/NAME/get`.
pub(super) fn save(call: &mut Call) -> Result<Answer> {
    let service = Arc::clone(&call.service);
    let asked = call.query.all("names").flat_map(|names| names.split(','));
    let names: Vec<String> = call.names.iter().map(String::as_str).chain(asked).map(str::to_owned).collect();
    if names.is_empty() {
        return Err(bad("names: a name is needed"));
    }
    // While there is a status to say so.
    names.iter().try_for_each(|name| service.engine.images().image(name).map(drop))?;
    let images::PullOptions { registries, credentials, .. } = service.context.pull_options(None)?;
    let options = images::SaveOptions { registries, credentials, platforms: Vec::new() };
    let write = move |out: &mut Output| {
        // It is written by a loop that must not be held up by a slow client.
        let (mut read, write) = std::io::pipe()?;
        let saved = std::thread::scope(|scope| {
            let saving = scope.spawn(|| -> Result<()> {
                let mut write = BufWriter::with_capacity(64 << 10, write);
                images::save(service.engine.images(), &names, &options, &mut write, &())?;
                Ok(write.flush()?)
            });
            let copied = std::io::copy(&mut read, out);
            drop(read);
            let saved = saving.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            copied.map_err(anyhow::Error::from).and(saved)
        });
        names.iter().for_each(|name| told::image(&service.engine, "save", name, name));
        saved
    };
    Ok(Answer::Stream("application/x-tar", Vec::new(), Box::new(write)))
}

/// `POST /images/load`.
pub(super) fn load(call: &mut Call) -> Result<Answer> {
    let service = Arc::clone(&call.service);
    let archive = call.spooled()?;
    let options = images::LoadOptions { policy: policy()?, ..images::LoadOptions::default() };
    lines(move |out| {
        let loaded = progress::apart(&mut |line| Ok(out.document(&line)?), LOAD, |progress| {
            Ok(images::load(service.engine.images(), archive, &options, progress)?)
        });
        let loaded = match loaded {
            Ok(loaded) => loaded,
            Err(error) => return Ok(out.document(&progress::failed(&error))?),
        };
        for image in loaded.iter().map(|loaded| &loaded.image) {
            told::image(&service.engine, "load", image.id.as_str(), image.id.as_str());
            for name in image.names.iter().map(Reference::familiar) {
                out.document(&json!({ "stream": format!("Loaded image: {name}\n") }))?;
            }
            if image.names.is_empty() {
                out.document(&json!({ "stream": format!("Loaded image ID: {}\n", image.id) }))?;
            }
        }
        Ok(())
    })
}
