//! What readers see: maps, histories, and watches that read them at their own pace.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::{Arc, RwLock};
use std::time::Instant;

use tokio::sync::watch;

use super::{Entry, is_volatile, kind_of};

/// So many events a kind keeps at most, and so many bytes; for how long, whoever has the store says.
const KEPT: usize = 10_000;
const KEPT_VOLATILE: usize = 1000;
const KEPT_BYTES: usize = 16 << 20;

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

struct Shelf {
    entries: BTreeMap<Arc<str>, Arc<Entry>>,
    history: VecDeque<Past>,
    bytes: usize,
    /// Everything after this revision is in the history.
    complete_after: u64,
    changed: watch::Sender<u64>,
}

/// An event, and when it was seen here.
struct Past {
    seen: Instant,
    event: Arc<Event>,
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
        self.shelves.entry(kind.into()).or_insert_with(|| Shelf {
            entries: BTreeMap::new(),
            history: VecDeque::new(),
            bytes: 0,
            complete_after: began,
            changed: watch::Sender::new(0),
        })
    }
}

impl Shelf {
    fn put(&mut self, event: Event, most: usize, now: Instant) {
        let key: Arc<str> = event.key().into();
        match &event.after {
            Some(entry) => drop(self.entries.insert(key, entry.clone())),
            None => drop(self.entries.remove(&key)),
        }
        self.bytes += event.size();
        self.history.push_back(Past { seen: now, event: Arc::new(event) });
        while self.history.len() > most || self.bytes > KEPT_BYTES && self.history.len() > 1 {
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        if let Some(Past { event, .. }) = self.history.pop_front() {
            self.bytes -= event.size();
            self.complete_after = event.revision;
        }
    }

    /// Drops what was seen before then. What has happened at one revision is not parted.
    fn forget(&mut self, then: Instant) {
        while self.history.front().is_some_and(|past| past.seen < then) {
            self.drop_oldest();
        }
        // room for the most that there ever was would stay
        if self.history.capacity() > 2 * self.history.len() + 64 {
            self.history.shrink_to_fit();
        }
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
        Ok(Watch { memory: self.clone(), prefix: prefix.into(), cursor: after, life: state.life, changed })
    }
}

/// A reader of what happens to keys of one kind.
pub struct Watch {
    memory: Arc<Memory>,
    prefix: String,
    cursor: u64,
    life: u64,
    changed: watch::Receiver<u64>,
}

impl Watch {
    /// The revision up to which everything was read.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// The next events, not so many that a reader who stalls would keep much; waits until there is one. An answer without events says that the store is gone.
    ///
    /// # Errors
    /// That this reader was too slow: what comes next is gone.
    pub async fn next(&mut self) -> Result<Vec<Arc<Event>>, Gone> {
        loop {
            self.changed.borrow_and_update();
            let events = self.ready()?;
            if !events.is_empty() || self.changed.changed().await.is_err() {
                return Ok(events);
            }
        }
    }

    /// What is there to read now.
    ///
    /// # Errors
    /// That this reader was too slow: what comes next is gone.
    pub fn ready(&mut self) -> Result<Vec<Arc<Event>>, Gone> {
        const MOST: usize = 256;
        const MOST_BYTES: usize = 16 << 10;
        let state = self.memory.read();
        let Some(shelf) = state.shelves.get(kind_of(&self.prefix)) else { return Ok(Vec::new()) };
        if self.cursor < shelf.complete_after || self.life != state.life {
            return Err(Gone { asked: self.cursor, oldest: shelf.complete_after });
        }
        let from = shelf.history.partition_point(|past| past.event.revision <= self.cursor);
        let (mut found, mut bytes) = (Vec::new(), 0);
        for Past { event, .. } in shelf.history.range(from..) {
            // what has happened at one revision is not parted
            if (found.len() >= MOST || bytes >= MOST_BYTES) && event.revision != self.cursor {
                return Ok(found);
            }
            self.cursor = event.revision;
            if event.key().starts_with(&self.prefix) {
                bytes += event.size();
                found.push(event.clone());
            }
        }
        // all of this kind is read: up to here nothing else happened to it
        self.cursor = self.cursor.max(state.revision);
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn event(revision: u64, name: &str, is_there: bool) -> Event {
        let entry = Arc::new(Entry { key: format!("core/pods/d/{name}").into(), revision, value: vec![b'x'; 1000].into() });
        match is_there {
            true => Event { revision, before: None, after: Some(entry), removed: None },
            false => Event { revision, before: Some(entry.clone()), after: None, removed: Some(entry) },
        }
    }

    #[test]
    fn of_what_came_and_went_nothing_stays() {
        let (memory, mut revision) = (Arc::new(Memory::new(1)), 1);
        memory.apply(vec![event(2, "stays", true)]);
        revision += 1;
        for name in 0..500 {
            for is_there in [true, false] {
                revision += 1;
                memory.apply(vec![event(revision, &name.to_string(), is_there)]);
            }
        }
        let now = Instant::now();
        assert_eq!(memory.past(), (1001, 1_001_000));
        memory.forget(now - Duration::from_secs(3600));
        assert_eq!(memory.past().0, 1001, "what has just happened");
        let mut reader = memory.watch("core/pods/", revision).unwrap();
        memory.forget(Instant::now());
        assert_eq!(memory.past(), (0, 0));
        assert_eq!((memory.everything().len(), memory.revision()), (1, revision));
        // Whoever has read all goes on; whoever has not is told.
        revision += 1;
        memory.apply(vec![event(revision, "new", true)]);
        assert_eq!(reader.ready().unwrap().len(), 1);
        assert!(memory.watch("core/pods/", revision - 1).is_ok());
        let gone = memory.watch("core/pods/", 5).err().unwrap();
        assert_eq!((gone.asked, gone.oldest), (5, revision - 1));
        assert!(memory.list("core/pods/", Some(5)).is_err() && memory.list("core/pods/", Some(revision - 1)).is_ok());
    }
}
