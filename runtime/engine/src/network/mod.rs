//! The containers' networks: how they are made, kept and removed, and what a container sees of them.
//!
//! ```text
//! NetworkRequest ──make.rs──▶ NetworkRecord (networks/NAME.json) ──record.rs──▶ net::Network         store.rs
//! Record.networks + Held ──────────▶ net::Wish ──▶ net::Attached ──▶ NetworkState (network.json)    attach.rs state.rs
//! ```
//!
//! The default network is not in this: its file holds a subnet and nothing else, and a container that only wants that is connected
//! without reading anything more.

mod attach;
mod connect;
mod firewalld;
mod make;
mod options;
mod record;
mod rename;
mod state;
mod store;

pub use make::NetworkRequest;
pub use record::{Driver, NetworkRecord, Subnet};
pub use state::{EndpointState, NetworkState};

pub(crate) use attach::{Network, check, recover};
pub(crate) use firewalld::trust;

use sys::Call;

use crate::Error;
use crate::config::Config;
use crate::error::During;

impl crate::Engine {
    /// Chooses the subnet of the default network, unless it is chosen already: containers have addresses in it. Answers the one that counts.
    ///
    /// # Errors
    /// It cannot be written down.
    pub fn choose_subnet(&self, subnet: crate::Ipv4Net) -> Result<crate::Ipv4Net, Error> {
        net::choose_default(subnet, &default_file(&self.config)).map_err(Error::Network)
    }

    /// Makes the default network what a cluster wants it to be, and answers it. What was chosen before gives way, unless containers have
    /// addresses in it.
    ///
    /// # Errors
    /// They have, or the network's file or bridge cannot be changed.
    pub fn settle_network(&self, wanted: &net::Chosen) -> Result<net::Network, Error> {
        let state = self.config.run.join("net").join(&self.config.bridge);
        net::replace_default(&self.config.bridge, wanted, &default_file(&self.config), &state).map_err(Error::Network)
    }
}

impl crate::Engine {
    /// The address of the default network's bridge, whether it is there or not.
    ///
    /// # Errors
    /// The network cannot be chosen.
    pub fn pod_gateway(&self) -> Result<std::net::Ipv4Addr, Error> {
        default(&self.config).map(|network| network.gateway)
    }

    /// Whether the default network is what a cluster wanted it to be: see [`crate::Engine::settle_network`].
    pub fn has_pod_network(&self) -> bool {
        default_file(&self.config).exists() && default(&self.config).is_ok_and(|network| network.cluster.is_some())
    }

    /// The default network, with its bridge there: that of pods.
    ///
    /// # Errors
    /// It cannot be chosen or made.
    pub fn pod_network(&self) -> Result<net::Network, Error> {
        let network = default(&self.config)?;
        if net::make(&network).map_err(Error::Network)? {
            trust([&network.bridge])?;
        }
        Ok(network)
    }
}

fn default_file(config: &Config) -> std::path::PathBuf {
    config.networks().join(format!("{}.json", config.bridge))
}

/// The default network, its subnet chosen at the first use.
pub(crate) fn default(config: &Config) -> Result<net::Network, Error> {
    let (file, state) = (default_file(config), config.run.join("net").join(&config.bridge));
    let choose = || net::default_network(&config.bridge, &file, &state).map_err(Error::Network);
    // Once chosen it depends on nothing.
    if file.exists() { choose() } else { config.inside(choose) }
}

/// Removes the default network's bridge and rules, and what was chosen for it.
pub(crate) fn remove_default(config: &Config) -> Result<(), Error> {
    let file = default_file(config);
    if !file.exists() {
        return Ok(());
    }
    let network = default(config)?;
    config.inside(|| net::remove(&network).map_err(Error::Network))?;
    if config.home.is_none() {
        firewalld::forget(&network.bridge);
    }
    // Last: until then it can be removed once more.
    std::fs::remove_file(&file).call(|| format!("unlink({file:?})")).during(|| "forget the default network")
}

/// The id of a network that is always there.
pub(crate) fn given_id(config: &Config, name: &str) -> String {
    made_up_id(&format!("{name} of {}", config.root.display()))
}

/// An id that depends on `text` alone, for what has none of its own.
fn made_up_id(text: &str) -> String {
    images::Digest::sha256(text.as_bytes()).hex().to_owned()
}
