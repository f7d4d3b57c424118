//! A container's start: its network made, as its record says.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::PathBuf;

use super::state::{EndpointState, NetworkState};
use super::store::{self, Held};
use crate::config::Config;
use crate::request::{Endpoint, NetworkMode, Port};
use crate::{Error, Record, pod, state, wait};

/// What a container's processes see of networks.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "a start has one of them")]
pub(crate) enum Network {
    /// The host's own.
    Host,
    /// Loopback.
    Alone(OwnedFd),
    /// Another container's.
    Shared(OwnedFd),
    /// A pod's, where it is pinned.
    Pinned(PathBuf),
    /// Addresses on bridges.
    Bridge {
        /// The namespace and what must be undone.
        attached: net::Attached,
        /// For readers.
        state: NetworkState,
        /// For its resolver.
        names: net::dns::Config,
    },
}

impl Network {
    /// Makes one that needs nothing but its mode, if this is such a mode. The calling thread may end up in it.
    pub(crate) fn early(config: &Config, mode: &NetworkMode) -> Result<Option<Network>, Error> {
        match mode {
            NetworkMode::Pod(pod) => Ok(Some(Network::Pinned(pod::pinned(config, pod, "net")))),
            NetworkMode::Host => Ok(Some(Network::Host)),
            NetworkMode::None => net::isolated().map(|netns| Some(Network::Alone(netns))).map_err(Error::Network),
            NetworkMode::Bridge | NetworkMode::Container(_) => Ok(None),
        }
    }

    /// Makes one that depends on the container, too. `netns` is the namespace, if that is there: the thread ends up in it.
    pub(crate) fn attach(config: &Config, record: &Record, netns: Option<OwnedFd>) -> Result<Network, Error> {
        let netns = match (&record.network, netns) {
            (NetworkMode::None, Some(netns)) => return net::isolated_in(netns).map(Network::Alone).map_err(Error::Network),
            (_, netns) => netns,
        };
        if let NetworkMode::Container(other) = &record.network {
            return shared(config, other).map(Network::Shared);
        }
        if record.networks.is_empty() {
            let network = super::default(config)?;
            let ports = published(config, record);
            let attached = attached(config, netns, &[net::Wish::plain(&network)], record, &ports)?;
            let networks = attached.ends.iter().map(|end| EndpointState::new("bridge", &[], end)).collect();
            let state = NetworkState { networks, ports: attached.ports.clone() };
            return Ok(Network::Bridge { attached, state, names: net::dns::Config::default() });
        }
        let held = record.networks.iter().map(|end| store::hold(config, &end.network)).collect::<Result<Vec<_>, _>>()?;
        let plans = plan(record, &held, &[])?;
        let wishes: Vec<_> = plans.iter().zip(&held).map(|(plan, held)| plan.wish(&held.network)).collect();
        let ports = ports(config, record, &held)?;
        let attached = attached(config, netns, &wishes, record, &ports)?;
        let ends = attached.ends.iter().zip(&plans).zip(&held);
        let new = |((end, plan), held): ((&net::End, &Plan<'_>), &Held)| {
            EndpointState::new(&plan.end.network, &plan.names, end).of(&held.record)
        };
        let networks = ends.map(new).collect();
        let state = NetworkState { networks, ports: attached.ports.clone() };
        // From here on the lease and whoever is in charge keep a network from being removed.
        let names = names(config, record, &held);
        Ok(Network::Bridge { attached, state, names })
    }

    /// The namespace, for as long as this lives.
    pub(crate) fn namespace(&self) -> Option<PathBuf> {
        let netns = match self {
            Network::Host => return None,
            Network::Pinned(path) => return Some(path.clone()),
            Network::Alone(netns) | Network::Shared(netns) => netns,
            Network::Bridge { attached, .. } => &attached.netns,
        };
        Some(PathBuf::from(format!("/proc/self/fd/{}", netns.as_raw_fd())))
    }

    /// Its places on bridges, for readers.
    pub(crate) fn state(&self) -> Option<&NetworkState> {
        match self {
            Network::Bridge { state, .. } => Some(state),
            _ => None,
        }
    }
}

/// Connects a container. The calling thread may end up where the bridges are.
fn attached(
    config: &Config,
    netns: Option<OwnedFd>,
    wishes: &[net::Wish<'_>],
    record: &Record,
    ports: &[Port],
) -> Result<net::Attached, Error> {
    let Some(home) = &config.home else {
        let attached = net::attach_to(netns, wishes, &record.id, ports, true).map_err(Error::Network)?;
        super::trust(&attached.made)?;
        return Ok(attached);
    };
    if let Some(why) = &home.cut_off {
        let what = "connect a container to a bridge (--network none and host need none)".to_owned();
        return Err(Error::Invalid { what, why: why.clone() });
    }
    // Here, where others look for them.
    let ports = net::Outside::bind(ports).map_err(Error::Network)?;
    config.go_inside()?;
    net::attach_outside(netns, wishes, &record.id, ports).map_err(Error::Network)
}

/// What the container's resolver knows. Nobody else is asked for a container that has no way out.
pub(super) fn names(config: &Config, record: &Record, held: &[Held]) -> net::dns::Config {
    let named = held.iter().filter(|held| !held.record.is_predefined());
    net::dns::Config {
        zones: named.map(|held| net::dns::Zone { name: held.record.name.clone(), state: held.network.state.clone() }).collect(),
        forward: held.iter().any(|held| !held.record.internal),
        servers: record.dns.servers.clone(),
        resolv_conf: config.own_resolv_conf.clone(),
    }
}

/// The network namespace of a running container.
pub(super) fn shared(config: &Config, id: &str) -> Result<OwnedFd, Error> {
    use crate::error::During;
    use sys::Call;

    let container = state::load(config, id)?.ok_or_else(|| Error::NoSuchContainer(id[..12].to_owned()))?;
    let not_running = || Error::NotRunning(container.record.name.clone());
    let (pid, _) = container.process().ok_or_else(not_running)?;
    let process = wait::open_process(&container).ok_or_else(not_running)?;
    let path = format!("/proc/{pid}/ns/net");
    let file = std::fs::File::open(&path).call(|| format!("open({path:?})"));
    let file = file.during(|| format!("enter the network of container {}", container.record.name))?;
    // The number meant this process when it was opened if it still does now.
    match sys::process::signal(&process, 0) {
        Ok(()) => Ok(file.into()),
        Err(_) => Err(not_running()),
    }
}

/// One network of a container, all of it decided.
pub(super) struct Plan<'a> {
    pub(super) end: &'a Endpoint,
    interface: String,
    pub(super) names: Vec<String>,
}

impl<'a> Plan<'a> {
    pub(super) fn wish(&'a self, network: &'a net::Network) -> net::Wish<'a> {
        let Endpoint { ip, ip6, mac, .. } = *self.end;
        net::Wish { network, interface: &self.interface, ip, ip6, mac, names: &self.names, reaches_itself: false }
    }
}

