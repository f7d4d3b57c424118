//! Names of the cluster, as Kubernetes' DNS specification 1.1.0 has them.
//!
//! ```text
//! SVC.NS.svc.cluster.local                  A: the service's address, or those of all endpoints where it has none; CNAME for ExternalName
//! HOST.SVC.NS.svc.cluster.local             A: one endpoint of a service without an address, by its host name or as 10-1-0-7
//! _PORT._PROTO.SVC.NS.svc.cluster.local     SRV
//! 10-1-0-7.NS.pod.cluster.local             A: a pod
//! 7.0.1.10.in-addr.arpa                     PTR: a service, or an endpoint that has a host name
//! ```
//!
//! A name that exists and has no record of a kind has an empty answer; all others of the zone do not exist.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::{PoisonError, RwLock};

use ::api::kinds::endpoints::EndpointSlice;
use ::api::kinds::service::Service;
use net::dns::message::{A, ANY, PTR, SRV, TXT};
use net::dns::{Names, Record, Said};

use super::plan::by_service;
use super::seen::{All, Id};

/// The zone.
pub(crate) const DOMAIN: &str = "cluster.local";

/// Name, protocol in small letters, number.
type Port = (String, String, u16);

#[derive(Debug, PartialEq, Eq)]
struct Member {
    label: String,
    address: Ipv4Addr,
    ports: Vec<Port>,
}

#[derive(Debug, PartialEq, Eq)]
enum Entry {
    Address(Ipv4Addr, Vec<Port>),
    Members(Vec<Member>),
    External(String),
}

/// All names at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Zone {
    /// By namespace and name.
    services: BTreeMap<Id, Entry>,
    namespaces: BTreeSet<String>,
    reverse: BTreeMap<Ipv4Addr, String>,
}

impl Zone {
    pub(super) fn of(services: &All<Service>, slices: &All<EndpointSlice>) -> Zone {
        let (slices, mut zone) = (by_service(slices), Zone::default());
        for (id, service) in services {
            let entry = entry(service, slices.get(id).map_or(&[][..], Vec::as_slice));
            let full = format!("{}.{}.svc.{DOMAIN}", id.1, id.0);
            match &entry {
                Entry::Address(address, _) => drop(zone.reverse.insert(*address, full)),
                Entry::Members(members) => {
                    for member in members {
                        // An address may be in several services; one that calls it by its own name counts more.
                        let name = format!("{}.{full}", member.label);
                        match member.label == dashed(member.address) {
                            true => drop(zone.reverse.entry(member.address).or_insert(name)),
                            false => drop(zone.reverse.insert(member.address, name)),
                        }
                    }
                }
                Entry::External(_) => {}
            }
            zone.namespaces.insert(id.0.clone());
            zone.services.insert(id.clone(), entry);
        }
        zone
    }

    fn say(&self, name: &str, kind: u16) -> Option<Said> {
        if let Some(address) = net::dns::reversed(name) {
            let IpAddr::V4(address) = address else { return None };
            let name = self.reverse.get(&address)?;
            return Some(only(kind, PTR, Record::name(PTR, name)));
        }
        let rest = if name == DOMAIN { "" } else { name.strip_suffix(DOMAIN)?.strip_suffix('.')? };
        let labels: Vec<&str> = rest.split('.').filter(|label| !label.is_empty()).collect();
        let exists = |is: bool| if is { Said::Records(Vec::new()) } else { Said::NoName };
        Some(match labels.as_slice() {
            [] | ["svc" | "pod"] => Said::Records(Vec::new()),
            ["dns-version"] => only(kind, TXT, Some(Record::text("1.1.0"))),
            [namespace, "svc"] => exists(self.namespaces.contains(*namespace)),
            [of @ .., service, namespace, "svc"] => self.service(of, service, namespace, kind),
            [address, _, "pod"] => {
                let address = address.replace('-', ".").parse::<Ipv4Addr>().ok();
                address.map_or(Said::NoName, |address| only(kind, A, Some(Record::address(address.into()))))
            }
            _ => Said::NoName,
        })
    }

