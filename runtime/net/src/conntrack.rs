//! Forgetting flows that began before a port was published, or that lead to what is gone.
//!
//! Translation is decided at a flow's first packet. A UDP client that keeps sending to a port never makes a new flow, so it would be sent
//! to the address of a container that is gone, or to the host itself, until it pauses for minutes.

use std::net::SocketAddrV4;

use crate::netlink::{Batch, DUMP, NetlinkError, Socket, address, find};
use crate::port::Port;

/// `NFNL_SUBSYS_CTNETLINK << 8` and `IPCTNL_MSG_CT_GET`, `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const TUPLE_ORIG: u16 = 1;
const TUPLE_REPLY: u16 = 2;
const ID: u16 = 12;
const FILTER: u16 = 25;
/// `CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT`.
const BY_PORT: u32 = BY_PROTOCOL | 1 << 5;
const BY_PROTOCOL: u32 = 1 << 3;

/// Deletes the UDP flows to the host port of `port`.
pub(crate) fn forget(socket: &Socket, port: &Port) -> Result<(), NetlinkError> {
    // struct nfgenmsg: AF_INET or AF_INET6.
    let header = [if port.host_ip.is_some_and(|ip| ip.is_ipv6()) { 10 } else { 2 }, 0, 0, 0];
    let mut request = Batch::new();
    request.message("IPCTNL_MSG_CT_GET", GET, DUMP, &header, |m| {
        m.nest(TUPLE_ORIG, |m| m.nest(2, |m| m.attr(1, &[17]).attr(3, &port.host_port.to_be_bytes())));
        m.nest(FILTER, |m| m.number(1, BY_PORT).number(2, 0))
    });
    let flows = socket.dump(&request, |message| {
        let attrs = message.body.get(4..)?;
        Some((find(attrs, TUPLE_ORIG)?.to_vec(), find(attrs, ID)?.to_vec()))
    })?;
    delete(socket, header, flows);
    Ok(())
}

fn delete(socket: &Socket, header: [u8; 4], flows: Vec<(Vec<u8>, Vec<u8>)>) {
    for (tuple, id) in flows {
        let mut request = Batch::new();
        request.message("IPCTNL_MSG_CT_DELETE", DELETE, 0, &header, |m| m.attr(TUPLE_ORIG | 1 << 15, &tuple).attr(ID, &id));
        // Its end may have come meanwhile.
        let _ = socket.transact(request.acknowledge());
    }
}

/// A flow of IPv4, as far as it matters here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flow {
    /// Whom the client sends to.
    pub(crate) to: SocketAddrV4,
    /// Who answers.
    pub(crate) from: SocketAddrV4,
}

/// Deletes those UDP flows that are `stale`.
pub(crate) fn forget_udp(socket: &Socket, stale: impl Fn(&Flow) -> bool) -> Result<(), NetlinkError> {
    let header = [2, 0, 0, 0];
    let mut request = Batch::new();
    request.message("IPCTNL_MSG_CT_GET", GET, DUMP, &header, |m| {
        m.nest(TUPLE_ORIG, |m| m.nest(2, |m| m.attr(1, &[17])));
        m.nest(FILTER, |m| m.number(1, BY_PROTOCOL).number(2, 0))
    });
    let flows = socket.dump(&request, |message| {
        let attrs = message.body.get(4..)?;
        let (original, reply) = (find(attrs, TUPLE_ORIG)?, find(attrs, TUPLE_REPLY)?);
        // CTA_IP_V4_DST and CTA_PROTO_DST_PORT of the one, CTA_IP_V4_SRC and CTA_PROTO_SRC_PORT of the other.
        let flow = Flow { to: end(original, 2, 3)?, from: end(reply, 1, 2)? };
        stale(&flow).then(|| Some((original.to_vec(), find(attrs, ID)?.to_vec())))?
    })?;
    delete(socket, header, flows);
    Ok(())
}

/// An end of a tuple: CTA_TUPLE_IP 1, CTA_TUPLE_PROTO 2.
fn end(tuple: &[u8], ip: u16, port: u16) -> Option<SocketAddrV4> {
    let ip = address(find(find(tuple, 1)?, ip)?)?;
    let port = find(find(tuple, 2)?, port)?;
    Some(SocketAddrV4::new(ip, u16::from_be_bytes(port.try_into().ok()?)))
}
