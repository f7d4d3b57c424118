//! nf_tables by netlink: one table of family `ip` per network, and one of family `ip6` where it has IPv6.
//!
//! ```text
//!   raw prerouting   loopback addresses from anywhere but lo are dropped        (CVE-2020-8558; not for IPv6, which never routes ::1)
//!   nat prerouting ┐ proto . port -> container . port, for addresses of the host
//!   nat output     ┘ host address . proto . port -> container . port
//!   filter forward   to the bridge: established, translated, from the bridge; nothing else
//!   nat postrouting  localhost and hairpin -> the bridge's address; containers -> outside
//! ```
//!
//! Ports are elements of two maps, not rules: publishing adds an element, whatever else is published, and the kernel refuses a second
//! element for one port. [`table`] is the table as data, [`ports`] its elements, [`expr`] how a rule is spelled.

pub(crate) mod expr;
mod foreign;
pub(crate) mod members;
mod ports;
mod redirect;
mod table;

use std::net::IpAddr;

use rustix::io::Errno;

use crate::netlink::{Batch, Message, NetlinkError, Socket, find};

pub(crate) use expr::Expr;
pub(crate) use foreign::{admit, forget};
pub(crate) use ports::{Published, add, elements, remove, remove_all};
pub(crate) use redirect::redirect;
pub(crate) use table::{drop_tables, ensure, open};

/// IPv4 or IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

impl Family {
    pub(crate) fn of(address: IpAddr) -> Family {
        if address.is_ipv4() { Family::V4 } else { Family::V6 }
    }

    /// `NFPROTO_IPV4` or `NFPROTO_IPV6`.
    pub(crate) fn number(self) -> u8 {
        match self {
            Family::V4 => 2,
            Family::V6 => 10,
        }
    }

    /// `struct nfgenmsg`.
    pub(crate) fn header(self) -> [u8; 4] {
        [self.number(), 0, 0, 0]
    }

    /// Bytes of an address.
    fn length(self) -> u32 {
        match self {
            Family::V4 => 4,
            Family::V6 => 16,
        }
    }

    /// Where in a packet's header the source is.
    fn source(self) -> u32 {
        match self {
            Family::V4 => 12,
            Family::V6 => 8,
        }
    }

    /// Where in a packet's header the destination is.
    fn destination(self) -> u32 {
        self.source() + self.length()
    }

    /// As nft(8) writes it.
    fn word(self) -> &'static str {
        match self {
            Family::V4 => "ip",
            Family::V6 => "ip6",
        }
    }
}

/// Which table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Table<'a> {
    pub(crate) family: Family,
    pub(crate) name: &'a str,
}

/// `NFNL_SUBSYS_NFTABLES` in the upper half of a message kind.
const NFTABLES: u16 = 10 << 8;
pub(crate) const NEWTABLE: u16 = NFTABLES;
const GETTABLE: u16 = NFTABLES | 1;
pub(crate) const DELTABLE: u16 = NFTABLES | 2;
pub(crate) const NEWCHAIN: u16 = NFTABLES | 3;
const GETCHAIN: u16 = NFTABLES | 4;
pub(crate) const NEWRULE: u16 = NFTABLES | 6;
const GETRULE: u16 = NFTABLES | 7;
const DELRULE: u16 = NFTABLES | 8;
pub(crate) const NEWSET: u16 = NFTABLES | 9;
pub(crate) const NEWSETELEM: u16 = NFTABLES | 12;
pub(crate) const GETSETELEM: u16 = NFTABLES | 13;
pub(crate) const DELSETELEM: u16 = NFTABLES | 14;
const GETGEN: u16 = NFTABLES | 16;

/// The map of ports published on any address.
const ANY: &str = "published";
/// The map of ports published on one address.
const ONE: &str = "published_on";
/// The set of addresses of a cluster's nodes, where the network is part of one.
const MEMBERS: &str = "nodes";

/// A batch: all of its messages take effect, or none. With a generation, only if the ruleset is still that one
/// (`NFNL_BATCH_GENID`; `ERESTART` otherwise).
pub(crate) fn batch(generation: Option<u32>, body: impl FnOnce(&mut Batch)) -> Batch {
    let mut batch = Batch::new();
    // struct nfgenmsg: AF_UNSPEC, version 0, resource id = subsystem in network order.
    batch.message("NFNL_MSG_BATCH_BEGIN", 16, 0, &[0, 0, 0, 10], |m| match generation {
        Some(generation) => m.be(1, generation),
        None => m,
    });
    body(&mut batch);
    batch.acknowledge();
    batch.message("NFNL_MSG_BATCH_END", 17, 0, &[0, 0, 0, 10], |m| m);
    batch
}

/// The ruleset's generation.
fn generation(socket: &Socket) -> Result<u32, NetlinkError> {
    let mut request = Batch::new();
    request.message("NFT_MSG_GETGEN", GETGEN, 0, &[0, 0, 0, 0], |m| m);
    let read = |message: Message<'_>| {
        let id = find(message.body.get(4..)?, 1)?;
        Some(u32::from_be_bytes(id.try_into().ok()?))
    };
    socket.get(&request, read)?.ok_or_else(|| NetlinkError::new(sys::Error::new("NFT_MSG_GETGEN", Errno::IO)))
}

/// Removes the rules of a chain, to see what happens without them.
#[cfg(test)]
pub(crate) fn flush_chain(socket: &Socket, table: Table<'_>, chain: &str) {
    let request = batch(None, |b| {
        b.message("NFT_MSG_DELRULE", DELRULE, 0, &table.family.header(), |m| m.text(1, table.name).text(2, chain));
    });
    socket.transact(&request).unwrap();
}