    fn service(&self, of: &[&str], service: &str, namespace: &str, kind: u16) -> Said {
        let Some(entry) = self.services.get(&(namespace.to_owned(), service.to_owned())) else { return Said::NoName };
        let full = format!("{service}.{namespace}.svc.{DOMAIN}");
        match (entry, of) {
            (Entry::External(target), []) => Said::Alias(target.clone()),
            (Entry::External(_), _) => Said::NoName,
            (_, []) => some(kind, addresses(entry, None), ports(entry, &full, None, |_| true)),
            (_, [port, protocol]) if port.starts_with('_') && protocol.starts_with('_') => {
                let wanted = |(name, of, _): &Port| (&port[1..], &protocol[1..]) == (name.as_str(), of.as_str());
                let found = ports(entry, &full, None, wanted);
                if found.is_empty() { Said::NoName } else { some(kind, Vec::new(), found) }
            }
            (_, [protocol]) if protocol.starts_with('_') => {
                let found = ports(entry, &full, None, |(_, of, _)| protocol[1..] == **of);
                if found.is_empty() { Said::NoName } else { Said::Records(Vec::new()) }
            }
            (_, [label]) => {
                let found = addresses(entry, Some(label));
                if found.is_empty() { Said::NoName } else { some(kind, found, ports(entry, &full, Some(label), |_| true)) }
            }
            _ => Said::NoName,
        }
    }
}

/// A name's only record, if that is asked for.
fn only(kind: u16, of: u16, record: Option<Record>) -> Said {
    Said::Records(record.into_iter().filter(|_| kind == of || kind == ANY).collect())
}

/// A name's addresses or ports, whichever are asked for.
fn some(kind: u16, addresses: Vec<Record>, ports: Vec<Record>) -> Said {
    Said::Records(match kind {
        A => addresses,
        SRV => ports,
        ANY => addresses.into_iter().chain(ports).collect(),
        _ => Vec::new(),
    })
}

fn addresses(entry: &Entry, label: Option<&str>) -> Vec<Record> {
    let mut all: Vec<Ipv4Addr> = match (entry, label) {
        (Entry::Address(address, _), None) => vec![*address],
        (Entry::Members(members), _) => members.iter().filter(|member| is(member, label)).map(|member| member.address).collect(),
        _ => Vec::new(),
    };
    all.sort_unstable();
    all.dedup();
    all.into_iter().map(|address| Record::address(address.into())).collect()
}

fn is(member: &Member, label: Option<&str>) -> bool {
    label.is_none_or(|label| member.label.eq_ignore_ascii_case(label))
}

/// `SRV` records of a service, which is called `full`, or of one endpoint.
fn ports(entry: &Entry, full: &str, label: Option<&str>, wanted: impl Fn(&Port) -> bool) -> Vec<Record> {
    match entry {
        Entry::Address(_, ports) => {
            ports.iter().filter(|port| wanted(port)).filter_map(|(.., n)| Record::service(*n, full)).collect()
        }
        Entry::Members(members) => {
            let of = |member: &Member| {
                let target = format!("{}.{full}", member.label);
                member
                    .ports
                    .iter()
                    .filter(|port| wanted(port))
                    .filter_map(|(.., n)| Record::service(*n, &target))
                    .collect::<Vec<_>>()
            };
            members.iter().filter(|member| is(member, label)).flat_map(of).collect()
        }
        Entry::External(_) => Vec::new(),
    }
}

fn entry(service: &Service, slices: &[&EndpointSlice]) -> Entry {
    let spec = &service.spec;
    if spec.type_ == "ExternalName" {
        return Entry::External(spec.external_name.trim_end_matches('.').to_owned());
    }
    if let Ok(address) = spec.cluster_ip.parse() {
        return Entry::Address(address, spec.ports.iter().map(|of| port(&of.name, &of.protocol, of.port)).collect());
    }
    let members = slices.iter().flat_map(|slice| {
        let named =
            |of: &::api::kinds::endpoints::EndpointPort| Some(port(of.name.as_deref().unwrap_or(""), &of.protocol, of.port?));
        let ports: Vec<Port> = slice.ports.iter().filter_map(named).collect();
        slice.endpoints.iter().filter(|endpoint| endpoint.conditions.ready.unwrap_or(true)).filter_map(move |endpoint| {
            let address = endpoint.addresses.first()?.parse().ok()?;
            let label = if endpoint.hostname.is_empty() { dashed(address) } else { endpoint.hostname.clone() };
            Some(Member { label, address, ports: ports.clone() })
        })
    });
    Entry::Members(members.collect())
}

fn port(name: &str, protocol: &str, number: i32) -> Port {
    (name.to_owned(), protocol.to_ascii_lowercase(), u16::try_from(number).unwrap_or_default())
}

/// An address as a part of a name.
fn dashed(address: Ipv4Addr) -> String {
    address.to_string().replace('.', "-")
}

/// The zone as it is now, for the resolver.
#[derive(Debug, Default)]
pub(super) struct Current(RwLock<Zone>);

impl Current {
    pub(super) fn set(&self, zone: Zone) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }
}

impl Names for Current {
    fn zone(&self) -> &str {
        DOMAIN
    }

