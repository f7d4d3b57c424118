//! What is wanted, and what is missing of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::{Left, Me, Mode, Peer, mac};

/// Where a route leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// To a peer on the segment of this link.
    Link(u32, Ipv4Addr),
    /// Into the VXLAN device, to the peer's end with this address.
    Tunnel(Ipv4Addr),
}

/// All that leads to other hosts.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Routes by the containers' addresses.
    pub routes: BTreeMap<Ipv4Net, Way>,
    /// Hardware addresses of the peers' ends of the tunnel.
    pub neighbours: BTreeMap<Ipv4Addr, [u8; 6]>,
    /// Behind which host a hardware address is.
    pub forwarding: BTreeMap<[u8; 6], Ipv4Addr>,
    /// Hosts that may send to containers under their own address.
    pub members: BTreeSet<Ipv4Addr>,
}

/// The ways to `peers`. `segments` are this host's links and the addresses on each. Of two peers with one range the first counts, so the
/// older one comes first: nobody takes the packets of another by asking for them.
pub fn plan(mode: Mode, me: &Me, peers: &[Peer], segments: &[(u32, Ipv4Net)]) -> (Plan, Vec<Left>) {
    let (mut plan, mut left) = (Plan::default(), Vec::new());
    for peer in peers {
        match refuse(me, peer, &plan).map_or_else(|| way(mode, me, peer, segments), Err) {
            Ok(way) => {
                plan.members.insert(peer.address);
                plan.routes.insert(peer.range, way);
                if let Way::Tunnel(end) = way {
                    plan.neighbours.insert(end, mac(peer.range));
                    plan.forwarding.insert(mac(peer.range), peer.address);
                }
            }
            Err(why) => left.push(Left { name: peer.name.clone(), why }),
        }
    }
    (plan, left)
}

/// Why a peer is not believed.
fn refuse(me: &Me, peer: &Peer, plan: &Plan) -> Option<String> {
    let (range, address) = (peer.range, peer.address);
    let overlaps = |other: &Ipv4Net| other.contains(&range) || range.contains(other);
    if !me.cluster.contains(&range) {
        return Some(format!("its range {range} is not within the cluster's {}", me.cluster));
    }
    if overlaps(&me.range) {
        return Some(format!("its range {range} overlaps this node's {}", me.range));
    }
    if let Some(other) = plan.routes.keys().find(|other| overlaps(other)) {
        return Some(format!("its range {range} overlaps another node's {other}"));
    }
    let is_usable = !(address.is_loopback() || address.is_unspecified() || address.is_multicast() || address.is_broadcast());
    if !is_usable || address == me.address || me.cluster.contains(&address) {
        return Some(format!("its address {address} cannot be that of another node"));
    }
    plan.members.contains(&address).then(|| format!("its address {address} is another node's, too"))
}

fn way(mode: Mode, me: &Me, peer: &Peer, segments: &[(u32, Ipv4Net)]) -> Result<Way, String> {
    let here = segments.iter().find(|(_, net)| net.prefix_len() < 32 && net.contains(&peer.address) && !me.cluster.contains(net));
    match (mode, here) {
        (Mode::Auto | Mode::Routes, Some((link, _))) => Ok(Way::Link(*link, peer.address)),
        (Mode::Routes, None) => Err(format!("its address {} is on no segment of this host: it needs vxlan", peer.address)),
        (Mode::Auto | Mode::Vxlan, _) => Ok(Way::Tunnel(peer.range.network())),
    }
}

/// One change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    DropRoute(Ipv4Net),
    DropNeighbour(Ipv4Addr),
    DropForward([u8; 6]),
    Forward([u8; 6], Ipv4Addr),
    Neighbour(Ipv4Addr, [u8; 6]),
    Route(Ipv4Net, Way),
}

