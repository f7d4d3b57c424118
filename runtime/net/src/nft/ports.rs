//! Published ports: elements of the two maps.

use std::net::{IpAddr, Ipv6Addr};

use rustix::io::Errno;

use super::{ANY, DELSETELEM, Family, GETSETELEM, NEWSETELEM, ONE, batch, generation};
use crate::netlink::{Batch, CREATE, DUMP, EXCL, NetlinkError, Socket, attributes, find};
use crate::port::{Port, Protocol};

/// Elements of one message. A list is an attribute, whose length is a `u16`.
const PER_MESSAGE: usize = 256;
/// Elements of one batch of removals: it fits the default send buffer of whoever sends it later.
const PER_BATCH: usize = 1024;

/// Where a published port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) port: Port,
    pub(crate) to: IpAddr,
}

/// Publishes all of `ports`, or none. `Err` with the port that is taken if it is `EEXIST`.
pub(crate) fn add(socket: &Socket, table: &str, ports: &[Published]) -> Result<(), (NetlinkError, Option<Port>)> {
    let mut chunks = Vec::new();
    let request = batch(None, |b| {
        for (set, ports) in by_map(ports) {
            for chunk in ports.chunks(PER_MESSAGE) {
                let first = list(b, "NFT_MSG_NEWSETELEM", NEWSETELEM, CREATE | EXCL, table, set, chunk, true);
                chunks.push((b.count(), first, chunk.to_vec()));
            }
        }
    });
    socket.transact(&request).map_err(|error| {
        let port = chunks.iter().find(|(sequence, ..)| *sequence == error.sequence).map(|(_, first, chunk)| {
            // All elements of a map have one length, so the place of the fault tells which one it is.
            let size = element_size(Map::of(&chunk[0]));
            let index = error.offset.map_or(0, |offset| (offset as usize).saturating_sub(*first) / size);
            chunk[index.min(chunk.len() - 1)].port
        });
        (error, port)
    })
}

/// Batches that remove `ports`; each one datagram.
pub(crate) fn remove(table: &str, ports: &[Published]) -> Vec<Vec<u8>> {
    removals(None, table, ports).into_iter().map(Batch::into_bytes).collect()
}

fn removals(generation: Option<u32>, table: &str, ports: &[Published]) -> Vec<Batch> {
    let mut batches = Vec::new();
    for (set, ports) in by_map(ports) {
        for part in ports.chunks(PER_BATCH) {
            batches.push(batch(generation, |b| {
                for chunk in part.chunks(PER_MESSAGE) {
                    list(b, "NFT_MSG_DELSETELEM", DELSETELEM, 0, table, set, chunk, false);
                }
            }));
        }
    }
    batches
}

/// Removes every element that leads to `to`. Between listing and removing, an element may be removed by another and its port be
/// published anew, so each batch is bound to the generation that was listed.
pub(crate) fn remove_all(socket: &Socket, table: &str, to: IpAddr) -> Result<(), NetlinkError> {
    const ERESTART: i32 = 85;
    for _ in 0..64 {
        let generation = generation(socket)?;
        let stale: Vec<_> = elements(socket, table)?.into_iter().filter(|published| published.to == to).collect();
        let Some(batch) = removals(Some(generation), table, &stale).into_iter().next() else { return Ok(()) };
        match socket.transact(&batch) {
            Err(error) if error.errno().raw_os_error() != ERESTART => return Err(error),
            _ => {}
        }
    }
    Err(NetlinkError::new(sys::Error::new("NFT_MSG_DELSETELEM", Errno::AGAIN)))
}

/// All published ports of a table; none if there is no table.
pub(crate) fn elements(socket: &Socket, table: &str) -> Result<Vec<Published>, NetlinkError> {
    let mut found = Vec::new();
    for map in MAPS {
        let mut request = Batch::new();
        let header = map.family.header();
        request.message("NFT_MSG_GETSETELEM", GETSETELEM, DUMP, &header, |m| m.text(1, table).text(2, map.name()));
        match socket.dump(&request, |message| Some(parse(map.family, message.body.get(4..)?))) {
            Ok(lists) => found.extend(lists.into_iter().flatten()),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

/// One of the four maps: two in each family's table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Map {
    family: Family,
    /// Of ports published on one address.
    one: bool,
}

const MAPS: [Map; 4] = [
    Map { family: Family::V4, one: false },
    Map { family: Family::V4, one: true },
    Map { family: Family::V6, one: false },
    Map { family: Family::V6, one: true },
];

impl Map {
    fn of(published: &Published) -> Map {
        Map { family: Family::of(published.to), one: published.port.host_ip.is_some_and(|ip| !ip.is_unspecified()) }
    }

    fn name(self) -> &'static str {
        if self.one { ONE } else { ANY }
    }
}

fn by_map(ports: &[Published]) -> Vec<(Map, Vec<Published>)> {
    let of = |map: Map| ports.iter().filter(|published| Map::of(published) == map).copied().collect::<Vec<_>>();
    MAPS.into_iter().map(|map| (map, of(map))).filter(|(_, ports)| !ports.is_empty()).collect()
}

/// Writes a list of elements, and returns where in the message the first one begins.
#[expect(clippy::too_many_arguments, reason = "one per field of the message")]
fn list(
    b: &mut Batch,
    label: &'static str,
    kind: u16,
    flags: u16,
    table: &str,
    map: Map,
    ports: &[Published],
    data: bool,
) -> usize {
    let start = b.len();
    let mut first = 0;
    b.message(label, kind, flags, &map.family.header(), |m| {
        m.text(1, table).text(2, map.name()).nest(3, |m| {
            first = m.len() - start;
            ports.iter().fold(m, |m, published| element(m, published, data))
        })
    });
    first
}

fn element<'a>(m: &'a mut Batch, published: &Published, data: bool) -> &'a mut Batch {
    let key = key(published);
    m.nest(1, |m| {
        m.nest(1, |m| m.attr(1, key.bytes()));
        if !data {
            return m;
        }
        let mut to = Words::default();
        to.address(published.to);
        to.port(published.port.container_port);
        m.nest(2, |m| m.attr(1, to.bytes()))
    })
}

