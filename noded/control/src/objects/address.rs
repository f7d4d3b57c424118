//! Addresses and ports of services: each belongs to one.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use api::errors::FieldError;
use api::kinds::service::{SERVICE, Service};
use api::kinds::view;
use api::status::Status;
use serde_json::{Value, json};

use super::{Objects, prefix};
use crate::random;
use crate::store::Entry;

impl Objects {
    /// Gives a service its address and node ports.
    pub(super) fn address(&self, object: &mut Value) -> Result<(), Status> {
        let Ok(service) = view::<Service>(object) else { return Ok(()) };
        let others: Vec<Service> = self.all(&SERVICE, "");
        assign(object, &service, &others, &self.settings)
            .map_err(|error| Status::invalid(&SERVICE, &service.metadata.name, &vec![error]))
    }

    /// Whether a service that has just been written has what another one got at the same moment, from another host perhaps: the one that was
    /// written first keeps it.
    pub(super) fn is_double(&self, made: &Entry) -> bool {
        let object = made.object();
        let Ok(service) = view::<Service>(&object) else { return false };
        let Ok(then) = self.store().list(&prefix(&SERVICE, ""), Some(made.revision)) else { return false };
        let others: Vec<Service> =
            then.entries.iter().filter(|e| e.key != made.key).filter_map(|e| view(&e.object()).ok()).collect();
        assign(&mut object.clone(), &service, &others, &self.settings).is_err()
    }
}

/// Chooses the address and the node ports that a service asks for or needs.
fn assign(object: &mut Value, service: &Service, others: &[Service], settings: &super::Settings) -> Result<(), FieldError> {
    let spec = &service.spec;
    if spec.type_ == "ExternalName" || spec.cluster_ip == "None" {
        return Ok(());
    }
    let (base, bits) = settings.service_range;
    let size = 1u32 << (32 - u32::from(bits));
    let inside = |ip: Ipv4Addr| u32::from(ip).wrapping_sub(u32::from(base)) < size;
    let taken: BTreeSet<Ipv4Addr> = others.iter().filter_map(|s| s.spec.cluster_ip.parse().ok()).collect();
    let wrong = |why: String| FieldError::invalid("spec.clusterIPs", &json!([spec.cluster_ip]), why);
    if spec.cluster_ip.is_empty() {
        let start = random::below(size - 2);
        let free =
            (0..size - 2).map(|n| Ipv4Addr::from(u32::from(base) + 1 + (start + n) % (size - 2))).find(|ip| !taken.contains(ip));
        let free = free.ok_or_else(|| wrong("failed to allocate an IP: range is full".into()))?;
        object["spec"]["clusterIP"] = free.to_string().into();
    } else if let Ok(ip) = spec.cluster_ip.parse::<Ipv4Addr>() {
        if !inside(ip) {
            return Err(wrong(format!(
                "failed to allocate IP {ip}: the provided IP ({ip}) is not in the valid range. The range of valid IPs is {base}/{bits}"
            )));
        }
        if taken.contains(&ip) {
            return Err(wrong(format!("failed to allocate IP {ip}: provided IP is already allocated")));
        }
    }
    if matches!(spec.type_.as_str(), "NodePort" | "LoadBalancer") {
        ports(object, service, others, settings.node_ports)?;
    }
    Ok(())
}

fn ports(object: &mut Value, service: &Service, others: &[Service], (first, last): (u16, u16)) -> Result<(), FieldError> {
    let mut taken: BTreeSet<i32> =
        others.iter().flat_map(|s| s.spec.ports.iter().map(|p| p.node_port)).filter(|p| *p != 0).collect();
    let count = i32::from(last - first) + 1;
    for (at, port) in service.spec.ports.iter().enumerate() {
        let field = format!("spec.ports[{at}].nodePort");
        let chosen = match port.node_port {
            0 => {
                let start = random::below(count as u32) as i32;
                let free = (0..count).map(|n| i32::from(first) + (start + n) % count).find(|p| !taken.contains(p));
                free.ok_or_else(|| FieldError::invalid(&field, &json!(0), "failed to allocate a nodePort: range is full".into()))?
            }
            asked if !(i32::from(first)..=i32::from(last)).contains(&asked) => {
                let why = format!("provided port is not in the valid range. The range of valid ports is {first}-{last}");
                return Err(FieldError::invalid(field, &json!(asked), why));
            }
            asked if taken.contains(&asked) => {
                return Err(FieldError::invalid(field, &json!(asked), "provided port is already allocated".into()));
            }
            asked => asked,
        };
        taken.insert(chosen);
        object["spec"]["ports"][at]["nodePort"] = chosen.into();
    }
    Ok(())
}

