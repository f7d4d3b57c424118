//! The store in this process: one writer thread, one file.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::JoinHandle;
use std::time::Instant;

use serde_json::Value;
use tokio::sync::oneshot;

use super::file::LogFile;
use super::memory::Memory;
use super::record::{Record, What};
use super::{Change, Entry, Event, Expect, Gone, NotOpened, NotWritten, Snapshot, Store, Watch, Writing, is_volatile, kind_of};

/// So far the counter jumps when the last life did not end in order: more writes than could have been lost.
const JUMP: u64 = 1 << 20;
/// At most so many writes share one trip to the disk.
const BATCH: usize = 512;
/// Below this a file is never written anew.
const SMALL: u64 = 8 << 20;

type Answer = Result<Arc<Entry>, NotWritten>;

struct Request {
    change: Change,
    answer: oneshot::Sender<Answer>,
}

/// Objects in memory and in one file.
pub struct EmbeddedStore {
    memory: Arc<Memory>,
    requests: Option<Sender<Request>>,
    writer: Option<JoinHandle<()>>,
}

impl EmbeddedStore {
    /// Opens or makes the store in a folder, which must be there.
    ///
    /// # Errors
    /// Files that cannot be used, are in use, damaged, or sealed with another key.
    pub fn open(folder: &Path) -> Result<Self, NotOpened> {
        let (mut file, loaded) = LogFile::open(folder)?;
        let revision = if loaded.in_order { loaded.revision } else { loaded.revision + JUMP }.max(1);
        let memory = Arc::new(Memory::new(revision));
        for entry in loaded.entries.into_values() {
            memory.load(entry);
        }
        memory.set_revision(revision);
        let mut buffer = Vec::new();
        let failed = |e| NotOpened::File(folder.display().to_string(), e);
        file.encode(&mut buffer, &Record { what: What::Counter, revision, key: "", value: &[] }).map_err(failed)?;
        file.append(&buffer, true).map_err(failed)?;
        let (requests, waiting) = mpsc::channel();
        let seen = memory.clone();
        let writer = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || Writer { file, memory: seen }.run(&waiting))
            .map_err(failed)?;
        Ok(Self { memory, requests: Some(requests), writer: Some(writer) })
    }
}

impl Drop for EmbeddedStore {
    /// Waits for the writes under way and marks the end.
    fn drop(&mut self) {
        self.requests = None;
        if let Some(writer) = self.writer.take() {
            drop(writer.join());
        }
    }
}

impl Store for EmbeddedStore {
    fn revision(&self) -> u64 {
        self.memory.revision()
    }

    fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.memory.get(key)
    }

    fn list(&self, prefix: &str, at: Option<u64>) -> Result<Snapshot, Gone> {
        self.memory.list(prefix, at)
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, Gone> {
        self.memory.watch(prefix, after)
    }

    fn write(&self, change: Change) -> Writing {
        let (answer, written) = oneshot::channel();
        let sent = self.requests.as_ref().is_some_and(|r| r.send(Request { change, answer }).is_ok());
        Box::pin(async move { if sent { written.await.unwrap_or(Err(NotWritten::Closed)) } else { Err(NotWritten::Closed) } })
    }

    fn kind_revision(&self, kind: &str) -> u64 {
        self.memory.kind_revision(kind)
    }

    fn forget(&self, then: Instant) {
        self.memory.forget(then);
    }
}

struct Writer {
    file: LogFile,
    memory: Arc<Memory>,
}

/// What one trip to the disk carries.
#[derive(Default)]
struct Batch {
    bytes: Vec<u8>,
    events: Vec<Event>,
    answers: Vec<(oneshot::Sender<Answer>, Arc<Entry>)>,
    /// Told when the rest is seen: whoever looks then sees what was in its way.
    refused: Vec<(oneshot::Sender<Answer>, NotWritten)>,
    /// Keys that this batch has changed already.
    latest: HashMap<String, Option<Arc<Entry>>>,
    must_sync: bool,
}

