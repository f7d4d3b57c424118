//! The table, and making sure that it is there.

use std::net::{Ipv4Addr, Ipv6Addr};

use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use rustix::io::Errno;

use super::expr::{Expr, rule};
use super::{ANY, DELTABLE, Family, GETTABLE, MEMBERS, NEWCHAIN, NEWSET, NEWTABLE, ONE, Table, batch, members};
use crate::error::{Error, Result};
use crate::netlink::{Batch, CREATE, EXCL, Message, NetlinkError, Socket, find, text};
use crate::network::{Network, Policy};

/// Written into the table's comment; a table with another comment is replaced. Raise the number when a rule of the family changes.
const fn version(family: Family) -> u32 {
    match family {
        Family::V4 => 1,
        Family::V6 => 2,
    }
}

/// `ct state established,related`.
const ESTABLISHED: u32 = 2 | 4;
/// `ct status dnat`.
const DNAT: u32 = 1 << 5;

/// 127.0.0.0/8.
const LOOPBACK: Ipv4Net = Ipv4Net::new_assert(Ipv4Addr::new(127, 0, 0, 0), 8);

/// `::1`.
const LOOPBACK_V6: IpNet = IpNet::V6(Ipv6Net::new_assert(Ipv6Addr::LOCALHOST, 128));

/// The chains: name, type, hook, priority.
const CHAINS: [(&str, &str, u32, i32); 5] = [
    ("guard", "filter", 0, -300),
    ("forward", "filter", 2, 0),
    ("prerouting", "nat", 0, -100),
    ("output", "nat", 3, -100),
    ("postrouting", "nat", 4, 100),
];

/// What a table found says of itself.
struct Found {
    comment: String,
    handle: [u8; 8],
}

/// A socket for the caller's nf_tables.
pub(crate) fn open(table: &str) -> Result<Socket> {
    let table = Table { family: Family::V4, name: table };
    Socket::netfilter().map_err(|source| unsupported(table, source))
}

/// Makes the tables of `network` unless they are there, and says whether it made one. Two callers at once: the kernel lets one in.
pub(crate) fn ensure(socket: &Socket, network: &Network) -> Result<bool> {
    let mut fresh = false;
    for subnet in network.subnets() {
        fresh |= ensure_one(socket, network, subnet)?;
    }
    Ok(fresh)
}

fn ensure_one(socket: &Socket, network: &Network, subnet: IpNet) -> Result<bool> {
    let table = Table { family: Family::of(subnet.addr()), name: &network.table };
    let comment = comment(network, subnet);
    for _ in 0..8 {
        let found = get(socket, table).map_err(|source| unsupported(table, source))?;
        if found.as_ref().is_some_and(|found| found.comment == comment) {
            return Ok(false);
        }
        match socket.transact(&create(table, network, subnet, &comment, found.map(|found| found.handle))) {
            Ok(()) => return Ok(true),
            // Another caller was first: with a new table (EEXIST), or with replacing the old one (ENOENT for its handle).
            Err(error) if error.errno() == Errno::EXIST || (error.errno() == Errno::NOENT && error.sequence == 2) => {}
            Err(source) => return Err(unsupported(table, source)),
        }
    }
    Err(unsupported(table, NetlinkError::new(sys::Error::new("NFT_MSG_NEWTABLE", Errno::AGAIN))))
}

/// What the table was made for: with another comment it has other rules.
fn comment(network: &Network, subnet: IpNet) -> String {
    let mut comment = format!("rctr {}: {} {subnet}", version(Family::of(subnet.addr())), network.bridge);
    let Policy { internal, neighbours, masquerade } = network.policy;
    for (is, word) in [(internal, " internal"), (!neighbours, " apart"), (!masquerade, " routed")] {
        if is {
            comment.push_str(word);
        }
    }
    if let (Some(cluster), IpNet::V4(_)) = (network.cluster, subnet) {
        comment.push_str(&format!(" within {cluster}"));
    }
    comment
}

