//! Which pods are taken.

use std::sync::Arc;
use std::time::Duration;

use ::api::kinds::node::Node;
use ::api::kinds::pod::Pod;

use super::super::admission::{Verdict, forbidden, verdict};
use super::super::pressure::{Evicted, is_critical};
use super::super::worker::Poke;
use super::Crew;

impl Crew {
    /// Why a pod that was not seen before is not taken. Those that make room for it are told so.
    pub(super) async fn refusal(&mut self, pod: &Pod) -> Option<Evicted> {
        let scarce = self.shared.pressure.borrow().refuses(pod.spec.qos_class() == "BestEffort");
        if let Some(why) = scarce.filter(|_| !is_critical(pod)) {
            return Some(Evicted::kept_away(&why));
        }
        if let Some(why) = forbidden(pod, &self.shared.place.sysctls) {
            return Some(Evicted::rejected("SysctlForbidden", &why));
        }
        let uid = &pod.metadata.uid;
        let others = self.workers.iter().filter(|(other, _)| *other != uid).filter_map(|(_, line)| line.holds());
        let others: Vec<Arc<Pod>> = others.collect();
        let node = Arc::clone(&self.shared.own.borrow());
        let mut said = verdict(pod, &others, &node);
        if matches!(said, Verdict::Unwanted(_))
            && let Some(node) = self.node_now().await
        {
            said = verdict(pod, &others, &node);
        }
        match said {
            Verdict::Taken => None,
            Verdict::Refused(why) | Verdict::Unwanted(why) => Some(why),
            Verdict::InPlaceOf(victims) => {
                for uid in victims {
                    let Some(line) = self.workers.get_mut(&uid) else { continue };
                    line.leaves = true;
                    let _ = line.poke.send(Poke::Evict(Evicted::preempted()));
                }
                None
            }
        }
    }

    /// The node as the API has it at this moment, if that answers soon.
    async fn node_now(&self) -> Option<Node> {
        let path = format!("/api/v1/nodes/{}", self.shared.place.node);
        let asked = tokio::time::timeout(Duration::from_secs(2), self.shared.api.get(&path)).await;
        serde_json::from_value(asked.ok()?.ok()?).ok()
    }
}

/// Whether a pod was never taken: one that has begun, has ended or is to end is not asked again.
pub(super) fn is_new(pod: &Pod) -> bool {
    pod.status.start_time.is_none() && pod.metadata.deletion_timestamp.is_none() && !pod.is_done()
}
