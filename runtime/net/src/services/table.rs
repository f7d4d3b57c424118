//! The table without services, and the chains that services share.

use std::net::Ipv4Addr;

use ipnet::{IpNet, Ipv4Net};

use super::Place;
use super::steps::{ADDRESSES, CLIENTS, DISCARD, Door, ENDPOINTS, EXTERNAL, MARK, NODES, REFUSE, SERVICES, Step, Way, rule};
use crate::dns;
use crate::netlink::{Batch, CREATE, EXCL};
use crate::nft::{DELTABLE, Expr, NEWCHAIN, NEWSET, NEWTABLE, Table};

const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

/// The base chains: name, type, hook, priority. Services come before published ports, names before conntrack.
const CHAINS: [(&str, &str, u32, i32); 5] = [
    ("prerouting", "nat", 0, -105),
    ("output", "nat", 3, -105),
    ("postrouting", "nat", 4, 95),
    ("names-in", "filter", 0, -300),
    ("names-out", "filter", 3, -300),
];

/// Where pods ask for names.
const ASKED: u16 = 53;

/// Clients that are remembered at once, at most; further ones are spread each time.
const MOST_CLIENTS: u32 = 65_536;

/// Flags of sets.
const MAP: u32 = 8;
const TIMEOUT: u32 = 0x10;
const EVAL: u32 = 0x20;
/// `NFT_DATA_VERDICT`.
const VERDICT: u32 = 0xffff_ff00;

/// Types as nft(8) numbers them, six bits each.
const ADDRESS: u32 = 7;
const PROTOCOL: u32 = 12;
const PORT: u32 = 13;
/// An index has the form of a mark: a word in the host's order.
const INDEX: u32 = 19;

fn types(all: &[u32]) -> u32 {
    all.iter().fold(0, |sum, one| sum << 6 | one)
}

/// Removes the table, which may not be there.
pub(super) fn drop(b: &mut Batch, table: Table<'_>) {
    // Made and removed in one step, the kernel never says that there is none.
    let header = table.family.header();
    b.message("NFT_MSG_NEWTABLE", NEWTABLE, CREATE, &header, |m| m.text(1, table.name).be(2, 0));
    b.message("NFT_MSG_DELTABLE", DELTABLE, 0, &header, |m| m.text(1, table.name));
}

/// A table without services, in place of whatever has its name.
pub(super) fn create(b: &mut Batch, table: Table<'_>, place: &Place) {
    let header = table.family.header();
    drop(b, table);
    b.message("NFT_MSG_NEWTABLE", NEWTABLE, CREATE | EXCL, &header, |m| m.text(1, table.name).be(2, 0));
    let front = [ADDRESS, PROTOCOL, PORT];
    let to_front = [ADDRESS, PROTOCOL, PORT, INDEX];
    let from_client = [ADDRESS, ADDRESS, PROTOCOL, PORT];
    let endpoint = Some((types(&[ADDRESS, PORT]), 8));
    set(b, table, (1, SERVICES), MAP, &front, Some((VERDICT, 0)));
    set(b, table, (2, EXTERNAL), MAP, &front, Some((VERDICT, 0)));
    set(b, table, (3, NODES), MAP, &front[1..], Some((VERDICT, 0)));
    set(b, table, (4, ENDPOINTS), MAP, &to_front, endpoint);
    set(b, table, (5, ADDRESSES), 0, &[ADDRESS], None);
    set(b, table, (6, CLIENTS), MAP | TIMEOUT | EVAL, &from_client, endpoint);
    for (name, kind, hook, priority) in CHAINS {
        b.message("NFT_MSG_NEWCHAIN", NEWCHAIN, CREATE | EXCL, &header, |m| {
            m.text(1, table.name).text(3, name).nest(4, |m| m.be(1, hook).be(2, priority as u32)).be(5, 1).text(7, kind)
        });
    }
    for name in [REFUSE, DISCARD] {
        b.message("NFT_MSG_NEWCHAIN", NEWCHAIN, CREATE | EXCL, &header, |m| m.text(1, table.name).text(3, name));
    }
    rules(b, table, place);
    names(b, table, place);
}

