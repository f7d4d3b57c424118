//! `--opt KEY=VALUE` of `network create`: Docker's names and Podman's, and no others.

use std::collections::BTreeMap;
use std::net::IpAddr;

use super::record::Driver;
use crate::Error;

/// What the options of a network say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Options {
    /// The bridge's interface name.
    pub(crate) name: Option<String>,
    /// Bytes of a packet.
    pub(crate) mtu: Option<u32>,
    /// Containers reach each other.
    pub(crate) neighbours: bool,
    /// What leaves carries the host's address.
    pub(crate) masquerade: bool,
    /// Where ports are published that name no address.
    pub(crate) publish_on: Option<IpAddr>,
    /// Beginning of the interfaces' names in containers.
    pub(crate) prefix: Option<String>,
    /// The link of a macvlan.
    pub(crate) parent: Option<String>,
    /// Its `MACVLAN_MODE_*`.
    pub(crate) mode: u32,
}

/// `MACVLAN_MODE_BRIDGE`: containers on one link reach each other.
const BRIDGE: u32 = 4;

/// Those of a macvlan.
const SHARED: [(&str, &str); 4] = [
    ("parent", "an interface name"),
    ("macvlan_mode", "bridge, private, vepa or passthru"),
    ("mode", "bridge, private, vepa or passthru"),
    ("com.docker.network.container_iface_prefix", "1 to 11 letters, digits, '-' or '_'"),
];

/// Those of a bridge, each with its value's form.
const KNOWN: [(&str, &str); 7] = [
    ("com.docker.network.bridge.name", "an interface name"),
    ("com.docker.network.driver.mtu", "a number from 68 to 65535, or for IPv6 from 1280"),
    ("mtu", "a number from 68 to 65535, or for IPv6 from 1280"),
    ("com.docker.network.bridge.enable_icc", "true or false"),
    ("com.docker.network.bridge.enable_ip_masquerade", "true or false"),
    ("com.docker.network.bridge.host_binding_ipv4", "an address of this host"),
    ("com.docker.network.container_iface_prefix", "1 to 11 letters, digits, '-' or '_'"),
];

impl crate::NetworkRequest {
    /// Whether the driver has these options.
    ///
    /// # Errors
    /// One is unknown, or its value is nothing that it can have; both are named.
    pub fn check_options(&self) -> Result<(), Error> {
        Options::read(self.driver, &self.options).map(drop)
    }
}

impl Options {
    /// Reads the options.
    ///
    /// # Errors
    /// One is unknown, or its value is nothing that it can have; both are named.
    pub(crate) fn read(driver: Driver, given: &BTreeMap<String, String>) -> Result<Options, Error> {
        let known = if driver == Driver::Macvlan { &SHARED[..] } else { &KNOWN[..] };
        let mut options = Options {
            name: None,
            mtu: None,
            neighbours: true,
            masquerade: true,
            publish_on: None,
            prefix: None,
            parent: None,
            mode: BRIDGE,
        };
        for (key, value) in given {
            let Some((_, form)) = known.iter().find(|(name, _)| name == key) else {
                let why = format!("there are {}", known.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", "));
                return Err(Error::Invalid { what: format!("network option {key:?} is not known"), why });
            };
            options.set(key, value).ok_or_else(|| Error::Invalid {
                what: format!("network option {key}={value:?}"),
                why: format!("its value is {form}"),
            })?;
        }
        Ok(options)
    }

    fn set(&mut self, key: &str, value: &str) -> Option<()> {
        match key {
            "com.docker.network.bridge.name" => {
                net::interface_name(value).ok()?;
                self.name = Some(value.to_owned());
            }
            "com.docker.network.driver.mtu" | "mtu" => {
                self.mtu = Some(value.parse().ok().filter(|mtu| (68..=65535).contains(mtu))?);
            }
            "com.docker.network.bridge.enable_icc" => self.neighbours = truth(value)?,
            "com.docker.network.bridge.enable_ip_masquerade" => self.masquerade = truth(value)?,
            "com.docker.network.bridge.host_binding_ipv4" => self.publish_on = Some(value.parse().ok()?),
            "parent" => {
                net::interface_name(value).ok()?;
                self.parent = Some(value.to_owned());
            }
            "macvlan_mode" | "mode" => {
                self.mode = match value {
                    "private" => 1,
                    "vepa" => 2,
                    "bridge" => BRIDGE,
                    "passthru" => 8,
                    _ => return None,
                }
            }
            _ => {
                let fine = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
                self.prefix = Some(value.to_owned()).filter(|text| (1..12).contains(&text.len()) && text.chars().all(fine));
                self.prefix.as_ref()?;
            }
        }
        Some(())
    }
}

fn truth(text: &str) -> Option<bool> {
    match text {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Options, String> {
        let pairs = text.split_whitespace().filter_map(|pair| pair.split_once('='));
        Options::read(Driver::Bridge, &pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn all_are_read_or_refused_by_name() {
        let options = read(
            "com.docker.network.bridge.name=br7 mtu=1400 com.docker.network.bridge.enable_icc=false \
             com.docker.network.bridge.host_binding_ipv4=127.0.0.1 com.docker.network.container_iface_prefix=lan",
        );
        let options = options.unwrap();
        assert_eq!(
            (options.name.as_deref(), options.mtu, options.neighbours, options.masquerade),
            (Some("br7"), Some(1400), false, true)
        );
        assert_eq!((options.publish_on, options.prefix.as_deref()), (Some("127.0.0.1".parse().unwrap()), Some("lan")));
        assert_eq!(
            read("mtu=9").unwrap_err(),
            "network option mtu=\"9\": its value is a number from 68 to 65535, or for IPv6 from 1280"
        );
        for bad in ["mtu=x", "com.docker.network.bridge.enable_icc=maybe", "com.docker.network.bridge.name=a/b", "vlan=7"] {
            assert!(read(bad).unwrap_err().contains(bad.split('=').next().unwrap()), "{bad}");
        }
    }
}
