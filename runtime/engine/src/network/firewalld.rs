//! firewalld, which rejects what is forwarded between interfaces that are in none of its zones, whatever other tables accept: bridges of ours
//! are put into its zone `trusted`, as Podman does it, unless the administrator has put them somewhere. That is kept when firewalld reloads, and
//! lost when it ends: `rctr network reload` does it again. What is published passes by firewalld itself, unless its `StrictForwardPorts` is on.
//!
//! It is asked over the system's D-Bus, when a bridge is set up and not at each start of a container.

use std::path::Path;

use container::dbus::{Connection, Failure, Object, Value};

use crate::Error;

/// Where the system's broker is.
const BUS: &str = "/run/dbus/system_bus_socket";
const NAME: &str = "org.fedoraproject.FirewallD1";
const ZONES: Object<'static> =
    Object { name: NAME, path: "/org/fedoraproject/FirewallD1", interface: "org.fedoraproject.FirewallD1.zone" };
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

/// The bridge is gone.
pub(super) fn forget(bridge: &str) {
    if let Some(mut firewalld) = running() {
        // It is in another zone, or in none: then that is no business of ours.
        let _ = firewalld.ask(&ZONES, "removeInterface", &[Value::string(ZONE), Value::string(bridge)]);
    }
}

/// A connection to the broker of a host where firewalld runs. It is not started by being asked for.
fn running() -> Option<Connection> {
    let mut broker = Connection::broker(Path::new(BUS)).ok()?;
    let owner = broker.ask(&BROKER, "GetNameOwner", &[Value::string(NAME)]);
    owner.is_ok().then_some(broker)
}

fn add(firewalld: &mut Connection, bridge: &str) -> Result<(), Failure> {
    let zone = firewalld.ask(&ZONES, "getZoneOfInterface", &[Value::string(bridge)])?.text("s");
    if !zone.is_empty() {
        return Ok(());
    }
    firewalld.ask(&ZONES, "addInterface", &[Value::string(ZONE), Value::string(bridge)]).map(drop)
}

fn refused(bridge: &str, failure: &Failure) -> Error {
    let what = format!("firewalld, which is to let packets of bridge {bridge} pass (zone {ZONE})");
    Error::Invalid { what, why: format!("{failure}; once that is mended, `rctr network reload` asks it again") }
}