/// From what is to what is wanted, removals first: a route comes when the way it leads is there. Members are not in it, for a set changes
/// as a whole.
pub(super) fn difference(wanted: &Plan, actual: &Plan) -> Vec<Step> {
    let mut steps = Vec::new();
    steps.extend(actual.routes.keys().filter(|to| !wanted.routes.contains_key(to)).map(|to| Step::DropRoute(*to)));
    steps.extend(actual.neighbours.keys().filter(|end| !wanted.neighbours.contains_key(end)).map(|end| Step::DropNeighbour(*end)));
    steps.extend(actual.forwarding.keys().filter(|mac| !wanted.forwarding.contains_key(*mac)).map(|mac| Step::DropForward(*mac)));
    let forwards = wanted.forwarding.iter().filter(|(mac, host)| actual.forwarding.get(*mac) != Some(host));
    steps.extend(forwards.map(|(mac, host)| Step::Forward(*mac, *host)));
    let neighbours = wanted.neighbours.iter().filter(|(end, mac)| actual.neighbours.get(end) != Some(mac));
    steps.extend(neighbours.map(|(end, mac)| Step::Neighbour(*end, *mac)));
    let routes = wanted.routes.iter().filter(|(to, way)| actual.routes.get(to) != Some(way));
    steps.extend(routes.map(|(to, way)| Step::Route(*to, *way)));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn me() -> Me {
        let range: Ipv4Net = "10.9.1.0/24".parse().unwrap();
        let (address, gateway) = (Ipv4Addr::new(192, 0, 2, 1), Ipv4Addr::new(10, 9, 1, 1));
        Me { address, range, gateway, cluster: "10.9.0.0/16".parse().unwrap() }
    }

    fn peer(name: &str, address: &str, range: &str) -> Peer {
        Peer { name: name.to_owned(), address: address.parse().unwrap(), range: range.parse().unwrap() }
    }

    fn segments() -> Vec<(u32, Ipv4Net)> {
        vec![(1, "127.0.0.1/8".parse().unwrap()), (7, "192.0.2.1/24".parse().unwrap()), (9, "10.9.1.1/24".parse().unwrap())]
    }

    #[test]
    fn neighbours_are_gateways_and_others_are_tunnelled() {
        let peers = [peer("near", "192.0.2.2", "10.9.2.0/24"), peer("far", "198.51.100.3", "10.9.3.0/24")];
        let (auto, left) = plan(Mode::Auto, &me(), &peers, &segments());
        assert!(left.is_empty());
        let ways: Vec<Way> = auto.routes.values().copied().collect();
        assert_eq!(ways, [Way::Link(7, peers[0].address), Way::Tunnel(Ipv4Addr::new(10, 9, 3, 0))]);
        assert_eq!(auto.forwarding, BTreeMap::from([([2, 0x56, 10, 9, 3, 0], peers[1].address)]));
        let (tunnels, _) = plan(Mode::Vxlan, &me(), &peers, &segments());
        assert_eq!((tunnels.neighbours.len(), tunnels.forwarding.len()), (2, 2));
        let (routes, left) = plan(Mode::Routes, &me(), &peers, &segments());
        assert_eq!((routes.routes.len(), routes.neighbours.len(), left[0].name.as_str()), (1, 0, "far"));
    }

    #[test]
    fn nobody_takes_what_is_another_s() {
        for (address, range) in [
            ("192.0.2.2", "0.0.0.0/0"),
            ("192.0.2.2", "10.8.0.0/24"),
            ("192.0.2.2", "10.9.0.0/16"),
            ("192.0.2.2", "10.9.1.128/25"),
            ("192.0.2.9", "10.9.9.0/25"),
            ("192.0.2.9", "10.9.8.0/23"),
            ("192.0.2.1", "10.9.2.0/24"),
            ("127.0.0.1", "10.9.2.0/24"),
            ("10.9.2.1", "10.9.2.0/24"),
            ("192.0.2.8", "10.9.2.0/24"),
        ] {
            let peers = [peer("old", "192.0.2.8", "10.9.9.0/24"), peer("new", address, range)];
            let (plan, left) = plan(Mode::Auto, &me(), &peers, &segments());
            assert_eq!((plan.routes.len(), left.len()), (1, 1), "{address} {range}");
            assert_eq!(left[0].name, "new");
        }
    }

    #[test]
    fn only_what_differs_is_changed_and_what_is_stale_goes_first() {
        let peers = [peer("a", "198.51.100.2", "10.9.2.0/24"), peer("b", "198.51.100.3", "10.9.3.0/24")];
        let (old, _) = plan(Mode::Auto, &me(), &peers, &segments());
        assert!(difference(&old, &old).is_empty());
        let moved = [peer("b", "198.51.100.4", "10.9.3.0/24"), peer("c", "192.0.2.5", "10.9.5.0/24")];
        let (new, _) = plan(Mode::Auto, &me(), &moved, &segments());
        let steps = difference(&new, &old);
        let expected = [
            Step::DropRoute(peers[0].range),
            Step::DropNeighbour(peers[0].range.network()),
            Step::DropForward(mac(peers[0].range)),
            Step::Forward(mac(moved[0].range), moved[0].address),
            Step::Route(moved[1].range, Way::Link(7, moved[1].address)),
        ];
        assert_eq!(steps, expected);
    }
}
