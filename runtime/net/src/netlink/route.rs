//! rtnetlink(7): links, addresses and routes as messages.

use std::net::{IpAddr, Ipv4Addr};

use ipnet::{IpNet, Ipv4Net};

use super::{Batch, CREATE, DUMP, EXCL, Message, Socket, address, find, number, text};

pub(super) const NEWLINK: u16 = 16;
const DELLINK: u16 = 17;
const GETLINK: u16 = 18;
const NEWADDR: u16 = 20;
const GETADDR: u16 = 22;
pub(super) const NEWROUTE: u16 = 24;
pub(super) const GETROUTE: u16 = 26;

pub(super) const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `IFA_F_NODAD`: nobody else can have an address that is leased, so it can be used at once.
const NODAD: u8 = 2;
const UP: u32 = 1;
const LOWER_UP: u32 = 1 << 16;

pub(super) const IFLA_ADDRESS: u16 = 1;
pub(super) const IFLA_IFNAME: u16 = 3;
pub(super) const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
pub(super) const IFLA_LINKINFO: u16 = 18;
const IFLA_NET_NS_PID: u16 = 19;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_EXT_MASK: u16 = 29;
/// `RTEXT_FILTER_SKIP_STATS`.
const SKIP_STATS: u32 = 8;
pub(super) const INFO_KIND: u16 = 1;
pub(super) const INFO_DATA: u16 = 2;
const INFO_SLAVE_KIND: u16 = 4;
const INFO_SLAVE_DATA: u16 = 5;
const VETH_PEER: u16 = 1;
const BRPORT_MODE: u16 = 4;
const BRPORT_ISOLATED: u16 = 33;

/// What `RTM_GETLINK` says of a link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Link {
    pub(crate) index: u32,
    pub(crate) name: String,
    pub(crate) up: bool,
    /// It can send: `IFF_LOWER_UP`.
    pub(crate) carrier: bool,
    pub(crate) mtu: u32,
    pub(crate) kind: String,
    /// Index of the bridge it is a port of.
    pub(crate) master: Option<u32>,
}

/// `struct ifinfomsg`: index, flags and the flags that change.
pub(super) fn ifinfo(index: u32, up: bool) -> [u8; 16] {
    let mut header = [0; 16];
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let flags = if up { UP } else { 0 };
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..].copy_from_slice(&flags.to_ne_bytes());
    header
}

/// Brings a link up.
pub(crate) fn up(batch: &mut Batch, label: &'static str, index: u32) {
    batch.message(label, NEWLINK, 0, &ifinfo(index, true), |m| m);
}

/// Sets how long a packet may be.
pub(crate) fn set_mtu(batch: &mut Batch, index: u32, mtu: u32) {
    batch.message("RTM_NEWLINK mtu", NEWLINK, 0, &ifinfo(index, false), |m| m.number(IFLA_MTU, mtu));
}

/// Makes a bridge, down, with a hardware address of its own: it would take that of a port otherwise, and change with it.
pub(crate) fn bridge(batch: &mut Batch, name: &str, mac: [u8; 6], mtu: u32) {
    batch.message("RTM_NEWLINK bridge", NEWLINK, CREATE | EXCL, &ifinfo(0, false), |m| {
        m.text(IFLA_IFNAME, name).attr(IFLA_ADDRESS, &mac).number(IFLA_MTU, mtu);
        m.nest(IFLA_LINKINFO, |m| m.text(INFO_KIND, "bridge"))
    });
}

/// One end of a veth pair.
pub(crate) struct End<'a> {
    pub(crate) name: &'a str,
    pub(crate) mac: [u8; 6],
}

/// Makes a veth pair: `here`, up, with the index `index`, and `there`, down, in the namespace of the thread `tid`. The kernel would
/// refuse to open the second, as it has no peer yet.
pub(crate) fn veth(batch: &mut Batch, here: &End<'_>, index: u32, there: &End<'_>, tid: u32, mtu: u32) {
    batch.message("RTM_NEWLINK veth", NEWLINK, CREATE | EXCL, &ifinfo(index, true), |m| {
        m.text(IFLA_IFNAME, here.name).attr(IFLA_ADDRESS, &here.mac).number(IFLA_MTU, mtu).nest(IFLA_LINKINFO, |m| {
            m.text(INFO_KIND, "veth").nest(INFO_DATA, |m| {
                m.nest(VETH_PEER, |m| {
                    m.raw(&ifinfo(0, false)).text(IFLA_IFNAME, there.name).attr(IFLA_ADDRESS, &there.mac);
                    m.number(IFLA_MTU, mtu).number(IFLA_NET_NS_PID, tid)
                })
            })
        })
    });
}

