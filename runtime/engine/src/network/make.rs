//! From what is asked for to a network's record: everything that can be wrong with it is said here, and nothing is made.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};

use super::options::Options;
use super::record::{Driver, NetworkRecord, Subnet};
use crate::Error;

/// A network to make. `None` and empty mean: chosen, or the default.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct NetworkRequest {
    /// Its name.
    pub name: String,
    /// How containers are connected.
    pub driver: Driver,
    /// Subnets, at most one of each family.
    pub subnets: Vec<IpNet>,
    /// This host's addresses in them.
    pub gateways: Vec<IpAddr>,
    /// The parts that containers get their addresses from.
    pub ranges: Vec<IpNet>,
    /// Addresses that no container gets, each with what it is for.
    pub reserved: BTreeMap<String, IpAddr>,
    /// With IPv6.
    pub ipv6: bool,
    /// Nothing leaves it.
    pub internal: bool,
    /// Means nothing on one host.
    pub attachable: bool,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
}

/// Names that mean something else where a network's name may stand.
const RESERVED: [&str; 8] = ["bridge", "host", "none", "default", "private", "slirp4netns", "pasta", "ns"];

/// A network may not have the name.
pub(super) fn check_name(name: &str, default_bridge: &str) -> Result<(), Error> {
    let mut shown: String = name.chars().take(40).collect();
    if shown.len() < name.len() {
        shown.push('…');
    }
    let bad = |why: &str| Err(Error::Invalid { what: format!("network name {shown:?}"), why: why.to_owned() });
    if RESERVED.contains(&name) {
        return bad("it means something else");
    }
    if name == default_bridge {
        return bad("it is the interface of the default network");
    }
    match crate::names::check(name) {
        Ok(()) => Ok(()),
        Err(_) => bad("use at most 128 letters, digits, '_', '.' and '-', and begin with a letter or digit"),
    }
}

/// The record of a network that was asked for. `others` are those that exist, `free` chooses a subnet that none of them has.
pub(super) fn record(
    request: &NetworkRequest,
    id: String,
    others: &[NetworkRecord],
    free: impl FnOnce() -> Result<Ipv4Net, Error>,
) -> Result<NetworkRecord, Error> {
    let options = Options::read(request.driver, &request.options)?;
    let invalid = |what: String, why: &str| Error::Invalid { what, why: why.to_owned() };
    if request.driver == Driver::Macvlan && (options.parent.is_none() || request.subnets.is_empty()) {
        let why = "it shares a link and has that link's addresses: give --opt parent=LINK and --subnet";
        return Err(invalid("network driver macvlan".to_owned(), why));
    }
    let (mut v4, mut v6): (Vec<Ipv4Net>, Vec<Ipv6Net>) = (Vec::new(), Vec::new());
    for subnet in &request.subnets {
        if subnet.trunc() != *subnet {
            return Err(invalid(format!("--subnet {subnet}"), &format!("its address is {}", subnet.trunc())));
        }
        if subnet.prefix_len() + 2 > subnet.max_prefix_len() {
            return Err(invalid(format!("--subnet {subnet}"), "it has no room for a container"));
        }
        match subnet {
            IpNet::V4(net) => v4.push(*net),
            IpNet::V6(net) => v6.push(*net),
        }
    }
    if v4.len() > 1 || v6.len() > 1 {
        return Err(invalid("--subnet".to_owned(), "a network has one for IPv4 and one for IPv6"));
    }
    let v6 = v6.first().copied().or_else(|| request.ipv6.then(|| net::private_v6(&id)));
    let v4 = v4.first().copied().map_or_else(free, Ok)?;
    let all: Vec<IpNet> = [IpNet::V4(v4)].into_iter().chain(v6.map(IpNet::V6)).collect();
    apart(&all, others)?;
    for (flag, address) in
        request.gateways.iter().map(|ip| ("--gateway", ip)).chain(request.reserved.values().map(|ip| ("--aux-address", ip)))
    {
        within(flag, *address, &all)?;
    }
    for range in &request.ranges {
        if !all.iter().any(|subnet| subnet.contains(range)) {
            return Err(invalid(format!("--ip-range {range}"), &format!("it is not within {}", list(&all))));
        }
    }
    let (mut gateway, mut gateway6, mut range, mut range6) = (None, None, None, None);
    for address in &request.gateways {
        match address {
            IpAddr::V4(address) => once("--gateway", &mut gateway, *address)?,
            IpAddr::V6(address) => once("--gateway", &mut gateway6, *address)?,
        }
    }
    for net in &request.ranges {
        match net {
            IpNet::V4(net) => once("--ip-range", &mut range, net.trunc())?,
            IpNet::V6(net) => once("--ip-range", &mut range6, net.trunc())?,
        }
    }
    if let (Some(_), Some(mtu)) = (v6, options.mtu.filter(|mtu| *mtu < 1280)) {
        return Err(invalid(format!("network option mtu={mtu}"), "IPv6 needs 1280"));
    }
    let interface = options.name.unwrap_or_else(|| format!("rctr-{}", &id[..10]));
    if let Some(other) = others.iter().find(|other| other.interface == interface) {
        return Err(invalid(format!("bridge {interface}"), &format!("it is that of network {}", other.name)));
    }
    let first = |net: Ipv4Net| Ipv4Addr::from_bits(net.network().to_bits() + 1);
    let first6 = |net: Ipv6Net| Ipv6Addr::from_bits(net.network().to_bits() + 1);
    Ok(NetworkRecord {
        name: request.name.clone(),
        id,
        created: monitor::now(),
        driver: request.driver,
        interface,
        v4: Some(Subnet { subnet: v4, gateway: gateway.unwrap_or_else(|| first(v4)), range }),
        v6: v6.map(|v6| Subnet { subnet: v6, gateway: gateway6.unwrap_or_else(|| first6(v6)), range: range6 }),
        reserved: request.reserved.clone(),
        internal: request.internal,
        attachable: request.attachable,
        labels: request.labels.clone(),
        options: request.options.clone(),
    })
}

