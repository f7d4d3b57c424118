//! `network connect` and `disconnect`: a container's networks change, in its record and, while it runs, in its namespace.

use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};

use monitor::{Cleanup, NetworkChange, Request};
use net::Port;
use net::relay::Relay;

use super::attach;
use super::record::{Driver, NetworkRecord};
use super::state::{EndpointState, NetworkState};
use super::store::{self, Held};
use crate::create::{Folder, store as store_record};
use crate::request::{Endpoint, NetworkMode};
use crate::{Container, Engine, Error, Record, names, runtime, state, used};

impl Engine {
    /// Connects a container to the network that `end` names, now if it runs, and whenever it is started.
    ///
    /// # Errors
    /// It is in that network already; it has the host's network or that of another container; what is asked for cannot be had.
    pub fn connect_network(&self, given: &str, mut end: Endpoint) -> Result<(), Error> {
        let (lock, mut container) = self.changing(given)?;
        end.network = self.network(&end.network)?.name;
        let record = &mut container.record;
        let mut networks = networks(record);
        if networks.iter().any(|other| other.network == end.network) {
            let what = format!("connect container {} to {}", record.name, end.network);
            return Err(Error::Invalid { what, why: "it is connected already".to_owned() });
        }
        networks.push(end);
        (record.network, record.networks) = (NetworkMode::Bridge, networks);
        attach::check(&self.config, record)?;
        let running = container.is_running();
        if running {
            self.join(&mut container)?;
        }
        store_record(&lock.dir, &container.record)?;
        if running && let Some(used) = self.using(&container).last() {
            self.note("network", "connect", used.actor.clone());
        }
        Ok(())
    }

    /// Takes a container out of a network. What it has not been in is no error with `force`.
    ///
    /// # Errors
    /// It is not in that network.
    pub fn disconnect_network(&self, given: &str, network: &str, force: bool) -> Result<(), Error> {
        let (lock, mut container) = self.changing(given)?;
        let name = match self.network(network) {
            Ok(record) => record.name,
            // One that is gone may still be in a container's record.
            Err(Error::NoSuchNetwork(name)) => name,
            Err(error) => return Err(error),
        };
        let record = &mut container.record;
        let mut networks = networks(record);
        let before = networks.len();
        networks.retain(|end| end.network != name);
        if networks.len() == before {
            let what = format!("disconnect container {} from {name}", record.name);
            let not_in = Error::Invalid { what, why: "it is not connected to it".to_owned() };
            return if force { Ok(()) } else { Err(not_in) };
        }
        if networks.is_empty() {
            record.network = NetworkMode::None;
        }
        record.networks = networks;
        let left = match container.is_running() {
            true => self.using(&container).into_iter().find(|used| used.actor.attributes.get("name") == Some(&name)),
            false => None,
        };
        if container.is_running() {
            self.leave(&mut container, &name)?;
        }
        store_record(&lock.dir, &container.record)?;
        if let Some(used) = left {
            self.note("network", "disconnect", used.actor);
        }
        Ok(())
    }

    /// The networks of a container that runs, for events.
    fn using(&self, container: &Container) -> Vec<monitor::Used> {
        used::networks(&self.config, &container.record, container.network.as_ref())
    }

    /// The container, held, if its networks can change.
    fn changing(&self, given: &str) -> Result<(Folder, Container), Error> {
        let id = names::resolve(&self.config, given)?;
        let lock = Folder::lock(&self.config, &id)?;
        let container = state::load(&self.config, &id)?.ok_or_else(|| Error::NoSuchContainer(given.to_owned()))?;
        match container.record.network {
            NetworkMode::Bridge | NetworkMode::None => Ok((lock, container)),
            NetworkMode::Host | NetworkMode::Container(_) | NetworkMode::Pod(_) => {
                let what = format!("connect container {}", container.record.name);
                Err(Error::Invalid { what, why: "its network is not its own".to_owned() })
            }
        }
    }