/// Makes an interface `name`, down, in the namespace behind `netns`, that shares the link `parent`.
pub(crate) fn macvlan(batch: &mut Batch, name: &str, mac: [u8; 6], parent: u32, mode: u32, netns: u32) {
    batch.message("RTM_NEWLINK macvlan", NEWLINK, CREATE | EXCL, &ifinfo(0, false), |m| {
        m.text(IFLA_IFNAME, name).attr(IFLA_ADDRESS, &mac).number(IFLA_LINK, parent).number(IFLA_NET_NS_FD, netns);
        m.nest(IFLA_LINKINFO, |m| m.text(INFO_KIND, "macvlan").nest(INFO_DATA, |m| m.number(1, mode)))
    });
}

/// Makes the link `name` a port of the bridge `master` and brings it up.
pub(crate) fn enslave(batch: &mut Batch, name: &str, master: u32) {
    batch.message("RTM_NEWLINK port", NEWLINK, 0, &ifinfo(0, true), |m| m.text(IFLA_IFNAME, name).number(IFLA_MASTER, master));
}

/// Lets the bridge port `name` send back what it received (hairpin mode): with `br_netfilter` a container's packets to its own
/// published port are translated within the bridge and leave by the port they came from.
pub(crate) fn hairpin(batch: &mut Batch, name: &str) {
    port_option(batch, "RTM_NEWLINK hairpin", name, BRPORT_MODE);
}

/// Keeps the bridge port `name` from other ports that are kept so, too (Linux 4.18). The bridge itself and what is behind it can still
/// be reached.
pub(crate) fn isolate(batch: &mut Batch, name: &str) {
    port_option(batch, "RTM_NEWLINK isolated", name, BRPORT_ISOLATED);
}

fn port_option(batch: &mut Batch, label: &'static str, name: &str, option: u16) {
    batch.message(label, NEWLINK, 0, &ifinfo(0, false), |m| {
        m.text(IFLA_IFNAME, name)
            .nest(IFLA_LINKINFO, |m| m.text(INFO_SLAVE_KIND, "bridge").nest(INFO_SLAVE_DATA, |m| m.attr(option, &[1])))
    });
}

/// Removes a link; of a pair both go.
pub(crate) fn delete(batch: &mut Batch, index: u32) {
    batch.message("RTM_DELLINK", DELLINK, 0, &ifinfo(index, false), |m| m);
}

/// The family of an address, and its bytes.
fn bytes(address: IpAddr) -> (u8, [u8; 16], usize) {
    let mut bytes = [0; 16];
    match address {
        IpAddr::V4(address) => {
            bytes[..4].copy_from_slice(&address.octets());
            (AF_INET, bytes, 4)
        }
        IpAddr::V6(address) => (AF_INET6, address.octets(), 16),
    }
}

/// Gives a link an address.
pub(crate) fn add_address(batch: &mut Batch, index: u32, net: IpNet) {
    let (family, bytes, length) = bytes(net.addr());
    let mut header = [family, net.prefix_len(), if family == AF_INET6 { NODAD } else { 0 }, 0, 0, 0, 0, 0];
    header[4..].copy_from_slice(&index.to_ne_bytes());
    batch.message("RTM_NEWADDR", NEWADDR, CREATE | EXCL, &header, |m| {
        m.attr(1, &bytes[..length]).attr(2, &bytes[..length]);
        match net {
            IpNet::V4(net) => m.attr(4, &net.broadcast().octets()),
            IpNet::V6(_) => m,
        }
    });
}

/// Adds the default route.
pub(crate) fn default_route(batch: &mut Batch, index: u32, gateway: IpAddr) {
    let (family, bytes, length) = bytes(gateway);
    // Main table, set at boot time (RTPROT_BOOT, as ip(8) does), global, unicast.
    let header = [family, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    batch.message("RTM_NEWROUTE default", NEWROUTE, CREATE | EXCL, &header, |m| m.attr(5, &bytes[..length]).number(4, index));
}

/// Adds the default route; the kernel finds the link by the gateway's address.
pub(crate) fn default_route_by(batch: &mut Batch, gateway: IpAddr) {
    let (family, bytes, length) = bytes(gateway);
    let header = [family, 0, 0, 0, 254, 3, 0, 1, 0, 0, 0, 0];
    batch.message("RTM_NEWROUTE default", NEWROUTE, CREATE | EXCL, &header, |m| m.attr(5, &bytes[..length]));
}

/// Reads an answer about a link.
pub(crate) fn link(message: Message<'_>) -> Option<Link> {
    let (header, attrs) = message.body.split_at_checked(16)?;
    let kind = find(attrs, IFLA_LINKINFO).and_then(|info| find(info, INFO_KIND)).map_or("", text);
    Some(Link {
        index: number(&header[4..])?,
        name: text(find(attrs, IFLA_IFNAME)?).to_owned(),
        up: number(&header[8..])? & UP != 0,
        carrier: number(&header[8..])? & LOWER_UP != 0,
        mtu: find(attrs, IFLA_MTU).and_then(number)?,
        kind: kind.to_owned(),
        master: find(attrs, IFLA_MASTER).and_then(number),
    })
}

/// Reads an answer about an address: the index of its link, and the address with its prefix.
pub(crate) fn link_address(message: Message<'_>) -> Option<(u32, Ipv4Net)> {
    let (header, attrs) = message.body.split_at_checked(8)?;
    let local = find(attrs, 2).or_else(|| find(attrs, 1)).and_then(address)?;
    Some((number(&header[4..])?, Ipv4Net::new(local, header[1]).ok()?))
}

/// A route as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) to: Ipv4Net,
    /// Index of the link it leaves by.
    pub(crate) link: Option<u32>,
}

