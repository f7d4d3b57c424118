//! What plugins answer.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use serde::Deserialize;
use serde_json::Value;

use super::INTERFACE;
use super::list::{List, VERSIONS};
use crate::network::Driver;
use crate::{EndpointState, Error, NetworkState};

/// A result, as far as it is of use here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Outcome {
    interfaces: Vec<Interface>,
    ips: Vec<Ip>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Interface {
    name: String,
    mac: String,
    /// Empty for one of the host.
    sandbox: String,
}

#[derive(Debug, Deserialize)]
struct Ip {
    address: IpNet,
    #[serde(default)]
    gateway: Option<IpAddr>,
    /// Of the interfaces, the one that has it.
    #[serde(default)]
    interface: Option<usize>,
}

/// The answer to ADD: an object of a version that is known.
pub(super) fn parse(list: &List, program: &str, answer: &[u8]) -> Result<Value, Error> {
    let said = |why: String| Error::Cni { what: format!("plugin {program} of network {}", list.name), why };
    let result: Value = serde_json::from_slice(answer).map_err(|error| said(format!("its answer is no result: {error}")))?;
    let version = result.get("cniVersion").and_then(Value::as_str).unwrap_or_default();
    if !VERSIONS.contains(&version) {
        return Err(said(format!("its answer is of version {version:?}, and was asked for in version {}", list.version)));
    }
    Ok(result)
}

/// The pod's addresses by the last answer. One without any is no network.
pub(super) fn network(list: &List, result: &Value) -> Result<NetworkState, Error> {
    let said = |why: String| Error::Cni { what: format!("the plugins of network {}", list.name), why };
    let outcome: Outcome =
        serde_json::from_value(result.clone()).map_err(|error| said(format!("their answer is no result: {error}")))?;
    let inside = |index: usize| outcome.interfaces.get(index).filter(|interface| !interface.sandbox.is_empty());
    let ours: Vec<&Ip> = outcome.ips.iter().filter(|ip| ip.interface.is_none_or(|index| inside(index).is_some())).collect();
    if ours.is_empty() {
        return Err(said("they say that they are done, and name no address of the pod".to_owned()));
    }
    let interface = outcome.interfaces.iter().find(|interface| !interface.sandbox.is_empty());
    let first = |v4: bool| ours.iter().find(|ip| ip.address.addr().is_ipv4() == v4);
    let (v4, v6) = (first(true), first(false));
    let v4_of = |ip: IpAddr| if let IpAddr::V4(ip) = ip { Some(ip) } else { None };
    let v6_of = |ip: IpAddr| if let IpAddr::V6(ip) = ip { Some(ip) } else { None };
    let end = EndpointState {
        network: list.name.clone(),
        interface: interface.map_or(INTERFACE, |interface| &interface.name).to_owned(),
        address: v4.and_then(|ip| v4_of(ip.address.addr())).unwrap_or(Ipv4Addr::UNSPECIFIED),
        prefix: v4.map_or(0, |ip| ip.address.prefix_len()),
        gateway: v4.and_then(|ip| v4_of(ip.gateway?)),
        address6: v6.and_then(|ip| v6_of(ip.address.addr())),
        prefix6: v6.map_or(0, |ip| ip.address.prefix_len()),
        gateway6: v6.and_then(|ip| v6_of(ip.gateway?)),
        mac: interface.and_then(|interface| mac(&interface.mac)).unwrap_or_default(),
        names: Vec::new(),
        id: String::new(),
        driver: Driver::Bridge,
    };
    Ok(NetworkState { networks: vec![end], ports: Vec::new() })
}

/// What plugins say they have made is there: `interfaces` is net/dev of the pod, in the form of proc(5).
pub(crate) fn check(network: &NetworkState, interfaces: &str) -> Result<(), Error> {
    let there = |name: &str| interfaces.lines().any(|line| line.trim_start().split(':').next() == Some(name));
    match network.networks.iter().find(|end| !there(&end.interface)) {
        None => Ok(()),
        Some(end) => Err(Error::Cni {
            what: format!("the plugins of network {}", end.network),
            why: format!("they say that they are done, and the pod has no interface {}", end.interface),
        }),
    }
}

fn mac(text: &str) -> Option<[u8; 6]> {
    let bytes: Vec<u8> = text.split(':').map(|part| u8::from_str_radix(part, 16)).collect::<Result<_, _>>().ok()?;
    bytes.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn list() -> List {
        List { name: "net".to_owned(), version: "1.0.0".to_owned(), disable_check: false, plugins: Vec::new() }
    }

    #[test]
    fn addresses_are_those_of_the_pod() {
        let result = json!({
            "cniVersion": "0.4.0",
            "interfaces": [{ "name": "cni0" }, { "name": "eth0", "mac": "0a:00:00:00:00:07", "sandbox": "/n" }],
            "ips": [
                { "version": "4", "address": "10.1.0.1/16", "interface": 0 },
                { "version": "4", "address": "10.1.0.7/16", "gateway": "10.1.0.1", "interface": 1 },
                { "version": "6", "address": "fd00::7/64", "interface": 1 },
            ],
        });
        let end = &network(&list(), &result).unwrap().networks[0];
        let addresses: Vec<String> = end.addresses().iter().map(ToString::to_string).collect();
        assert_eq!(addresses, ["10.1.0.7", "fd00::7"]);
        assert_eq!((end.interface.as_str(), end.prefix, end.mac[5]), ("eth0", 16, 7));
        let v6 = json!({ "cniVersion": "1.0.0", "ips": [{ "address": "fd00::8/64" }] });
        let addresses = network(&list(), &v6).unwrap().networks[0].addresses();
        assert_eq!(addresses, ["fd00::8".parse::<IpAddr>().unwrap()]);
    }

    #[test]
    fn lies_are_named() {
        let why = |answer: &str| {
            let result = parse(&list(), "x", answer.as_bytes()).and_then(|result| network(&list(), &result));
            result.unwrap_err().to_string()
        };
        for (answer, part) in [
            ("", "no result"),
            ("done", "no result"),
            ("{}", "version \"\""),
            (r#"{"cniVersion":"7.0.0"}"#, "version \"7.0.0\""),
            (r#"{"cniVersion":"1.0.0"}"#, "no address"),
            (r#"{"cniVersion":"1.0.0","ips":[{"address":"10.1.0.300/16"}]}"#, "no result"),
            (
                r#"{"cniVersion":"1.0.0","interfaces":[{"name":"br0"}],"ips":[{"address":"10.1.0.3/16","interface":0}]}"#,
                "no address",
            ),
        ] {
            assert!(why(answer).contains(part), "{answer}: {}", why(answer));
        }
    }
}
