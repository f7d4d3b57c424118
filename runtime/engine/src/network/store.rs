//! The files of networks. Whoever makes or removes one holds the lock of their folder; whoever starts a container in one holds a shared
//! lock of the network's file until its addresses are taken, so that the network is not removed meanwhile.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;

use rustix::fs::{FlockOperation, flock};
use sys::Call;

use super::make::{NetworkRequest, check_name, record};
use super::options::Options;
use super::record::{Driver, NetworkRecord, Subnet};
use crate::config::Config;
use crate::create::in_charge;
use crate::error::During;
use crate::{Engine, Error, events, names, state};

/// What files being made begin with.
const NEW: &str = ".new-";

impl Engine {
    /// Makes a network. Nothing of it is on the host until a container uses it.
    ///
    /// # Errors
    /// [`Error::NetworkExists`]; [`Error::Invalid`] when something that is asked for cannot be had.
    pub fn create_network(&self, request: &NetworkRequest) -> Result<NetworkRecord, Error> {
        let config = &self.config;
        check_name(&request.name, &config.bridge)?;
        if config.home.is_some() && request.driver == Driver::Macvlan {
            let why = "only root can share a link of the host".to_owned();
            return Err(Error::Invalid { what: "network driver macvlan".to_owned(), why });
        }
        let what = || format!("make network {}", request.name);
        let folder = lock_folder(config)?;
        for name in sys::fs::list(&folder).during(what)? {
            if name.to_str().is_some_and(|name| name.starts_with(NEW)) {
                let _ = fs::remove_file(config.networks().join(name));
            }
        }
        if path(config, &request.name).exists() {
            return Err(Error::NetworkExists(request.name.clone()));
        }
        // With the default network's, which is chosen now if it was not before.
        let others = self.networks()?;
        let free = || {
            let taken: Vec<_> = others.iter().flat_map(NetworkRecord::subnets).collect();
            config.inside(|| net::free_subnet(&taken).map_err(Error::Network))
        };
        let made = record(request, names::new_id()?, &others, free)?;
        // The addresses of a link that is shared are this host's neighbours': it has a route there.
        if request.driver == Driver::Bridge
            && let Some(asked) = request.subnets.iter().find(|subnet| subnet.addr().is_ipv4())
            && let Some(route) = config.inside(|| net::route_within(*asked).map_err(Error::Network))?
        {
            let why = format!("this host has a route to {route}");
            return Err(Error::Invalid { what: format!("subnet {asked}"), why });
        }
        let json = serde_json::to_vec(&made).map_err(|source| Error::Damaged { path: path(config, &made.name), source })?;
        let new = config.networks().join(format!("{NEW}{}", made.name));
        let write = || {
            let file = File::create(&new)?;
            io::Write::write_all(&mut &file, &json)?;
            // Once in the network's life: an empty file after a power cut would stop all of its containers.
            file.sync_data()?;
            fs::rename(&new, path(config, &made.name))
        };
        write().inspect_err(|_| drop(fs::remove_file(&new))).call(|| format!("write({new:?})")).during(what)?;
        self.note("network", "create", network_actor(&made));
        Ok(made)
    }

    /// The network with this name, id, or beginning of an id.
    ///
    /// # Errors
    /// [`Error::NoSuchNetwork`], [`Error::Ambiguous`].
    pub fn network(&self, given: &str) -> Result<NetworkRecord, Error> {
        if let Some(record) = named(&self.config, given)? {
            return Ok(record);
        }
        let hexadecimal = !given.is_empty() && given.bytes().all(|digit| digit.is_ascii_hexdigit());
        let mut matching = self.networks()?.into_iter().filter(|record| hexadecimal && record.id.starts_with(given));
        match (matching.next(), matching.count()) {
            (Some(record), 0) => Ok(record),
            (Some(_), more) => Err(Error::AmbiguousNetwork { prefix: given.to_owned(), count: more + 1 }),
            (None, _) => Err(Error::NoSuchNetwork(given.to_owned())),
        }
    }

    /// All networks, by name, with those that are always there.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>, Error> {
        all(&self.config)
    }

    /// Removes a network, with its bridge.
    ///
    /// # Errors
    /// [`Error::NetworkInUse`] when containers run in it.
    pub fn remove_network(&self, given: &str) -> Result<NetworkRecord, Error> {
        let config = &self.config;
        let record = self.network(given)?;
        if record.is_predefined() {
            let why = "it is always there".to_owned();
            return Err(Error::Invalid { what: format!("remove network {}", record.name), why });
        }
        let what = || format!("remove network {}", record.name);
        let _folder = lock_folder(config)?;
        let path = path(config, &record.name);
        let file = File::open(&path).call(|| format!("open({path:?})")).during(what)?;
        flock(&file, FlockOperation::LockExclusive).call(|| format!("flock({path:?})")).during(what)?;
        let network = record.network(config)?;
        let mut users = Vec::new();
        for (_, id) in net::leases(&network).map_err(Error::Network)? {
            let found = state::load(config, &id).ok().flatten();
            if in_charge(&config.container(&id)) || found.as_ref().is_some_and(crate::Container::is_running) {
                users.push(found.map_or(id, |container| container.record.name));
            } else {
                config.inside(|| net::recover(&network, &id).map_err(Error::Network))?;
            }
        }
        users.sort();
        users.dedup();
        if !users.is_empty() {
            return Err(Error::NetworkInUse { name: record.name, by: users.join(", ") });
        }
        config.inside(|| net::remove(&network).map_err(Error::Network))?;
        if config.home.is_none() {
            super::firewalld::forget(&network.bridge);
        }
        // Last: until then the network can be removed once more.
        fs::remove_file(&path).call(|| format!("unlink({path:?})")).during(what)?;
        self.note("network", "destroy", network_actor(&record));
        Ok(record)
    }
}