impl Writer {
    fn run(mut self, waiting: &Receiver<Request>) {
        while let Ok(first) = waiting.recv() {
            let mut batch = Batch::default();
            let mut revision = self.memory.revision();
            for request in std::iter::once(first).chain(waiting.try_iter().take(BATCH - 1)) {
                match self.stage(&mut batch, &request.change, revision + 1) {
                    Ok(entry) => {
                        revision += 1;
                        batch.answers.push((request.answer, entry));
                    }
                    Err(why) => batch.refused.push((request.answer, why)),
                }
            }
            if !self.commit(batch) {
                return;
            }
        }
        let mut buffer = Vec::new();
        let end = Record { what: What::Closed, revision: self.memory.revision(), key: "", value: &[] };
        if self.file.encode(&mut buffer, &end).is_ok() {
            // not being able to mark the end only makes the counter jump
            drop(self.file.append(&buffer, true));
        }
    }

    /// Compares and prepares one change.
    fn stage(&self, batch: &mut Batch, change: &Change, revision: u64) -> Answer {
        let before = match batch.latest.get(&change.key) {
            Some(entry) => entry.clone(),
            None => self.memory.get(&change.key),
        };
        let fits = match (change.expect, &before) {
            (Expect::Absent, None) => true,
            (Expect::Revision(at), Some(entry)) => entry.revision == at,
            _ => false,
        };
        if !fits {
            return Err(NotWritten::Mismatch);
        }
        let object = match (&change.object, &before) {
            (Some(object), _) => object.clone(),
            (None, Some(entry)) => entry.object(),
            (None, None) => return Err(NotWritten::Mismatch),
        };
        let entry = Arc::new(stamped(&change.key, object, revision));
        let what = if change.object.is_some() { What::Put } else { What::Remove };
        let value: &[u8] = if what == What::Put { &entry.value } else { &[] };
        let encoded = self.file.encode(&mut batch.bytes, &Record { what, revision, key: &change.key, value });
        encoded.map_err(|e| NotWritten::Disk(Arc::new(e)))?;
        let after = (what == What::Put).then(|| entry.clone());
        batch.must_sync |= !is_volatile(kind_of(&change.key));
        batch.latest.insert(change.key.clone(), after.clone());
        batch.events.push(Event { revision, before, removed: after.is_none().then(|| entry.clone()), after });
        Ok(entry)
    }

    /// Brings a batch to the disk, then to the readers, then answers. After a disk that failed to sync no more writes are taken.
    fn commit(&mut self, batch: Batch) -> bool {
        let (answers, refused) = (batch.answers, batch.refused);
        let before = self.file.length();
        let appended = if answers.is_empty() { Ok(()) } else { self.file.append(&batch.bytes, batch.must_sync) };
        let mut stays = true;
        match appended {
            Ok(()) => {
                self.memory.apply(batch.events);
                answers.into_iter().for_each(|(answer, entry)| drop(answer.send(Ok(entry))));
            }
            Err(e) => {
                stays = e.kind() == std::io::ErrorKind::StorageFull && self.file.length() == before;
                let why = Arc::new(e);
                answers.into_iter().for_each(|(answer, _)| drop(answer.send(Err(NotWritten::Disk(why.clone())))));
            }
        }
        refused.into_iter().for_each(|(answer, why)| drop(answer.send(Err(why))));
        if stays {
            self.tidy();
        }
        stays
    }

    /// Writes the file anew when most of it is past.
    fn tidy(&mut self) {
        if self.file.length() < SMALL {
            return;
        }
        let all = self.memory.everything();
        let live: u64 = all.iter().map(|e| e.value.len() as u64 + 64).sum();
        if self.file.length() > live * 2 + SMALL {
            // a file that could not be written anew stays as it is, and is tried again with the next write
            drop(self.file.rewrite(all.iter().map(AsRef::as_ref), self.memory.revision()));
        }
    }
}

/// An object as it is kept: with its revision in it.
pub(super) fn stamped(key: &str, mut object: Value, revision: u64) -> Entry {
    if let Value::Object(meta) = &mut object["metadata"] {
        meta.insert("resourceVersion".into(), revision.to_string().into());
    }
    Entry { key: key.into(), revision, value: object.to_string().into() }
}
