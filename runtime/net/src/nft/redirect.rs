//! In a container: what is sent to port 53 of the resolver's address goes to its real port, and answers come from 53 again.
//!
//! ```text
//!   raw output   ip daddr 127.0.0.11, dport 53   -> dport := PORT        before conntrack, where the container uses that
//!   raw input    ip saddr 127.0.0.11, sport PORT -> sport := 53          after it
//! ```
//!
//! Each packet is changed by itself: there is no flow to be remembered, none to be lost, and no race between two queries of one socket,
//! which costs clients of conntrack a timeout of five seconds.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::expr::{Expr, rule};
use super::{Family, NEWCHAIN, NEWTABLE, Table, batch};
use crate::netlink::{CREATE, EXCL, NetlinkError, Socket};

/// Where clients ask.
const ASKED: u16 = 53;

/// Makes the table in the namespace of `socket`, unless it is there.
pub(crate) fn redirect(socket: &Socket, address: Ipv4Addr, port: u16) -> Result<(), NetlinkError> {
    let table = Table { family: Family::V4, name: "rctr-resolver" };
    let header = table.family.header();
    let request = batch(None, |b| {
        b.message("NFT_MSG_NEWTABLE", NEWTABLE, CREATE | EXCL, &header, |m| m.text(1, table.name).be(2, 0));
        // NF_INET_LOCAL_IN and NF_INET_LOCAL_OUT, at NF_IP_PRI_RAW.
        for (name, hook) in [("input", 1), ("output", 3)] {
            b.message("NFT_MSG_NEWCHAIN", NEWCHAIN, CREATE | EXCL, &header, |m| {
                m.text(1, table.name).text(3, name).nest(4, |m| m.be(1, hook).be(2, -300_i32 as u32)).be(5, 1).text(7, "filter")
            });
        }
        let to = Expr::Destination(ipnet::IpNet::new_assert(address.into(), 32), true);
        let from = Expr::Source(ipnet::IpNet::new_assert(address.into(), 32));
        // Where the checksum is: UDP 6, TCP 16.
        for (protocol, checksum) in [(17, 6), (6, 16)] {
            let asked = [Expr::Protocol(protocol), to, Expr::ToPort(ASKED), Expr::SetToPort(port, checksum)];
            rule(b, "rule: to the resolver", table, "output", &asked);
            let told = [Expr::Protocol(protocol), from, Expr::FromPort(port), Expr::SetFromPort(ASKED, checksum)];
            rule(b, "rule: from the resolver", table, "input", &told);
        }
    });
    match socket.transact(&request) {
        // A container that was in such a network before has it.
        Err(error) if error.errno() == Errno::EXIST => Ok(()),
        other => other,
    }
}
