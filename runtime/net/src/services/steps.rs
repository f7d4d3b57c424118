//! What the rules of services say beyond those of published ports.

use std::collections::BTreeSet;

use super::{Back, Front, RuleSet};
use crate::netlink::{APPEND, Batch, CREATE};
use crate::nft::expr::{REG, WORD, compare, expr, load, mask, payload};
use crate::nft::{Expr, NEWRULE, Table};

/// The bit of a packet's mark that says: it may need this host's address. kube-proxy uses the same.
pub(super) const MARK: u32 = 0x4000;

/// The maps and sets.
pub(super) const SERVICES: &str = "services";
pub(super) const EXTERNAL: &str = "external";
pub(super) const NODES: &str = "nodes";
pub(super) const ENDPOINTS: &str = "endpoints";
pub(super) const CLIENTS: &str = "clients";
pub(super) const ADDRESSES: &str = "addresses";

/// Chains that end a packet's way.
pub(super) const REFUSE: &str = "refuse";
pub(super) const DISCARD: &str = "discard";

/// `NFT_REG_2`, where an endpoint is put, and its two words.
const FOUND: u32 = 2;
const FOUND_WORDS: [u32; 2] = [12, 13];

/// How clients come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Door {
    Cluster,
    External,
    Node,
}

impl Front {
    pub(super) fn door(&self) -> Door {
        match self {
            Front::Cluster(..) => Door::Cluster,
            Front::External(..) => Door::External,
            Front::Node(..) => Door::Node,
        }
    }
}

/// A chain that many fronts share: so many endpoints, and how long a client stays with its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Way {
    pub(super) door: Door,
    pub(super) count: u32,
    pub(super) seconds: Option<u32>,
}

impl Way {
    /// The chain's name.
    pub(super) fn name(&self) -> String {
        let door = match self.door {
            Door::Cluster => "cluster",
            Door::External => "external",
            Door::Node => "node",
        };
        match self.seconds {
            Some(seconds) => format!("{door}-{}-for-{seconds}", self.count),
            None => format!("{door}-{}", self.count),
        }
    }
}

/// The chain of a front; none for those that end here.
pub(super) fn way(front: &Front, back: &Back) -> Option<Way> {
    match back {
        Back::To(endpoints, seconds) => {
            let count = u32::try_from(endpoints.len()).ok().filter(|count| *count > 0)?;
            Some(Way { door: front.door(), count, seconds: *seconds })
        }
        _ => None,
    }
}

/// All chains that a set of rules needs.
pub(super) fn ways(set: &RuleSet) -> BTreeSet<Way> {
    set.fronts.iter().filter_map(|(front, back)| way(front, back)).collect()
}

