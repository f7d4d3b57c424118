//! Rules of a pod's names and of those that it asks for.

use serde_json::json;

use super::PodSpec;
use crate::errors::{FieldError, FieldErrors};
use crate::names;

/// As resolv.conf(5) has it, and as Kubernetes has it.
const SERVERS: usize = 3;
const SEARCHES: usize = 32;

/// Bytes of the kernel's host name: sethostname(2).
const HOSTNAME: usize = 64;

/// Checks host names, lines of /etc/hosts and resolvers.
pub(super) fn validate(spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    for (at, alias) in spec.host_aliases.iter().enumerate() {
        let path = format!("{path}.hostAliases[{at}]");
        for why in names::ip(&alias.ip) {
            errors.push(FieldError::invalid(format!("{path}.ip"), &json!(alias.ip), why));
        }
        for (at, name) in alias.hostnames.iter().enumerate() {
            for why in names::dns_subdomain(name) {
                errors.push(FieldError::invalid(format!("{path}.hostnames[{at}]"), &json!(name), why));
            }
        }
    }
    if !spec.hostname_override.is_empty() {
        let field = format!("{path}.hostnameOverride");
        if spec.host_network {
            errors.push(FieldError::forbidden(&field, "cannot be set when `hostNetwork` is true"));
        }
        if spec.set_hostname_as_fqdn == Some(true) {
            errors.push(FieldError::forbidden(&field, "cannot be set when `setHostnameAsFQDN` is true"));
        }
        if spec.hostname_override.len() > HOSTNAME {
            errors.push(FieldError::too_long(&field, HOSTNAME));
        }
    }
    resolvers(spec, path, errors);
}

fn resolvers(spec: &PodSpec, path: &str, errors: &mut FieldErrors) {
    let path = format!("{path}.dnsConfig");
    let Some(config) = &spec.dns_config else {
        if spec.dns_policy == "None" {
            errors.push(FieldError::required(path, "must provide `dnsConfig` when `dnsPolicy` is None"));
        }
        return;
    };
    if spec.dns_policy == "None" && config.nameservers.is_empty() {
        let why = "must provide at least one DNS nameserver when `dnsPolicy` is None";
        errors.push(FieldError::required(format!("{path}.nameservers"), why));
    }
    for (list, field, most) in [(&config.nameservers, "nameservers", SERVERS), (&config.searches, "searches", SEARCHES)] {
        if list.len() > most {
            let why = format!("must not have more than {most} {}", if field == "searches" { "search paths" } else { field });
            errors.push(FieldError::invalid(format!("{path}.{field}"), &json!(list), why));
        }
    }
    for (at, server) in config.nameservers.iter().enumerate() {
        for why in names::ip(server) {
            errors.push(FieldError::invalid(format!("{path}.nameservers[{at}]"), &json!(server), why));
        }
    }
    for (at, option) in config.options.iter().enumerate() {
        if option.name.is_empty() {
            errors.push(FieldError::required(format!("{path}.options[{at}]"), "must not be empty"));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fields(spec: Value) -> Vec<String> {
        let mut errors = FieldErrors::new();
        validate(&serde_json::from_value(spec).unwrap(), "s", &mut errors);
        errors.into_iter().map(|error| error.field).collect()
    }

    #[test]
    fn what_names_may_be() {
        let alias = |ip: &str, name: &str| fields(json!({"hostAliases": [{"ip": ip, "hostnames": ["a.b", name]}]}));
        assert_eq!(alias("10.0.0.1", "c"), [""; 0]);
        assert_eq!(alias("10.0.0.1\n6.6.6.6 bank", "c"), ["s.hostAliases[0].ip"]);
        assert_eq!(alias("::1", "c d"), ["s.hostAliases[0].hostnames[1]"]);
        let with = |more: Value| {
            let mut spec = json!({"hostnameOverride": "a.b"});
            spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            fields(spec)
        };
        assert_eq!(with(json!({})), [""; 0]);
        for more in [json!({"hostNetwork": true}), json!({"setHostnameAsFQDN": true}), json!({"hostnameOverride": "a".repeat(65)})]
        {
            assert_eq!(with(more), ["s.hostnameOverride"]);
        }
    }

    #[test]
    fn what_resolvers_may_be() {
        let none = |config: Value| fields(json!({"dnsPolicy": "None", "dnsConfig": config}));
        assert_eq!(fields(json!({"dnsPolicy": "None"})), ["s.dnsConfig"]);
        assert_eq!(none(json!({})), ["s.dnsConfig.nameservers"]);
        assert_eq!(none(json!({"nameservers": ["1.1.1.1", "no"]})), ["s.dnsConfig.nameservers[1]"]);
        assert_eq!(none(json!({"nameservers": ["1.1.1.1", "1.1.1.2", "1.1.1.3", "1.1.1.4"]})), ["s.dnsConfig.nameservers"]);
        assert_eq!(none(json!({"nameservers": ["1.1.1.1"], "options": [{}]})), ["s.dnsConfig.options[0]"]);
        assert_eq!(fields(json!({"dnsConfig": {"searches": ["a"]}})), [""; 0]);
    }
}