/// What events say of a network.
fn network_actor(record: &NetworkRecord) -> monitor::Actor {
    events::thing(&record.id, &[("name", &record.name), ("type", record.driver.word())])
}

fn path(config: &Config, name: &str) -> PathBuf {
    config.networks().join(format!("{name}.json"))
}

fn lock_folder(config: &Config) -> Result<File, Error> {
    let path = config.networks();
    let what = || "lock the folder of networks";
    let folder = File::open(&path).call(|| format!("open({path:?})")).during(what)?;
    flock(&folder, FlockOperation::LockExclusive).call(|| format!("flock({path:?})")).during(what)?;
    Ok(folder)
}

/// The network with exactly this name.
fn named(config: &Config, name: &str) -> Result<Option<NetworkRecord>, Error> {
    match name {
        "bridge" | "default" => return default(config).map(Some),
        "host" => return Ok(Some(NetworkRecord::given(config, "host", Driver::Host))),
        "none" => return Ok(Some(NetworkRecord::given(config, "none", Driver::Null))),
        _ if check_name(name, &config.bridge).is_err() => return Ok(None),
        _ => {}
    }
    state::read(&path(config, name))
}

pub(super) fn all(config: &Config) -> Result<Vec<NetworkRecord>, Error> {
    let folder = config.networks();
    let what = || format!("list {}", folder.display());
    let files = sys::fs::open_dir(&folder).and_then(sys::fs::list).during(what)?;
    let mut found = Vec::new();
    for file in files {
        if let Some(name) = file.to_str().and_then(|file| file.strip_suffix(".json")).filter(|name| *name != config.bridge) {
            // One that vanishes meanwhile is no error.
            found.extend(named(config, name)?);
        }
    }
    for name in ["bridge", "host", "none"] {
        found.extend(named(config, name)?);
    }
    found.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(found)
}

/// The default network as a record.
fn default(config: &Config) -> Result<NetworkRecord, Error> {
    let network = super::default(config)?;
    let v4 = Subnet { subnet: network.subnet, gateway: network.gateway, range: None };
    let given = NetworkRecord::given(config, "bridge", Driver::Bridge);
    Ok(NetworkRecord { interface: network.bridge, v4: Some(v4), ..given })
}

/// A network that is not removed for as long as this lives.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) record: NetworkRecord,
    pub(crate) network: net::Network,
    _file: Option<File>,
}

impl Held {
    /// Ports can be published there.
    pub(super) fn publishes(&self) -> bool {
        !self.record.internal && self.record.driver == Driver::Bridge
    }

    /// Where ports are published that name no address.
    pub(super) fn publish_on(&self) -> Result<Option<std::net::IpAddr>, Error> {
        Ok(Options::read(self.record.driver, &self.record.options)?.publish_on)
    }

    /// Beginning of the interfaces' names.
    pub(super) fn prefix(&self) -> Result<Option<String>, Error> {
        Ok(Options::read(self.record.driver, &self.record.options)?.prefix)
    }
}

/// The network `name`, held.
///
/// # Errors
/// [`Error::NoSuchNetwork`]; it is none that a container can be connected to.
pub(crate) fn hold(config: &Config, name: &str) -> Result<Held, Error> {
    let no_such = || Error::NoSuchNetwork(name.to_owned());
    if name == "bridge" {
        let (record, network) = (default(config)?, super::default(config)?);
        return Ok(Held { record, network, _file: None });
    }
    check_name(name, &config.bridge).map_err(|_| no_such())?;
    let path = path(config, name);
    let what = || format!("use network {name}");
    let file = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Err(no_such()),
        other => other.call(|| format!("open({path:?})")).during(what)?,
    };
    flock(&file, FlockOperation::LockShared).call(|| format!("flock({path:?})")).during(what)?;
    // It may have been removed while we waited.
    if file.metadata().map_or(0, |data| data.nlink()) == 0 {
        return Err(no_such());
    }
    let record: NetworkRecord = state::read(&path)?.ok_or_else(no_such)?;
    let network = record.network(config)?;
    Ok(Held { record, network, _file: Some(file) })
}
