//! What a pod is called, and what names it is given for others: `hostname`, `subdomain`, `setHostnameAsFQDN`, `hostnameOverride`, `hostAliases`.

use api::kinds::pod::Pod;
use engine::HostEntry;

use super::super::services::DOMAIN;
use crate::cri::local::BeyondPod;

/// Bytes of a label, and of the kernel's host name: sethostname(2).
const LABEL: usize = 63;
const LONGEST: usize = 64;

/// The host name in the kernel, and the rest of what names mean in the pod. On the host's network a pod has the host's name.
pub(super) fn names(pod: &Pod) -> Result<(String, BeyondPod), String> {
    let spec = &pod.spec;
    let hosts = aliases(pod)?;
    if spec.host_network {
        return Ok((String::new(), BeyondPod { full_name: String::new(), hosts }));
    }
    if !spec.hostname_override.is_empty() {
        let name = cut(&spec.hostname_override, LONGEST);
        return Ok((name, BeyondPod { full_name: String::new(), hosts }));
    }
    let name = cut(if spec.hostname.is_empty() { &pod.metadata.name } else { &spec.hostname }, LABEL);
    let full_name = match spec.subdomain.as_str() {
        "" => String::new(),
        subdomain => format!("{name}.{subdomain}.{}.svc.{DOMAIN}", pod.metadata.namespace),
    };
    let own = match spec.set_hostname_as_fqdn {
        Some(true) if !full_name.is_empty() => full_name.clone(),
        _ => name,
    };
    if own.len() > LONGEST {
        let length = own.len();
        return Err(format!(
            "failed to construct FQDN from pod hostname and cluster domain, FQDN {own} is too long \
             ({LONGEST} characters is the max, {length} characters requested)"
        ));
    }
    // The line in /etc/hosts has the whole name first, and then the short one.
    Ok((own, BeyondPod { full_name, hosts }))
}

fn cut(name: &str, most: usize) -> String {
    name.chars().take(most).collect::<String>().trim_end_matches(['-', '.']).to_owned()
}

fn aliases(pod: &Pod) -> Result<Vec<HostEntry>, String> {
    let mut all = Vec::new();
    for alias in &pod.spec.host_aliases {
        let address = alias.ip.parse().map_err(|_| format!("hostAliases: {:.60?} is no address", alias.ip))?;
        all.extend(alias.hostnames.iter().map(|name| HostEntry { name: name.clone(), address: Some(address) }));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(name: &str, spec: Value) -> Result<(String, BeyondPod), String> {
        names(&serde_json::from_value(json!({"metadata": {"name": name, "namespace": "d"}, "spec": spec})).unwrap())
    }

    #[test]
    fn a_pod_has_a_short_name_and_perhaps_a_whole_one() {
        let both = |name: &str, spec| of(name, spec).map(|(name, beyond)| (name, beyond.full_name)).unwrap();
        let pair = |name: &str, full: &str| (name.to_owned(), full.to_owned());
        let full = "h.s.d.svc.cluster.local";
        assert_eq!(both("p", json!({})), pair("p", ""));
        assert_eq!(both("p", json!({"hostname": "h", "setHostnameAsFQDN": true})), pair("h", ""));
        assert_eq!(both("p", json!({"hostname": "h", "subdomain": "s"})), pair("h", full));
        assert_eq!(both("p", json!({"hostname": "h", "subdomain": "s", "setHostnameAsFQDN": true})), pair(full, full));
        assert_eq!(both("p", json!({"hostname": "h", "subdomain": "s", "hostnameOverride": "x.y"})), pair("x.y", ""));
        assert_eq!(both("p", json!({"hostname": "h", "subdomain": "s", "hostNetwork": true})), pair("", ""));
        let long = format!("{}-b", "a".repeat(62));
        assert_eq!(both(&long, json!({})), pair(&"a".repeat(62), ""));
        let why = of("p", json!({"hostname": "a".repeat(60), "subdomain": "s", "setHostnameAsFQDN": true})).unwrap_err();
        assert!(why.ends_with("is too long (64 characters is the max, 82 characters requested)"), "{why}");
    }

    #[test]
    fn aliases_are_lines() {
        let alias = json!([{"ip": "10.1.2.3", "hostnames": ["a", "b.c"]}, {"ip": "fd00::1", "hostnames": ["d"]}]);
        for network in [false, true] {
            let (_, beyond) = of("p", json!({"hostAliases": alias, "hostNetwork": network})).unwrap();
            let lines: Vec<_> = beyond.hosts.iter().map(|host| format!("{} {}", host.address.unwrap(), host.name)).collect();
            assert_eq!(lines, ["10.1.2.3 a", "10.1.2.3 b.c", "fd00::1 d"]);
        }
        assert!(of("p", json!({"hostAliases": [{"ip": "no"}]})).unwrap_err().contains("\"no\" is no address"));
    }
}
