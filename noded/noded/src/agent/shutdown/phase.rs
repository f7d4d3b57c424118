//! Who ends when: pure.

use std::time::Duration;

use api::kinds::pod::Pod;

use super::super::actual::Nanos;

/// Pods of this priority and above are those that others depend on: Kubernetes keeps it for its own two classes.
const CRITICAL: i32 = 2_000_000_000;

/// How far a shutdown is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in super::super) enum Phase {
    /// There is none.
    #[default]
    Up,
    /// Ordinary pods end, until then at the latest.
    Ordinary { ends: Nanos },
    /// All others do, too.
    All { ends: Nanos },
}

/// To which of two groups a pod belongs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Class {
    Ordinary,
    Critical,
}

/// The class of a pod; one that the API has forgotten is an ordinary one.
pub(in super::super) fn class(pod: Option<&Pod>) -> Class {
    let priority = pod.and_then(|pod| pod.spec.priority).unwrap_or(0);
    if priority >= CRITICAL { Class::Critical } else { Class::Ordinary }
}

impl Phase {
    /// When a pod has to have ended, if it ends now.
    pub(in super::super) fn end_of(self, class: Class) -> Option<Nanos> {
        match (self, class) {
            (Phase::Ordinary { ends }, Class::Ordinary) | (Phase::All { ends }, _) => Some(ends),
            _ => None,
        }
    }

    /// Whether the host goes down.
    pub(in super::super) fn is_down(self) -> bool {
        self != Phase::Up
    }
}

/// How long all pods may take to end, and how much of that critical ones have for themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) struct Times {
    pub(in super::super) all: Duration,
    pub(in super::super) critical: Duration,
}

impl Times {
    /// The same parts of no more time than this.
    pub(super) fn within(self, longest: Duration) -> Times {
        if self.all <= longest {
            return self;
        }
        let part = self.critical.as_secs_f64() / self.all.as_secs_f64();
        Times { all: longest, critical: longest.mul_f64(part.clamp(0.0, 1.0)) }
    }

    /// What ordinary pods have, and what critical ones.
    pub(super) fn each(self) -> [Duration; 2] {
        [self.all.saturating_sub(self.critical), self.critical]
    }
}

/// The moment that is so far away.
pub(super) fn after(time: Duration) -> Nanos {
    engine::now().saturating_add(u64::try_from(time.as_nanos()).unwrap_or(Nanos::MAX))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn critical_pods_end_last() {
        let pod = |priority| serde_json::from_value::<Pod>(json!({"spec": {"priority": priority}})).unwrap();
        let classes = [1_000_000_000, 2_000_000_000, 2_000_001_000].map(|priority| class(Some(&pod(priority))));
        assert_eq!(classes, [Class::Ordinary, Class::Critical, Class::Critical]);
        assert_eq!(class(None), Class::Ordinary);
        let ends = |phase: Phase| [Class::Ordinary, Class::Critical].map(|class| phase.end_of(class));
        assert_eq!(ends(Phase::Up), [None, None]);
        assert_eq!(ends(Phase::Ordinary { ends: 7 }), [Some(7), None]);
        assert_eq!(ends(Phase::All { ends: 9 }), [Some(9), Some(9)]);
    }

    #[test]
    fn less_time_is_shared_alike() {
        let seconds = Duration::from_secs;
        let times = Times { all: seconds(30), critical: seconds(10) };
        assert_eq!(times.within(seconds(60)).each(), [seconds(20), seconds(10)]);
        assert_eq!(times.within(seconds(6)).each(), [seconds(4), seconds(2)]);
        assert_eq!(times.within(Duration::ZERO).each(), [Duration::ZERO; 2]);
        let alone = Times { all: seconds(5), critical: Duration::ZERO };
        assert_eq!(alone.within(seconds(5)).each(), [seconds(5), Duration::ZERO]);
    }
}
