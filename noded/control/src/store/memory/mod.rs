//! What readers see: maps, histories, and watches that read them at their own pace.

mod shelf;
#[cfg(test)]
mod tests;
mod watch;

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use super::{Entry, is_volatile, kind_of};
use shelf::Shelf;
pub use watch::Watch;

/// So many events a kind keeps at most.
const KEPT: usize = 10_000;
const KEPT_VOLATILE: usize = 1000;

/// Something that happened to a key.
#[derive(Debug, Clone)]
pub struct Event {
    /// The revision at which it happened.
    pub revision: u64,
    /// What was there before.
    pub before: Option<Arc<Entry>>,
    /// What is there since; nothing after a removal.
    pub after: Option<Arc<Entry>>,
    /// After a removal: the object as it was, stamped with this revision.
    pub removed: Option<Arc<Entry>>,
}

impl Event {
    fn key(&self) -> &str {
        self.after.as_ref().or(self.before.as_ref()).map_or("", |e| &e.key)
    }

    fn size(&self) -> usize {
        self.after.as_ref().or(self.removed.as_ref()).map_or(0, |e| e.value.len())
    }
}

/// The history does not reach so far back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too old resource version: {asked} ({oldest})")]
pub struct Gone {
    /// The revision that was asked for.
    pub asked: u64,
    /// The oldest that can be had.
    pub oldest: u64,
}

/// Objects at one revision.
#[derive(Debug, Clone)]
pub struct Snapshot {
    /// The revision.
    pub revision: u64,
    /// The objects, in the order of their keys.
    pub entries: Vec<Arc<Entry>>,
}

struct State {
    revision: u64,
    /// Kinds that appear later have a history since here.
    began: u64,
    /// Another one when all was read anew: watches from before have lost their place.
    life: u64,
    shelves: HashMap<String, Shelf>,
}

/// What readers see.
pub(super) struct Memory {
    state: RwLock<State>,
}

impl State {
    fn shelf(&mut self, kind: &str) -> &mut Shelf {
        let began = self.began;
        self.shelves.entry(kind.into()).or_insert_with(|| Shelf::new(began))
    }
}

impl Memory {
    /// Begins with nothing, at a revision before which there is no history.
    pub(super) fn new(revision: u64) -> Self {
        Self { state: RwLock::new(State { revision, began: revision, life: 0, shelves: HashMap::new() }) }
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    fn write(&self) -> std::sync::RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(super) fn revision(&self) -> u64 {
        self.read().revision
    }

    pub(super) fn kind_revision(&self, kind: &str) -> u64 {
        self.read().shelves.get(kind).map_or(0, |s| *s.changed.borrow())
    }

    pub(super) fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.read().shelves.get(kind_of(key))?.entries.get(key).cloned()
    }

    /// Puts in an entry that has no history: it was there before this process.
    pub(super) fn load(&self, entry: Entry) {
        let mut state = self.write();
        let shelf = state.shelf(kind_of(&entry.key));
        shelf.changed.send_replace(entry.revision);
        shelf.entries.insert(entry.key.clone(), Arc::new(entry));
    }

    /// Every entry of every kind.
    pub(super) fn everything(&self) -> Vec<Arc<Entry>> {
        self.read().shelves.values().flat_map(|s| s.entries.values().cloned()).collect()
    }

    /// Moves the counter, after loading.
    pub(super) fn set_revision(&self, revision: u64) {
        self.write().revision = revision;
    }

    /// Begins anew with these entries; watches from before are told that they have missed something.
    pub(super) fn reset(&self, entries: Vec<Entry>, revision: u64) {
        let mut state = self.write();
        (state.revision, state.began, state.life) = (revision, revision, state.life + 1);
        for shelf in state.shelves.values_mut() {
            (shelf.entries, shelf.history, shelf.bytes) = (BTreeMap::new(), VecDeque::new(), 0);
            shelf.complete_after = revision;
        }
        for entry in entries {
            state.shelf(kind_of(&entry.key)).entries.insert(entry.key.clone(), Arc::new(entry));
        }
        for shelf in state.shelves.values_mut() {
            shelf.changed.send_replace(revision);
        }
    }

    /// Makes events seen, all at once.
    pub(super) fn apply(&self, events: Vec<Event>) {
        let mut state = self.write();
        let (mut touched, now): (Vec<(String, u64)>, _) = (Vec::new(), Instant::now());
        for event in events {
            let kind = kind_of(event.key()).to_string();
            state.revision = event.revision;
            touched.push((kind.clone(), event.revision));
            state.shelf(&kind).put(event, if is_volatile(&kind) { KEPT_VOLATILE } else { KEPT }, now);
        }
        for (kind, revision) in touched {
            state.shelf(&kind).changed.send_replace(revision);
        }
    }

    /// Forgets what was seen to happen before then. What is there stays.
    pub(super) fn forget(&self, then: Instant) {
        self.write().shelves.values_mut().for_each(|shelf| shelf.forget(then));
    }

    /// Events and their bytes in all histories.
    #[cfg(test)]
    pub(super) fn past(&self) -> (usize, usize) {
        let state = self.read();
        state.shelves.values().fold((0, 0), |(count, bytes), shelf| (count + shelf.history.len(), bytes + shelf.bytes))
    }

    pub(super) fn list(&self, prefix: &str, at: Option<u64>) -> Result<Snapshot, Gone> {
        let state = self.read();
        let revision = at.unwrap_or(state.revision);
        let Some(shelf) = state.shelves.get(kind_of(prefix)) else { return Ok(Snapshot { revision, entries: Vec::new() }) };
        let range = shelf.entries.range::<str, _>((std::ops::Bound::Included(prefix), std::ops::Bound::Unbounded));
        let now = range.take_while(|(key, _)| key.starts_with(prefix)).map(|(_, e)| e.clone());
        if at.is_none_or(|at| at >= state.revision) {
            return Ok(Snapshot { revision, entries: now.collect() });
        }
        if revision < shelf.complete_after {
            return Err(Gone { asked: revision, oldest: shelf.complete_after });
        }
        let mut then: BTreeMap<Arc<str>, Arc<Entry>> = now.map(|e| (e.key.clone(), e)).collect();
        for event in shelf
            .history
            .iter()
            .rev()
            .map(|past| &past.event)
            .take_while(|e| e.revision > revision)
            .filter(|e| e.key().starts_with(prefix))
        {
            match &event.before {
                Some(entry) => drop(then.insert(entry.key.clone(), entry.clone())),
                None => drop(then.remove(event.key())),
            }
        }
        Ok(Snapshot { revision, entries: then.into_values().collect() })
    }

    pub(super) fn watch(self: &Arc<Self>, prefix: &str, after: u64) -> Result<Watch, Gone> {
        let mut state = self.write();
        let shelf = state.shelf(kind_of(prefix));
        if after < shelf.complete_after {
            return Err(Gone { asked: after, oldest: shelf.complete_after });
        }
        let changed = shelf.changed.subscribe();
        Ok(Watch::new(self.clone(), prefix, (after, state.life), changed))
    }
}
