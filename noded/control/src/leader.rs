//! Of several control-plane hosts one runs the scheduler and the controllers: the one that holds the Lease `kube-system/noded-control-plane`.
//!
//! ```text
//! win: take a lease that nobody renews ──▶ work, and renew each second ──▶ not renewed in time: stop ──▶ win
//! ```
//!
//! A lease is over when it has not changed for [`LIFE`] by the clock of whoever wants it, so hosts' clocks need not agree. Its holder counts
//! from before it sent the renewal, and stops [`MARGIN`] earlier: it has stopped when another begins. What it writes goes through [`Led`],
//! which takes nothing from a host that does not lead any more, whatever it was kept from noticing.
//!
//! A store that one process has alone needs none of this.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use api::kinds::lease::{LEASE, LeaseSpec};
use api::meta::MicroTime;
use api::status::Status;
use serde_json::{Value, json};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::objects::{Context, Objects, Part, key};
use crate::store::{Change, Entry, Gone, NotWritten, Reading, Snapshot, Store, Watch, Writing};

const NAMESPACE: &str = "kube-system";
const NAME: &str = "noded-control-plane";

/// A lease that was not renewed for so long is for others to take.
const LIFE: Duration = Duration::from_secs(5);
/// So much earlier its holder stops.
const MARGIN: Duration = Duration::from_millis(1500);
/// How often it is renewed.
const RENEW: Duration = Duration::from_secs(1);

/// Until when this host leads.
#[derive(Debug, Default)]
struct Term(Mutex<Option<Instant>>);

impl Term {
    fn left(&self) -> Duration {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()))
    }

    fn set(&self, until: Option<Instant>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = until;
    }
}

/// The store for those who work for the leader.
struct Led {
    store: Arc<dyn Store>,
    term: Arc<Term>,
}

impl Store for Led {
    fn revision(&self) -> u64 {
        self.store.revision()
    }

    fn get(&self, key: &str) -> Option<Arc<Entry>> {
        self.store.get(key)
    }

    fn list(&self, prefix: &str, at: Option<u64>) -> Result<Snapshot, Gone> {
        self.store.list(prefix, at)
    }

    fn watch(&self, prefix: &str, after: u64) -> Result<Watch, Gone> {
        self.store.watch(prefix, after)
    }

    fn write(&self, change: Change) -> Writing {
        if self.term.left().is_zero() {
            return Box::pin(std::future::ready(Err(NotWritten::NotLeader)));
        }
        self.store.write(change)
    }

    fn kind_revision(&self, kind: &str) -> u64 {
        self.store.kind_revision(kind)
    }

    fn fresh(&self) -> Reading {
        self.store.fresh()
    }

    fn forget(&self, then: std::time::Instant) {
        self.store.forget(then);
    }

    fn forgets_events(&self) -> bool {
        self.store.forgets_events()
    }
}

/// What to do about the lease.
#[derive(Debug, PartialEq, Eq)]
enum Step {
    Make,
    Take,
    Wait(Duration),
}

/// What a host that wants to lead does about a lease that has not changed for so long.
fn next(lease: Option<&LeaseSpec>, unchanged: Duration) -> Step {
    let Some(lease) = lease else { return Step::Make };
    if lease.holder_identity.is_empty() {
        return Step::Take;
    }
    let life = lease.lease_duration_seconds.and_then(|s| u64::try_from(s).ok()).map_or(LIFE, Duration::from_secs);
    match life.saturating_sub(unchanged) {
        Duration::ZERO => Step::Take,
        left => Step::Wait(left),
    }
}

/// One host in the election.
pub(crate) struct Election {
    objects: Objects,
    me: String,
    term: Arc<Term>,
}

impl Election {
    /// `me` is in the lease while this host leads; no other process may have the same.
    pub(crate) fn new(objects: Objects, me: String) -> Self {
        Self { objects, me, term: Arc::default() }
    }