/// Removes the tables of `network`, if they are there.
pub(crate) fn drop_tables(socket: &Socket, network: &Network) -> std::result::Result<(), NetlinkError> {
    for subnet in network.subnets() {
        let family = Family::of(subnet.addr());
        let request = batch(None, |b| {
            b.message("NFT_MSG_DELTABLE", DELTABLE, 0, &family.header(), |m| m.text(1, &network.table));
        });
        match socket.transact(&request) {
            Err(error) if error.errno() != Errno::NOENT => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Says what to do where the kernel cannot.
fn unsupported(table: Table<'_>, source: NetlinkError) -> Error {
    let (word, name) = (table.family.word(), table.name);
    match source.errno() {
        Errno::PERM => Error::NotRoot { what: "publishing ports by nf_tables" },
        Errno::NOENT | Errno::OPNOTSUPP | Errno::PROTONOSUPPORT | Errno::AFNOSUPPORT | Errno::INVAL => Error::Unsupported {
            what: format!("the nf_tables table \"{word} {name}\""),
            options: match table.family {
                Family::V4 => "NF_TABLES_IPV4, NF_CONNTRACK, NFT_NAT, NFT_MASQ, NFT_CT and NFT_FIB_IPV4",
                Family::V6 => "NF_TABLES_IPV6, NF_CONNTRACK, NFT_NAT, NFT_MASQ, NFT_CT and NFT_FIB_IPV6",
            },
            source,
        },
        _ => Error::Netlink { what: format!("make the nf_tables table \"{word} {name}\""), source },
    }
}

fn get(socket: &Socket, table: Table<'_>) -> std::result::Result<Option<Found>, NetlinkError> {
    let mut request = Batch::new();
    request.message("NFT_MSG_GETTABLE", GETTABLE, 0, &table.family.header(), |m| m.text(1, table.name));
    let read = |message: Message<'_>| {
        let attrs = message.body.get(4..)?;
        // NFTA_TABLE_USERDATA holds type, length, value; type 0 is the comment that `nft list` shows.
        let comment = find(attrs, 6).and_then(|data| data.get(2..)).map_or("", text).to_owned();
        Some(Found { comment, handle: find(attrs, 4)?.try_into().ok()? })
    };
    match socket.get(&request, read) {
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        other => other,
    }
}

/// The table as one batch; an old one, named by its handle, goes in the same breath.
fn create(table: Table<'_>, network: &Network, subnet: IpNet, comment: &str, old: Option<[u8; 8]>) -> Batch {
    let header = table.family.header();
    batch(None, |b| {
        if let Some(handle) = old {
            b.message("NFT_MSG_DELTABLE", DELTABLE, 0, &header, |m| m.attr(4, &handle));
        }
        b.message("NFT_MSG_NEWTABLE", NEWTABLE, CREATE | EXCL, &header, |m| {
            let mut data = vec![0, comment.len() as u8 + 1];
            data.extend_from_slice(comment.as_bytes());
            data.push(0);
            m.text(1, table.name).be(2, 0).attr(6, &data)
        });
        maps(b, table);
        if cluster(network, subnet).is_some() {
            members::set(b, table);
        }
        chains(b, table);
        rules(b, table, network, subnet);
    })
}

/// Types as nft(8) numbers them, six bits each: ipv4_addr 7, ipv6_addr 8, inet_proto 12, inet_service 13. The kernel wants the lengths
/// only.
fn maps(b: &mut Batch, table: Table<'_>) {
    let address = match table.family {
        Family::V4 => 7,
        Family::V6 => 8,
    };
    let length = table.family.length();
    let sets = [(ANY, (12 << 6) | 13, 8), (ONE, (address << 12) | (12 << 6) | 13, 8 + length)];
    for (id, (name, key, key_length)) in (1..).zip(sets) {
        b.message("NFT_MSG_NEWSET", NEWSET, CREATE | EXCL, &table.family.header(), |m| {
            m.text(1, table.name).text(2, name).be(3, 8).be(4, key).be(5, key_length);
            m.be(6, (address << 6) | 13).be(7, length + 4).be(10, id)
        });
    }
}

fn chains(b: &mut Batch, table: Table<'_>) {
    // IPv6 never takes a loopback address from a link, so there is nothing to guard.
    for (name, kind, hook, priority) in CHAINS.into_iter().filter(|chain| table.family == Family::V4 || chain.0 != "guard") {
        b.message("NFT_MSG_NEWCHAIN", NEWCHAIN, CREATE | EXCL, &table.family.header(), |m| {
            m.text(1, table.name).text(3, name).nest(4, |m| m.be(1, hook).be(2, priority as u32));
            // NF_ACCEPT as policy: what is not about our bridge is not ours to judge.
            m.be(5, 1).text(7, kind)
        });
    }
}

/// The cluster's addresses, for the table of IPv4.
fn cluster(network: &Network, subnet: IpNet) -> Option<IpNet> {
    network.cluster.filter(|_| subnet.addr().is_ipv4()).map(IpNet::V4)
}

fn rules(b: &mut Batch, table: Table<'_>, network: &Network, subnet: IpNet) {
    use Expr::*;
    let bridge = network.bridge.as_str();
    let loopback = IpNet::V4(LOOPBACK);
    let v4 = table.family == Family::V4;
    if v4 {
        // `route_localnet` on the bridge lets answers to 127.0.0.1 in; on the wire no such packet is ever right (CVE-2020-8558).
        rule(b, "rule: loopback", table, "guard", &[In("lo", false), Destination(loopback, true), Drop]);
    }
    if network.policy.internal {
        // Also for a container that has given itself a route.
        rule(b, "rule: way out", table, "forward", &[In(bridge, true), Out(bridge, false), Drop]);
        rule(b, "rule: way in", table, "forward", &[Out(bridge, true), In(bridge, false), Drop]);
    }
    rule(b, "rule: established", table, "forward", &[Out(bridge, true), State(ESTABLISHED), Accept]);
    rule(b, "rule: published", table, "forward", &[Out(bridge, true), Status(DNAT), Accept]);
    let cluster = cluster(network, subnet);
    if let Some(pods) = cluster {
        // Nodes come with an address of their own when they pass on what was sent to a service.
        rule(b, "rule: pods of the cluster", table, "forward", &[Out(bridge, true), Source(pods), Accept]);
        rule(b, "rule: nodes of the cluster", table, "forward", &[Out(bridge, true), SourceIn(MEMBERS), Accept]);
    }
    if network.policy.neighbours {
        rule(b, "rule: direct access", table, "forward", &[Out(bridge, true), In(bridge, false), Drop]);
    } else {
        // Of neighbours, too, which isolated ports make take the way through this host.
        rule(b, "rule: direct access", table, "forward", &[Out(bridge, true), Drop]);
    }

    if !v4 {
        // What comes from there gets no answer from a bridge: the port's own socket has it.
        rule(b, "rule: localhost", table, "output", &[Destination(LOOPBACK_V6, true), Accept]);
    }
    for chain in ["prerouting", "output"] {
        rule(b, "rule: published on one address", table, chain, &[Local, DnatOne(ONE)]);
        rule(b, "rule: published on any address", table, chain, &[Local, DnatAny(ANY)]);
    }

    // Answers must come back through this host: from a container to itself or its neighbour, and from the host's 127.0.0.1.
    if v4 {
        rule(b, "rule: localhost", table, "postrouting", &[Out(bridge, true), Source(loopback), Masquerade]);
    }
    rule(b, "rule: hairpin", table, "postrouting", &[Out(bridge, true), Source(subnet), Status(DNAT), Masquerade]);
    if network.policy.masquerade && !network.policy.internal {
        // The destination is looked at, too: a bridge that is gone leaves its table, and its subnet may be another bridge's now.
        let outside = &[Out(bridge, false), Source(subnet), Destination(cluster.unwrap_or(subnet), false), Masquerade];
        rule(b, "rule: outside", table, "postrouting", outside);
    }
}