/// Reads an answer about a route.
pub(crate) fn route(message: Message<'_>) -> Option<Route> {
    let (header, attrs) = message.body.split_at_checked(12)?;
    if header[0] != AF_INET {
        return None;
    }
    let to = find(attrs, 1).map_or(Some(Ipv4Addr::UNSPECIFIED), address)?;
    Some(Route { to: Ipv4Net::new(to, header[1]).ok()?.trunc(), link: find(attrs, 4).and_then(number) })
}

/// Asks for the link `name`.
///
/// Since Linux 6.8 the question also settles the carrier (`linkwatch_sync_dev`): a link that has just got one drops what it shall send, and as
/// a bridge's port what it receives, until a worker of the kernel has come by, which under load takes tens of milliseconds.
pub(crate) fn ask_link(batch: &mut Batch, name: &str) {
    batch.message("RTM_GETLINK", GETLINK, 0, &ifinfo(0, false), |m| m.text(IFLA_IFNAME, name).number(IFLA_EXT_MASK, SKIP_STATS));
}

/// The link called `name`.
pub(crate) fn get_link(socket: &Socket, name: &str) -> Result<Option<Link>, super::NetlinkError> {
    let mut batch = Batch::new();
    ask_link(&mut batch, name);
    match socket.get(&batch, link) {
        Err(error) if error.errno() == rustix::io::Errno::NODEV => Ok(None),
        other => other,
    }
}

/// All links.
pub(crate) fn links(socket: &Socket) -> Result<Vec<Link>, super::NetlinkError> {
    let mut batch = Batch::new();
    batch.message("RTM_GETLINK", GETLINK, DUMP, &ifinfo(0, false), |m| m);
    socket.dump(&batch, link)
}

/// All IPv4 addresses.
pub(crate) fn addresses(socket: &Socket) -> Result<Vec<(u32, Ipv4Net)>, super::NetlinkError> {
    let mut batch = Batch::new();
    batch.message("RTM_GETADDR", GETADDR, DUMP, &[AF_INET, 0, 0, 0, 0, 0, 0, 0], |m| m);
    socket.dump(&batch, link_address)
}

/// All IPv4 routes of all tables.
pub(crate) fn routes(socket: &Socket) -> Result<Vec<Route>, super::NetlinkError> {
    let mut batch = Batch::new();
    batch.message("RTM_GETROUTE", GETROUTE, DUMP, &[AF_INET, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0], |m| m);
    socket.dump(&batch, route)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;

    /// Reads back what `write` has written.
    fn read<T>(write: impl FnOnce(&mut Batch), parse: impl Fn(Message<'_>) -> Option<T>) -> Option<T> {
        let mut batch = Batch::new();
        write(&mut batch);
        messages(batch.bytes()).next().and_then(parse)
    }

    #[test]
    fn routes_are_read() {
        let to = |family: u8, prefix: u8, to: Option<[u8; 4]>| {
            let mut header = [0; 12];
            (header[0], header[1]) = (family, prefix);
            let write = |batch: &mut Batch| {
                batch.message("", NEWROUTE, 0, &header, |m| to.iter().fold(m, |m, to| m.attr(1, to)).number(4, 7));
            };
            read(write, route).map(|route| (route.to.to_string(), route.link))
        };
        assert_eq!(to(AF_INET, 0, None), Some(("0.0.0.0/0".into(), Some(7))));
        assert_eq!(to(AF_INET, 12, Some([172, 31, 9, 9])), Some(("172.16.0.0/12".into(), Some(7))));
        // Not IPv4, and no prefix at all.
        assert_eq!((to(10, 0, None), to(AF_INET, 33, None)), (None, None));
        let short = |batch: &mut Batch| {
            batch.message("", NEWROUTE, 0, &[AF_INET; 4], |m| m);
        };
        assert_eq!(read(short, route), None);
    }

    #[test]
    fn links_and_addresses_are_read() {
        let found = read(|batch| bridge(batch, "rctr0", [2; 6], 1400), link).unwrap();
        let bridge =
            Link { index: 0, name: "rctr0".into(), up: false, carrier: false, mtu: 1400, kind: "bridge".into(), master: None };
        assert_eq!(found, bridge);
        let net: Ipv4Net = "10.1.2.3/20".parse().unwrap();
        assert_eq!(read(|batch| add_address(batch, 9, net.into()), link_address), Some((9, net)));
        assert_eq!(read(|batch| up(batch, "", 9), link), None);
    }
}
