//! Services and the versions of the internet protocol: addresses of this cluster are of IPv4, and whoever asks for others is told so.

use std::net::Ipv6Addr;

use serde_json::json;

use super::service::ServiceSpec;
use crate::errors::{FieldError, FieldErrors};

const FAMILIES: &[&str] = &["IPv4", "IPv6"];
const NONE: &str = "not configured on this cluster";

/// Checks what a service says of families and of its addresses. A wish for both families (`PreferDualStack`) is content with the one that there is.
pub(super) fn validate(spec: &ServiceSpec, errors: &mut FieldErrors) {
    if spec.ip_family_policy == "RequireDualStack" {
        let why = "this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid("spec.ipFamilyPolicy", &json!(spec.ip_family_policy), why.into()));
    }
    for (at, family) in spec.ip_families.iter().enumerate() {
        let field = format!("spec.ipFamilies[{at}]");
        match family.as_str() {
            _ if spec.ip_families[..at].contains(family) => errors.push(FieldError::duplicate(field, &json!(family))),
            "IPv4" => {}
            "IPv6" => errors.push(FieldError::invalid(field, &json!(family), NONE.into())),
            other => errors.push(FieldError::unsupported(field, other, FAMILIES)),
        }
    }
    let is_other = |ip: &str| ip.parse::<Ipv6Addr>().is_ok();
    let first = std::iter::once(&spec.cluster_ip).filter(|_| spec.cluster_ips.is_empty());
    for (at, ip) in first.chain(&spec.cluster_ips).enumerate() {
        if is_other(ip) {
            let why = "expected an IPv4 value as indicated by `ipFamilies[0]`";
            errors.push(FieldError::invalid(format!("spec.clusterIPs[{at}]"), &json!(ip), why.into()));
        }
    }
    if spec.cluster_ips.len() > 1 {
        let why = "may only hold one address: this cluster is not configured for dual-stack services";
        errors.push(FieldError::invalid("spec.clusterIPs", &json!(spec.cluster_ips), why.into()));
    }
    for (at, ip) in spec.external_ips.iter().enumerate().filter(|(_, ip)| is_other(ip)) {
        errors.push(FieldError::invalid(format!("spec.externalIPs[{at}]"), &json!(ip), NONE.into()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::super::service::SERVICE;
    use super::*;

    fn wrong(fields: Value) -> Vec<String> {
        let mut service = json!({"metadata": {"name": "s", "namespace": "d"}, "spec": {"ports": [{"port": 80}]}});
        service["spec"].as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        crate::prepare::complete(&SERVICE, &mut service);
        crate::prepare::validate(&SERVICE, &service, None).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn another_family_is_refused_by_its_name() {
        for (fields, said) in [
            (json!({"ipFamilies": ["IPv6"]}), "spec.ipFamilies[0]: Invalid value: \"IPv6\": not configured on this cluster"),
            (
                json!({"ipFamilies": ["IPv4", "IPv6"]}),
                "spec.ipFamilies[1]: Invalid value: \"IPv6\": not configured on this cluster",
            ),
            (json!({"ipFamilies": ["IPv4", "IPv4"]}), "spec.ipFamilies[1]: Duplicate value"),
            (json!({"ipFamilies": ["IPX"]}), "spec.ipFamilies[0]: Unsupported value: \"IPX\""),
            (
                json!({"ipFamilyPolicy": "RequireDualStack"}),
                "spec.ipFamilyPolicy: Invalid value: \"RequireDualStack\": this cluster",
            ),
            (json!({"clusterIP": "fd00::1"}), "spec.clusterIPs[0]: Invalid value: \"fd00::1\": expected an IPv4 value"),
            (json!({"clusterIP": "None", "ipFamilies": ["IPv6"]}), "spec.ipFamilies[0]: Invalid value"),
            (json!({"externalIPs": ["192.0.2.1", "fd00::2"]}), "spec.externalIPs[1]: Invalid value: \"fd00::2\""),
        ] {
            let all = wrong(fields.clone());
            assert!(all.len() == 1 && all[0].starts_with(said), "{fields}: {all:?}");
        }
        let both = wrong(json!({"clusterIP": "10.96.0.9", "clusterIPs": ["10.96.0.9", "fd00::9"]}));
        assert!(both.iter().any(|said| said.contains("may only hold one address")), "{both:?}");
        for fields in
            [json!({}), json!({"ipFamilyPolicy": "PreferDualStack"}), json!({"ipFamilies": ["IPv4"], "clusterIP": "10.96.0.9"})]
        {
            assert_eq!(wrong(fields.clone()), [""; 0], "{fields}");
        }
    }
}