/// Refuses subnets of which another network has addresses.
fn apart(subnets: &[IpNet], others: &[NetworkRecord]) -> Result<(), Error> {
    for subnet in subnets {
        for other in others {
            for taken in other.subnets() {
                if taken.contains(subnet) || subnet.contains(&taken) {
                    let why = format!("it overlaps {taken} of network {}", other.name);
                    return Err(Error::Invalid { what: format!("subnet {subnet}"), why });
                }
            }
        }
    }
    Ok(())
}

fn within(flag: &str, address: IpAddr, subnets: &[IpNet]) -> Result<(), Error> {
    let bad = |why: String| Err(Error::Invalid { what: format!("{flag} {address}"), why });
    let Some(subnet) = subnets.iter().find(|subnet| subnet.contains(&address)) else {
        return bad(format!("it is not within {}", list(subnets)));
    };
    let whole = address == subnet.network() || (address.is_ipv4() && address == subnet.broadcast());
    if whole { bad(format!("it stands for {subnet} as a whole")) } else { Ok(()) }
}

fn once<T>(flag: &str, place: &mut Option<T>, value: T) -> Result<(), Error> {
    match place.replace(value) {
        Some(_) => Err(Error::Invalid { what: flag.to_owned(), why: "there is one for each subnet".to_owned() }),
        None => Ok(()),
    }
}

fn list(subnets: &[IpNet]) -> String {
    subnets.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(request: &NetworkRequest, others: &[NetworkRecord]) -> Result<NetworkRecord, String> {
        let id = "0123456789abcdef".repeat(4);
        record(request, id, others, || Ok("10.206.0.0/24".parse().unwrap())).map_err(|error| error.to_string())
    }

    fn request(subnets: &[&str], gateways: &[&str], ranges: &[&str]) -> NetworkRequest {
        NetworkRequest {
            name: "net".to_owned(),
            subnets: subnets.iter().map(|text| text.parse().unwrap()).collect(),
            gateways: gateways.iter().map(|text| text.parse().unwrap()).collect(),
            ranges: ranges.iter().map(|text| text.parse().unwrap()).collect(),
            ..NetworkRequest::default()
        }
    }

    #[test]
    fn what_is_not_said_is_chosen() {
        let made = make(&NetworkRequest { ipv6: true, ..request(&[], &[], &[]) }, &[]).unwrap();
        let v4 = made.v4.unwrap();
        assert_eq!((v4.subnet.to_string(), v4.gateway.to_string()), ("10.206.0.0/24".into(), "10.206.0.1".into()));
        assert!(made.v6.unwrap().subnet.addr().is_unique_local());
        assert_eq!(made.interface, "rctr-0123456789");
        // A subnet of IPv6 is enough to ask for it.
        let made = make(&request(&["fd00:1::/64"], &["fd00:1::5"], &[]), &[]).unwrap();
        assert_eq!(made.v6.unwrap().gateway.to_string(), "fd00:1::5");
    }

    #[test]
    fn nonsense_is_named() {
        let other = make(&request(&["10.9.0.0/16"], &[], &[]), &[]).unwrap();
        for (request, why) in [
            (request(&["10.9.8.0/24"], &[], &[]), "subnet 10.9.8.0/24: it overlaps 10.9.0.0/16 of network net"),
            (request(&["10.0.0.0/8"], &[], &[]), "subnet 10.0.0.0/8: it overlaps 10.9.0.0/16 of network net"),
            (request(&["10.1.2.3/24"], &[], &[]), "--subnet 10.1.2.3/24: its address is 10.1.2.0/24"),
            (request(&["10.1.2.0/31"], &[], &[]), "--subnet 10.1.2.0/31: it has no room for a container"),
            (request(&["10.1.2.0/24"], &["10.1.3.1"], &[]), "--gateway 10.1.3.1: it is not within 10.1.2.0/24"),
            (request(&["10.1.2.0/24"], &["10.1.2.0"], &[]), "--gateway 10.1.2.0: it stands for 10.1.2.0/24 as a whole"),
            (request(&["10.1.2.0/24"], &["fd00::1"], &[]), "--gateway fd00::1: it is not within 10.1.2.0/24"),
            (request(&["10.1.2.0/24"], &[], &["10.1.0.0/16"]), "--ip-range 10.1.0.0/16: it is not within 10.1.2.0/24"),
            (request(&["10.1.2.0/24", "10.1.3.0/24"], &[], &[]), "--subnet: a network has one for IPv4 and one for IPv6"),
            (request(&["10.1.2.0/24"], &["10.1.2.1", "10.1.2.2"], &[]), "--gateway: there is one for each subnet"),
        ] {
            assert_eq!(make(&request, std::slice::from_ref(&other)).unwrap_err(), why);
        }
    }

    #[test]
    fn names_are_checked_and_never_shown_whole() {
        for name in ["bridge", "host", "none", "default", "rctr0", "a/b", "", "container:x", ".a"] {
            assert!(check_name(name, "rctr0").is_err(), "{name}");
        }
        check_name("web-1.a_b", "rctr0").unwrap();
        let error = check_name(&"x".repeat(5000), "rctr0").unwrap_err().to_string();
        assert!(error.len() < 200 && error.contains("at most 128"), "{error}");
    }
}