    /// Leads whenever it can: `work` begins with objects that it may write to for as long as this host leads, and ends when it does not.
    pub(crate) async fn run(&self, work: impl Fn(Objects) -> JoinSet<()>) {
        let led = Led { store: self.objects.shared_store(), term: self.term.clone() };
        let objects = self.objects.over(Arc::new(led));
        loop {
            let Ok(mut held) = self.win().await else {
                tokio::time::sleep(RENEW).await;
                continue;
            };
            let at_work = work(objects.clone());
            while !self.term.left().is_zero() {
                tokio::time::sleep(RENEW.min(self.term.left())).await;
                match timeout(self.term.left(), self.hold(Some(held))).await {
                    Ok(Ok(revision)) => held = revision,
                    // it is somebody else's
                    Ok(Err(status)) if status.code == 409 => self.term.set(None),
                    // tried again until there is no time left
                    Ok(Err(_)) | Err(_) => {}
                }
            }
            drop(at_work);
        }
    }

    /// Lets go of the lease, so that another host need not wait until it is over. What worked must have ended.
    pub(crate) async fn resign(&self) {
        if self.term.left().is_zero() {
            return;
        }
        self.term.set(None);
        let (me, context) = (&self.me, context());
        let change = |now: &Value| {
            if now["spec"]["holderIdentity"] != me.as_str() {
                return Err(Status::modified(&LEASE, NAME));
            }
            let mut new = now.clone();
            new["spec"]["holderIdentity"] = "".into();
            Ok(new)
        };
        let update = self.objects.update(&LEASE, NAMESPACE, NAME, Part::Main, &context, change);
        // it is over soon in any case
        drop(timeout(RENEW, update).await);
    }

    /// Waits for the lease; the answer is its revision.
    async fn win(&self) -> Result<u64, Status> {
        let store = self.objects.store();
        let (mut seen, mut since) = (None, Instant::now());
        loop {
            let gone = |gone: Gone| Status::expired(gone.to_string());
            let mut changes = store.watch(&key(&LEASE, NAMESPACE, NAME), store.revision()).map_err(gone)?;
            let entry = self.objects.get(&LEASE, NAMESPACE, NAME).ok();
            let revision = entry.as_ref().map(|entry| entry.revision);
            if revision != seen {
                (seen, since) = (revision, Instant::now());
            }
            let spec = entry.map(|entry| serde_json::from_value(entry.object()["spec"].take()).unwrap_or_default());
            match next(spec.as_ref(), since.elapsed()) {
                Step::Make | Step::Take => return self.hold(revision).await,
                Step::Wait(left) => drop(timeout(left, changes.next()).await),
            }
        }
    }

    /// Takes or renews the lease, if it is still the one that was seen.
    async fn hold(&self, seen: Option<u64>) -> Result<u64, Status> {
        let (begun, now) = (Instant::now(), MicroTime::now().to_string());
        let written = match seen {
            None => {
                let spec = json!({"holderIdentity": self.me, "leaseDurationSeconds": LIFE.as_secs(), "acquireTime": now, "renewTime": now, "leaseTransitions": 0});
                self.objects.create(&LEASE, NAMESPACE, json!({"metadata": {"name": NAME}, "spec": spec}), &context()).await
            }
            Some(seen) => {
                let seen = seen.to_string();
                let change = |old: &Value| {
                    let is_mine = old["spec"]["holderIdentity"] == self.me.as_str();
                    // a renewal whose answer was lost has moved the revision; nobody else writes our name
                    if !is_mine && old["metadata"]["resourceVersion"] != seen {
                        return Err(Status::modified(&LEASE, NAME));
                    }
                    Ok(renewed(old, &self.me, &now))
                };
                self.objects.update(&LEASE, NAMESPACE, NAME, Part::Main, &context(), change).await
            }
        };
        let revision = written?.revision;
        self.term.set(Some(begun + LIFE - MARGIN));
        Ok(revision)
    }
}

fn renewed(old: &Value, me: &str, now: &str) -> Value {
    let mut new = old.clone();
    let spec = &mut new["spec"];
    if spec["holderIdentity"] != me {
        spec["acquireTime"] = now.into();
        spec["leaseTransitions"] = (spec["leaseTransitions"].as_i64().unwrap_or(0) + 1).into();
    }
    spec["holderIdentity"] = me.into();
    spec["renewTime"] = now.into();
    spec["leaseDurationSeconds"] = LIFE.as_secs().into();
    new
}