/// A condition or statement.
#[derive(Debug, Clone, Copy)]
pub(super) enum Step<'a> {
    /// One that published ports have, too.
    Plain(Expr<'a>),
    /// `ip daddr . meta l4proto . th dport vmap @MAP`.
    To(&'a str),
    /// `meta l4proto . th dport vmap @MAP`.
    Port(&'a str),
    /// `ip daddr @SET`.
    Known(&'a str),
    /// `ip saddr != NET`.
    NotFrom(ipnet::Ipv4Net),
    /// `meta mark set meta mark | BITS`.
    Mark(u32),
    /// `meta mark & BITS != 0`.
    Marked(u32),
    /// `goto CHAIN`.
    Goto(&'a str),
    /// `reject with tcp reset`.
    Reset,
    /// `reject with icmp port-unreachable`.
    Unreachable,
    /// `ip daddr . meta l4proto . th dport . numgen random mod COUNT map @endpoints`; for a port of the node without its address.
    Spread(Door, u32),
    /// `ip saddr . ip daddr . meta l4proto . th dport map @clients`, the same.
    Remembered(Door),
    /// `update @clients { … timeout SECONDS : the endpoint }`.
    Remember(Door, u32),
    /// `dnat to` the endpoint.
    Dnat,
    /// `notrack`.
    Untracked,
}

/// Appends a rule.
pub(super) fn rule(batch: &mut Batch, label: &'static str, table: Table<'_>, chain: &str, steps: &[Step<'_>]) {
    batch.message(label, NEWRULE, CREATE | APPEND, &table.family.header(), |m| {
        m.text(1, table.name).text(2, chain).nest(4, |m| steps.iter().fold(m, |m, step| step.write(m, table)))
    });
}

impl Step<'_> {
    fn write<'a>(self, m: &'a mut Batch, table: Table<'_>) -> &'a mut Batch {
        match self {
            Step::Plain(plain) => plain.write(m, table.family),
            Step::To(map) => {
                front(m, 0, Door::Cluster);
                lookup(m, map, Some(0))
            }
            Step::Port(map) => {
                load(m, 16, WORD[0]);
                payload(m, WORD[1], 2, 2, 2);
                lookup(m, map, Some(0))
            }
            Step::Known(set) => {
                payload(m, REG, 1, 16, 4);
                lookup(m, set, None)
            }
            Step::NotFrom(net) => {
                payload(m, REG, 1, 12, 4);
                mask(m, &net.netmask().octets());
                compare(m, false, &net.network().octets())
            }
            Step::Mark(bits) => {
                load(m, 3, REG);
                // NFTA_BITWISE_MASK, NFTA_BITWISE_XOR: the bits are cleared, then turned.
                expr(m, "bitwise", |m| {
                    m.be(1, REG).be(2, REG).be(3, 4);
                    m.nest(4, |m| m.attr(1, &(!bits).to_ne_bytes())).nest(5, |m| m.attr(1, &bits.to_ne_bytes()))
                });
                expr(m, "meta", |m| m.be(2, 3).be(3, REG))
            }
            Step::Marked(bits) => {
                load(m, 3, REG);
                mask(m, &bits.to_ne_bytes());
                compare(m, false, &[0; 4])
            }
            // NFT_GOTO is -4.
            Step::Goto(chain) => expr(m, "immediate", |m| m.be(1, 0).nest(2, |m| goto(m, chain))),
            // NFT_REJECT_TCP_RST 1, NFT_REJECT_ICMP_UNREACH 0 with ICMP_PORT_UNREACH 3.
            Step::Reset => expr(m, "reject", |m| m.be(1, 1)),
            Step::Unreachable => expr(m, "reject", |m| m.be(1, 0).attr(2, &[3])),
            Step::Spread(door, count) => {
                front(m, 0, door);
                // NFT_NG_RANDOM 1.
                expr(m, "numgen", |m| m.be(1, WORD[3]).be(2, count).be(3, 1).be(4, 0));
                lookup(m, ENDPOINTS, Some(FOUND))
            }
            Step::Remembered(door) => {
                client(m, door);
                lookup(m, CLIENTS, Some(FOUND))
            }
            Step::Remember(door, seconds) => {
                client(m, door);
                let milliseconds = u64::from(seconds) * 1000;
                // NFT_DYNSET_OP_UPDATE 1: a client that comes again is remembered anew, and keeps its endpoint.
                expr(m, "dynset", |m| m.text(1, CLIENTS).be(3, 1).be(4, REG).be(5, FOUND).attr(6, &milliseconds.to_be_bytes()))
            }
            Step::Untracked => expr(m, "notrack", |m| m),
            Step::Dnat => {
                expr(m, "nat", |m| m.be(1, 1).be(2, u32::from(table.family.number())).be(3, FOUND_WORDS[0]).be(5, FOUND_WORDS[1]))
            }
        }
    }
}

/// A verdict that goes to a chain: NFTA_DATA_VERDICT with NFT_GOTO.
pub(super) fn goto<'a>(m: &'a mut Batch, chain: &str) -> &'a mut Batch {
    m.nest(2, |m| m.be(1, -4_i32 as u32).text(2, chain))
}

/// `ip daddr . meta l4proto . th dport`, in the words from `first` on.
fn front(m: &mut Batch, first: usize, door: Door) {
    match door {
        Door::Node => drop(expr(m, "immediate", |m| m.be(1, WORD[first]).nest(2, |m| m.attr(1, &[0; 4])))),
        _ => drop(payload(m, WORD[first], 1, 16, 4)),
    }
    load(m, 16, WORD[first + 1]);
    payload(m, WORD[first + 2], 2, 2, 2);
}

/// `ip saddr`, and the front after it.
fn client(m: &mut Batch, door: Door) {
    payload(m, WORD[0], 1, 12, 4);
    front(m, 1, door);
}

fn lookup<'a>(m: &'a mut Batch, set: &str, to: Option<u32>) -> &'a mut Batch {
    expr(m, "lookup", |m| {
        m.text(1, set).be(2, REG);
        match to {
            Some(to) => m.be(3, to),
            None => m,
        }
    })
}
