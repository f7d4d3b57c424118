//! Objects come to be.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;

use api::errors::FieldError;
use api::kinds::namespace::NAMESPACE;
use api::kinds::service::{SERVICE, Service};
use api::kinds::{Kind, view};
use api::meta::Time;
use api::patch::{Writer, track};
use api::prepare;
use api::status::Status;
use serde_json::{Value, json};

use super::{Context, Objects, internal, key, text, unwritten};
use crate::random;
use crate::store::{Change, Entry, Expect, NotWritten};

impl Objects {
    /// Makes an object in a namespace (empty for cluster objects).
    ///
    /// # Errors
    /// Rules that it breaks, a name that is taken, a namespace that is not there or is going.
    pub async fn create(
        &self,
        kind: &'static Kind,
        namespace: &str,
        mut object: Value,
        context: &Context,
    ) -> Result<Arc<Entry>, Status> {
        if !text(&object, "/metadata/resourceVersion").is_empty() {
            return Err(Status::bad_request("resourceVersion should not be set on objects to be created"));
        }
        self.admit(kind, namespace, text(&object, "/metadata/name"))?;
        begin(kind, namespace, &mut object);
        let generated = text(&object, "/metadata/name").is_empty();
        loop {
            let mut made = object.clone();
            if generated {
                name_it(&mut made);
            }
            let name = text(&made, "/metadata/name").to_string();
            if kind.table.name == SERVICE.table.name {
                self.address(&mut made)?;
            }
            if kind.kind == "Pod" {
                self.identify(namespace, &mut made)?;
                self.rank(&mut made)?;
            }
            self.check_default(kind, &name, &made)?;
            prepare::complete(kind, &mut made);
            let errors = prepare::validate(kind, &made, None);
            if !errors.is_empty() {
                return Err(Status::invalid(kind, &name, &errors));
            }
            if !context.applied {
                let writer =
                    Writer { manager: context.manager.clone(), api_version: kind.api_version(), subresource: String::new() };
                track(None, &mut made, kind.table, &writer, Time::now());
            }
            let place = key(kind, namespace, &name);
            if context.dry_run {
                return match self.store().get(&place) {
                    Some(_) => Err(Status::already_exists(kind, &name)),
                    None => Ok(unwritten(kind, namespace, &name, &made)),
                };
            }
            match self.write(Change { key: place, expect: Expect::Absent, object: Some(made) }).await {
                Err(NotWritten::Mismatch) if generated => {}
                Err(NotWritten::Mismatch) => return Err(Status::already_exists(kind, &name)),
                written => return written.map_err(internal),
            }
        }
    }

    /// Nothing comes to be in a namespace that is not there, or is going.
    fn admit(&self, kind: &Kind, namespace: &str, name: &str) -> Result<(), Status> {
        if !kind.namespaced {
            return Ok(());
        }
        let space = self.get(&NAMESPACE, "", namespace)?.object();
        if space["metadata"].get("deletionTimestamp").is_some() {
            let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
            return Err(Status::forbidden(Some((kind.group, kind.plural)), name, &why));
        }
        Ok(())
    }

    /// Gives a service its address and node ports.
    fn address(&self, object: &mut Value) -> Result<(), Status> {
        let Ok(service) = view::<Service>(object) else { return Ok(()) };
        let others: Vec<Service> = self.all(&SERVICE, "");
        assign(object, &service, &others, &self.settings)
            .map_err(|error| Status::invalid(&SERVICE, &service.metadata.name, &vec![error]))
    }
}

/// What the server alone decides about a new object.
fn begin(kind: &Kind, namespace: &str, object: &mut Value) {
    object["apiVersion"] = kind.api_version().into();
    object["kind"] = kind.kind.into();
    // nodes come with what they are; what becomes of all others is not their maker's to say
    if kind.has_status
        && kind.kind != "Node"
        && let Some(map) = object.as_object_mut()
    {
        map.shift_remove("status");
    }
    let meta = &mut object["metadata"];
    if kind.namespaced {
        meta["namespace"] = namespace.into();
    }
    meta["uid"] = random::uid().into();
    meta["creationTimestamp"] = Time::now().to_string().into();
    if kind.has_generation {
        meta["generation"] = 1.into();
    }
    if let Some(map) = meta.as_object_mut() {
        for field in ["deletionTimestamp", "deletionGracePeriodSeconds", "selfLink", "resourceVersion"] {
            map.shift_remove(field);
        }
    }
}

/// Completes a generated name.
fn name_it(object: &mut Value) {
    const LONGEST: usize = 58;
    let base = text(object, "/metadata/generateName").to_string();
    if !base.is_empty() {
        let base: String = base.chars().take(LONGEST).collect();
        object["metadata"]["name"] = format!("{base}{}", random::letters(5)).into();
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
