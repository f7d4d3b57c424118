//! rtnetlink(7): what leads to other hosts: routes through a gateway, a VXLAN device, neighbours and its forwarding database.

use std::net::Ipv4Addr;

use ipnet::Ipv4Net;

use super::route::{
    AF_INET, GETROUTE, IFLA_ADDRESS, IFLA_IFNAME, IFLA_LINKINFO, IFLA_MTU, INFO_DATA, INFO_KIND, NEWLINK, NEWROUTE, ifinfo,
};
use super::{Batch, CREATE, DUMP, EXCL, Message, NetlinkError, REPLACE, Socket, address, attributes, find, number};

const DELROUTE: u16 = 25;
const NEWNEIGH: u16 = 28;
const DELNEIGH: u16 = 29;
const GETNEIGH: u16 = 30;

/// `AF_BRIDGE`: the forwarding database.
const AF_BRIDGE: u8 = 7;
/// `RT_TABLE_MAIN`.
const MAIN: u8 = 254;
/// Who made a route (`rtm_protocol`): a number of our own, beyond those of rt_protos, so that only ours are touched.
const PROTOCOL: u8 = 82;
/// `RTNH_F_ONLINK`: the gateway is on the link although no address of the link says so.
const ONLINK: u32 = 4;
/// `NUD_PERMANENT`.
const PERMANENT: u16 = 0x80;
/// `NTF_SELF`: of the device itself, not of a bridge above it.
const SELF: u8 = 2;

/// A route to the containers of another host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Hop {
    pub(crate) to: Ipv4Net,
    pub(crate) gateway: Ipv4Addr,
    /// Index of the link.
    pub(crate) link: u32,
    /// The address that this host's own packets carry.
    pub(crate) source: Ipv4Addr,
}

/// Adds a route, in the place of another one to the same addresses.
pub(crate) fn set_route(batch: &mut Batch, hop: &Hop) {
    let mut header = [AF_INET, hop.to.prefix_len(), 0, 0, MAIN, PROTOCOL, 0, 1, 0, 0, 0, 0];
    header[8..].copy_from_slice(&ONLINK.to_ne_bytes());
    batch.message("RTM_NEWROUTE node", NEWROUTE, CREATE | REPLACE, &header, |m| {
        m.attr(1, &hop.to.network().octets()).attr(5, &hop.gateway.octets()).number(4, hop.link).attr(7, &hop.source.octets())
    });
}

/// Removes a route of ours.
pub(crate) fn drop_route(batch: &mut Batch, to: Ipv4Net) {
    let header = [AF_INET, to.prefix_len(), 0, 0, MAIN, PROTOCOL, 0, 0, 0, 0, 0, 0];
    batch.message("RTM_DELROUTE node", DELROUTE, 0, &header, |m| m.attr(1, &to.network().octets()));
}

/// Our routes.
pub(crate) fn hops(socket: &Socket) -> Result<Vec<Hop>, NetlinkError> {
    let mut batch = Batch::new();
    batch.message("RTM_GETROUTE", GETROUTE, DUMP, &[AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], |m| m);
    socket.dump(&batch, hop)
}

fn hop(message: Message<'_>) -> Option<Hop> {
    let (header, attrs) = message.body.split_at_checked(12)?;
    if header[0] != AF_INET || header[4] != MAIN || header[5] != PROTOCOL {
        return None;
    }
    let at = |kind| find(attrs, kind).and_then(address);
    Some(Hop {
        to: Ipv4Net::new(at(1)?, header[1]).ok()?,
        gateway: at(5).unwrap_or(Ipv4Addr::UNSPECIFIED),
        link: find(attrs, 4).and_then(number)?,
        source: at(7).unwrap_or(Ipv4Addr::UNSPECIFIED),
    })
}

/// A VXLAN device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Tunnel {
    pub(crate) vni: u32,
    pub(crate) port: u16,
    /// This host's end.
    pub(crate) local: Ipv4Addr,
    pub(crate) mac: [u8; 6],
    pub(crate) mtu: u32,
}

/// Makes the device, down. It learns nothing by itself: whom it knows is told.
pub(crate) fn add_tunnel(batch: &mut Batch, name: &str, tunnel: &Tunnel) {
    batch.message("RTM_NEWLINK vxlan", NEWLINK, CREATE | EXCL, &ifinfo(0, false), |m| {
        m.text(IFLA_IFNAME, name).attr(IFLA_ADDRESS, &tunnel.mac).number(IFLA_MTU, tunnel.mtu).nest(IFLA_LINKINFO, |m| {
            m.text(INFO_KIND, "vxlan").nest(INFO_DATA, |m| {
                m.number(1, tunnel.vni).attr(4, &tunnel.local.octets()).attr(7, &[0]).attr(15, &tunnel.port.to_be_bytes())
            })
        })
    });
}