/// A set or map: its number and name, flags, types of its key, type and length of its data.
fn set(b: &mut Batch, table: Table<'_>, (id, name): (u32, &str), flags: u32, key: &[u32], data: Option<(u32, u32)>) {
    b.message("NFT_MSG_NEWSET", NEWSET, CREATE | EXCL, &table.family.header(), |m| {
        m.text(1, table.name).text(2, name).be(3, flags).be(4, types(key)).be(5, key.len() as u32 * 4);
        if let Some((kind, length)) = data {
            m.be(6, kind);
            if length > 0 {
                m.be(7, length);
            }
        }
        if flags & EVAL != 0 {
            m.nest(9, |m| m.be(1, MOST_CLIENTS));
        }
        m.be(10, id)
    });
}

fn rules(b: &mut Batch, table: Table<'_>, place: &Place) {
    use Step::*;
    let from_pods = Plain(Expr::In(&place.bridge, true));
    let outside = [Plain(Expr::Local), Plain(Expr::Destination(IpNet::V4(LOOPBACK), false)), Port(NODES)];
    rule(b, "rule: services, for pods", table, "prerouting", &[from_pods, To(SERVICES)]);
    rule(b, "rule: other ports, for pods", table, "prerouting", &[from_pods, Known(ADDRESSES), Goto(REFUSE)]);
    rule(b, "rule: services, for this host", table, "output", &[To(SERVICES)]);
    rule(b, "rule: other ports, for this host", table, "output", &[Known(ADDRESSES), Goto(REFUSE)]);
    for chain in ["prerouting", "output"] {
        rule(b, "rule: external addresses", table, chain, &[To(EXTERNAL)]);
        rule(b, "rule: ports of the node", table, chain, &outside);
    }
    rule(b, "rule: refuse TCP", table, REFUSE, &[Plain(Expr::Protocol(6)), Reset]);
    rule(b, "rule: refuse", table, REFUSE, &[Unreachable]);
    rule(b, "rule: discard", table, DISCARD, &[Plain(Expr::Drop)]);
    // Answers of this node's pods come back this way by themselves; a pod's own address is one that all nodes know.
    let elsewhere = [Plain(Expr::Out(&place.bridge, false)), Plain(Expr::Out("lo", false)), NotFrom(place.subnet)];
    let marked = [&[Marked(MARK)], &elsewhere[..], &[Plain(Expr::Masquerade)]].concat();
    rule(b, "rule: masquerade", table, "postrouting", &marked);
}

/// To the node's resolver, and back.
fn names(b: &mut Batch, table: Table<'_>, place: &Place) {
    use Step::*;
    let (to, from) = (Expr::Destination(only(place), true), Expr::Source(only(place)));
    // Where the checksum is: UDP 6, TCP 16.
    for (protocol, checksum) in [(17, 6), (6, 16)] {
        let is = Plain(Expr::Protocol(protocol));
        let question = [is, Plain(to), Plain(Expr::ToPort(ASKED)), Untracked, Plain(Expr::SetToPort(dns::PORT, checksum))];
        let from_pods = [&[Plain(Expr::In(&place.bridge, true))], &question[..]].concat();
        rule(b, "rule: questions of pods", table, "names-in", &from_pods);
        rule(b, "rule: questions of this host", table, "names-out", &question);
        let answer = [is, Plain(from), Plain(Expr::FromPort(dns::PORT)), Untracked, Plain(Expr::SetFromPort(ASKED, checksum))];
        rule(b, "rule: answers", table, "names-out", &answer);
    }
}

fn only(place: &Place) -> IpNet {
    IpNet::new_assert(place.gateway.into(), 32)
}

/// A chain that leads to one of so many endpoints.
pub(super) fn chain(b: &mut Batch, table: Table<'_>, way: &Way) {
    use Step::*;
    let name = way.name();
    b.message("NFT_MSG_NEWCHAIN", NEWCHAIN, CREATE, &table.family.header(), |m| m.text(1, table.name).text(3, &name));
    match way.door {
        // What this host itself sends has come in by no interface.
        Door::Cluster => rule(b, "rule: mark the host's", table, &name, &[Plain(Expr::In("", true)), Mark(MARK)]),
        Door::External | Door::Node => rule(b, "rule: mark", table, &name, &[Mark(MARK)]),
    }
    if let Some(seconds) = way.seconds {
        let again = [Remembered(way.door), Remember(way.door, seconds), Dnat];
        rule(b, "rule: known clients", table, &name, &again);
        let first = [Spread(way.door, way.count), Remember(way.door, seconds), Dnat];
        rule(b, "rule: new clients", table, &name, &first);
    }
    // Also where no more clients can be remembered.
    rule(b, "rule: one of the endpoints", table, &name, &[Spread(way.door, way.count), Dnat]);
}
