//! From Services and EndpointSlices to rules: a pure function, with Kubernetes' rules of who gets traffic.
//!
//! An endpoint gets it when it is ready. Where none is, those that end but still answer get it, so that the last pods of a rollout are
//! not cut off. A policy `Local` looks at this node's endpoints alone; clients within the cluster are not bound by it when they come by
//! an address meant for outside.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ::api::kinds::endpoints::EndpointSlice;
use ::api::kinds::service::{Service, ServicePort};
use net::Protocol;
use net::services::{Back, Endpoint, Front, RuleSet};

use super::Here;
use super::seen::{All, Id};

/// Names the service of a slice.
pub(super) const SERVICE_LABEL: &str = "kubernetes.io/service-name";

/// How long a client stays with its endpoint when nothing is said.
const STAYS: i32 = 10_800;

/// One that may get traffic.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    ready: bool,
    /// It ends, and still answers.
    lingers: bool,
    local: bool,
}

/// The slices of each service.
pub(super) fn by_service(slices: &All<EndpointSlice>) -> BTreeMap<Id, Vec<&EndpointSlice>> {
    let mut all: BTreeMap<Id, Vec<&EndpointSlice>> = BTreeMap::new();
    for slice in slices.values() {
        if let Some(service) = slice.metadata.labels.get(SERVICE_LABEL).filter(|_| slice.address_type == "IPv4") {
            all.entry((slice.metadata.namespace.clone(), service.clone())).or_default().push(slice);
        }
    }
    all
}

/// All rules. Where two services want the same front the first one has it.
pub(super) fn plan(services: &All<Service>, slices: &All<EndpointSlice>, here: &Here) -> RuleSet {
    let (slices, mut rules) = (by_service(slices), RuleSet::default());
    for (id, service) in services {
        let Ok(address) = service.spec.cluster_ip.parse::<Ipv4Addr>() else { continue };
        if service.spec.type_ == "ExternalName" {
            continue;
        }
        rules.addresses.insert(address);
        let slices = slices.get(id).map_or(&[][..], Vec::as_slice);
        for port in &service.spec.ports {
            for (front, back) in of_port(service, address, port, slices, here) {
                rules.fronts.entry(front).or_insert(back);
            }
        }
    }
    rules
}

fn of_port(service: &Service, address: Ipv4Addr, port: &ServicePort, slices: &[&EndpointSlice], here: &Here) -> Vec<(Front, Back)> {
    let spec = &service.spec;
    let Some(protocol) = protocol(&port.protocol) else { return Vec::new() };
    let candidates = candidates(port, slices, here);
    let stays = (spec.session_affinity == "ClientIP").then(|| {
        let client = spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref());
        client.and_then(|client| client.timeout_seconds).unwrap_or(STAYS).max(1).unsigned_abs()
    });
    let everywhere = back(&candidates, false, stays);
    let by = |policy: &str| if policy == "Local" { back(&candidates, true, stays) } else { everywhere.clone() };
    let (number, outside) = (number(port.port), by(&spec.external_traffic_policy));
    let mut fronts = vec![(Front::Cluster(address, protocol, number), by(&spec.internal_traffic_policy))];
    let is_local = spec.external_traffic_policy == "Local";
    for ip in outside_addresses(service) {
        fronts.push((Front::External(ip, protocol, number), outside.clone()));
        if is_local {
            fronts.push((Front::Cluster(ip, protocol, number), everywhere.clone()));
        }
    }
    if port.node_port != 0 && matches!(spec.type_.as_str(), "NodePort" | "LoadBalancer") {
        let number = self::number(port.node_port);
        fronts.push((Front::Node(protocol, number), outside));
        if let Some(own) = here.address.filter(|_| is_local) {
            fronts.push((Front::Cluster(own, protocol, number), everywhere));
        }
    }
    fronts
}

/// Who gets the traffic.
fn back(candidates: &BTreeMap<Endpoint, Candidate>, local: bool, stays: Option<u32>) -> Back {
    let chosen = chosen(candidates, local);
    match chosen.is_empty() {
        false => Back::To(chosen, stays),
        // Somebody answers, but not on this node.
        true if local && !self::chosen(candidates, false).is_empty() => Back::Discard,
        true => Back::Refuse,
    }
}

fn chosen(candidates: &BTreeMap<Endpoint, Candidate>, local: bool) -> Vec<Endpoint> {
    let near = || candidates.iter().filter(|(_, one)| one.local || !local);
    let ready: Vec<Endpoint> = near().filter(|(_, one)| one.ready).map(|(end, _)| *end).collect();
    if ready.is_empty() { near().filter(|(_, one)| one.lingers).map(|(end, _)| *end).collect() } else { ready }
}

fn candidates(port: &ServicePort, slices: &[&EndpointSlice], here: &Here) -> BTreeMap<Endpoint, Candidate> {
    let mut all = BTreeMap::new();
    for slice in slices {
        let same = |of: &&::api::kinds::endpoints::EndpointPort| {
            of.name.as_deref().unwrap_or_default() == port.name && of.protocol == port.protocol
        };
        for number in slice.ports.iter().filter(same).filter_map(|of| of.port).map(number) {
            for endpoint in &slice.endpoints {
                // All addresses of one endpoint mean the same; the first one counts.
                let Some(Ok(ip)) = endpoint.addresses.first().map(|ip| ip.parse::<Ipv4Addr>()) else { continue };
                let conditions = &endpoint.conditions;
                let ready = conditions.ready.unwrap_or(true);
                let lingers = conditions.serving.unwrap_or(ready) && conditions.terminating.unwrap_or(false);
                let local = endpoint.node_name == here.node;
                all.insert((ip, number), Candidate { ready, lingers, local });
            }
        }
    }
    all
}

