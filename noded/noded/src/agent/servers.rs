//! The servers of the API: those that the node was told, and those that the service `kubernetes` lists.

use std::sync::{Mutex, MutexGuard, PoisonError};

use ::api::kinds::endpoints::EndpointSlice;
use anyhow::{Result, ensure};
use tokio::sync::watch;

/// Which there are, and which one is asked.
#[derive(Debug)]
pub(crate) struct Servers {
    state: Mutex<State>,
    /// How often another one has become the one that is asked.
    moves: watch::Sender<u64>,
    /// How often it has become known that there are others.
    news: watch::Sender<u64>,
}

#[derive(Debug)]
struct State {
    told: Vec<String>,
    listed: Vec<String>,
    current: String,
}

impl State {
    fn all(&self) -> Vec<String> {
        let mut all = self.told.clone();
        all.extend(self.listed.iter().filter(|server| !self.told.contains(server)).cloned());
        all
    }
}

/// Refuses what is not `https://HOST:PORT,https://HOST:PORT`.
pub(crate) fn check(servers: &str) -> Result<()> {
    for server in servers.split(',') {
        let host = server.strip_prefix("https://").is_some_and(|rest| !rest.trim_end_matches('/').is_empty());
        ensure!(host, "--join: {server:?} is not of the form https://HOST:PORT");
    }
    Ok(())
}

/// The servers in the slice of the service `kubernetes`.
pub(crate) fn listed(slice: &EndpointSlice) -> Vec<String> {
    let port = slice.ports.first().and_then(|port| port.port).unwrap_or(443);
    let all = slice.endpoints.iter().flat_map(|endpoint| &endpoint.addresses);
    all.map(|address| format!("https://{address}:{port}")).collect()
}

impl Servers {
    /// Those of a list with commas.
    pub(crate) fn new(servers: &str) -> Servers {
        let told: Vec<String> = servers.split(',').map(|server| server.trim_end_matches('/').to_owned()).collect();
        let current = told[0].clone();
        let state = Mutex::new(State { told, listed: Vec::new(), current });
        Servers { state, moves: watch::Sender::new(0), news: watch::Sender::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that is asked.
    pub(crate) fn current(&self) -> String {
        self.state().current.clone()
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<String> {
        self.state().all()
    }

    /// Those that the service `kubernetes` lists.
    pub(crate) fn listed(&self) -> Vec<String> {
        self.state().listed.clone()
    }

    /// This one does not answer: the next is asked, if there is one.
    pub(crate) fn leave(&self, server: &str) {
        let mut state = self.state();
        let all = state.all();
        if state.current != server || all.len() < 2 {
            return;
        }
        let at = all.iter().position(|one| one == server).map_or(0, |at| at + 1);
        state.current = all[at % all.len()].clone();
        self.moves.send_modify(|count| *count += 1);
    }

    /// The service `kubernetes` lists these.
    pub(crate) fn list(&self, listed: Vec<String>) {
        let mut state = self.state();
        if state.listed != listed {
            state.listed = listed;
            self.news.send_modify(|count| *count += 1);
        }
    }

    /// Changes when another server is asked.
    pub(crate) fn moves(&self) -> watch::Receiver<u64> {
        self.moves.subscribe()
    }

    /// Changes when there are other servers.
    pub(crate) fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_is_asked_when_one_is_left() {
        let servers = Servers::new("https://a:1/,https://b:1");
        let moves = servers.moves();
        assert_eq!(servers.current(), "https://a:1");
        servers.leave("https://b:1");
        assert!(!moves.has_changed().unwrap(), "it is not the one that is asked");
        servers.list(vec!["https://b:1".to_owned(), "https://c:1".to_owned()]);
        let order: Vec<String> = (0..3)
            .map(|_| {
                servers.leave(&servers.current());
                servers.current()
            })
            .collect();
        assert_eq!(order, ["https://b:1", "https://c:1", "https://a:1"]);
        assert!(moves.has_changed().unwrap() && servers.news().borrow().eq(&1));
        let alone = Servers::new("https://a:1");
        alone.leave("https://a:1");
        assert_eq!((alone.current().as_str(), alone.all().len()), ("https://a:1", 1));
    }

    #[test]
    fn lists_are_checked() {
        assert!(check("https://a:1").is_ok() && check("https://a:1,https://b:1").is_ok());
        for bad in ["", "a:1", "https://a:1,", "https://a:1,http://b:1", "https://"] {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }
}
