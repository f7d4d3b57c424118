//! Which node has which addresses for its pods: `spec.podCIDR`, as kube-controller-manager's `--allocate-node-cidrs` gives it.

use std::net::Ipv4Addr;

use api::kinds::node::{NODE, Node};
use serde_json::{Value, json};

use super::Action;
use super::pods::reference;

/// The annotation that tells a node the addresses of all pods: packets to those keep their sender's address.
pub const CLUSTER: &str = "dev.rctr.cluster-cidr";

/// Addresses with a common beginning: the first one, and how many.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Range {
    first: u32,
    count: u64,
}

impl Range {
    fn new(first: Ipv4Addr, prefix: u8) -> Range {
        let count = 1u64 << (32 - u32::from(prefix.min(32)));
        Range { first: first.to_bits() & !(count - 1) as u32, count }
    }

    fn parse(text: &str) -> Option<Range> {
        let (first, prefix) = text.split_once('/')?;
        Some(Range::new(first.parse().ok()?, prefix.parse().ok().filter(|prefix| *prefix <= 32)?))
    }
}

/// Gives a range of `prefix` to each node that has none, the lowest that is free within `cluster`. A node that brought its own keeps it.
/// Older nodes come first. When there is no range left the node is told.
pub fn next<'a>(nodes: impl Iterator<Item = &'a Node>, cluster: (Ipv4Addr, u8), prefix: u8) -> Vec<Action> {
    let mut nodes: Vec<&Node> = nodes.collect();
    nodes.sort_by_key(|node| (node.metadata.creation_timestamp, &node.metadata.name));
    let mut taken: Vec<Range> = nodes.iter().filter_map(|node| Range::parse(&node.spec.pod_cidr)).collect();
    taken.sort_by_key(|range| range.first);
    let all = format!("{}/{}", cluster.0, cluster.1);
    let mut actions = Vec::new();
    for node in nodes.into_iter().filter(|node| node.metadata.deletion_timestamp.is_none()) {
        let mut patch = json!({});
        if node.metadata.annotations.get(CLUSTER) != Some(&all) {
            patch["metadata"]["annotations"] = json!({ CLUSTER: all });
        }
        if node.spec.pod_cidr.is_empty() {
            match free(&mut taken, Range::new(cluster.0, cluster.1), prefix) {
                Some(text) => patch["spec"] = json!({ "podCIDR": text, "podCIDRs": [text] }),
                None => actions.push(none_left(node, &all, prefix)),
            }
        }
        if patch != Value::Object(Default::default()) {
            actions.push(Action::Patch(&NODE, String::new(), node.metadata.name.clone(), patch));
        }
    }
    actions
}

/// Takes the lowest free range. `taken` is in order.
fn free(taken: &mut Vec<Range>, cluster: Range, prefix: u8) -> Option<String> {
    let count = 1u64 << (32 - u32::from(prefix.min(32)));
    let mut first = u64::from(cluster.first);
    for other in taken.iter() {
        let (begin, end) = (u64::from(other.first), u64::from(other.first) + other.count);
        if begin >= first + count {
            break;
        }
        if end > first {
            first = end.next_multiple_of(count);
        }
    }
    if first + count > u64::from(cluster.first) + cluster.count {
        return None;
    }
    let range = Range { first: first as u32, count };
    taken.insert(taken.partition_point(|other| other.first < range.first), range);
    Some(format!("{}/{prefix}", Ipv4Addr::from_bits(range.first)))
}

fn none_left(node: &Node, all: &str, prefix: u8) -> Action {
    let name = &node.metadata.name;
    let why = format!("Node {name} gets no podCIDR: no range of /{prefix} is free in {all}");
    Action::Tell(reference("v1", "Node", &node.metadata), "Warning", "CIDRNotAvailable", why)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, range: &str) -> Node {
        serde_json::from_value(
            json!({"metadata": {"name": name, "annotations": {CLUSTER: "10.9.0.0/22"}}, "spec": {"podCIDR": range}}),
        )
        .unwrap()
    }

    fn given(nodes: &[Node]) -> Vec<String> {
        let actions = next(nodes.iter(), ([10, 9, 0, 0].into(), 22), 24);
        let text = |action: Action| match action {
            Action::Patch(_, _, name, patch) => format!("{name} {}", patch["spec"]["podCIDR"].as_str().unwrap_or("")),
            Action::Tell(_, _, reason, _) => reason.to_owned(),
            other => format!("{other:?}"),
        };
        actions.into_iter().map(text).collect()
    }

    #[test]
    fn each_gets_the_lowest_that_is_free() {
        assert_eq!(given(&[node("a", ""), node("b", "10.9.1.0/24"), node("c", "")]), ["a 10.9.0.0/24", "c 10.9.2.0/24"]);
        // One that was brought need not fit the grid, nor be within.
        assert_eq!(given(&[node("a", "10.9.0.128/25"), node("b", "192.0.2.0/24"), node("c", "")]), ["c 10.9.1.0/24"]);
        assert!(given(&[node("a", "10.9.0.0/24")]).is_empty());
    }

    #[test]
    fn when_none_is_left_it_is_said() {
        let told = given(&[node("a", "10.9.0.0/23"), node("b", ""), node("c", ""), node("d", "")]);
        assert_eq!(told, ["b 10.9.2.0/24", "c 10.9.3.0/24", "CIDRNotAvailable"]);
    }

    #[test]
    fn all_are_told_the_whole() {
        let mut old = node("a", "10.9.0.0/24");
        old.metadata.annotations.clear();
        let actions = next([&old].into_iter(), ([10, 9, 0, 0].into(), 22), 24);
        assert!(matches!(&actions[..], [Action::Patch(_, _, _, p)] if p["metadata"]["annotations"][CLUSTER] == "10.9.0.0/22"));
    }
}
