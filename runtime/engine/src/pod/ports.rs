//! The host's ports of pods. Packet rules lead them to their pods, whoever lives; sockets of this process show others that they are taken, as
//! the monitor's do for a container of its own.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::sync::{Mutex, PoisonError};

use crate::{Engine, Error};

/// Sockets by the pod that has the ports.
#[derive(Debug, Default)]
pub(crate) struct Held(Mutex<HashMap<String, Vec<OwnedFd>>>);

impl Held {
    pub(super) fn keep(&self, pod: &str, sockets: Vec<OwnedFd>) {
        if !sockets.is_empty() {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).insert(pod.to_owned(), sockets);
        }
    }

    pub(super) fn release(&self, pod: &str) {
        let sockets = self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(pod);
        drop(sockets);
    }
}

impl Engine {
    /// Holds the ports of all pods that are ready, as [`Engine::run_pod`] does from the start: for a daemon that was started anew. Answers
    /// why single ones cannot be had: somebody else has bound them meanwhile, and gets none of their packets.
    ///
    /// # Errors
    /// Pods cannot be listed.
    pub fn hold_ports(&self) -> Result<Vec<Error>, Error> {
        let mut failed = Vec::new();
        for pod in self.pods()?.into_iter().filter(|pod| pod.ready) {
            let ports = pod.network.map(|network| network.ports).unwrap_or_default();
            let (sockets, errors) = net::hold(&ports);
            self.held.keep(&pod.record.id, sockets);
            failed.extend(errors.into_iter().map(Error::Network));
        }
        Ok(failed)
    }
}
