//! A firewall that lets nothing be forwarded unless it is told to: `iptables -P FORWARD DROP`, as Docker sets it, and ufw.
//!
//! What one table accepts another may still drop, so our rules alone do not help. Two rules for each bridge are put at the end of such a
//! chain, as libvirt and the CNI plugins put theirs: what somebody has refused explicitly stays refused, and only the policy does not count
//! for our bridges. Which packets may reach a bridge our own table says.
//!
//! Only chains of nf_tables are looked at, which iptables has been using for years (`iptables-nft`); one without the policy is left
//! alone.

use rustix::io::Errno;

use super::expr::{Expr, rule};
use super::{Family, GETCHAIN, GETRULE, Table, batch};
use crate::netlink::{Batch, DUMP, Message, NetlinkError, Socket, attributes, find, text};

/// The chain of `iptables` and `ip6tables`.
const TABLE: &str = "filter";
const CHAIN: &str = "FORWARD";
/// `NF_DROP`.
const DROP: u32 = 0;

/// Lets packets from and to `bridge` pass where a policy would drop them. Done before, or not needed, is fine.
pub(crate) fn admit(socket: &Socket, family: Family, bridge: &str) -> Result<(), NetlinkError> {
    let table = Table { family, name: TABLE };
    if policy(socket, table)? != Some(DROP) || admitted(socket, table, bridge)? {
        return Ok(());
    }
    let request = batch(None, |b| {
        rule(b, "rule: from the bridge", table, CHAIN, &[Expr::In(bridge, true), Expr::Counter, Expr::Accept]);
        rule(b, "rule: to the bridge", table, CHAIN, &[Expr::Out(bridge, true), Expr::Counter, Expr::Accept]);
    });
    match socket.transact(&request) {
        // The chain has gone meanwhile.
        Err(error) if error.errno() == Errno::NOENT => Ok(()),
        other => other,
    }
}

/// Takes the rules for `bridge` out again.
pub(crate) fn forget(socket: &Socket, family: Family, bridge: &str) -> Result<(), NetlinkError> {
    let table = Table { family, name: TABLE };
    let handles: Vec<_> = rules(socket, table)?.into_iter().filter(|rule| rule.bridge == bridge).map(|rule| rule.handle).collect();
    if handles.is_empty() {
        return Ok(());
    }
    let request = batch(None, |b| {
        for handle in &handles {
            b.message("NFT_MSG_DELRULE", super::DELRULE, 0, &family.header(), |m| m.text(1, TABLE).text(2, CHAIN).attr(3, handle));
        }
    });
    match socket.transact(&request) {
        Err(error) if error.errno() == Errno::NOENT => Ok(()),
        other => other,
    }
}

/// The chain's policy, if there is such a chain.
fn policy(socket: &Socket, table: Table<'_>) -> Result<Option<u32>, NetlinkError> {
    let mut request = Batch::new();
    request.message("NFT_MSG_GETCHAIN", GETCHAIN, 0, &table.family.header(), |m| m.text(1, table.name).text(3, CHAIN));
    let read = |message: Message<'_>| {
        let policy = find(message.body.get(4..)?, 5)?;
        Some(u32::from_be_bytes(policy.try_into().ok()?))
    };
    match socket.get(&request, read) {
        Err(error) if error.errno() == Errno::NOENT => Ok(None),
        other => other,
    }
}

/// A rule of the chain that is about one interface alone and accepts, as ours are.
struct Found {
    handle: [u8; 8],
    bridge: String,
}

fn admitted(socket: &Socket, table: Table<'_>, bridge: &str) -> Result<bool, NetlinkError> {
    Ok(rules(socket, table)?.iter().filter(|rule| rule.bridge == bridge).count() >= 2)
}

fn rules(socket: &Socket, table: Table<'_>) -> Result<Vec<Found>, NetlinkError> {
    let mut request = Batch::new();
    request.message("NFT_MSG_GETRULE", GETRULE, DUMP, &table.family.header(), |m| m.text(1, table.name).text(2, CHAIN));
    let read = |message: Message<'_>| {
        let attrs = message.body.get(4..)?;
        // Some kernels dump the rules of all chains.
        if text(find(attrs, 1)?) != table.name || text(find(attrs, 2)?) != CHAIN {
            return None;
        }
        Some(Found { handle: find(attrs, 3)?.try_into().ok()?, bridge: about(find(attrs, 4)?)? })
    };
    match socket.dump(&request, read) {
        Err(error) if error.errno() == Errno::NOENT => Ok(Vec::new()),
        other => other,
    }
}

/// The interface of a rule that has the form of ours: load, compare, count, accept.
fn about(expressions: &[u8]) -> Option<String> {
    let all: Vec<(&str, &[u8])> =
        attributes(expressions).filter_map(|(_, one)| Some((text(find(one, 1)?), find(one, 2).unwrap_or_default()))).collect();
    let names: Vec<&str> = all.iter().map(|(name, _)| *name).collect();
    if names != ["meta", "cmp", "counter", "immediate"] {
        return None;
    }
    // NFTA_CMP_DATA, NFTA_DATA_VALUE.
    Some(text(find(find(all[1].1, 3)?, 1)?).to_owned())
}