/// Names and interfaces; what is connected `now` keeps its own. A container is known by its name, its aliases and the beginning of its id, in this order.
pub(super) fn plan<'a>(record: &'a Record, held: &[Held], now: &[EndpointState]) -> Result<Vec<Plan<'a>>, Error> {
    let mut plans: Vec<Plan<'a>> = Vec::new();
    for (end, held) in record.networks.iter().zip(held) {
        let names = match held.record.is_predefined() {
            true => Vec::new(),
            false => [&record.name].into_iter().chain(&end.aliases).cloned().chain([record.id[..12].to_owned()]).collect(),
        };
        let current = now.iter().find(|now| now.network == end.network).map(|now| &now.interface);
        let interface = match current.or(end.interface.as_ref()) {
            Some(interface) => interface.clone(),
            None => {
                let prefix = held.prefix()?.unwrap_or_else(|| "eth".to_owned());
                let free = |name: &String| {
                    !now.iter().any(|now| now.interface == *name)
                        && !plans.iter().any(|plan| plan.interface == *name)
                        && !record.networks.iter().any(|end| end.interface.as_ref() == Some(name))
                };
                (0..).map(|n| format!("{prefix}{n}")).find(free).unwrap_or_default()
            }
        };
        if plans.iter().any(|plan| plan.interface == interface) {
            let why = "two networks have this interface".to_owned();
            return Err(Error::Invalid { what: format!("interface {interface:?}"), why });
        }
        plans.push(Plan { end, interface, names });
    }
    Ok(plans)
}

/// The ports to publish: those asked for, and with `publish_all` all others that are exposed.
/// Where the host's settings say so, those that name no address are published on one.
fn published(config: &Config, record: &Record) -> Vec<Port> {
    let mut ports = all_ports(record);
    ports.iter_mut().for_each(|port| port.host_ip = port.host_ip.or(config.publish_on));
    ports
}

fn all_ports(record: &Record) -> Vec<Port> {
    let mut ports = record.ports.clone();
    if record.publish_all {
        let exposed = record.exposed.iter().filter_map(|text| Port::exposed(text));
        let new = |port: &Port| {
            !record.ports.iter().any(|own| (own.container_port, own.protocol) == (port.container_port, port.protocol))
        };
        ports.extend(exposed.filter(new));
    }
    ports
}

/// The same, where a network says on which address they are published.
fn ports(config: &Config, record: &Record, held: &[Held]) -> Result<Vec<Port>, Error> {
    let first = held.iter().find(|held| held.publishes());
    let address = first.map_or(Ok(None), Held::publish_on)?.or(config.publish_on);
    Ok(all_ports(record).into_iter().map(|port| Port { host_ip: port.host_ip.or(address), ..port }).collect())
}

/// Refuses what could not be started, while it is being made.
pub(crate) fn check(config: &Config, record: &Record) -> Result<(), Error> {
    for (at, end) in record.networks.iter().enumerate() {
        let held = store::hold(config, &end.network)?;
        if record.networks[..at].iter().any(|other| other.network == end.network) {
            let why = "it is named twice".to_owned();
            return Err(Error::Invalid { what: format!("network {}", end.network), why });
        }
        if held.record.is_predefined() && !end.aliases.is_empty() {
            let why = "it has no names: aliases need a network of your own".to_owned();
            return Err(Error::Invalid { what: format!("network {}", end.network), why });
        }
    }
    Ok(())
}

/// Removes what a container whose monitor died has left in networks.
pub(crate) fn recover(config: &Config, id: &str, record: Option<&Record>) -> Result<(), Error> {
    let clean = |network: &net::Network| config.inside(|| net::recover(network, id).map_err(Error::Network));
    match record {
        Some(record) if record.network != NetworkMode::Bridge => Ok(()),
        Some(record) if record.networks.is_empty() => clean(&super::default(config)?),
        // It may have been in others than its record names, or there is none.
        _ => {
            clean(&super::default(config)?)?;
            for record in store::all(config)?.iter().filter(|record| !record.is_predefined()) {
                clean(&record.network(config)?)?;
            }
            Ok(())
        }
    }
}
