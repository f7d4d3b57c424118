//! get and list.

use std::collections::BTreeMap;
use std::sync::Arc;

use api::selector::{FieldSelector, LabelRules};
use api::status::Status;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hyper::Response;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::alias;
use super::answer::{self, Body};
use super::route::Call;
use super::shape::{Shape, metadata, row, table_of};
use super::target::Query;
use crate::objects::prefix;
use crate::store::Entry;

/// Which objects a client wants.
pub(super) struct Choice {
    labels: LabelRules,
    fields: FieldSelector,
}

/// The little of an object that label selectors look at.
#[derive(Deserialize)]
struct Labelled {
    metadata: Labels,
}

#[derive(Deserialize)]
struct Labels {
    #[serde(default)]
    labels: BTreeMap<String, String>,
}

impl Choice {
    pub(super) fn of(call: &Call<'_>) -> Result<Self, Status> {
        let bad = |e: api::selector::NotASelector| Status::bad_request(e.0);
        let labels = LabelRules::parse(call.query.text("labelSelector")).map_err(bad)?;
        let mut fields = FieldSelector::parse(call.query.text("fieldSelector"), call.kind).map_err(bad)?;
        // a watch of one object by its path is a choice by name
        if !call.target.name.is_empty() {
            fields.0.push(("metadata.name".into(), true, call.target.name.clone()));
        }
        Ok(Self { labels, fields })
    }

    pub(super) fn takes(&self, entry: &Entry) -> bool {
        if let Some(name) = self.fields.wanted("metadata.name")
            && entry.key.rsplit('/').next() != Some(name)
        {
            return false;
        }
        let labels_fit = self.labels.0.is_empty()
            || serde_json::from_slice::<Labelled>(&entry.value).is_ok_and(|l| self.labels.allow(&l.metadata.labels));
        labels_fit && (self.fields.0.is_empty() || self.fields.allows(&entry.object()))
    }
}

pub(super) fn get(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let shape = Shape::wanted(&call.accept, &call.query)?;
    let entry = call.server.objects.get(call.kind, &call.target.namespace, &call.target.name)?;
    Ok(answer::json(200, shape.one(call.kind, &entry)))
}

/// Where the next part of a list begins.
#[derive(Serialize, Deserialize)]
struct Next {
    rv: u64,
    after: String,
}

pub(super) fn list(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let shape = Shape::wanted(&call.accept, &call.query)?;
    let choice = Choice::of(call)?;
    let next = match call.query.text("continue") {
        "" => None,
        token => {
            check_match(&call.query)?;
            let read = URL_SAFE_NO_PAD.decode(token).ok().and_then(|t| serde_json::from_slice::<Next>(&t).ok());
            // nobody was ever given one of the future
            let read = read.filter(|next| next.rv <= call.server.objects.store().revision());
            Some(read.ok_or_else(|| Status::bad_request("continue key is not valid"))?)
        }
    };
    let store = call.server.objects.store();
    let at = match &next {
        Some(next) => Some(next.rv),
        None => revision(call)?,
    };
    let snapshot = store.list(&prefix(call.kind, &call.target.namespace), at).map_err(|_| {
        Status::expired("The provided continue parameter is too old to display a consistent list result. You must start a new list without the continue parameter.")
    })?;
    let chosen =
        snapshot.entries.into_iter().filter(|e| next.as_ref().is_none_or(|n| *e.key > *n.after)).filter(|e| choice.takes(e));
    let (entries, meta) = part(chosen.collect(), snapshot.revision, call.query.number("limit")?);
    Ok(answer::json(200, shown(call, shape, &entries, &meta)))
}

