//! The nodes as far as their pods' addresses go.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use ::api::kinds::node::Node;
use ::api::meta::Time;
use control::controllers::ranges::CLUSTER;
use engine::Ipv4Net;
use serde_json::Value;

/// Another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Peer {
    pub(super) name: String,
    created: Option<Time>,
    address: String,
    ranges: Vec<String>,
    cluster: Option<String>,
}

/// This node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Own {
    /// The addresses of its pods.
    pub(super) range: Ipv4Net,
    /// Those of all pods, if the control plane says.
    pub(super) cluster: Option<Ipv4Net>,
}

/// Those of which something was heard, by name.
#[derive(Debug, Default)]
pub(super) struct Seen(BTreeMap<String, Peer>);

impl Seen {
    /// Takes in what is said of a node; whether that is new.
    pub(super) fn take(&mut self, object: Value) -> bool {
        let Ok(node) = serde_json::from_value::<Node>(object) else { return false };
        let address = node.status.addresses.iter().find(|a| a.kind == "InternalIP").map(|a| a.address.clone());
        let ranges = match node.spec.pod_cidrs.is_empty() {
            true => Some(node.spec.pod_cidr).filter(|range| !range.is_empty()).into_iter().collect(),
            false => node.spec.pod_cidrs,
        };
        let peer = Peer {
            name: node.metadata.name.clone(),
            created: node.metadata.creation_timestamp,
            address: address.unwrap_or_default(),
            ranges,
            cluster: node.metadata.annotations.get(CLUSTER).cloned(),
        };
        let before = self.0.insert(node.metadata.name, peer.clone());
        before != Some(peer)
    }

    /// A node is gone.
    pub(super) fn forget(&mut self, object: &Value) -> bool {
        self.0.remove(object["metadata"]["name"].as_str().unwrap_or_default()).is_some()
    }

    /// What is known of this node, once it has addresses for pods.
    pub(super) fn own(&self, name: &str) -> Option<Own> {
        let node = self.0.get(name)?;
        let cluster = node.cluster.as_ref().and_then(|text| text.parse().ok());
        Some(Own { range: node.range()?, cluster })
    }

    /// The others that have addresses for pods, the oldest first.
    pub(super) fn peers(&self, own: &str) -> Vec<Peer> {
        let mut peers: Vec<Peer> = self.0.values().filter(|node| node.name != own && !node.ranges.is_empty()).cloned().collect();
        peers.sort_by_key(|node| node.created);
        peers
    }
}

impl Peer {
    /// Its first range of IPv4.
    fn range(&self) -> Option<Ipv4Net> {
        self.ranges.iter().find_map(|text| text.parse().ok())
    }

    /// For crate `net`; why not, if what it says of itself is not to be used.
    pub(super) fn reach(&self) -> Result<net::mesh::Peer, net::mesh::Left> {
        let left = |why: String| net::mesh::Left { name: self.name.clone(), why };
        let address =
            self.address.parse::<Ipv4Addr>().map_err(|_| left(format!("its address {:?} is none of IPv4", self.address)))?;
        let range = self.range().ok_or_else(|| left(format!("none of its ranges is of IPv4: {}", self.ranges.join(", "))))?;
        Ok(net::mesh::Peer { name: self.name.clone(), address, range: range.trunc() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn node(name: &str, created: &str, range: &str, address: &str) -> Value {
        json!({
            "metadata": { "name": name, "creationTimestamp": created, "annotations": { CLUSTER: "10.9.0.0/16" } },
            "spec": { "podCIDR": range, "podCIDRs": [range] },
            "status": { "addresses": [{ "type": "InternalIP", "address": address }] },
        })
    }

    #[test]
    fn older_nodes_come_first_and_only_news_count() {
        let mut seen = Seen::default();
        let old = node("z", "2026-01-01T00:00:00Z", "10.9.1.0/24", "192.0.2.1");
        assert!(seen.take(old.clone()) && seen.take(node("a", "2026-01-02T00:00:00Z", "10.9.2.0/24", "192.0.2.2")));
        let mut beat = old.clone();
        beat["status"]["conditions"] = json!([{ "type": "Ready", "status": "True" }]);
        assert!(!seen.take(beat));
        assert!(seen.take(node("me", "2026-01-03T00:00:00Z", "10.9.3.0/24", "192.0.2.3")));
        let names: Vec<String> = seen.peers("me").into_iter().map(|peer| peer.name).collect();
        assert_eq!(names, ["z", "a"]);
        let own = seen.own("me").unwrap();
        assert_eq!((own.range.to_string(), own.cluster.unwrap().to_string()), ("10.9.3.0/24".into(), "10.9.0.0/16".into()));
        assert!(seen.forget(&old) && !seen.forget(&old));
    }

    #[test]
    fn nonsense_is_named_and_nobody_waits_for_it() {
        let mut seen = Seen::default();
        seen.take(node("six", "2026-01-01T00:00:00Z", "fd00::/64", "192.0.2.1"));
        seen.take(node("nowhere", "2026-01-01T00:00:00Z", "10.9.1.0/24", "there"));
        seen.take(json!({ "metadata": { "name": "new" } }));
        assert_eq!(seen.own("new"), None);
        let mut why: Vec<String> = seen.peers("me").iter().filter_map(|peer| Some(peer.reach().err()?.why)).collect();
        why.sort();
        assert_eq!(why, ["its address \"there\" is none of IPv4", "none of its ranges is of IPv4: fd00::/64"]);
    }
}
