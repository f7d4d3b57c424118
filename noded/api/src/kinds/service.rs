//! Services: one address for many pods.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::{Kind, families, printed, proxy};
use crate::errors::{FieldError, FieldErrors};
use crate::meta::{Condition, ObjectMeta};
use crate::names;
use crate::schema::types;
use crate::table::{Column, column, listed, or_none, wide};
use crate::values::IntOrString;

types! {
    /// One address and name for the pods that a selector finds.
    Service = "io.k8s.api.core.v1.Service" {
        /// Version of the kind.
        api_version = "apiVersion": String;
        /// The kind.
        kind = "kind": String;
        /// Name, labels and what the server keeps.
        metadata = "metadata": ObjectMeta;
        /// What is desired.
        spec = "spec": ServiceSpec [required];
        /// What is.
        status = "status": ServiceStatus [or_empty];
    }

    /// What a service does.
    ServiceSpec = "io.k8s.api.core.v1.ServiceSpec" {
        /// A load balancer gets node ports.
        allocate_load_balancer_node_ports = "allocateLoadBalancerNodePorts": Option<bool>;
        /// Its address in the cluster; None for a service without one.
        cluster_ip = "clusterIP": String [format(names::cluster_ip)];
        /// All of its addresses in the cluster.
        cluster_ips = "clusterIPs": Vec<String>;
        /// Further addresses that lead here.
        external_ips = "externalIPs": Vec<String>;
        /// The name that it stands for, with type ExternalName.
        external_name = "externalName": String;
        /// Whether traffic from outside stays on the node that it came to.
        external_traffic_policy = "externalTrafficPolicy": String [one_of(&["Cluster", "Local"])];
        /// The port of a node at which it says whether it has pods of the service.
        health_check_node_port = "healthCheckNodePort": i32;
        /// Whether traffic from inside stays on its node.
        internal_traffic_policy = "internalTrafficPolicy": String [one_of(&["Cluster", "Local"])];
        /// IPv4, IPv6 or both.
        ip_families = "ipFamilies": Vec<String>;
        /// One or both families.
        ip_family_policy = "ipFamilyPolicy": String [one_of(&["SingleStack", "PreferDualStack", "RequireDualStack"])];
        /// Which load balancer.
        load_balancer_class = "loadBalancerClass": String;
        /// Its address at the load balancer.
        load_balancer_ip = "loadBalancerIP": String;
        /// From where the load balancer takes traffic.
        load_balancer_source_ranges = "loadBalancerSourceRanges": Vec<String>;
        /// Its ports.
        ports = "ports": Vec<ServicePort> [keyed(&["port", "protocol"]), merged("port")];
        /// Pods that are not ready count too.
        publish_not_ready_addresses = "publishNotReadyAddresses": bool;
        /// Labels of the pods.
        selector = "selector": BTreeMap<String, String> [atomic];
        /// Whether a client stays with its pod.
        session_affinity = "sessionAffinity": String [or_text("None"), one_of(&["None", "ClientIP"])];
        /// How long a client stays with its pod.
        session_affinity_config = "sessionAffinityConfig": Option<SessionAffinityConfig>;
        /// A wish on how traffic is spread.
        traffic_distribution = "trafficDistribution": String;
        /// From where it can be reached.
        type_ = "type": String [or_text("ClusterIP"), one_of(&["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"])];
    }

    /// A port of a service.
    ServicePort = "io.k8s.api.core.v1.ServicePort" {
        /// What is spoken above the protocol.
        app_protocol = "appProtocol": String;
        /// Its name; needed where there are several.
        name = "name": String [format(names::dns_label)];
        /// The port of every node that leads here.
        node_port = "nodePort": i32 [within(0, 65535)];
        /// The port of the service.
        port = "port": i32 [required, within(1, 65535)];
        /// The protocol.
        protocol = "protocol": String [or_text("TCP"), one_of(&["TCP", "UDP", "SCTP"])];
        /// The port of the pods, by number or name.
        target_port = "targetPort": Option<IntOrString>;
    }

    /// How long a client stays with its pod.
    SessionAffinityConfig = "io.k8s.api.core.v1.SessionAffinityConfig" {
        /// By the client's address.
        client_ip = "clientIP": Option<ClientIpConfig>;
    }

    /// By the client's address.
    ClientIpConfig = "io.k8s.api.core.v1.ClientIPConfig" {
        /// For so many seconds.
        timeout_seconds = "timeoutSeconds": Option<i32> [within(1, 86400)];
    }

    /// What became of a service.
    ServiceStatus = "io.k8s.api.core.v1.ServiceStatus" {
        /// States of the service.
        conditions = "conditions": Vec<Condition> [by(&["type"])];
        /// Its addresses at the load balancer.
        load_balancer = "loadBalancer": LoadBalancerStatus [or_empty];
    }

    /// Addresses at the load balancer.
    LoadBalancerStatus = "io.k8s.api.core.v1.LoadBalancerStatus" {
        /// The addresses.
        ingress = "ingress": Vec<LoadBalancerIngress>;
    }

    /// An address at the load balancer.
    LoadBalancerIngress = "io.k8s.api.core.v1.LoadBalancerIngress" {
        /// A name.
        hostname = "hostname": String;
        /// An address.
        ip = "ip": String;
        /// How packets arrive.
        ip_mode = "ipMode": String;
        /// State of the ports.
        ports = "ports": Vec<Value>;
    }
}

