//! The store in etcd: several control-plane hosts share it.
//!
//! ```text
//! write ──▶ Txn: if the key is at this revision, put ──▶ etcd ──▶ watch ──▶ memory ──▶ get, list, watch
//!   ▲                                                                 │
//!   └── answered when memory has it ◀─────────────────────────────────┘
//! ```
//!
//! Keys are `PREFIX/objects/KEY`, with the keys of [`super`]; an object's revision is etcd's `mod_revision`. What is there is kept in memory,
//! as the embedded store does it, and followed by one watch. A read that must show what other hosts have written ([`Store::fresh`]) asks
//! etcd for its revision and waits until memory has come so far.
//!
//! **Lost answers.** A write whose answer is lost is sent again, to the next member. The same compare then fails, but etcd has our very
//! bytes: it was done. When no member answers nobody knows whether it was done, and the writer is told so.
//!
//! **Other users of the same etcd** move its revision without our watch having anything to say. Whoever waits for it then writes an empty
//! key of ours, whose event says how far the watch is.
//!
//! **The past.** Each host compacts what is older than five minutes. A host that was away for longer reads everything anew, and its watches
//! are told that what they missed is gone. Events have a lease of an hour.
//!
//! **Secrets**, and the authority's keys ([`Shared`]), are sealed with the key in `store.key`, which every host has and etcd has not.

mod address;
mod follow;
mod lease;
mod link;
mod shared;
#[cfg(test)]
pub(super) mod testing;
#[cfg(test)]
mod tests;
mod value;
mod write;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use etcd::maintenance_client::MaintenanceClient;
use etcd::{PutRequest, RangeRequest, RequestOp, StatusRequest, TxnRequest, request_op};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::memory::{Gone, Memory, Snapshot, Watch};
use super::seal::Seal;
use super::{Change, Entry, NotOpened, NotRead, Reading, Store, Writing};
use link::{Failed, Link};

pub use address::{Address, Files, NotAnAddress, Tls};
pub use shared::NotShared;

/// The oldest etcd that is known to do what is needed.
const OLDEST: (u32, u32) = (3, 4);
/// How long an event may take from etcd to us before it is asked whether there is one.
const SOON: Duration = Duration::from_millis(20);
/// How long it may take at all.
const PATIENCE: Duration = Duration::from_secs(5);

/// Objects in etcd.
pub struct EtcdStore {
    inner: Arc<Inner>,
    asked: mpsc::UnboundedSender<oneshot::Sender<Result<(), NotRead>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// What all tasks of a store share.
struct Inner {
    link: Link,
    prefix: String,
    seal: Seal,
    memory: Arc<Memory>,
    /// The revision up to which memory is complete.
    applied: watch::Sender<u64>,
    /// Which etcd cluster it is.
    cluster: AtomicU64,
    lease: lease::Current,
}

impl EtcdStore {
    /// Reads what is there; `folder` has the key that seals secrets, which is made for an etcd that has nothing of ours yet.
    ///
    /// # Errors
    /// That etcd does not answer, refuses, is too old, or has what was sealed with another key.
    pub async fn open(address: &Address, folder: &Path) -> Result<Self, NotOpened> {
        let link = Link::new(address).map_err(|e| NotOpened::Etcd(format!("{}: {e}", address.endpoints.join(","))))?;
        check_version(&link).await?;
        let seal = shared::key(&link, &address.prefix, folder).await?;
        let inner = Arc::new(Inner {
            link,
            prefix: address.prefix.clone(),
            seal,
            memory: Arc::new(Memory::new(0)),
            applied: watch::Sender::new(0),
            cluster: AtomicU64::new(0),
            lease: lease::Current::default(),
        });
        inner.load().await?;
        let (asked, asking) = mpsc::unbounded_channel();
        let tasks = vec![
            tokio::spawn(follow::run(inner.clone())),
            tokio::spawn(freshen(inner.clone(), asking)),
            tokio::spawn(follow::compact(inner.clone())),
        ];
        Ok(Self { inner, asked, tasks })
    }
}

impl Drop for EtcdStore {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

impl Store for EtcdStore {
    fn revision(&self) -> u64 {
        self.inner.memory.revision()
    }

    fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.inner.memory.get(key)
    }

    fn list(&self, prefix: &str, at: Option<u64>) -> Result<Snapshot, Gone> {
        self.inner.memory.list(prefix, at)
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, Gone> {
        self.inner.memory.watch(prefix, after)
    }

    fn write(&self, change: Change) -> Writing {
        Box::pin(write::write(self.inner.clone(), change))
    }

    fn kind_revision(&self, kind: &str) -> u64 {
        self.inner.memory.kind_revision(kind)
    }

    fn fresh(&self) -> Reading {
        let (answer, answered) = oneshot::channel();
        let sent = self.asked.send(answer).is_ok();
        let closed = || Err(NotRead("the store is closed".into()));
        Box::pin(async move { if sent { answered.await.unwrap_or_else(|_| closed()) } else { closed() } })
    }

    fn forget(&self, then: std::time::Instant) {
        self.inner.memory.forget(then);
    }

    fn forgets_events(&self) -> bool {
        true
    }
}

async fn check_version(link: &Link) -> Result<(), NotOpened> {
    let said = link.call(|channel| async move { MaintenanceClient::new(channel).status(StatusRequest {}).await }).await;
    let version = said.map_err(|e| NotOpened::Etcd(e.to_string()))?.said.version;
    if !is_usable(&version) {
        let ((major, minor), endpoint) = (OLDEST, link.member().endpoint);
        let why = format!("etcd {endpoint}: version {version:?}; {major}.{minor} or a later {major}.x is needed");
        return Err(NotOpened::Etcd(why));
    }
    Ok(())
}

fn is_usable(version: &str) -> bool {
    let mut parts = version.split('.').map_while(|part| part.parse::<u32>().ok());
    let found = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    found >= OLDEST && found.0 == OLDEST.0
}

/// One trip to etcd for all that wait at that moment.
async fn freshen(inner: Arc<Inner>, mut asking: mpsc::UnboundedReceiver<oneshot::Sender<Result<(), NotRead>>>) {
    while let Some(first) = asking.recv().await {
        let mut all = vec![first];
        while let Ok(next) = asking.try_recv() {
            all.push(next);
        }
        let outcome = inner.catch_up().await;
        all.into_iter().for_each(|one| drop(one.send(outcome.clone())));
    }
}

/// The keys that begin so end before this one.
fn end_of(prefix: &str) -> Bytes {
    let mut end = prefix.as_bytes().to_vec();
    if let Some(last) = end.last_mut() {
        *last += 1;
    }
    end.into()
}

impl Inner {
    /// Where objects are; the key of this name has none, and is written by who wants to know how far the watch is.
    fn objects(&self) -> String {
        format!("{}/objects/", self.prefix)
    }

    fn place(&self, key: &str) -> Bytes {
        format!("{}{key}", self.objects()).into()
    }

    /// Waits until memory has what etcd had when this was called.
    async fn catch_up(&self) -> Result<(), NotRead> {
        let away = |why: Failed| NotRead(why.to_string());
        let request = RangeRequest { key: self.place(""), ..Default::default() };
        let header = self.link.range(request).await.map_err(away)?.header.unwrap_or_default();
        let wanted = u64::try_from(header.revision).unwrap_or(0);
        if self.reached(wanted, SOON).await {
            return Ok(());
        }
        let put = PutRequest { key: self.place(""), ..Default::default() };
        let op = RequestOp { request: Some(request_op::Request::RequestPut(put)) };
        let txn = TxnRequest { success: vec![op], ..Default::default() };
        self.link.txn(txn).await.map_err(away)?;
        let behind = || NotRead(format!("etcd {}: its watch is behind", self.link.member().endpoint));
        if self.reached(wanted, PATIENCE).await { Ok(()) } else { Err(behind()) }
    }

    /// Whether memory comes so far in time.
    async fn reached(&self, revision: u64, patience: Duration) -> bool {
        let mut applied = self.applied.subscribe();
        *applied.borrow_and_update() >= revision || timeout(patience, applied.wait_for(|at| *at >= revision)).await.is_ok()
    }

    fn is_of(&self, cluster: u64) -> bool {
        self.cluster.load(Ordering::Relaxed) == cluster
    }
}