impl Objects {
    /// Completes a service that was changed: what it has it keeps, what it lacks it gets.
    pub(super) fn readdress(&self, object: &mut Value, old: &Value) -> Result<(), Status> {
        let (Ok(service), Ok(was)) = (view::<Service>(object), view::<Service>(old)) else { return Ok(()) };
        if service.spec.type_ == "ExternalName" {
            return Ok(());
        }
        if service.spec.cluster_ip.is_empty() && !was.spec.cluster_ip.is_empty() {
            object["spec"]["clusterIP"] = was.spec.cluster_ip.clone().into();
        }
        let with_ports = matches!(service.spec.type_.as_str(), "NodePort" | "LoadBalancer");
        for (at, port) in service.spec.ports.iter().enumerate() {
            let same = was.spec.ports.iter().find(|p| (p.port, &p.protocol) == (port.port, &port.protocol));
            match same {
                Some(p) if with_ports && port.node_port == 0 && p.node_port != 0 => {
                    object["spec"]["ports"][at]["nodePort"] = p.node_port.into()
                }
                // a client that turns a service back sends the port that it had
                Some(p) if !with_ports && port.node_port == p.node_port => {
                    drop(object["spec"]["ports"][at].as_object_mut().map(|m| m.shift_remove("nodePort")))
                }
                _ => {}
            }
        }
        let Ok(service) = view::<Service>(object) else { return Ok(()) };
        let id = (&service.metadata.namespace, &service.metadata.name);
        let others: Vec<Service> =
            self.all::<Service>(&SERVICE, "").into_iter().filter(|s| (&s.metadata.namespace, &s.metadata.name) != id).collect();
        assign(object, &service, &others, &self.settings)
            .map_err(|error| Status::invalid(&SERVICE, &service.metadata.name, &vec![error]))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::objects::{Context, Part};
    use crate::store::EmbeddedStore;

    #[tokio::test]
    async fn an_address_is_given_once_also_to_those_who_come_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(Arc::new(EmbeddedStore::open(folder.path()).unwrap()), Default::default());
        crate::bootstrap::first_objects(&objects).await.unwrap();
        let context = Context::default();
        let spec = json!({"clusterIP": "10.96.3.4", "type": "NodePort", "ports": [{"port": 80, "nodePort": 30303}]});
        let make = |number: usize| {
            let service = json!({"metadata": {"name": format!("s{number}")}, "spec": spec});
            objects.create(&SERVICE, "default", service, &context)
        };
        let made = futures_util::future::join_all((0..20).map(make)).await;
        let (good, bad): (Vec<_>, Vec<_>) = made.into_iter().partition(Result::is_ok);
        assert_eq!((good.len(), objects.all::<Service>(&SERVICE, "default").len()), (1, 2), "and the API's own");
        assert!(bad.iter().all(|b| b.as_ref().unwrap_err().message.contains("already allocated")));
    }

    #[tokio::test]
    async fn also_when_services_are_changed_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let objects = Objects::new(Arc::new(EmbeddedStore::open(folder.path()).unwrap()), Default::default());
        crate::bootstrap::first_objects(&objects).await.unwrap();
        let context = Context::default();
        for number in 0..20 {
            let service = json!({"metadata": {"name": format!("s{number}")}, "spec": {"ports": [{"port": 80}]}});
            objects.create(&SERVICE, "default", service, &context).await.unwrap();
        }
        let names: Vec<String> = (0..20).map(|number| format!("s{number}")).collect();
        let change = |name, port: Value| {
            objects.update(&SERVICE, "default", name, Part::Main, &context, move |old| {
                let mut new = old.clone();
                (new["spec"]["type"], new["spec"]["ports"][0]["nodePort"]) = ("NodePort".into(), port.clone());
                Ok(new)
            })
        };
        let changed = futures_util::future::join_all(names.iter().map(|name| change(name, 30303.into()))).await;
        let (good, bad): (Vec<_>, Vec<_>) = changed.into_iter().partition(Result::is_ok);
        assert_eq!(good.len(), 1);
        assert!(bad.iter().all(|b| b.as_ref().unwrap_err().message.contains("30303: provided port is already allocated")));
        let all: Vec<Service> = objects.all(&SERVICE, "default");
        assert_eq!(all.iter().filter(|service| service.spec.type_ == "NodePort").count(), 1, "the others are as they were");
        // Who asks for none gets one that nobody else has.
        let changed = futures_util::future::join_all(names.iter().map(|name| change(name, 0.into()))).await;
        assert!(changed.iter().all(Result::is_ok));
        let ports: BTreeSet<i32> = objects.all::<Service>(&SERVICE, "default").iter().map(|s| s.spec.ports[0].node_port).collect();
        assert_eq!(ports.len(), 20 + 1, "and the API's own, which has none");
    }
}
