//! `--network`: Docker's `NAME` and `name=NAME,alias=…`, and Podman's `NAME:alias=…`.

use std::net::{Ipv4Addr, Ipv6Addr};

use engine::{Endpoint, NetworkMode};

/// One `--network`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Network {
    /// What is no network of its own.
    Mode(NetworkMode),
    /// A network, the default one too.
    Named(Endpoint),
}

const FORM: &str =
    "give bridge, host, none, container:NAME, or a network's name, as in web:ip=10.1.2.3,alias=db or name=web,ip=10.1.2.3,alias=db";

pub(crate) fn network(text: &str) -> Result<Network, String> {
    let mode = match text {
        "host" => NetworkMode::Host,
        "none" => NetworkMode::None,
        _ => match text.split_once(':') {
            Some(("container", "")) => return Err(format!("{text:?} names no container")),
            Some(("container", name)) => NetworkMode::Container(name.to_owned()),
            Some(("ns", _)) => return Err("a namespace by its path is not supported".to_owned()),
            _ => return endpoint(text).map(Network::Named),
        },
    };
    Ok(Network::Mode(mode))
}

/// A network with its options.
fn endpoint(text: &str) -> Result<Endpoint, String> {
    let mut endpoint = Endpoint::default();
    // Docker's form has no place for a name but among the options.
    let options = match text.split_once(':') {
        _ if text.split(',').any(|option| option.starts_with("name=")) => text,
        None => {
            text.clone_into(&mut endpoint.network);
            ""
        }
        Some((name, options)) => {
            name.clone_into(&mut endpoint.network);
            options
        }
    };
    for option in options.split(',').filter(|option| !option.is_empty()) {
        let (key, value) =
            option.split_once('=').ok_or_else(|| format!("{text:?}: {option:?} is no option: the form is KEY=VALUE"))?;
        set(&mut endpoint, key, value).map_err(|why| format!("{text:?}: {why}"))?;
    }
    if endpoint.network.is_empty() || endpoint.network.contains(',') {
        return Err(format!("{text:?} names no network: {FORM}"));
    }
    if endpoint.network == "default" {
        "bridge".clone_into(&mut endpoint.network);
    }
    Ok(endpoint)
}

fn set(endpoint: &mut Endpoint, key: &str, value: &str) -> Result<(), String> {
    match key {
        "name" => value.clone_into(&mut endpoint.network),
        "alias" => endpoint.aliases.push(alias(value)?),
        "ip" => match value.parse() {
            Ok(std::net::IpAddr::V4(ip)) => endpoint.ip = Some(ip),
            // Podman has one key for both.
            Ok(std::net::IpAddr::V6(ip)) => endpoint.ip6 = Some(ip),
            Err(_) => return Err(format!("ip: {value:?} is no address")),
        },
        "ip6" => endpoint.ip6 = Some(ip6(value)?),
        "mac" | "mac-address" => endpoint.mac = Some(mac(value)?),
        "interface_name" => endpoint.interface = Some(value.to_owned()),
        "driver-opt" => {
            let name = value.strip_prefix("com.docker.network.endpoint.ifname=");
            endpoint.interface = Some(name.ok_or_else(|| format!("driver-opt {value:?} is not supported"))?.to_owned());
        }
        _ => return Err(format!("option {key:?} is not known: there are alias, ip, ip6, mac-address and interface_name")),
    }
    Ok(())
}

/// An IPv4 address.
pub(crate) fn ip(text: &str) -> Result<Ipv4Addr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IPv4 address"))
}

/// An IPv6 address.
pub(crate) fn ip6(text: &str) -> Result<Ipv6Addr, String> {
    text.parse().map_err(|_| format!("{text:?} is no IPv6 address"))
}

/// A hardware address.
pub(crate) fn mac(text: &str) -> Result<[u8; 6], String> {
    let bytes: Option<Vec<u8>> = text
        .split([':', '-'])
        .map(|part| {
            (part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_hexdigit())).then(|| u8::from_str_radix(part, 16).ok())?
        })
        .collect();
    let bytes = bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok());
    bytes.ok_or_else(|| format!("{text:?} is no hardware address: the form is 02:42:ac:11:00:02"))
}

/// A name in a network: letters, digits, and `_`, `-`, `.` between them.
pub(crate) fn alias(text: &str) -> Result<String, String> {
    let fine = |label: &str| {
        let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        (1..64).contains(&label.len()) && label.bytes().all(inner) && !label.starts_with('-') && !label.ends_with('-')
    };
    if text.len() <= 253 && text.split('.').all(fine) {
        Ok(text.to_owned())
    } else {
        Err(format!("{:?} is no name", shorten(text)))
    }
}

fn shorten(text: &str) -> String {
    crate::output::table::cut(text, 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Endpoint {
        match network(text) {
            Ok(Network::Named(endpoint)) => endpoint,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn both_forms_mean_the_same() {
        let podman = named("web:ip=10.1.2.3,alias=a,alias=b.c,mac=02:00:00:00:00:01,interface_name=lan0");
        let docker = named(
            "name=web,ip=10.1.2.3,alias=a,alias=b.c,mac-address=02-00-00-00-00-01,driver-opt=com.docker.network.endpoint.ifname=lan0",
        );
        assert_eq!(podman, docker);
        assert_eq!((podman.network.as_str(), podman.mac), ("web", Some([2, 0, 0, 0, 0, 1])));
        assert_eq!(named("web:ip=fd00::9").ip6, named("web:ip6=fd00::9").ip6);
        assert_eq!(named("default").network, "bridge");
        assert_eq!(network("container:x"), Ok(Network::Mode(NetworkMode::Container("x".to_owned()))));
        assert_eq!(network("none"), Ok(Network::Mode(NetworkMode::None)));
    }

    #[test]
    fn nonsense_is_named() {
        for (text, why) in [
            ("", "names no network"),
            ("container:", "names no container"),
            ("ns:/proc/1/ns/net", "not supported"),
            ("web:ip=1.2.3", "is no address"),
            ("web:ip6=1.2.3.4", "is no IPv6 address"),
            ("web:mac=1:2", "is no hardware address"),
            ("web:alias=-a", "is no name"),
            ("web:weight=3", "\"weight\" is not known"),
            ("web:alias", "the form is KEY=VALUE"),
            ("name=,ip=1.2.3.4", "names no network"),
        ] {
            let error = network(text).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
        assert!(alias(&"a".repeat(5000)).unwrap_err().len() < 200);
    }
}
