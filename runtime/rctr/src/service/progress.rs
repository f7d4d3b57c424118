//! A pull, push or load as lines of JSON.

use std::collections::BTreeMap;
use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};

use anyhow::Result;
use images::{Digest, Event, Progress, Stop};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use serde_json::{Value, json};

use super::answer::Output;
use crate::exit;
use crate::output::amount;

/// What is said of a layer on its way, there already, and done.
#[derive(Clone, Copy)]
pub(super) struct Words(&'static str, &'static str, &'static str);

pub(super) const PULL: Words = Words("Downloading", "Already exists", "Pull complete");
pub(super) const PUSH: Words = Words("Pushing", "Layer already exists", "Pushed");
pub(super) const LOAD: Words = Words("Loading layer", "Already exists", "Load complete");

/// Does the work in a thread of its own, and says here how it goes: it may be done by a loop that must not be held up.
///
/// # Errors
/// Those of the work.
pub(super) fn apart<T: Send>(
    say: &mut dyn FnMut(Value) -> Result<()>,
    words: Words,
    work: impl FnOnce(&dyn Progress) -> Result<T> + Send,
) -> Result<T> {
    let (send, receive) = channel();
    let lines = Lines { words, send: Mutex::new((send, BTreeMap::new())) };
    std::thread::scope(|scope| {
        let working = scope.spawn(move || work(&lines));
        for line in receive {
            // Of a client that has gone others know.
            let _ = say(line);
        }
        working.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// The same for a client, with whom it ends.
///
/// # Errors
/// Those of the work.
pub(super) fn for_client<T: Send>(
    out: &mut Output,
    words: Words,
    stop: &Stop,
    work: impl FnOnce(&dyn Progress) -> Result<T> + Send,
) -> Result<T> {
    let gone = out.gone().try_clone_to_owned()?;
    let (over, held) = std::io::pipe()?;
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut fds = [PollFd::new(&gone, PollFlags::IN), PollFd::new(&over, PollFlags::IN)];
            while matches!(poll(&mut fds, None), Err(Errno::INTR)) {}
            if !fds[0].revents().is_empty() {
                stop.stop();
            }
        });
        let done = apart(&mut |line| Ok(out.document(&line)?), words, work);
        drop(held);
        done
    })
}

/// Docker's document for what went wrong after the head of an answer.
pub(super) fn failed(error: &anyhow::Error) -> Value {
    let why = exit::chain(error);
    json!({ "errorDetail": { "message": why }, "error": why })
}

/// Of each layer its size, and how much of it was told last.
type Layers = BTreeMap<Digest, (u64, u64)>;

struct Lines {
    words: Words,
    send: Mutex<(Sender<Value>, Layers)>,
}

impl Progress for Lines {
    fn event(&self, event: Event<'_>) {
        let mut guard = self.send.lock().unwrap_or_else(PoisonError::into_inner);
        let (send, layers) = &mut *guard;
        let Words(going, exists, done) = self.words;
        let line = |digest: &Digest, status: String, detail: Value| json!({ "status": status, "progressDetail": detail, "id": digest.short() });
        let plain = |digest: &Digest, status: &str| line(digest, status.to_owned(), json!({}));
        let said = match event {
            Event::Layers(all) => {
                layers.extend(all.iter().map(|(digest, size)| (digest.clone(), (*size, 0))));
                all.iter().map(|(digest, _)| plain(digest, "Preparing")).collect()
            }
            Event::Exists(digest) => vec![plain(digest, exists)],
            Event::Waiting(digest) => vec![plain(digest, "Waiting")],
            Event::Mounted { digest, from } => vec![plain(digest, &format!("Mounted from {from}"))],
            Event::Done(digest) => vec![plain(digest, done)],
            Event::Downloaded { digest, bytes } | Event::Uploaded { digest, bytes } => {
                let (size, told) = layers.entry(digest.clone()).or_default();
                // A hundred lines of a layer are enough.
                if bytes < *told + *size / 100 {
                    return;
                }
                *told = bytes;
                let shown = format!("{}/{}", amount::size(bytes), amount::size(*size));
                let mut said = line(digest, going.to_owned(), json!({ "current": bytes, "total": *size }));
                said["progress"] = shown.into();
                vec![said]
            }
            Event::Retrying { what, why, after } => {
                vec![json!({ "status": format!("{what}: {why}, trying again in {:.1} s", after.as_secs_f64()) })]
            }
            _ => Vec::new(),
        };
        said.into_iter().for_each(|line| drop(send.send(line)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layer_has_few_lines() {
        let digest: Digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
        let mut said = Vec::new();
        let done = apart(
            &mut |line| {
                said.push(line);
                Ok(())
            },
            PULL,
            |progress| {
                progress.event(Event::Layers(&[(digest.clone(), 1_000_000)]));
                (0..=1_000_000).step_by(1000).for_each(|bytes| progress.event(Event::Downloaded { digest: &digest, bytes }));
                progress.event(Event::Done(&digest));
                Ok(7)
            },
        );
        assert_eq!(
            (done.unwrap(), &said[0]["status"], &said.last().unwrap()["status"]),
            (7, &json!("Preparing"), &json!("Pull complete"))
        );
        assert!((50..=110).contains(&said.len()), "{}", said.len());
        let failed = failed(&anyhow::anyhow!("why").context("what"));
        assert_eq!(failed["error"], "what: why");
    }
}