/// Reads an answer about a VXLAN device.
pub(crate) fn tunnel(message: Message<'_>) -> Option<Tunnel> {
    let attrs = message.body.get(16..)?;
    let data = find(find(attrs, IFLA_LINKINFO)?, INFO_DATA)?;
    Some(Tunnel {
        vni: find(data, 1).and_then(number)?,
        port: u16::from_be_bytes(find(data, 15)?.try_into().ok()?),
        local: find(data, 4).and_then(address).unwrap_or(Ipv4Addr::UNSPECIFIED),
        mac: find(attrs, IFLA_ADDRESS)?.try_into().ok()?,
        mtu: find(attrs, IFLA_MTU).and_then(number)?,
    })
}

/// `struct ndmsg`.
fn neighbour_header(family: u8, link: u32, flags: u8) -> [u8; 12] {
    let mut header = [family, 0, 0, 0, 0, 0, 0, 0, 0, 0, flags, 0];
    header[4..8].copy_from_slice(&link.to_ne_bytes());
    header[8..10].copy_from_slice(&PERMANENT.to_ne_bytes());
    header
}

/// Says which hardware address an address has on a link, for good.
pub(crate) fn set_neighbour(batch: &mut Batch, link: u32, address: Ipv4Addr, mac: [u8; 6]) {
    let header = neighbour_header(AF_INET, link, 0);
    batch.message("RTM_NEWNEIGH", NEWNEIGH, CREATE | REPLACE, &header, |m| m.attr(1, &address.octets()).attr(2, &mac));
}

/// Forgets it.
pub(crate) fn drop_neighbour(batch: &mut Batch, link: u32, address: Ipv4Addr) {
    let header = neighbour_header(AF_INET, link, 0);
    batch.message("RTM_DELNEIGH", DELNEIGH, 0, &header, |m| m.attr(1, &address.octets()));
}

/// Says behind which host a hardware address is.
pub(crate) fn set_forward(batch: &mut Batch, link: u32, mac: [u8; 6], host: Ipv4Addr) {
    let header = neighbour_header(AF_BRIDGE, link, SELF);
    batch.message("RTM_NEWNEIGH vxlan", NEWNEIGH, CREATE | REPLACE, &header, |m| m.attr(2, &mac).attr(1, &host.octets()));
}

/// Forgets it.
pub(crate) fn drop_forward(batch: &mut Batch, link: u32, mac: [u8; 6]) {
    let header = neighbour_header(AF_BRIDGE, link, SELF);
    batch.message("RTM_DELNEIGH vxlan", DELNEIGH, 0, &header, |m| m.attr(2, &mac));
}

/// Permanent entries of a link: its neighbours, or with `forwarding` what its forwarding database says.
pub(crate) fn entries(socket: &Socket, link: u32, forwarding: bool) -> Result<Vec<(Ipv4Addr, [u8; 6])>, NetlinkError> {
    let family = if forwarding { AF_BRIDGE } else { AF_INET };
    let mut batch = Batch::new();
    batch.message("RTM_GETNEIGH", GETNEIGH, DUMP, &[family, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], |m| m);
    socket.dump(&batch, |message| {
        let (header, attrs) = message.body.split_at_checked(12)?;
        let state = u16::from_ne_bytes([header[8], header[9]]);
        let ours = header[0] == family && number(&header[4..])? == link && state & PERMANENT != 0;
        let of = |kind| attributes(attrs).find(|&(found, _)| found == kind).map(|(_, value)| value);
        let entry = (of(1).and_then(address)?, <[u8; 6]>::try_from(of(2)?).ok()?);
        ours.then_some(entry)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;

    #[test]
    fn routes_and_devices_read_back() {
        let written = Hop {
            to: "10.9.2.0/24".parse().unwrap(),
            gateway: Ipv4Addr::new(192, 0, 2, 2),
            link: 7,
            source: Ipv4Addr::new(10, 9, 1, 1),
        };
        let mut batch = Batch::new();
        set_route(&mut batch, &written);
        assert_eq!(hop(messages(batch.bytes()).next().unwrap()), Some(written));
        let device = Tunnel { vni: 82, port: 4789, local: written.gateway, mac: [2, 0, 0, 0, 0, 9], mtu: 1450 };
        let mut batch = Batch::new();
        add_tunnel(&mut batch, "vx", &device);
        assert_eq!(tunnel(messages(batch.bytes()).next().unwrap()), Some(device));
    }
}
