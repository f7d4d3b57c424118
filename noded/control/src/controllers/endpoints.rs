//! EndpointSlices: the addresses behind each service. Endpoints say the same to old clients.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use api::kinds::endpoints::{ENDPOINT_SLICE, ENDPOINTS, EndpointSlice, Endpoints};
use api::kinds::pod::Pod;
use api::kinds::service::{Service, ServicePort};
use api::names;
use api::values::IntOrString;
use serde_json::{Value, json};

use super::Action;
use super::pods::{hash, owner};

/// So many addresses one slice holds.
const MOST: usize = 100;
const SERVICE_LABEL: &str = "kubernetes.io/service-name";
const MANAGER_LABEL: &str = "endpointslice.kubernetes.io/managed-by";
const MANAGER: &str = "endpointslice-controller.k8s.io";

/// What is to be done for a service, the pods of its namespace, the slices that were made for it, and its Endpoints.
pub fn next(service: &Service, pods: &[&Pod], slices: &[&EndpointSlice], old: Option<&Endpoints>) -> Vec<Action> {
    let (meta, spec) = (&service.metadata, &service.spec);
    let is_ours = spec.type_ != "ExternalName" && !spec.selector.is_empty() && meta.deletion_timestamp.is_none();
    let mut wanted: BTreeMap<String, Value> = BTreeMap::new();
    let mut subsets = Vec::new();
    if is_ours {
        let mut groups: BTreeMap<String, (Vec<Value>, Vec<Value>)> = BTreeMap::new();
        let mut chosen: Vec<&&Pod> = pods.iter().filter(|p| selects(service, p)).collect();
        chosen.sort_by(|a, b| a.metadata.name.cmp(&b.metadata.name));
        for pod in chosen {
            let ports: Vec<Value> = spec.ports.iter().filter_map(|p| port(p, pod)).collect();
            // pods of one service may give one name to different ports
            let group = groups.entry(json!(ports).to_string()).or_insert_with(|| (ports, Vec::new()));
            group.1.push(endpoint(service, pod));
        }
        if groups.is_empty() {
            groups.insert(String::new(), (spec.ports.iter().filter_map(|p| port(p, &Pod::default())).collect(), Vec::new()));
        }
        for (at, (ports, endpoints)) in groups.into_values().enumerate() {
            subsets.extend(subset(&ports, &endpoints));
            let pieces: Vec<&[Value]> = if endpoints.is_empty() { vec![&[]] } else { endpoints.chunks(MOST).collect() };
            for (n, piece) in pieces.into_iter().enumerate() {
                let (name, slice) = slice(service, &format!("{at}-{n}"), &ports, piece);
                wanted.insert(name, slice);
            }
        }
    }
    let mut actions = Vec::new();
    for slice in slices.iter().filter(|s| s.metadata.labels.get(MANAGER_LABEL).is_some_and(|m| m == MANAGER)) {
        let meta = &slice.metadata;
        match wanted.remove(&meta.name) {
            None => actions.push(Action::Delete(&ENDPOINT_SLICE, meta.namespace.clone(), meta.name.clone(), meta.uid.clone())),
            Some(new) => {
                let same = serde_json::from_value::<EndpointSlice>(new.clone())
                    .is_ok_and(|n| n.endpoints == slice.endpoints && n.ports == slice.ports);
                if !same {
                    let patch = json!({"endpoints": new["endpoints"], "ports": new["ports"]});
                    actions.push(Action::Patch(&ENDPOINT_SLICE, meta.namespace.clone(), meta.name.clone(), patch));
                }
            }
        }
    }
    actions.extend(wanted.into_values().map(|slice| Action::Create(&ENDPOINT_SLICE, meta.namespace.clone(), slice)));
    if is_ours {
        actions.extend(whole(service, subsets, old));
    }
    actions
}