fn context() -> Context {
    Context { manager: "noded".into(), ..Default::default() }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use api::kinds::config::CONFIG_MAP;

    use super::*;
    use crate::store::EmbeddedStore;

    #[test]
    fn a_lease_is_taken_when_nobody_has_renewed_it_for_its_life() {
        let lease = |holder: &str, seconds| LeaseSpec {
            holder_identity: holder.into(),
            lease_duration_seconds: Some(seconds),
            ..Default::default()
        };
        let seconds = Duration::from_secs;
        assert_eq!(next(None, seconds(0)), Step::Make);
        assert_eq!(next(Some(&lease("", 5)), seconds(0)), Step::Take);
        assert_eq!(next(Some(&lease("a", 5)), seconds(2)), Step::Wait(seconds(3)));
        assert_eq!(next(Some(&lease("a", 5)), seconds(5)), Step::Take);
    }

    /// Work that counts those who do it, and writes.
    fn work(name: &'static str, busy: &Arc<AtomicUsize>) -> impl Fn(Objects) -> JoinSet<()> + Send + 'static {
        struct Busy(Arc<AtomicUsize>);
        impl Drop for Busy {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::SeqCst);
            }
        }
        let busy = busy.clone();
        move |objects| {
            assert_eq!(busy.fetch_add(1, Ordering::SeqCst), 0, "two lead");
            let (busy, mut set) = (Busy(busy.clone()), JoinSet::new());
            set.spawn(async move {
                let _busy = busy;
                let map = json!({"metadata": {"generateName": format!("{name}-")}});
                objects.create(&CONFIG_MAP, NAMESPACE, map, &Context::default()).await.unwrap();
                std::future::pending::<()>().await;
            });
            set
        }
    }

    async fn made_by(objects: &Objects, name: &str) {
        let mut watch = objects.store().watch("core/configmaps/kube-system/", 1).unwrap();
        let prefix = format!("core/configmaps/kube-system/{name}-");
        while !watch.next().await.unwrap().iter().any(|e| e.after.as_ref().is_some_and(|e| e.key.starts_with(&prefix))) {}
    }

    #[tokio::test]
    async fn one_leads_and_the_next_when_it_resigns_or_is_silent() {
        let folder = tempfile::tempdir().unwrap();
        let store = Arc::new(EmbeddedStore::open(folder.path()).unwrap());
        let objects = Objects::new(store, Default::default());
        crate::bootstrap::first_objects(&objects).await.unwrap();
        let busy = Arc::new(AtomicUsize::new(0));
        let start = |name: &'static str| {
            let election = Arc::new(Election::new(objects.clone(), name.into()));
            let (runs, work) = (election.clone(), work(name, &busy));
            (election, tokio::spawn(async move { runs.run(work).await }))
        };
        let (first, running) = start("a");
        made_by(&objects, "a").await;
        let (second, waiting) = start("b");
        // told at once
        running.abort();
        assert!(running.await.unwrap_err().is_cancelled());
        first.resign().await;
        made_by(&objects, "b").await;
        let lease = objects.get(&LEASE, NAMESPACE, NAME).unwrap().object();
        assert_eq!((&lease["spec"]["holderIdentity"], &lease["spec"]["leaseTransitions"]), (&json!("b"), &json!(1)));
        // not told: it waits until the lease is over
        let (_third, _working) = start("c");
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        made_by(&objects, "c").await;
        // whoever has been silent for too long can write nothing, though nobody has told it
        let led = objects.over(Arc::new(Led { store: objects.shared_store(), term: second.term.clone() }));
        let map = json!({"metadata": {"name": "late"}});
        let refused = led.create(&CONFIG_MAP, NAMESPACE, map, &Context::default()).await.unwrap_err();
        assert!(refused.message.contains("does not lead"), "{}", refused.message);
    }
}