/// The revision that a list must show exactly, if one is asked for.
fn revision(call: &Call<'_>) -> Result<Option<u64>, Status> {
    let (asked, rule) = (call.query.text("resourceVersion"), call.query.text("resourceVersionMatch"));
    check_match(&call.query)?;
    let bad = || Status::bad_request(format!("resourceVersion: Invalid value: {asked:?}: must be a number"));
    let number = if asked.is_empty() { 0 } else { asked.parse::<u64>().map_err(|_| bad())? };
    let now = call.server.objects.store().revision();
    if number > now {
        let mut status = Status::timeout(format!("Too large resource version: {number}, current: {now}"));
        status.details = json!({"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}], "retryAfterSeconds": 1});
        return Err(status);
    }
    Ok((rule == "Exact" && number > 0).then_some(number))
}

/// Refuses rules about revisions that make no sense, in lists and watches.
pub(super) fn check_match(query: &Query) -> Result<(), Status> {
    let (asked, rule) = (query.text("resourceVersion"), query.text("resourceVersionMatch"));
    let (is_watch, send_initial) = (query.flag("watch"), query.flag("sendInitialEvents"));
    let why = match rule {
        "" if send_initial => "sendInitialEvents: Forbidden: requires resourceVersionMatch set to NotOlderThan",
        "" => return Ok(()),
        "Exact" if send_initial => "sendInitialEvents: Forbidden: requires resourceVersionMatch set to NotOlderThan",
        _ if is_watch && !send_initial => {
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        }
        "NotOlderThan" if is_watch => return Ok(()),
        _ if !query.text("continue").is_empty() => {
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden when continue is provided"
        }
        _ if asked.is_empty() => {
            "resourceVersionMatch: Forbidden: resourceVersionMatch is forbidden unless resourceVersion is provided"
        }
        "Exact" if asked == "0" => {
            "resourceVersionMatch: Forbidden: resourceVersionMatch \"Exact\" is forbidden for resourceVersion \"0\""
        }
        "Exact" | "NotOlderThan" => return Ok(()),
        other => {
            let why =
                format!("resourceVersionMatch: Unsupported value: {other:?}: supported values: \"Exact\", \"NotOlderThan\", \"\"");
            return Err(Status::unprocessable(format!("ListOptions.meta.k8s.io \"\" is invalid: {why}")));
        }
    };
    Err(Status::unprocessable(format!("ListOptions.meta.k8s.io \"\" is invalid: {why}")))
}

/// Cuts a list after `limit` objects (0: never) and says where to go on.
fn part(mut entries: Vec<Arc<Entry>>, revision: u64, limit: u64) -> (Vec<Arc<Entry>>, Value) {
    let mut meta = json!({"resourceVersion": revision.to_string()});
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    if limit > 0 && entries.len() > limit {
        meta["remainingItemCount"] = (entries.len() - limit).into();
        entries.truncate(limit);
        let after = entries[limit - 1].key.to_string();
        let token = serde_json::to_vec(&Next { rv: revision, after }).unwrap_or_default();
        meta["continue"] = URL_SAFE_NO_PAD.encode(token).into();
    }
    (entries, meta)
}

pub(super) fn shown(call: &Call<'_>, shape: Shape, entries: &[Arc<Entry>], meta: &Value) -> Vec<u8> {
    match shape {
        Shape::Table(included) => {
            let rows = entries.iter().map(|e| row(call.kind, e, included)).collect();
            table_of(call.kind, rows, meta, true).to_string().into_bytes()
        }
        Shape::Metadata => {
            let items: Vec<Value> = entries.iter().map(|e| metadata(&e.object())).collect();
            json!({"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "items": items})
                .to_string()
                .into_bytes()
        }
        Shape::Whole => {
            let size: usize = entries.iter().map(|e| e.value.len() + 1).sum();
            let head = format!(
                "{{\"kind\":\"{}List\",\"apiVersion\":\"{}\",\"metadata\":{meta},\"items\":[",
                call.kind.kind,
                call.kind.api_version()
            );
            let mut bytes = Vec::with_capacity(size + head.len() + 2);
            bytes.extend_from_slice(head.as_bytes());
            for (at, entry) in entries.iter().enumerate() {
                if at > 0 {
                    bytes.push(b',');
                }
                bytes.extend_from_slice(&alias::bytes(call.kind, entry));
            }
            bytes.extend_from_slice(b"]}");
            bytes
        }
    }
}
