//! Who waits for containers to be started: clients attach and wait first, so that they miss nothing.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use engine::{Exit, Session};
use tokio::sync::oneshot;

use super::session::{self, Shared};
use super::{Service, lock};

/// Those who wait, by the container's id.
#[derive(Default)]
pub(super) struct Expected(Mutex<BTreeMap<String, Vec<Waiting>>>);

/// Somebody who waits for a start.
pub(super) enum Waiting {
    /// To listen from the first byte.
    Listener { stdin: bool, send: oneshot::Sender<Start> },
    /// For the end that is to follow.
    End(oneshot::Sender<Exit>),
}

/// A container that was started.
pub(super) struct Start {
    pub(super) session: Shared,
    /// Who is to be told of its end by whoever has the session.
    pub(super) ends: Vec<oneshot::Sender<Exit>>,
}

impl Expected {
    /// Waits for the start of this container.
    pub(super) fn add(&self, id: &str, waiting: Waiting) {
        let mut all = lock(&self.0);
        // Clients that have gone wait for nothing.
        all.retain(|_, some| {
            some.retain(|one| !one.is_gone());
            !some.is_empty()
        });
        all.entry(id.to_owned()).or_default().push(waiting);
    }

    /// Those who wait for it now.
    pub(super) fn take(&self, id: &str) -> Vec<Waiting> {
        let mut waiting = lock(&self.0).remove(id).unwrap_or_default();
        waiting.retain(|one| !one.is_gone());
        waiting
    }

    /// Nobody was told yet.
    pub(super) fn has(&self, id: &str) -> bool {
        lock(&self.0).contains_key(id)
    }
}

impl Waiting {
    fn is_gone(&self) -> bool {
        match self {
            Waiting::Listener { send, .. } => send.is_closed(),
            Waiting::End(send) => send.is_closed(),
        }
    }
}

/// What those who wait want of the start: to listen, with input; to listen; nothing.
pub(super) fn wanted(waiting: &[Waiting]) -> Option<engine::Attach> {
    let listeners = waiting.iter().filter_map(|one| match one {
        Waiting::Listener { stdin, .. } => Some(*stdin),
        Waiting::End(_) => None,
    });
    listeners.reduce(|one, other| one || other).map(|stdin| engine::Attach { stdin })
}

/// Tells them. The first listener who feeds, or the first one, has the session of the start, which misses nothing.
pub(super) fn tell(service: &Arc<Service>, id: &str, waiting: Vec<Waiting>, session: Session) {
    let (mut listeners, mut ends) = (Vec::new(), Vec::new());
    for one in waiting {
        match one {
            Waiting::Listener { stdin, send } => listeners.push((stdin, send)),
            Waiting::End(send) => ends.push(send),
        }
    }
    listeners.sort_by_key(|(stdin, _)| !stdin);
    let session = Arc::new(Mutex::new(session));
    let mut listeners = listeners.into_iter();
    match listeners.next() {
        Some((_, send)) => {
            if let Err(Start { session, ends }) = send.send(Start { session, ends }) {
                tell_end(service, session, ends);
            }
        }
        None => {
            let _ = lock(&session).await_end();
            tell_end(service, session, ends);
        }
    }
    for (stdin, send) in listeners {
        if let Ok((_, session)) = service.engine.attach(id, stdin) {
            let _ = send.send(Start { session: Arc::new(Mutex::new(session)), ends: Vec::new() });
        }
    }
}

/// Tells of the end, as long as anybody wants to know.
pub(super) fn tell_end(service: &Service, session: Shared, mut ends: Vec<oneshot::Sender<Exit>>) {
    ends.retain(|send| !send.is_closed());
    if ends.is_empty() {
        return;
    }
    let busy = service.busy();
    tokio::spawn(async move {
        let nobody = async {
            for send in &mut ends {
                send.closed().await;
            }
        };
        let exit = tokio::select! {
            exit = session::ended(&session) => exit,
            () = nobody => None,
        };
        told(ends, exit);
        drop(busy);
    });
}

/// Tells how it has ended.
pub(super) fn told(ends: Vec<oneshot::Sender<Exit>>, exit: Option<Exit>) {
    if let Some(exit) = exit {
        ends.into_iter().for_each(|send| drop(send.send(exit.clone())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_has_gone_waits_for_nothing() {
        let expected = Expected::default();
        let (send, receive) = oneshot::channel();
        expected.add("a", Waiting::End(send));
        let (listen, listening) = oneshot::channel();
        expected.add("a", Waiting::Listener { stdin: true, send: listen });
        assert!(expected.has("a") && !expected.has("b"));
        drop(receive);
        let waiting = expected.take("a");
        assert_eq!((waiting.len(), wanted(&waiting)), (1, Some(engine::Attach { stdin: true })));
        assert!(!expected.has("a") && expected.take("a").is_empty());
        drop(listening);
        expected.add("b", Waiting::Listener { stdin: false, send: oneshot::channel().0 });
        expected.add("c", Waiting::End(oneshot::channel().0));
        assert!(!expected.has("b"));
    }
}