fn outside_addresses(service: &Service) -> Vec<Ipv4Addr> {
    let balancer = &service.status.load_balancer.ingress;
    let balancer = balancer.iter().filter(|one| one.ip_mode != "Proxy" && service.spec.type_ == "LoadBalancer").map(|one| &one.ip);
    service.spec.external_ips.iter().chain(balancer).filter_map(|ip| ip.parse().ok()).collect()
}

fn protocol(name: &str) -> Option<Protocol> {
    match name {
        "TCP" => Some(Protocol::Tcp),
        "UDP" => Some(Protocol::Udp),
        "SCTP" => Some(Protocol::Sctp),
        _ => None,
    }
}

/// Ports are from 1 to 65535: the API checks that.
fn number(port: i32) -> u16 {
    u16::try_from(port).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn here() -> Here {
        Here { node: "n".to_owned(), address: Some(Ipv4Addr::new(192, 0, 2, 7)) }
    }

    fn service(spec: Value) -> All<Service> {
        let mut service = json!({"metadata": {"name": "s", "namespace": "d"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9",
            "ports": [{"name": "web", "port": 80, "protocol": "TCP"}]}});
        ::api::patch::merge(&mut service["spec"], spec);
        [(("d".to_owned(), "s".to_owned()), serde_json::from_value(service).unwrap())].into()
    }

    /// Endpoints: last byte of the address, node, ready, serving, terminating.
    fn slices(endpoints: &[(u8, &str, bool, bool, bool)]) -> All<EndpointSlice> {
        let endpoint = |(last, node, ready, serving, terminating): &(u8, &str, bool, bool, bool)| {
            json!({"addresses": [format!("10.1.0.{last}")], "nodeName": node,
                "conditions": {"ready": ready, "serving": serving, "terminating": terminating}})
        };
        let slice = json!({"metadata": {"name": "s-1", "namespace": "d", "labels": {SERVICE_LABEL: "s"}}, "addressType": "IPv4",
            "endpoints": endpoints.iter().map(endpoint).collect::<Vec<_>>(),
            "ports": [{"name": "web", "port": 8080, "protocol": "TCP"}, {"name": "other", "port": 9, "protocol": "TCP"}]});
        [(("d".to_owned(), "s-1".to_owned()), serde_json::from_value(slice).unwrap())].into()
    }

    fn to(last: &[u8]) -> Back {
        Back::To(last.iter().map(|last| (Ipv4Addr::new(10, 1, 0, *last), 8080)).collect(), None)
    }

    const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 9);
    const FRONT: Front = Front::Cluster(ADDRESS, Protocol::Tcp, 80);
    const READY: &[(u8, &str, bool, bool, bool)] = &[(1, "n", true, true, false), (2, "m", true, true, false)];

    #[test]
    fn ready_endpoints_get_traffic_or_else_those_that_end() {
        let back = |endpoints: &[_]| plan(&service(json!({})), &slices(endpoints), &here()).fronts[&FRONT].clone();
        assert_eq!(back(READY), to(&[1, 2]));
        assert_eq!(back(&[(1, "n", false, false, false), (2, "m", true, true, false)]), to(&[2]));
        assert_eq!(back(&[(1, "n", false, true, true), (2, "m", true, true, false)]), to(&[2]));
        assert_eq!(back(&[(1, "n", false, true, true), (2, "m", false, false, true)]), to(&[1]), "the last ones that answer");
        assert_eq!(back(&[(1, "n", false, false, false)]), Back::Refuse);
        assert_eq!(back(&[]), Back::Refuse);
        let stays = plan(&service(json!({"sessionAffinity": "ClientIP"})), &slices(&READY[..1]), &here());
        assert_eq!(stays.fronts[&FRONT], Back::To(vec![(Ipv4Addr::new(10, 1, 0, 1), 8080)], Some(10_800)));
    }

    #[test]
    fn policies_keep_traffic_on_its_node() {
        let local = json!({"internalTrafficPolicy": "Local"});
        let back = |endpoints: &[_]| plan(&service(local.clone()), &slices(endpoints), &here()).fronts[&FRONT].clone();
        assert_eq!((back(READY), back(&READY[1..]), back(&[])), (to(&[1]), Back::Discard, Back::Refuse));
        let outside = json!({"type": "NodePort", "externalTrafficPolicy": "Local", "externalIPs": ["203.0.113.9"],
            "ports": [{"name": "web", "port": 80, "protocol": "TCP", "nodePort": 30080}]});
        let rules = plan(&service(outside), &slices(READY), &here());
        let ip = Ipv4Addr::new(203, 0, 113, 9);
        let expected = [
            (FRONT, to(&[1, 2])),
            (Front::Cluster(ip, Protocol::Tcp, 80), to(&[1, 2])),
            (Front::Cluster(Ipv4Addr::new(192, 0, 2, 7), Protocol::Tcp, 30080), to(&[1, 2])),
            (Front::External(ip, Protocol::Tcp, 80), to(&[1])),
            (Front::Node(Protocol::Tcp, 30080), to(&[1])),
        ];
        assert_eq!(rules.fronts, expected.into());
        assert_eq!(rules.addresses, [ADDRESS].into());
    }

    #[test]
    fn what_has_no_address_has_no_rules() {
        for spec in [json!({"clusterIP": "None"}), json!({"clusterIP": ""}), json!({"type": "ExternalName"})] {
            assert_eq!(plan(&service(spec), &slices(READY), &here()), RuleSet::default());
        }
    }
}
