//! What pods of one class want of one node: room, and how good it is for them.

use std::collections::HashMap;

use api::kinds::pod::Pod;

use super::demand::{Amounts, Port, collide, ports, requests};
use super::snapshot::Place;

/// Needs that are the same for all pods of a class.
#[derive(Debug)]
pub(super) struct Wants {
    pub(super) priority: i32,
    needs: Amounts,
    ports: Vec<Port>,
    /// Pods of this class on each node, or of the same controller before.
    pub(super) own: HashMap<usize, i64>,
}

impl Wants {
    pub(super) fn new(pod: &Pod, own: HashMap<usize, i64>) -> Self {
        Self { priority: pod.spec.priority.unwrap_or(0), needs: requests(&pod.spec), ports: ports(&pod.spec), own }
    }

    /// What a node lacks for the pod with this key. It lacks what is kept there for others that are no less important.
    pub(super) fn lacks(&self, place: &Place, key: &str) -> Option<String> {
        let mut kept = place.kept(self.priority, key).peekable();
        if kept.peek().is_none() {
            return self.short(place, &place.used).or_else(|| self.collides(&place.ports));
        }
        let mut used = place.used.clone();
        let mut taken = place.ports.clone();
        for (amounts, ports) in kept {
            used.add(amounts, 1);
            taken.extend(ports.iter().cloned());
        }
        self.short(place, &used).or_else(|| self.collides(&taken))
    }

    fn short(&self, place: &Place, used: &Amounts) -> Option<String> {
        let (needs, room) = (&self.needs, &place.room);
        let short = |need: i64, room: i64, used: i64| need > 0 && used.saturating_add(need) > room;
        if short(1, room.pods, used.pods) && room.pods > 0 {
            return Some("Too many pods".into());
        }
        for (name, need, room, used) in [
            ("cpu", needs.cpu, room.cpu, used.cpu),
            ("memory", needs.memory, room.memory, used.memory),
            ("ephemeral-storage", needs.storage, room.storage, used.storage),
        ] {
            if short(need, room, used) {
                return Some(format!("Insufficient {name}"));
            }
        }
        let of = |amounts: &Amounts, name: &str| amounts.others.get(name).copied().unwrap_or(0);
        let lacking = needs.others.iter().find(|(name, need)| short(**need, of(room, name), of(used, name)));
        lacking.map(|(name, _)| format!("Insufficient {name}"))
    }

    fn collides(&self, taken: &[Port]) -> Option<String> {
        let collides = self.ports.iter().any(|p| taken.iter().any(|q| collide(p, q)));
        collides.then(|| "node(s) didn't have free ports for the requested pod ports".into())
    }

    /// How good a node is: much of it free, of what is scarcer there, and few of the same controller there.
    ///
    /// It never rises while pods only come: whoever keeps an old answer knows the most that it can be.
    pub(super) fn score(&self, place: &Place, at: usize, liked: i64) -> i64 {
        // pods that ask for nothing count as something, or they would all go to one node
        let (cpu, memory) = (self.needs.cpu.max(100), self.needs.memory.max(200 << 20));
        let free =
            |room: i64, used: i64, need: i64| if room <= 0 { 0 } else { ((room - used - need).max(0)).saturating_mul(100) / room };
        let pods = place.used.pods;
        let cpu = free(place.room.cpu, place.used.cpu.max(pods * 100), cpu);
        let memory = free(place.room.memory, place.used.memory.max(pods * (200 << 20)), memory);
        50 + cpu.min(memory) + liked - 40 * self.own.get(&at).copied().unwrap_or(0)
    }
}
