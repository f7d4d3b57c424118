//! Facts about a pod that its containers may ask for: fieldRef and resourceFieldRef.

use api::kinds::pod::Pod;
use api::kinds::pod::container::{Container, ResourceFieldSelector};
use api::quantity::Quantity;

use super::Place;

/// The value of a field, such as `status.podIP` or `metadata.labels['app']`.
pub(in super::super) fn field(path: &str, pod: &Pod, ips: &[String], place: &Place) -> Result<String, String> {
    let (metadata, spec) = (&pod.metadata, &pod.spec);
    let keyed = |beginning: &str| path.strip_prefix(beginning)?.strip_prefix("['")?.strip_suffix("']");
    if let Some(key) = keyed("metadata.labels") {
        return Ok(metadata.labels.get(key).cloned().unwrap_or_default());
    }
    if let Some(key) = keyed("metadata.annotations") {
        return Ok(metadata.annotations.get(key).cloned().unwrap_or_default());
    }
    let lines = |map: &std::collections::BTreeMap<String, String>| {
        map.iter().map(|(key, value)| format!("{key}={value:?}")).collect::<Vec<_>>().join("\n")
    };
    let own = match spec.host_network {
        true => std::slice::from_ref(&place.host),
        false => ips,
    };
    Ok(match path {
        "metadata.name" => metadata.name.clone(),
        "metadata.namespace" => metadata.namespace.clone(),
        "metadata.uid" => metadata.uid.clone(),
        "metadata.labels" => lines(&metadata.labels),
        "metadata.annotations" => lines(&metadata.annotations),
        "spec.nodeName" => spec.node_name.clone(),
        "spec.serviceAccountName" => spec.service_account_name.clone(),
        "status.hostIP" | "status.hostIPs" => place.host.clone(),
        "status.podIP" => own.first().cloned().unwrap_or_default(),
        "status.podIPs" => own.join(","),
        path => return Err(format!("fieldRef: {path:?} is no field that containers may ask for")),
    })
}

/// A limit or request, in units of the divisor, rounded up. What is not limited has all of the node.
pub(in super::super) fn resource(selector: &ResourceFieldSelector, pod: &Pod, own: Option<&Container>) -> Result<String, String> {
    let name = &selector.container_name;
    let mut all = pod.spec.containers.iter().chain(&pod.spec.init_containers);
    let container = if name.is_empty() { own } else { all.find(|container| container.name == *name) };
    let container = container.ok_or_else(|| format!("resourceFieldRef: there is no container {name:?}"))?;
    let resources = container.resources.clone().unwrap_or_default();
    let none = || format!("resourceFieldRef: {:?} is no resource", selector.resource);
    let (kind, resource) = selector.resource.split_once('.').ok_or_else(none)?;
    let found = match kind {
        "limits" => resources.limits.get(resource),
        "requests" => resources.requests.get(resource).or_else(|| resources.limits.get(resource)),
        _ => return Err(none()),
    };
    let milli = match (found, kind, resource) {
        (Some(quantity), ..) => i128::from(quantity.milli()),
        (None, "limits", "cpu") => std::thread::available_parallelism().map_or(1000, |count| count.get() as i128 * 1000),
        (None, "limits", "memory") => i128::from(memory()) * 1000,
        (None, ..) => 0,
    };
    let divisor = selector.divisor.as_ref().map_or(0, Quantity::milli);
    let divisor = if divisor <= 0 { 1000 } else { i128::from(divisor) };
    Ok((milli.div_euclid(divisor) + i128::from(milli.rem_euclid(divisor) != 0)).to_string())
}

/// Bytes of memory of this host.
pub(in super::super) fn memory() -> i64 {
    let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let kib = text.lines().find_map(|line| line.strip_prefix("MemTotal:")?.trim().strip_suffix(" kB")?.parse::<i64>().ok());
    kib.unwrap_or(0).saturating_mul(1024)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::place;
    use super::*;

    #[test]
    fn fields_have_values() {
        let pod: Pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "labels": {"app": "web", "b": "c\"d"}},
            "spec": {"containers": [{"name": "a", "resources": {"limits": {"cpu": "1500m", "memory": "3Mi"}}}]}
        }))
        .unwrap();
        let of = |path: &str| field(path, &pod, &["10.0.0.2".to_owned()], &place());
        assert_eq!(of("metadata.labels['app']").unwrap(), "web");
        assert_eq!(of("metadata.labels").unwrap(), "app=\"web\"\nb=\"c\\\"d\"");
        assert_eq!((of("status.podIP").unwrap(), of("status.hostIP").unwrap()), ("10.0.0.2".to_owned(), "192.0.2.1".to_owned()));
        assert!(of("spec.secrets").unwrap_err().contains("spec.secrets"));
        let amount = |resource: &str, divisor: &str| {
            let divisor = Some(Quantity(divisor.to_owned()));
            let selector = ResourceFieldSelector { container_name: "a".to_owned(), divisor, resource: resource.to_owned() };
            resource_of(&selector, &pod)
        };
        assert_eq!(amount("limits.cpu", "1").unwrap(), "2");
        assert_eq!(amount("limits.cpu", "1m").unwrap(), "1500");
        assert_eq!(amount("limits.memory", "1Mi").unwrap(), "3");
        assert_eq!(amount("requests.memory", "0").unwrap(), "3145728");
        assert!(amount("cpu", "1").is_err());
    }

    fn resource_of(selector: &ResourceFieldSelector, pod: &Pod) -> Result<String, String> {
        resource(selector, pod, None)
    }
}
