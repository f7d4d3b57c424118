//! Variables that tell a container where services are, as Docker's links did; client libraries find the API by them.

use std::net::Ipv4Addr;

use ::api::kinds::pod::Pod;
use ::api::kinds::service::Service;

use super::seen::All;

/// The variables of a pod's containers: of the API's own service, and of all of its namespace unless the pod does not want them.
pub(super) fn links(services: &All<Service>, pod: &Pod) -> Vec<(String, String)> {
    let api = ("default".to_owned(), "kubernetes".to_owned());
    let own = &pod.metadata.namespace;
    let wanted = pod.spec.enable_service_links != Some(false);
    let of = services.iter().filter(|(id, _)| **id == api || wanted && id.0 == *own);
    of.flat_map(|(id, service)| of_service(&id.1, service)).collect()
}

fn of_service(name: &str, service: &Service) -> Vec<(String, String)> {
    let spec = &service.spec;
    let (Ok(address), Some(first)) = (spec.cluster_ip.parse::<Ipv4Addr>(), spec.ports.first()) else { return Vec::new() };
    let upper = |text: &str| text.to_ascii_uppercase().replace('-', "_");
    let prefix = upper(name);
    let mut all =
        vec![(format!("{prefix}_SERVICE_HOST"), address.to_string()), (format!("{prefix}_SERVICE_PORT"), first.port.to_string())];
    for port in spec.ports.iter().filter(|port| !port.name.is_empty()) {
        all.push((format!("{prefix}_SERVICE_PORT_{}", upper(&port.name)), port.port.to_string()));
    }
    for (at, port) in spec.ports.iter().enumerate() {
        let (protocol, number) = (port.protocol.to_ascii_lowercase(), port.port);
        let url = format!("{protocol}://{address}:{number}");
        if at == 0 {
            all.push((format!("{prefix}_PORT"), url.clone()));
        }
        let of = format!("{prefix}_PORT_{number}_{}", port.protocol);
        all.extend([
            (of.clone(), url),
            (format!("{of}_PROTO"), protocol),
            (format!("{of}_PORT"), number.to_string()),
            (format!("{of}_ADDR"), address.to_string()),
        ]);
    }
    all
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_are_told_by_variables() {
        let service = |namespace: &str, name: &str, ip: &str| {
            let object = json!({"metadata": {"name": name, "namespace": namespace}, "spec": {"clusterIP": ip,
                "ports": [{"name": "https", "port": 443, "protocol": "TCP"}]}});
            ((namespace.to_owned(), name.to_owned()), serde_json::from_value(object).unwrap())
        };
        let services = [
            service("default", "kubernetes", "10.96.0.1"),
            service("a", "my-web", "10.96.0.2"),
            service("a", "headless", "None"),
            service("b", "other", "10.96.0.3"),
        ];
        let names = |links: Option<bool>| {
            let pod = json!({"metadata": {"namespace": "a"}, "spec": {"containers": [], "enableServiceLinks": links}});
            let all = links_of(&services.clone().into(), &serde_json::from_value(pod).unwrap());
            all.into_iter().map(|(name, value)| format!("{name}={value}")).collect::<Vec<_>>()
        };
        let of_api = names(Some(false));
        assert_eq!(of_api[..2], ["KUBERNETES_SERVICE_HOST=10.96.0.1", "KUBERNETES_SERVICE_PORT=443"]);
        assert!(of_api.iter().all(|line| line.starts_with("KUBERNETES_")));
        let all = names(None);
        for expected in ["MY_WEB_SERVICE_PORT_HTTPS=443", "MY_WEB_PORT=tcp://10.96.0.2:443", "MY_WEB_PORT_443_TCP_ADDR=10.96.0.2"] {
            assert!(all.iter().any(|line| line == expected), "{expected}: {all:?}");
        }
        assert!(!all.iter().any(|line| line.starts_with("OTHER") || line.starts_with("HEADLESS")));
    }

    fn links_of(services: &All<Service>, pod: &Pod) -> Vec<(String, String)> {
        links(services, pod)
    }
}