/// What is to be done for the Endpoints. They go with the service, by their owner.
fn whole(service: &Service, subsets: Vec<Value>, old: Option<&Endpoints>) -> Option<Action> {
    let meta = &service.metadata;
    let Some(old) = old else {
        let mut owner = owner("v1", "Service", meta);
        owner["blockOwnerDeletion"] = true.into();
        let object =
            json!({"metadata": {"name": meta.name, "labels": meta.labels, "ownerReferences": [owner]}, "subsets": subsets});
        return Some(Action::Create(&ENDPOINTS, meta.namespace.clone(), object));
    };
    let new = json!({"subsets": subsets});
    let same = serde_json::from_value::<Endpoints>(new.clone()).is_ok_and(|new| new.subsets == old.subsets);
    (!same).then(|| Action::Patch(&ENDPOINTS, meta.namespace.clone(), meta.name.clone(), new))
}

/// The endpoints of a slice in the old form; none where there are none.
fn subset(ports: &[Value], endpoints: &[Value]) -> Option<Value> {
    let address = |endpoint: &Value| {
        let mut address =
            json!({"ip": endpoint["addresses"][0], "nodeName": endpoint["nodeName"], "targetRef": endpoint["targetRef"]});
        if let Some(hostname) = endpoint.get("hostname") {
            address["hostname"] = hostname.clone();
        }
        address
    };
    let is_ready = |endpoint: &&Value| endpoint["conditions"]["ready"] == true;
    let ready: Vec<Value> = endpoints.iter().filter(is_ready).map(address).collect();
    let others: Vec<Value> = endpoints.iter().filter(|e| !is_ready(e)).map(address).collect();
    let mut subset = json!({"ports": ports});
    for (field, addresses) in [("addresses", ready), ("notReadyAddresses", others)] {
        if !addresses.is_empty() {
            subset[field] = addresses.into();
        }
    }
    (!endpoints.is_empty()).then_some(subset)
}

fn selects(service: &Service, pod: &Pod) -> bool {
    let fits = service.spec.selector.iter().all(|(k, v)| pod.metadata.labels.get(k) == Some(v));
    // a node that says nonsense, or names a host's own address, takes no pod of others out of the service, and gets no traffic of others
    let is_reached = pod.status.pod_ip.parse::<Ipv4Addr>().is_ok() && names::endpoint(&pod.status.pod_ip).is_empty();
    fits && is_reached && !pod.is_done()
}

fn port(port: &ServicePort, pod: &Pod) -> Option<Value> {
    let number = match port.target_port.clone().unwrap_or(IntOrString::Int(port.port)) {
        IntOrString::Int(number) => number,
        IntOrString::Text(name) => {
            let containers =
                pod.spec.containers.iter().chain(pod.spec.init_containers.iter().filter(|c| c.restart_policy == "Always"));
            containers.flat_map(|c| &c.ports).find(|p| p.name == name && p.protocol == port.protocol)?.container_port
        }
    };
    let mut value = json!({"name": port.name, "port": number, "protocol": port.protocol});
    if !port.app_protocol.is_empty() {
        value["appProtocol"] = port.app_protocol.clone().into();
    }
    Some(value)
}

fn endpoint(service: &Service, pod: &Pod) -> Value {
    let going = pod.metadata.deletion_timestamp.is_some();
    let serving = pod.is_ready();
    let ready = service.spec.publish_not_ready_addresses || serving && !going;
    let meta = &pod.metadata;
    let mut value = json!({
        "addresses": [pod.status.pod_ip], "conditions": {"ready": ready, "serving": serving, "terminating": going}, "nodeName": pod.spec.node_name,
        "targetRef": {"kind": "Pod", "namespace": meta.namespace, "name": meta.name, "uid": meta.uid},
    });
    if !pod.spec.hostname.is_empty() && pod.spec.subdomain == service.metadata.name {
        value["hostname"] = pod.spec.hostname.clone().into();
    }
    value
}

