//! What is kept: objects by key, each at a revision; one counter for all.
//!
//! ```text
//! write ──▶ one thread: compare, stamp the revision, append, fdatasync once for all that wait ──▶ memory ──▶ watches
//! get, list, watch ◀── memory: a map and a short history for each kind
//! ```
//!
//! A key is `GROUP/PLURAL/NAMESPACE/NAME` (`core` for the core group, no namespace for cluster objects); its first two parts are its
//! kind. Values are the JSON that clients get, with `metadata.resourceVersion` in it.
//!
//! **History.** Each kind has its own, of some minutes: a busy one (leases, events) does not push another's out. A watch reads it at its own pace with a
//! cursor, so one that never reads costs nothing; when what it has not read yet is gone, it is told so.
//!
//! Two stores are of this kind: [`EmbeddedStore`], described above, and [`EtcdStore`], for several hosts; the same tests run on both.
//!
//! **Revisions after a crash.** Writes of leases and events are not waited for on the disk. After a power cut the counter could fall
//! behind what clients have seen; so it begins [`EmbeddedStore`]'s next life higher, unless the last one ended in order.

mod embedded;
mod etcd;
mod file;
mod memory;
mod record;
mod seal;
#[cfg(test)]
mod tests;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::Value;

pub use self::etcd::{Address, EtcdStore, Files, NotAnAddress, NotShared, Tls};
pub use embedded::EmbeddedStore;
pub use memory::{Event, Gone, Snapshot, Watch};

/// An object as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its key.
    pub key: Arc<str>,
    /// The revision of its last write.
    pub revision: u64,
    /// The JSON.
    pub value: Bytes,
}

impl Entry {
    /// The object. What is kept is always JSON.
    pub fn object(&self) -> Value {
        serde_json::from_slice(&self.value).unwrap_or_default()
    }
}

/// What must be true for a write to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expect {
    /// The key is free.
    Absent,
    /// The key's last write was at this revision.
    Revision(u64),
}

/// One write.
#[derive(Debug, Clone)]
pub struct Change {
    /// The key.
    pub key: String,
    /// What must be true.
    pub expect: Expect,
    /// The new object; nothing removes the key.
    pub object: Option<Value>,
}

/// Why a write did not happen.
#[derive(Debug, Clone, thiserror::Error)]
pub enum NotWritten {
    /// What had to be true is not.
    #[error("the key is at another revision")]
    Mismatch,
    /// The disk did not take it. Nothing has changed.
    #[error("write the store: {0}")]
    Disk(Arc<std::io::Error>),
    /// etcd says no. Nothing has changed.
    #[error("write the store: {0}")]
    Refused(String),
    /// etcd has not answered: it may have been written, or not.
    #[error("write the store: {0}; it may have been written, or not")]
    Unknown(String),
    /// Who writes works for the leader of the control plane's hosts, which this host is not any more.
    #[error("this host does not lead the control plane any more")]
    NotLeader,
    /// The store has been closed, or its disk has failed before.
    #[error("the store does not take writes any more")]
    Closed,
}

/// Why a store cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum NotOpened {
    /// A file cannot be used.
    #[error("{0}: {1}")]
    File(String, #[source] std::io::Error),
    /// Another process has it.
    #[error("{0}: another process uses this store")]
    Locked(String),
    /// A record is damaged and others follow it: nothing is thrown away without being told to.
    #[error("{0}: damaged at byte {1}, with good records behind it; restore a copy of the file, or cut it there")]
    Damaged(String, usize),
    /// It is no store, or one of another version.
    #[error("{0}: not a store of this program")]
    Foreign(String),
    /// Sealed values cannot be opened with this key.
    #[error("{0}: sealed with another key")]
    Sealed(String),
    /// etcd does not answer, refuses, or is not one that can be used.
    #[error("{0}")]
    Etcd(String),
    /// etcd has a cluster, whose key this host has not.
    #[error("etcd has a cluster already, and {0} is not here: copy it from a host of that control plane")]
    NoKey(String),
}

/// Why what is read next may be old.
#[derive(Debug, Clone, thiserror::Error)]
#[error("read the store: {0}")]
pub struct NotRead(pub(crate) String);

/// Done when what is read next is new enough.
pub type Reading = Pin<Box<dyn Future<Output = Result<(), NotRead>> + Send>>;

/// A write that is under way; its answer is the entry written, or removed.
pub type Writing = Pin<Box<dyn Future<Output = Result<Arc<Entry>, NotWritten>> + Send>>;

/// Where objects are kept.
pub trait Store: Send + Sync + 'static {
    /// The revision of the last write.
    fn revision(&self) -> u64;

    /// The object at a key.
    fn get(&self, key: &str) -> Option<Arc<Entry>>;

    /// All objects whose key begins so, in the order of their keys, now or at a revision that the history still reaches.
    ///
    /// # Errors
    /// That the history does not reach so far back.
    fn list(&self, prefix: &str, at: Option<u64>) -> Result<Snapshot, Gone>;

    /// Everything that happens to keys that begin so, after a revision.
    ///
    /// # Errors
    /// That the history does not reach so far back.
    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, Gone>;

    /// Writes; done when it will survive a power cut (leases and events: the end of this process).
    fn write(&self, change: Change) -> Writing;

    /// A number that changes whenever an object of this kind does: `GROUP/PLURAL`.
    fn kind_revision(&self, kind: &str) -> u64;

    /// Done when what is read next has in it all that was written before this call, on whichever host. A store that one process has alone
    /// always is.
    fn fresh(&self) -> Reading {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Forgets what has happened before then: whoever asks for it is told that it is gone. What is there stays.
    fn forget(&self, then: Instant);

    /// Whether events go by themselves.
    fn forgets_events(&self) -> bool {
        false
    }
}

/// Forgets for ever what is older than what clients come back for: they begin anew after so long, as with Kubernetes. After a burst of changes nothing
/// of it stays in memory.
pub(crate) async fn forget_past(store: Arc<dyn Store>) {
    const PAST: Duration = Duration::from_secs(300);
    const OFTEN: Duration = Duration::from_secs(30);
    loop {
        tokio::time::sleep(OFTEN).await;
        if let Some(then) = Instant::now().checked_sub(PAST) {
            store.forget(then);
        }
    }
}

/// The first two parts of a key.
fn kind_of(key: &str) -> &str {
    match key.match_indices('/').nth(1) {
        Some((at, _)) => &key[..at],
        None => key,
    }
}

/// Kinds whose writes nobody waits for on the disk, and whose history is short.
fn is_volatile(kind: &str) -> bool {
    matches!(kind, "coordination.k8s.io/leases" | "core/events")
}