    /// Connects the running container to the last network of its record.
    fn join(&self, container: &mut Container) -> Result<(), Error> {
        let record = &container.record;
        let state = container.network.get_or_insert_default();
        let held = record.networks.iter().map(|end| store::hold(&self.config, &end.network)).collect::<Result<Vec<_>, _>>()?;
        let plans = attach::plan(record, &held, &state.networks)?;
        let (Some(plan), Some(new)) = (plans.last(), held.last()) else { return Ok(()) };
        let first = !new.record.internal && state.networks.iter().all(|end| end.gateway.is_none());
        let resolver = !plan.names.is_empty() && !state.has_names();
        // Numbers that its interfaces had once are theirs for good.
        let number = state.networks.len() as u32 + 1;
        let netns = attach::shared(&self.config, &record.id)?;
        let wish = plan.wish(&new.network);
        let join = || net::join(netns, &wish, &record.id, number, first, resolver).map_err(Error::Network);
        let joined = self.config.inside(join)?;
        if joined.made && self.config.home.is_none() {
            super::trust([&new.network.bridge])?;
        }
        state.networks.push(EndpointState::new(&plan.end.network, &plan.names, &joined.end).of(&new.record));
        let undo = Cleanup { unlink: joined.undo.unlink, folders: joined.undo.folders, ..Cleanup::default() };
        let sockets = joined.resolver.map_or_else(Vec::new, |sockets| vec![sockets.datagrams, sockets.connections]);
        self.tell((record, state), &held, undo, Vec::new(), &sockets)?;
        self.rewrite(record, state)
    }

    /// Takes the running container out of `network`, which its record does not name any more.
    fn leave(&self, container: &mut Container, network: &str) -> Result<(), Error> {
        let (record, Some(state)) = (&container.record, &mut container.network) else { return Ok(()) };
        let Some(at) = state.networks.iter().position(|end| end.network == network) else { return Ok(()) };
        let left = store::hold(&self.config, network)?;
        let end = state.networks.remove(at);
        let held = record.networks.iter().map(|end| store::hold(&self.config, &end.network)).collect::<Result<Vec<_>, _>>()?;
        // The way out was that of the first that leads out.
        let was_first = end.gateway.is_some() && state.networks[..at].iter().all(|end| end.gateway.is_none());
        let next = state.networks.iter().find(|end| was_first && end.gateway.is_some());
        let gateways = next.and_then(|end| Some((end.gateway?, end.gateway6)));
        let netns = attach::shared(&self.config, &record.id)?;
        let leave = || net::leave(netns, &left.network, &record.id, &end.interface, gateways).map_err(Error::Network);
        self.config.inside(leave)?;
        let mut undo = Cleanup::default();
        // The record has its networks in the order of the state's.
        if left.publishes() && !held[..at].iter().any(Held::publishes) {
            let always = self.config.home.is_some();
            let (before, ports) = (end.relays(&state.ports, always), std::mem::take(&mut state.ports));
            let next = state.networks.iter().zip(&held).find(|(_, held)| held.publishes());
            if let Some((end, held)) = next {
                let v6 = end.address6.map(Into::into);
                let after = end.relays(&ports, always);
                let has = |relays: &[Relay], port: &Port| relays.iter().any(|relay| relay.port == *port);
                // A relay begins with the container.
                let leads =
                    |port: &Port| port.by_rules(end.address.into(), v6).is_some() || has(&before, port) && has(&after, port);
                let ports: Vec<_> = ports.into_iter().filter(leads).collect();
                let by_rules = if always { Vec::new() } else { ports.clone() };
                let restore = || net::restore(&held.network, &[(end.address.into(), v6, by_rules)]).map_err(Error::Network);
                let again = self.config.inside(restore)?;
                undo.nftables = again.into_iter().flat_map(|undo| undo.nftables).collect();
                state.ports = ports;
            }
        }
        let leases = end.addresses().into_iter().map(|address| left.network.state.join("leases").join(address.to_string()));
        self.tell((record, state), &held, undo, leases.collect(), &[])?;
        self.rewrite(record, state)
    }

