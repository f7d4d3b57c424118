//! watch: what happens, as it happens.

use std::sync::Arc;
use std::time::Duration;

use api::kinds::Kind;
use api::status::Status;
use bytes::Bytes;
use hyper::Response;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::alias;
use super::answer::{self, Body};
use super::read::{Choice, check_match};
use super::route::Call;
use super::shape::{Shape, metadata, row, table_of};
use crate::objects::prefix;
use crate::random;
use crate::store::{Entry, Event, Gone, Watch};

/// A piece of the answer is about so long: a client that stalls holds one of them.
const PIECE: usize = 16 << 10;
/// So often an idle client is told how far it has come.
const BOOKMARK_EVERY: Duration = Duration::from_secs(60);

struct Feed {
    kind: &'static Kind,
    shape: Shape,
    choice: Choice,
    watch: Watch,
    bookmarks: bool,
    named_columns: bool,
    /// Objects that were there at the beginning.
    initial: Option<std::vec::IntoIter<Arc<Entry>>>,
    /// The initial objects end with a mark.
    mark_initial: bool,
    ends: Instant,
    next_bookmark: Instant,
    over: bool,
}

pub(super) fn answer(call: &Call<'_>) -> Result<Response<Body>, Status> {
    let choice = Choice::of(call)?;
    let shape = Shape::wanted(&call.accept, &call.query)?;
    let (store, prefix) = (call.server.objects.store(), prefix(call.kind, &call.target.namespace));
    let asked = call.query.text("resourceVersion");
    let from = if asked.is_empty() {
        0
    } else {
        asked.parse::<u64>().map_err(|_| Status::bad_request(format!("Invalid resource version {asked:?}")))?
    };
    let send_initial = call.query.flag("sendInitialEvents");
    check_match(&call.query)?;
    // without a revision a watch begins with what is there
    let (initial, after) = if send_initial || from == 0 {
        let snapshot = store.list(&prefix, None).map_err(expired)?;
        (Some(snapshot.entries.into_iter()), snapshot.revision)
    } else {
        (None, from)
    };
    if after > store.revision() {
        return Err(Status::timeout(format!("Too large resource version: {after}, current: {}", store.revision())));
    }
    let watch = store.watch(&prefix, after).map_err(expired)?;
    let seconds = match call.query.number("timeoutSeconds")? {
        0 => 1800 + u64::from(random::below(1800)),
        asked => asked,
    };
    let now = Instant::now();
    let bookmarks = call.query.flag("allowWatchBookmarks");
    let feed = Feed {
        kind: call.kind,
        shape,
        choice,
        watch,
        bookmarks,
        named_columns: false,
        initial,
        mark_initial: send_initial && bookmarks,
        ends: now + Duration::from_secs(seconds.min(86400)),
        next_bookmark: now + BOOKMARK_EVERY,
        over: false,
    };
    Ok(answer::stream(futures_util::stream::unfold(feed, |mut feed| async move {
        let bytes = feed.next().await?;
        Some((bytes, feed))
    })))
}

fn expired(gone: Gone) -> Status {
    Status::expired(gone.to_string())
}

impl Feed {
    /// The next piece; nothing at the end.
    async fn next(&mut self) -> Option<Bytes> {
        if self.over {
            return None;
        }
        let mut out = Vec::new();
        if let Some(mut entries) = self.initial.take() {
            while out.len() < PIECE
                && let Some(entry) = entries.next()
            {
                if self.choice.takes(&entry) {
                    self.push(&mut out, "ADDED", &entry);
                }
            }
            if entries.len() > 0 {
                self.initial = Some(entries);
            } else if self.mark_initial {
                self.bookmark(&mut out, true);
            }
            if !out.is_empty() {
                return Some(out.into());
            }
        }
        while out.is_empty() {
            tokio::select! {
                events = self.watch.next() => match events {
                    Ok(events) if events.is_empty() => return None,
                    Ok(events) => events.iter().for_each(|e| self.event(&mut out, e)),
                    Err(gone) => {
                        self.over = true;
                        out.extend(frame("ERROR", expired(gone).object().to_string().as_bytes()));
                    }
                },
                () = tokio::time::sleep_until(self.next_bookmark), if self.bookmarks => {
                    self.next_bookmark = Instant::now() + BOOKMARK_EVERY;
                    self.bookmark(&mut out, false);
                }
                () = tokio::time::sleep_until(self.ends) => {
                    self.over = true;
                    if !self.bookmarks {
                        return None;
                    }
                    self.bookmark(&mut out, false);
                }
            }
        }
        Some(out.into())
    }

    /// An object may come into the choice or leave it.
    fn event(&mut self, out: &mut Vec<u8>, event: &Event) {
        let takes = |e: &Option<Arc<Entry>>| e.as_ref().is_some_and(|e| self.choice.takes(e));
        let (was, is) = (takes(&event.before), takes(&event.after));
        match (&event.after, was, is) {
            (Some(entry), false, true) => self.push(out, "ADDED", entry),
            (Some(entry), true, true) => self.push(out, "MODIFIED", entry),
            (Some(entry), true, false) => self.push(out, "DELETED", entry),
            (None, true, _) => {
                if let Some(entry) = &event.removed {
                    self.push(out, "DELETED", entry);
                }
            }
            _ => {}
        }
    }

    fn push(&mut self, out: &mut Vec<u8>, what: &str, entry: &Entry) {
        match self.shape {
            Shape::Whole => out.extend(frame(what, &alias::bytes(self.kind, entry))),
            Shape::Metadata => out.extend(frame(what, metadata(&entry.object()).to_string().as_bytes())),
            Shape::Table(included) => {
                let meta = json!({"resourceVersion": entry.revision.to_string()});
                let table = table_of(self.kind, vec![row(self.kind, entry, included)], &meta, !self.named_columns);
                self.named_columns = true;
                out.extend(frame(what, table.to_string().as_bytes()));
            }
        }
    }

    fn bookmark(&mut self, out: &mut Vec<u8>, ends_initial: bool) {
        let mut meta = json!({"resourceVersion": self.watch.cursor().to_string()});
        if ends_initial {
            meta["annotations"] = json!({"k8s.io/initial-events-end": "true"});
        }
        let object: Value = match self.shape {
            Shape::Whole => json!({"kind": self.kind.kind, "apiVersion": self.kind.api_version(), "metadata": meta}),
            Shape::Metadata => json!({"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": meta}),
            Shape::Table(_) => table_of(self.kind, Vec::new(), &meta, false),
        };
        out.extend(frame("BOOKMARK", object.to_string().as_bytes()));
    }
}

fn frame(what: &str, object: &[u8]) -> Vec<u8> {
    let mut frame = format!("{{\"type\":\"{what}\",\"object\":").into_bytes();
    frame.extend_from_slice(object);
    frame.extend_from_slice(b"}\n");
    frame
}
