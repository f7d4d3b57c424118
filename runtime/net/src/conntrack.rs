//! Forgetting flows that began before a port was published.
//!
//! Translation is decided at a flow's first packet. A UDP client that keeps sending to a port never makes a new flow, so it would be sent
//! to the address of a container that is gone, or to the host itself, until it pauses for minutes.

use crate::netlink::{Batch, DUMP, NetlinkError, Socket, find};
use crate::port::Port;

/// `NFNL_SUBSYS_CTNETLINK << 8` and `IPCTNL_MSG_CT_GET`, `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = 1 << 8 | 1;
const DELETE: u16 = 1 << 8 | 2;
const TUPLE_ORIG: u16 = 1;
const ID: u16 = 12;
const FILTER: u16 = 25;
/// `CTA_FILTER_F_CTA_PROTO_NUM | CTA_FILTER_F_CTA_PROTO_DST_PORT`.
const BY_PORT: u32 = 1 << 3 | 1 << 5;

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
    for (tuple, id) in flows {
        let mut request = Batch::new();
        request.message("IPCTNL_MSG_CT_DELETE", DELETE, 0, &header, |m| m.attr(TUPLE_ORIG | 1 << 15, &tuple).attr(ID, &id));
        // Its end may have come meanwhile.
        let _ = socket.transact(request.acknowledge());
    }
    Ok(())
}
