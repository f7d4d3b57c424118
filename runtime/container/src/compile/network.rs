//! Network devices of the host that become the container's.

use std::collections::BTreeMap;

use launch::NetDevice;
use oci_spec::runtime::Linux;

use crate::{Error, Host, capabilities};

/// Compiles `linux.netDevices`, in the order of their names: the map has none.
pub(super) fn devices(linux: &Linux, host: &Host) -> Result<Vec<NetDevice>, Error> {
    let asked: BTreeMap<_, _> = linux.net_devices().iter().flatten().collect();
    let mut all: Vec<NetDevice> = Vec::new();
    for (name, device) in asked {
        let field = format!("linux.netDevices.{name}");
        let inside = device.name().as_deref().filter(|name| !name.is_empty()).unwrap_or(name);
        if let Some(bad) = [name.as_str(), inside].into_iter().find(|name| !valid(name)) {
            return Err(Error::invalid(field, format!("{bad:?} is not the name of a network device")));
        }
        if all.iter().any(|other| other.inside == inside) {
            return Err(Error::invalid(field, format!("a second device {inside:?} in the container")));
        }
        if capabilities::parse("CAP_NET_ADMIN").is_none_or(|admin| host.grantable & admin == 0) {
            return Err(Error::invalid(field, "a device of the host can only be moved with CAP_NET_ADMIN there"));
        }
        all.push(NetDevice { outside: name.clone(), inside: inside.to_owned() });
    }
    Ok(all)
}

/// What the kernel takes as a name (`dev_valid_name`). A pattern such as `eth%d` would be another name.
fn valid(name: &str) -> bool {
    let plain = |byte: u8| !byte.is_ascii_whitespace() && !matches!(byte, b'/' | b':' | b'%' | 0);
    !name.is_empty() && name.len() < 16 && !matches!(name, "." | "..") && name.bytes().all(plain)
}
