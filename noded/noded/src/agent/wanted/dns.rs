//! Where a pod asks for names: `dnsPolicy` and `dnsConfig`.

use api::kinds::pod::{Pod, PodDnsConfig};
use cri::DnsConfig;

use super::super::services::DOMAIN;

/// As resolv.conf(5) has it, and as Kubernetes has it.
const SERVERS: usize = 3;
const SEARCHES: usize = 32;

/// The node's own resolver and what is in the host's file.
#[derive(Debug, Clone, Default)]
pub(in super::super) struct Resolvers {
    pub(in super::super) node: String,
    pub(in super::super) host: String,
}

/// The pod's resolvers; none for those of the host as they are.
pub(super) fn dns(pod: &Pod, resolvers: &Resolvers) -> Option<DnsConfig> {
    let spec = &pod.spec;
    let own = spec.dns_config.clone().unwrap_or_default();
    let base = match spec.dns_policy.as_str() {
        "None" => DnsConfig::default(),
        "ClusterFirstWithHostNet" => cluster(&pod.metadata.namespace, resolvers),
        // Who is on the host's network asks as the host does.
        "Default" => host(&own, resolvers)?,
        _ if spec.host_network => host(&own, resolvers)?,
        _ => cluster(&pod.metadata.namespace, resolvers),
    };
    Some(merged(base, own))
}

/// The names of the pod's namespace come first, then those of the cluster, then what the host looks for.
fn cluster(namespace: &str, resolvers: &Resolvers) -> DnsConfig {
    let own = [format!("{namespace}.svc.{DOMAIN}"), format!("svc.{DOMAIN}"), DOMAIN.to_owned()];
    let searches = own.into_iter().chain(parsed(&resolvers.host).searches).collect();
    DnsConfig { servers: vec![resolvers.node.clone()], searches, options: vec!["ndots:5".to_owned()] }
}

/// Nothing has to be written where nothing is added.
fn host(own: &PodDnsConfig, resolvers: &Resolvers) -> Option<DnsConfig> {
    let more = !own.nameservers.is_empty() || !own.searches.is_empty() || !own.options.is_empty();
    more.then(|| parsed(&resolvers.host))
}

fn parsed(text: &str) -> DnsConfig {
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            // The last line counts.
            Some("search" | "domain") => config.searches = words.map(str::to_owned).collect(),
            Some("options") => config.options.extend(words.map(str::to_owned)),
            _ => {}
        }
    }
    config
}

fn merged(mut base: DnsConfig, own: PodDnsConfig) -> DnsConfig {
    add(&mut base.servers, own.nameservers, SERVERS);
    add(&mut base.searches, own.searches, SEARCHES);
    for option in own.options {
        let name = |text: &str| text.split(':').next().unwrap_or_default().to_owned();
        base.options.retain(|known| name(known) != option.name);
        base.options.push(match option.value {
            Some(value) => format!("{}:{value}", option.name),
            None => option.name,
        });
    }
    base
}

fn add(to: &mut Vec<String>, more: Vec<String>, most: usize) {
    for word in more {
        if !to.contains(&word) {
            to.push(word);
        }
    }
    to.retain(|word| word != ".");
    to.truncate(most);
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// The pod's file, in one line.
    fn of(spec: Value) -> Option<String> {
        let mut pod = json!({"metadata": {"name": "p", "namespace": "d"}, "spec": {"containers": []}});
        ::api::patch::merge(&mut pod["spec"], spec);
        let host = "# ours\nnameserver 192.0.2.53\nsearch lan\noptions edns0 ndots:2\n".to_owned();
        let found = dns(&serde_json::from_value(pod).unwrap(), &Resolvers { node: "10.1.0.1".to_owned(), host })?;
        Some([found.servers, found.searches, found.options].map(|words| words.join(" ")).join(" | "))
    }

    #[test]
    fn policies_say_who_is_asked() {
        let cluster = Some("10.1.0.1 | d.svc.cluster.local svc.cluster.local cluster.local lan | ndots:5".to_owned());
        assert_eq!(of(json!({})), cluster);
        assert_eq!(of(json!({"dnsPolicy": "ClusterFirst"})), cluster);
        assert_eq!(of(json!({"dnsPolicy": "ClusterFirst", "hostNetwork": true})), None);
        assert_eq!(of(json!({"dnsPolicy": "ClusterFirstWithHostNet", "hostNetwork": true})), cluster);
        assert_eq!(of(json!({"dnsPolicy": "Default"})), None);
        let own = json!({"nameservers": ["1.1.1.1"], "searches": ["x.y"], "options": [{"name": "ndots", "value": "1"}, {"name": "rotate"}]});
        assert_eq!(of(json!({"dnsPolicy": "None", "dnsConfig": own})).unwrap(), "1.1.1.1 | x.y | ndots:1 rotate");
        assert_eq!(
            of(json!({"dnsPolicy": "Default", "dnsConfig": own})).unwrap(),
            "192.0.2.53 1.1.1.1 | lan x.y | edns0 ndots:1 rotate"
        );
        let both = of(json!({"dnsConfig": own})).unwrap();
        assert_eq!(both, "10.1.0.1 1.1.1.1 | d.svc.cluster.local svc.cluster.local cluster.local lan x.y | ndots:1 rotate");
    }

    #[test]
    fn no_more_servers_than_are_asked() {
        let many: Vec<String> = (1..9).map(|n| format!("192.0.2.{n}")).collect();
        let found = of(json!({"dnsConfig": {"nameservers": many}})).unwrap();
        assert!(found.starts_with("10.1.0.1 192.0.2.1 192.0.2.2 | "), "{found}");
    }
}
