//! The host goes down, and has said so: first its pods end, those that others depend on last, as with the kubelet's graceful node shutdown.
//!
//! ```text
//! logind ──PrepareForShutdown──▶ run() ──phase──▶ workers: their pods fail, and end in time
//!        ◀──the lock is dropped──      ◀─alive──  each until nothing of it runs
//!                                      ──phase──▶ heartbeat: the node is not ready, so nothing new comes
//! ```

mod phase;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::effects::Shared;
use crate::config::Agent;
use crate::host::log::{Level, say};
use crate::host::logind::{self, News};
pub(super) use phase::{Class, Phase, Times, class};

/// How long the last statuses may take to reach the API.
const LAST: Duration = Duration::from_secs(2);

/// What workers hear, and what is heard of them.
#[derive(Debug, Default)]
pub(super) struct Shutdown {
    phase: watch::Sender<Phase>,
    /// How many pods of each class have something that runs.
    alive: Arc<watch::Sender<[usize; 2]>>,
    /// How many statuses have not been written yet.
    unsaid: Arc<watch::Sender<usize>>,
}

impl Shutdown {
    /// What is to be done, as it changes.
    pub(super) fn phase(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Something of a pod of this class runs.
    pub(super) fn alive(&self, class: Class) -> Alive {
        self.alive.send_modify(|alive| alive[class as usize] += 1);
        Alive { all: Arc::clone(&self.alive), class }
    }

    /// Somebody has a status that may not have been written.
    pub(super) fn unsaid(&self) -> Unsaid {
        Unsaid { is: AtomicBool::new(false), all: Arc::clone(&self.unsaid) }
    }

    fn enter(&self, phase: Phase) {
        self.phase.send_replace(phase);
    }

    /// Waits until no pod of a class has anything that runs, but no longer than this.
    async fn ended(&self, left: Duration, all: impl Fn(&[usize; 2]) -> bool) {
        let mut alive = self.alive.subscribe();
        let _ = tokio::time::timeout(left, alive.wait_for(all)).await;
    }
}

/// A pod of which something runs, as long as this lives.
#[derive(Debug)]
pub(super) struct Alive {
    all: Arc<watch::Sender<[usize; 2]>>,
    class: Class,
}

impl Alive {
    /// What belongs to the pod may be found before the API has told of it: then it changes its class.
    pub(super) fn belongs_to(&mut self, class: Class) {
        let before = std::mem::replace(&mut self.class, class);
        self.all.send_if_modified(|alive| {
            alive[before as usize] -= 1;
            alive[class as usize] += 1;
            before != class
        });
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.all.send_modify(|alive| alive[self.class as usize] -= 1);
    }
}

/// Whether a status waits to be written.
#[derive(Debug)]
pub(super) struct Unsaid {
    is: AtomicBool,
    all: Arc<watch::Sender<usize>>,
}

impl Unsaid {
    /// One waits, or none does.
    pub(super) fn is(&self, is: bool) {
        let before = self.is.swap(is, Ordering::SeqCst);
        match (before, is) {
            (false, true) => self.all.send_modify(|all| *all += 1),
            (true, false) => self.all.send_modify(|all| *all -= 1),
            _ => {}
        }
    }
}

impl Drop for Unsaid {
    fn drop(&mut self) {
        self.is(false);
    }
}

/// Ends pods whenever a shutdown is announced.
pub(super) async fn run(shared: Arc<Shared>, config: Agent) {
    let times = Times { all: Duration::from_secs(config.shutdown), critical: Duration::from_secs(config.shutdown_critical) };
    if times.all.is_zero() {
        return;
    }
    let (tell, mut news) = mpsc::unbounded_channel();
    logind::watch(logind::bus(), times.all, tell);
    while let Some(word) = news.recv().await {
        let News::Comes(lock, longest) = word else { continue };
        say(Level::Notice, "this host shuts down: its pods end first", &[]);
        tokio::select! {
            () = end(&shared.shutdown, times.within(longest)) => {
                let [ordinary, critical] = *shared.shutdown.alive.borrow();
                say(Level::Notice, &format!("pods have ended, but for {}", ordinary + critical), &[]);
                drop(lock);
            }
            // Whatever comes now says that it does not.
            _ = news.recv() => {
                say(Level::Notice, "this host does not shut down after all", &[]);
                shared.shutdown.enter(Phase::Up);
                continue;
            }
        }
        let _ = news.recv().await;
        shared.shutdown.enter(Phase::Up);
    }
}

/// Ends all pods: ordinary ones first.
async fn end(shutdown: &Shutdown, times: Times) {
    let [ordinary, critical] = times.each();
    shutdown.enter(Phase::Ordinary { ends: phase::after(ordinary) });
    shutdown.ended(ordinary, |alive| alive[Class::Ordinary as usize] == 0).await;
    shutdown.enter(Phase::All { ends: phase::after(critical) });
    shutdown.ended(critical, |alive| *alive == [0, 0]).await;
    let mut unsaid = shutdown.unsaid.subscribe();
    let _ = tokio::time::timeout(LAST, unsaid.wait_for(|all| *all == 0)).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nobody_waits_for_what_turns_out_to_be_critical() {
        let shutdown = Shutdown::default();
        let mut late = shutdown.alive(Class::Ordinary);
        let other = shutdown.alive(Class::Ordinary);
        let ordinary = shutdown.ended(Duration::from_secs(3600), |alive| alive[Class::Ordinary as usize] == 0);
        let found_out = async {
            late.belongs_to(Class::Critical);
            late.belongs_to(Class::Critical);
            drop(other);
        };
        let both = async { tokio::join!(ordinary, found_out) };
        tokio::time::timeout(Duration::from_secs(60), both).await.expect("it waits for a critical pod");
        assert_eq!(*shutdown.alive.borrow(), [0, 1]);
        drop(late);
        assert_eq!(*shutdown.alive.borrow(), [0, 0]);
    }
}