fn slice(service: &Service, part: &str, ports: &[Value], endpoints: &[Value]) -> (String, Value) {
    let meta = &service.metadata;
    let mut seed = api::kinds::pod::PodTemplateSpec::default();
    seed.metadata.name = format!("{}/{part}", meta.uid);
    let name = format!("{}-{}", meta.name, &hash(&seed, 0)[..5]);
    let mut labels = meta.labels.clone();
    labels.insert(SERVICE_LABEL.into(), meta.name.clone());
    labels.insert(MANAGER_LABEL.into(), MANAGER.into());
    if service.spec.cluster_ip == "None" {
        labels.insert("service.kubernetes.io/headless".into(), String::new());
    }
    let mut owner = owner("v1", "Service", meta);
    owner["blockOwnerDeletion"] = true.into();
    let slice = json!({
        "metadata": {"name": name, "labels": labels, "ownerReferences": [owner]}, "addressType": "IPv4", "endpoints": endpoints, "ports": ports,
    });
    (name, slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service() -> Service {
        let value = json!({"metadata": {"name": "s", "namespace": "d", "uid": "u"}, "spec": {"type": "ClusterIP", "clusterIP": "10.96.0.9", "selector": {"a": "b"},
            "ports": [{"port": 80, "protocol": "TCP", "targetPort": "web"}]}});
        serde_json::from_value(value).unwrap()
    }

    fn pod(name: &str, ip: &str, ready: bool) -> Pod {
        let value = json!({"metadata": {"name": name, "namespace": "d", "uid": name, "labels": {"a": "b"}},
            "spec": {"nodeName": "n", "containers": [{"name": "c", "ports": [{"name": "web", "containerPort": 8080, "protocol": "TCP"}]}]},
            "status": {"phase": "Running", "podIP": ip, "conditions": [{"type": "Ready", "status": if ready { "True" } else { "False" }}]}});
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn ready_pods_are_found_by_labels_and_ports_by_name() {
        let (a, b, c) = (pod("a", "10.0.0.1", true), pod("b", "10.0.0.2", false), pod("c", "", true));
        // one node names its own host's address, and one none
        let (d, e) = (pod("d", "127.0.0.1", true), pod("e", "nonsense", true));
        let actions = next(&service(), &[&a, &b, &c, &d, &e], &[], None);
        let [Action::Create(_, _, slice), Action::Create(_, _, whole)] = &actions[..] else { panic!("{actions:?}") };
        let subset = &whole["subsets"][0];
        assert_eq!(
            (&subset["addresses"][0]["ip"], &subset["notReadyAddresses"][0]["ip"]),
            (&json!("10.0.0.1"), &json!("10.0.0.2"))
        );
        assert_eq!(subset["ports"], slice["ports"]);
        assert_eq!(slice["ports"], json!([{"name": "", "port": 8080, "protocol": "TCP"}]));
        let ready: Vec<bool> =
            slice["endpoints"].as_array().unwrap().iter().map(|e| e["conditions"]["ready"].as_bool().unwrap()).collect();
        assert_eq!(ready, [true, false]);
    }

    #[test]
    fn what_is_right_is_left_alone_and_what_is_not_wanted_goes() {
        let a = pod("a", "10.0.0.1", true);
        let actions = next(&service(), &[&a], &[], None);
        let [Action::Create(_, _, slice), Action::Create(_, _, whole)] = &actions[..] else { panic!("{actions:?}") };
        let made: EndpointSlice = serde_json::from_value(slice.clone()).unwrap();
        let whole: Endpoints = serde_json::from_value(whole.clone()).unwrap();
        assert_eq!(next(&service(), &[&a], &[&made], Some(&whole)), []);
        let b = pod("b", "10.0.0.2", true);
        assert!(matches!(next(&service(), &[&a, &b], &[&made], Some(&whole))[..], [Action::Patch(..), Action::Patch(..)]));
        let mut gone = service();
        gone.spec.selector.clear();
        assert!(matches!(next(&gone, &[&a], &[&made], Some(&whole))[..], [Action::Delete(..)]));
    }
}