/// Bytes of an element with data: its own header, key and data, each within two more.
fn element_size(map: Map) -> usize {
    let address = map.family.length() as usize;
    4 + (8 + if map.one { 8 + address } else { 8 }) + (8 + 4 + address)
}

/// Parts of a key or of data, each padded to a word.
#[derive(Default)]
struct Words {
    bytes: [u8; 24],
    length: usize,
}

impl Words {
    fn push(&mut self, part: &[u8]) {
        self.bytes[self.length..self.length + part.len()].copy_from_slice(part);
        self.length += part.len().next_multiple_of(4);
    }

    fn address(&mut self, address: IpAddr) {
        match address {
            IpAddr::V4(address) => self.push(&address.octets()),
            IpAddr::V6(address) => self.push(&address.octets()),
        }
    }

    fn port(&mut self, port: u16) {
        self.push(&port.to_be_bytes());
    }

    fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// The key: `[address .] protocol . port`.
fn key(published: &Published) -> Words {
    let (mut key, port) = (Words::default(), &published.port);
    if let (true, Some(address)) = (Map::of(published).one, port.host_ip) {
        key.address(address);
    }
    key.push(&[port.protocol.number()]);
    key.port(port.host_port);
    key
}

/// Reads a list of elements. Those that are not ours in form (made by hand) are passed over.
fn parse(family: Family, attrs: &[u8]) -> Vec<Published> {
    let list = find(attrs, 3).unwrap_or_default();
    attributes(list).filter_map(|(_, element)| read(family, element)).collect()
}

fn read(family: Family, element: &[u8]) -> Option<Published> {
    let key = find(find(element, 1)?, 1)?;
    let data = find(find(element, 2)?, 1)?;
    let any = match family {
        Family::V4 => None,
        Family::V6 => Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)),
    };
    let (host_ip, rest) = if key.len() == 8 { (any, key) } else { split(family, key).map(|(ip, rest)| (Some(ip), rest))? };
    let (to, to_port) = split(family, data)?;
    let number = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.get(..2)?.try_into().ok()?));
    let protocol = Protocol::numbered(*rest.first()?)?;
    let port = Port { host_ip, host_port: number(rest.get(4..)?)?, container_port: number(to_port)?, protocol };
    Some(Published { port, to })
}

/// The address at the beginning, and the rest.
fn split(family: Family, bytes: &[u8]) -> Option<(IpAddr, &[u8])> {
    Some(match family {
        Family::V4 => bytes.split_first_chunk::<4>().map(|(address, rest)| (IpAddr::from(*address), rest))?,
        Family::V6 => bytes.split_first_chunk::<16>().map(|(address, rest)| (IpAddr::from(*address), rest))?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;

    fn published(host_ip: Option<&str>, host_port: u16) -> Published {
        let host_ip: Option<IpAddr> = host_ip.map(|ip| ip.parse().unwrap());
        let port = Port { host_ip, host_port, container_port: 80, protocol: Protocol::Udp };
        let to = if host_ip.is_some_and(|ip| ip.is_ipv6()) { "fd00::9" } else { "10.1.2.3" };
        Published { port, to: to.parse().unwrap() }
    }

    #[test]
    fn elements_read_back_and_have_the_size_counted_on() {
        for ip in [None, Some("192.0.2.1"), Some("::"), Some("2001:db8::1")] {
            let one = published(ip, 8080);
            let (mut batch, map) = (Batch::new(), Map::of(&one));
            let first = list(&mut batch, "", NEWSETELEM, 0, "rctr", map, &[one, one], true);
            assert_eq!(batch.len(), first + 2 * element_size(map));
            let message = messages(batch.bytes()).next().unwrap();
            assert_eq!(parse(map.family, &message.body[4..]), [one, one]);
        }
    }

    #[test]
    fn strange_elements_are_passed_over() {
        for family in [Family::V4, Family::V6] {
            assert_eq!(parse(family, &[]), []);
            assert_eq!(parse(family, &[16, 0, 3, 0, 12, 0, 1, 0, 8, 0, 1, 0, 4, 0, 1, 0]), []);
        }
    }

    #[test]
    fn ten_thousand_ports_are_cut_to_fit() {
        let ports: Vec<_> = (1..=10_000).map(|port| published(None, port)).collect();
        let batches = remove("rctr", &ports);
        assert_eq!(batches.len(), 10);
        assert!(batches.iter().all(|batch| batch.len() < 64 << 10));
    }
}