    fn say(&self, name: &str, kind: u16) -> Option<Said> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).say(name, kind)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const AAAA: u16 = 28;

    fn zone() -> Zone {
        let service = |name: &str, spec: Value| -> (Id, Service) {
            let object = json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec});
            (("d".to_owned(), name.to_owned()), serde_json::from_value(object).unwrap())
        };
        let ports = json!([{"name": "http", "port": 80, "protocol": "TCP"}]);
        let slice = json!({"metadata": {"name": "db-1", "namespace": "d", "labels": {"kubernetes.io/service-name": "db"}}, "addressType": "IPv4",
            "ports": [{"name": "sql", "port": 5432, "protocol": "TCP"}], "endpoints": [
                {"addresses": ["10.1.0.7"], "hostname": "db-0", "conditions": {"ready": true}},
                {"addresses": ["10.1.0.8"], "conditions": {}},
                {"addresses": ["10.1.0.9"], "conditions": {"ready": false}}]});
        let services = [
            service("web", json!({"type": "ClusterIP", "clusterIP": "10.96.0.9", "ports": ports})),
            service("db", json!({"type": "ClusterIP", "clusterIP": "None"})),
            service("none", json!({"type": "ClusterIP", "clusterIP": "None"})),
            service("out", json!({"type": "ExternalName", "externalName": "example.org."})),
        ];
        let slices = [(("d".to_owned(), "db-1".to_owned()), serde_json::from_value(slice).unwrap())];
        Zone::of(&services.into(), &slices.into())
    }

    fn ip(ips: &[&str]) -> Option<Said> {
        Some(Said::Records(ips.iter().map(|ip| Record::address(ip.parse().unwrap())).collect()))
    }

    #[test]
    fn services_have_addresses() {
        let zone = zone();
        let say = |name: &str, kind| zone.say(&format!("{name}.cluster.local"), kind);
        let nothing = Some(Said::Records(Vec::new()));
        assert_eq!(say("web.d.svc", A), ip(&["10.96.0.9"]));
        assert_eq!(say("web.d.svc", AAAA), nothing, "it is there, without such an address");
        assert_eq!(say("db.d.svc", A), ip(&["10.1.0.7", "10.1.0.8"]));
        assert_eq!((say("none.d.svc", A), say("d.svc", A), say("svc", A), zone.say(DOMAIN, A)), {
            let of = || nothing.clone();
            (of(), of(), of(), of())
        });
        assert_eq!(say("db-0.db.d.svc", A), ip(&["10.1.0.7"]));
        assert_eq!(say("10-1-0-8.db.d.svc", A), ip(&["10.1.0.8"]));
        assert_eq!(say("10-1-0-99.d.pod", A), ip(&["10.1.0.99"]));
        assert_eq!(say("out.d.svc", A), Some(Said::Alias("example.org".to_owned())));
        for unknown in [
            "no.d.svc",
            "web.no.svc",
            "no.svc",
            "x.web.d.svc",
            "10-1-0-9.db.d.svc",
            "x.d.pod",
            "com",
            "x.y.web.d.svc",
            "x.out.d.svc",
        ] {
            assert_eq!(say(unknown, A), Some(Said::NoName), "{unknown}");
        }
        // not of the zone
        assert_eq!((zone.say("example.org", A), zone.say("xcluster.local", A), zone.say("", A)), (None, None, None));
    }

    #[test]
    fn ports_have_names_and_addresses_too() {
        let zone = zone();
        let say = |name: &str, kind| zone.say(&format!("{name}.cluster.local"), kind);
        let to = |port, target: &str| Record::service(port, &format!("{target}.cluster.local")).unwrap();
        assert_eq!(say("_http._tcp.web.d.svc", SRV), Some(Said::Records(vec![to(80, "web.d.svc")])));
        let both = vec![to(5432, "db-0.db.d.svc"), to(5432, "10-1-0-8.db.d.svc")];
        assert_eq!(say("_sql._tcp.db.d.svc", SRV), Some(Said::Records(both)));
        assert_eq!(say("_sql._udp.db.d.svc", SRV), Some(Said::NoName));
        assert_eq!(say("_http._tcp.web.d.svc", A), Some(Said::Records(Vec::new())));
        assert_eq!(say("_tcp.web.d.svc", A), Some(Said::Records(Vec::new())));
        let back = |ip: &str| zone.say(&format!("{ip}.in-addr.arpa"), PTR);
        let named = |name: &str| Some(Said::Records(vec![Record::name(PTR, &format!("{name}.cluster.local")).unwrap()]));
        assert_eq!(back("9.0.96.10"), named("web.d.svc"));
        assert_eq!(back("7.0.1.10"), named("db-0.db.d.svc"));
        assert_eq!(back("8.0.1.10"), named("10-1-0-8.db.d.svc"));
        assert_eq!(back("1.1.1.1"), None, "others may know");
    }
}
