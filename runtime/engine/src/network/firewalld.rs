//! firewalld, which rejects what is passed on from an interface of one zone to one of another, whatever other tables accept, and takes those
//! that are in no zone for members of its default one: bridges of ours are put into its zone `trusted`, unless the administrator has put them
//! somewhere. They are in its permanent configuration, too, since it forgets all else when it reloads. What is published passes by firewalld
//! itself, unless its `StrictForwardPorts` is on.
//!
//! It is asked over the system's D-Bus, when a bridge is set up and not at each start of a container. One that comes to run later is told by
//! `rctr network reload`.

use std::path::Path;

use container::dbus::{Connection, Failure, Object, Value};

use crate::Error;

/// Where the system's broker is.
const BUS: &str = "/run/dbus/system_bus_socket";
const NAME: &str = "org.fedoraproject.FirewallD1";
const ZONES: Object<'static> =
    Object { name: NAME, path: "/org/fedoraproject/FirewallD1", interface: "org.fedoraproject.FirewallD1.zone" };
const CONFIG: Object<'static> =
    Object { name: NAME, path: "/org/fedoraproject/FirewallD1/config", interface: "org.fedoraproject.FirewallD1.config" };
const BROKER: Object<'static> =
    Object { name: "org.freedesktop.DBus", path: "/org/freedesktop/DBus", interface: "org.freedesktop.DBus" };
/// The zone whose interfaces may do everything.
const ZONE: &str = "trusted";

/// Lets packets of these bridges pass, if firewalld runs here.
///
/// # Errors
/// It refuses, or does not answer.
pub(crate) fn trust<'a>(bridges: impl IntoIterator<Item = &'a String>) -> Result<(), Error> {
    let mut bridges = bridges.into_iter().peekable();
    if bridges.peek().is_none() {
        return Ok(());
    }
    let Some(mut firewalld) = running() else { return Ok(()) };
    bridges.try_for_each(|bridge| add(&mut firewalld, bridge).map_err(|failure| refused(bridge, &failure)))
}

/// The bridge is gone. If it is in another zone, or in none, that is no business of ours.
pub(super) fn forget(bridge: &str) {
    let Some(mut firewalld) = running() else { return };
    let bridge = Value::string(bridge);
    let _ = firewalld.ask(&ZONES, "removeInterface", &[Value::string(ZONE), bridge.clone()]);
    if let Ok(path) = permanent(&mut firewalld) {
        let _ = firewalld.ask(&zone(&path), "removeInterface", &[bridge]);
    }
}

/// A connection to the broker of a host where firewalld runs. It is not started by being asked for.
fn running() -> Option<Connection> {
    let mut broker = Connection::broker(Path::new(BUS)).ok()?;
    let owner = broker.ask(&BROKER, "GetNameOwner", &[Value::string(NAME)]);
    owner.is_ok().then_some(broker)
}

fn add(firewalld: &mut Connection, bridge: &str) -> Result<(), Failure> {
    let name = || Value::string(bridge);
    let is_in = |object: &Object<'_>, firewalld: &mut Connection| {
        firewalld.ask(object, "getZoneOfInterface", &[name()]).map(|zone| zone.text("s"))
    };
    let (now, later) = (is_in(&ZONES, firewalld)?, is_in(&CONFIG, firewalld)?);
    if [&now, &later].into_iter().any(|zone| !zone.is_empty() && zone != ZONE) {
        return Ok(());
    }
    if later.is_empty() {
        let path = permanent(firewalld)?;
        firewalld.ask(&zone(&path), "addInterface", &[name()])?;
    }
    if now.is_empty() {
        firewalld.ask(&ZONES, "addInterface", &[Value::string(ZONE), name()])?;
    }
    Ok(())
}

/// The zone in the permanent configuration, by its path.
fn permanent(firewalld: &mut Connection) -> Result<String, Failure> {
    firewalld.ask(&CONFIG, "getZoneByName", &[Value::string(ZONE)]).map(|path| path.text("s"))
}

fn zone(path: &str) -> Object<'_> {
    Object { name: NAME, path, interface: "org.fedoraproject.FirewallD1.config.zone" }
}

fn refused(bridge: &str, failure: &Failure) -> Error {
    let what = format!("firewalld, which is to let packets of bridge {bridge} pass (zone {ZONE})");
    Error::Invalid { what, why: format!("{failure}; once that is mended, `rctr network reload` asks it again") }
}
