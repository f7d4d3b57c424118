//! Pressure: what is done before the host runs out of disk or memory, and what of pods that take more than they may.
//!
//! ```text
//! statvfs, meminfo ──▶ signals.rs: what is scarce ──▶ the node's conditions
//!                            └──▶ images.rs: unused images go ──still scarce──▶ rank.rs: one pod goes ──▶ crew/
//! folders of pods ──▶ space.rs ──▶ rank.rs: those beyond their own limits go ──────────────────────────────┘
//! ```

mod evicted;
mod images;
mod rank;
mod signals;
mod space;

use std::sync::Arc;
use std::time::Duration;

use api::kinds::pod::Pod;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::crew::Heard;
use super::effects::Shared;
use super::tell;
use crate::host::log::{self, Level, say};
use rank::Candidate;
use signals::{Host, Scarce};

pub(super) use evicted::Evicted;
pub(super) use rank::is_critical;
pub(super) use signals::Pressure;
pub(crate) use signals::Reserve;

/// How often the host is looked at.
const LOOK: Duration = Duration::from_secs(10);

/// Images are looked for at most so often while the disk is nearly full.
const COLLECT: Duration = Duration::from_secs(60);

/// When images go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Images {
    /// Percent of the disk at which they begin to go, and at which that is enough.
    pub(crate) high: u64,
    pub(crate) low: u64,
    /// Seconds for which one that was just pulled or used stays.
    pub(crate) age: u64,
}

/// Looks after the host for ever.
pub(super) async fn run(shared: Arc<Shared>, crew: mpsc::Sender<Heard>) {
    let mut ticks = tokio::time::interval(LOOK);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut collected = None;
    loop {
        ticks.tick().await;
        let (asks, answer) = oneshot::channel();
        if crew.send(Heard::Who(asks)).await.is_err() {
            return;
        }
        let Ok(pods) = answer.await else { return };
        let due = collected.is_none_or(|at: Instant| at.elapsed() >= COLLECT);
        let (own, pods) = (Arc::clone(&shared), Arc::new(pods));
        let Ok(found) = tokio::task::spawn_blocking(move || round(&own, &pods, due)).await else { continue };
        if found.collected {
            collected = Some(Instant::now());
        }
        shared.pressure.send_if_modified(|old| {
            let new = old.seen(&found.scarce, engine::now());
            let differs = new.differs(old);
            *old = new;
            differs
        });
        for (uid, evicted) in found.evicted {
            let _ = crew.send(Heard::Evict(uid, evicted)).await;
        }
    }
}

/// What came of a look.
#[derive(Debug, Default)]
struct Round {
    scarce: Vec<Scarce>,
    /// Images were looked for.
    collected: bool,
    /// Pods that go, by uid.
    evicted: Vec<(String, Evicted)>,
}

fn round(shared: &Shared, pods: &[Arc<Pod>], due: bool) -> Round {
    let (reserve, root) = (shared.place.reserve, shared.node.config().root.clone());
    let look = || Host::look(&root);
    let host = look();
    let mut round = Round { scarce: host.scarce(reserve), ..Round::default() };
    if due && host.disk.above(shared.place.images.high) > 0 {
        round.collected = true;
        if !collect(shared, &|| look().disk.above(shared.place.images.low) == 0) {
            let message = "Failed to garbage collect required amount of images: no more are unused";
            tell::event_of_node(shared, "Warning", "FreeDiskSpaceFailed", message);
        }
    }
    let on_disk = |scarce: &Scarce| *scarce != Scarce::Memory;
    if round.scarce.iter().any(on_disk) {
        // Before a pod goes, all images go that nobody uses.
        collect(shared, &|| !look().scarce(reserve).iter().any(on_disk));
    }
    round.evicted = beyond(shared, pods);
    if let (Some(scarce), true) = (look().scarce(reserve).first().copied(), round.evicted.is_empty()) {
        round.evicted.extend(one(shared, pods, scarce, &look()));
    }
    round
}

/// Lets images go. Answers whether that is enough.
fn collect(shared: &Shared, enough: &dyn Fn() -> bool) -> bool {
    match images::collect(&shared.node, shared.place.images.age, enough) {
        Ok(gone) if gone > 0 => say(Level::Info, &format!("the disk is nearly full: {gone} unused images went"), &[]),
        Ok(_) => {}
        Err(error) => log::failed("remove unused images", &error),
    }
    enough()
}

/// Pods that take more of the disk than they themselves may.
fn beyond(shared: &Shared, pods: &[Arc<Pod>]) -> Vec<(String, Evicted)> {
    let limited: Vec<&Arc<Pod>> = pods.iter().filter(|pod| rank::has_limits(pod)).collect();
    if limited.is_empty() {
        return Vec::new();
    }
    let known = space::known(&shared.node, &shared.place);
    let exceeds = |pod: &&Arc<Pod>| {
        let uid = &pod.metadata.uid;
        let sandboxes = known.get(uid).map_or(&[][..], Vec::as_slice);
        let taken = space::disk(&shared.node, &shared.place, pod, sandboxes);
        Some((uid.clone(), rank::exceeds(pod, &taken)?))
    };
    limited.iter().filter_map(exceeds).collect()
}

/// The one pod that goes because something is scarce.
fn one(shared: &Shared, pods: &[Arc<Pod>], scarce: Scarce, host: &Host) -> Option<(String, Evicted)> {
    let known = space::known(&shared.node, &shared.place);
    let candidate = |pod: &'_ Arc<Pod>| {
        let sandboxes = known.get(&pod.metadata.uid).map_or(&[][..], Vec::as_slice);
        match scarce {
            Scarce::Memory => rank::Taken { memory: space::memory(&shared.node, sandboxes), ..rank::Taken::default() },
            Scarce::Disk | Scarce::Inodes => space::disk(&shared.node, &shared.place, pod, sandboxes),
        }
    };
    let candidates: Vec<Candidate<'_>> = pods.iter().map(|pod| Candidate { pod, taken: candidate(pod) }).collect();
    let chosen = rank::first(&candidates, scarce)?;
    tell::event_of_node(shared, "Warning", "EvictionThresholdMet", &format!("Attempting to reclaim {}", scarce.word()));
    let reserve = shared.place.reserve;
    let (left, threshold) = match scarce {
        Scarce::Memory => (host.memory, reserve.memory),
        Scarce::Disk => (host.disk, host.disk.part(reserve.disk)),
        Scarce::Inodes => (host.inodes, host.inodes.part(reserve.inodes)),
    };
    let why = rank::why(chosen, scarce, left, threshold);
    say(Level::Warning, &format!("pod {} is evicted: {}", chosen.pod.metadata.name, why.message), &[]);
    Some((chosen.pod.metadata.uid.clone(), why))
}