const COLUMNS: &[Column] = &[
    column("Type", "From where it can be reached."),
    column("Cluster-IP", "Its address in the cluster."),
    column("External-IP", "Its addresses for the world."),
    column("Port(s)", "Its ports, with those of the nodes."),
    column("Age", "How long ago the object was made."),
    wide("Selector", "Labels of its pods."),
];

/// Services.
pub static SERVICE: Kind = Kind {
    short: &["svc"],
    categories: &["all"],
    name_check: names::dns_1035_label,
    columns: COLUMNS,
    row,
    defaults,
    validate,
    validate_update: |new, old, errors| {
        let ip = |o: &Value| o["spec"]["clusterIP"].as_str().unwrap_or("").to_string();
        let (is, was) = (ip(new), ip(old));
        if !was.is_empty() && is != was && new["spec"]["type"] != "ExternalName" {
            errors.push(FieldError::invalid("spec.clusterIPs[0]", &json!([is]), "may not change once set".into()));
        }
    },
    selectable: &["spec.clusterIP", "spec.type"],
    has_status: true,
    subresources: &[proxy("ServiceProxyOptions")],
    ..Kind::new("Service", "services", "service", Service::TABLE)
};

fn defaults(object: &mut Value) {
    let Value::Object(spec) = &mut object["spec"] else { return };
    let kind = spec.get("type").and_then(Value::as_str).unwrap_or("").to_string();
    for port in spec.get_mut("ports").and_then(Value::as_array_mut).into_iter().flatten() {
        if port.get("targetPort").is_none() || port["targetPort"] == 0 || port["targetPort"] == "" {
            port["targetPort"] = port["port"].clone();
        }
    }
    if kind == "ExternalName" {
        return;
    }
    for (field, value) in
        [("internalTrafficPolicy", json!("Cluster")), ("ipFamilyPolicy", json!("SingleStack")), ("ipFamilies", json!(["IPv4"]))]
    {
        spec.entry(field).or_insert(value);
    }
    if matches!(kind.as_str(), "NodePort" | "LoadBalancer") {
        spec.entry("externalTrafficPolicy").or_insert(json!("Cluster"));
    }
    if kind == "LoadBalancer" {
        spec.entry("allocateLoadBalancerNodePorts").or_insert(json!(true));
    }
    if spec.get("sessionAffinity").is_some_and(|a| a == "ClientIP") && !spec.contains_key("sessionAffinityConfig") {
        spec.insert("sessionAffinityConfig".into(), json!({"clientIP": {"timeoutSeconds": 10800}}));
    }
    if let Some(ip) = spec.get("clusterIP").and_then(Value::as_str).filter(|ip| !ip.is_empty()).map(String::from) {
        // Whoever names more is told that there is one.
        match spec.get_mut("clusterIPs").and_then(Value::as_array_mut).filter(|all| !all.is_empty()) {
            Some(all) => all[0] = ip.into(),
            None => drop(spec.insert("clusterIPs".into(), json!([ip]))),
        }
    }
}

fn validate(object: &Value, errors: &mut FieldErrors) {
    let service: Service = printed(object);
    let spec = &service.spec;
    if spec.type_ == "ExternalName" {
        if spec.external_name.is_empty() {
            errors.push(FieldError::required("spec.externalName", ""));
        }
        return;
    }
    if spec.ports.is_empty() && spec.cluster_ip != "None" {
        errors.push(FieldError::required("spec.ports", ""));
    }
    crate::prepare::labels(&object["spec"]["selector"], "spec.selector", errors);
    families::validate(spec, errors);
    for (at, port) in spec.ports.iter().enumerate() {
        let before = &spec.ports[..at];
        if port.name.is_empty() && spec.ports.len() > 1 {
            errors.push(FieldError::required(format!("spec.ports[{at}].name"), ""));
        }
        if !port.name.is_empty() && before.iter().any(|p| p.name == port.name) {
            errors.push(FieldError::duplicate(format!("spec.ports[{at}].name"), &json!(port.name)));
        }
        if before.iter().any(|p| (p.port, &p.protocol) == (port.port, &port.protocol)) {
            errors.push(FieldError::duplicate(format!("spec.ports[{at}]"), &json!({"port": port.port, "protocol": port.protocol})));
        }
        if port.node_port != 0 && spec.type_ == "ClusterIP" {
            errors.push(FieldError::forbidden(format!("spec.ports[{at}].nodePort"), "may not be used when `type` is 'ClusterIP'"));
        }
    }
}

fn row(object: &Value, _now: jiff::Timestamp) -> Vec<Value> {
    let service: Service = printed(object);
    let spec = &service.spec;
    let balancer =
        service.status.load_balancer.ingress.iter().map(|i| if i.ip.is_empty() { i.hostname.clone() } else { i.ip.clone() });
    let mut outside: Vec<String> = match spec.type_.as_str() {
        "LoadBalancer" => balancer.collect(),
        "ExternalName" => vec![spec.external_name.clone()],
        _ => Vec::new(),
    };
    outside.extend(spec.external_ips.iter().cloned());
    let outside = if outside.is_empty() && spec.type_ == "LoadBalancer" { "<pending>".into() } else { listed(outside) };
    let ports = spec.ports.iter().map(|p| match p.node_port {
        0 => format!("{}/{}", p.port, p.protocol),
        node => format!("{}:{node}/{}", p.port, p.protocol),
    });
    vec![
        spec.type_.clone().into(),
        or_none(&spec.cluster_ip).into(),
        outside.into(),
        listed(ports).into(),
        listed(spec.selector.iter().map(|(k, v)| format!("{k}={v}"))).into(),
    ]
}