    /// Tells the container's monitor. One that is gone undoes nothing: recovery finds what there is.
    pub(super) fn tell(
        &self,
        (record, state): (&Record, &NetworkState),
        held: &[Held],
        undo: Cleanup,
        gone: Vec<std::path::PathBuf>,
        fds: &[OwnedFd],
    ) -> Result<(), Error> {
        let names = attach::names(&self.config, record, held);
        let using = used::networks(&self.config, record, Some(state));
        let change = NetworkChange {
            undo,
            gone,
            names,
            sockets: !fds.is_empty(),
            using,
            relays: relays(state, held, self.config.home.is_some()),
        };
        if let Some(mut session) = self.connect(&record.id)? {
            let fds: Vec<_> = fds.iter().map(AsFd::as_fd).collect();
            match session.ask_with(&Request::Networks(Box::new(change)), &fds) {
                Ok(()) | Err(Error::MonitorGone(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Writes down where the container is now, for readers and for itself.
    fn rewrite(&self, record: &Record, state: &NetworkState) -> Result<(), Error> {
        runtime::describe_anew(record, state, &self.config.runtime(&record.id))?;
        runtime::write_files(&self.config, record, Some(state), &self.config.container(&record.id))
    }

    /// Makes all rules again that somebody has flushed, for all running containers: a firewall that is set up anew flushes everything.
    ///
    /// # Errors
    /// The kernel refuses; rules of other networks are made all the same.
    pub fn reload_networks(&self) -> Result<(), Error> {
        let containers = self.containers()?;
        let (mut failure, networks) = (None, self.networks()?);
        let publishing = |record: &&NetworkRecord| !record.internal && record.driver == Driver::Bridge;
        let publishing: Vec<_> = networks.iter().filter(publishing).map(|record| record.name.clone()).collect();
        for network in networks.iter().filter(|network| network.v4.is_some()) {
            let mut ends = Vec::new();
            for state in
                containers.iter().filter(|container| container.is_running()).filter_map(|container| container.network.as_ref())
            {
                // The ports are those of the first network where they can be published.
                let first = state.networks.iter().find(|end| publishing.contains(&end.network));
                for end in state.networks.iter().filter(|end| end.network == network.name) {
                    let by_rules = Some(end) == first && self.config.home.is_none();
                    let ports = if by_rules { state.ports.clone() } else { Vec::new() };
                    ends.push((end.address.into(), end.address6.map(Into::into), ports));
                }
            }
            if let Err(error) = self.restore(&network.name, &ends) {
                failure.get_or_insert(error);
            }
        }
        failure.map_or(Ok(()), Err)
    }

    /// Makes what a network needs, if containers are in it or were: one whose bridge is not there needs nothing.
    fn restore(&self, name: &str, ends: &[Restored]) -> Result<(), Error> {
        let network = store::hold(&self.config, name)?.network;
        let made = || net::is_made(&network).map_err(Error::Network);
        if network.macvlan.is_some() || ends.is_empty() && !self.config.inside(made)? {
            return Ok(());
        }
        self.config.inside(|| net::restore(&network, ends).map(drop).map_err(Error::Network))?;
        if self.config.home.is_some() { Ok(()) } else { super::trust([&network.bridge]) }
    }
}

/// A running container's addresses in a network, and its ports there.
type Restored = (IpAddr, Option<IpAddr>, Vec<Port>);

/// What is relayed from now on.
fn relays(state: &NetworkState, held: &[Held], always: bool) -> Vec<Relay> {
    let publishes = |end: &&EndpointState| held.iter().any(|held| held.record.name == end.network && held.publishes());
    state.networks.iter().find(publishes).map_or_else(Vec::new, |end| end.relays(&state.ports, always))
}

/// The networks as a list, which is empty where there are none.
fn networks(record: &Record) -> Vec<Endpoint> {
    let default = || Endpoint { network: "bridge".to_owned(), ..Endpoint::default() };
    match record.network {
        NetworkMode::Bridge if record.networks.is_empty() => vec![default()],
        _ => record.networks.clone(),
    }
}
