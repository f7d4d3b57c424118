//! Why a pod does not run, or not any longer, on this node.

const REJECTED: &str = "Pod was rejected: ";

/// The word for a pod that the node cannot keep.
const EVICTED: &str = "Evicted";

/// A pod that has to go, or was never taken: it has failed for good.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in super::super) struct Evicted {
    /// One word.
    pub(in super::super) reason: String,
    pub(in super::super) message: String,
    /// It is for the node's sake: then the pod is told to be disrupted.
    pub(in super::super) by_node: bool,
}

impl Evicted {
    /// The node is short of something.
    pub(super) fn by_node(message: String) -> Evicted {
        Evicted { reason: EVICTED.to_owned(), message, by_node: true }
    }

    /// The pod takes more than it may.
    pub(super) fn by_itself(message: String) -> Evicted {
        Evicted { by_node: false, ..Evicted::by_node(message) }
    }

    /// It makes room for a critical pod.
    pub(in super::super) fn preempted() -> Evicted {
        Evicted { reason: "Preempting".to_owned(), message: "Preempted in order to admit critical pod".to_owned(), by_node: true }
    }

    /// It is not taken.
    pub(in super::super) fn rejected(reason: &str, message: &str) -> Evicted {
        Evicted { reason: reason.to_owned(), message: format!("{REJECTED}{message}"), by_node: false }
    }

    /// It is not taken because the node is short of something.
    pub(in super::super) fn kept_away(message: &str) -> Evicted {
        Evicted::rejected(EVICTED, message)
    }

    /// What events say.
    pub(in super::super) fn told(&self) -> &str {
        self.message.strip_prefix(REJECTED).unwrap_or(&self.message)
    }

    /// Seconds that it has to end, if it has not those that it asks for: a node that is short of something does not wait.
    pub(in super::super) fn grace(&self) -> Option<i64> {
        (self.reason == EVICTED).then_some(1)
    }
}
