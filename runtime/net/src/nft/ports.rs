//! Published ports: elements of the two maps.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::{ANY, DELSETELEM, GENMSG, GETSETELEM, NEWSETELEM, ONE, batch, generation};
use crate::netlink::{self, Batch, CREATE, DUMP, EXCL, NetlinkError, Socket, attributes, find};
use crate::port::{Port, Protocol};

/// Elements of one message. A list is an attribute, whose length is a `u16`.
const PER_MESSAGE: usize = 256;
/// Elements of one batch of removals: it fits the default send buffer of whoever sends it later.
const PER_BATCH: usize = 1024;

/// Where a published port leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) port: Port,
    pub(crate) to: Ipv4Addr,
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
            let size = element_size(chunk[0].port.host_ip.is_some());
            let index = error.offset.map_or(0, |offset| offset.saturating_sub(*first) / size);
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
pub(crate) fn remove_all(socket: &Socket, table: &str, to: Ipv4Addr) -> Result<(), NetlinkError> {
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
    for set in [ANY, ONE] {
        let mut request = Batch::new();
        request.message("NFT_MSG_GETSETELEM", GETSETELEM, DUMP, &GENMSG, |m| m.text(1, table).text(2, set));
        match socket.dump(&request, |message| Some(parse(message.body.get(4..)?))) {
            Ok(lists) => found.extend(lists.into_iter().flatten()),
            Err(error) if error.errno() == Errno::NOENT => {}
            Err(error) => return Err(error),
        }
    }
    Ok(found)
}

fn by_map(ports: &[Published]) -> Vec<(&'static str, Vec<Published>)> {
    let (one, any): (Vec<_>, Vec<_>) = ports.iter().partition(|published| published.port.host_ip.is_some());
    [(ANY, any), (ONE, one)].into_iter().filter(|(_, ports)| !ports.is_empty()).collect()
}

/// Writes a list of elements, and returns where in the message the first one begins.
#[expect(clippy::too_many_arguments, reason = "one per field of the message")]
fn list(
    b: &mut Batch,
    label: &'static str,
    kind: u16,
    flags: u16,
    table: &str,
    set: &str,
    ports: &[Published],
    data: bool,
) -> usize {
    let start = b.len();
    let mut first = 0;
    b.message(label, kind, flags, &GENMSG, |m| {
        m.text(1, table).text(2, set).nest(3, |m| {
            first = m.len() - start;
            ports.iter().fold(m, |m, published| element(m, published, data))
        })
    });
    first
}

fn element<'a>(m: &'a mut Batch, published: &Published, data: bool) -> &'a mut Batch {
    let (key, length) = key(&published.port);
    m.nest(1, |m| {
        m.nest(1, |m| m.attr(1, &key[..length]));
        if !data {
            return m;
        }
        let [high, low] = published.port.container_port.to_be_bytes();
        let [a, b, c, d] = published.to.octets();
        m.nest(2, |m| m.attr(1, &[a, b, c, d, high, low, 0, 0]))
    })
}

/// Bytes of an element with data: its own header, key and data, each within two more.
const fn element_size(one: bool) -> usize {
    4 + (8 + if one { 12 } else { 8 }) + (8 + 8)
}

/// The key, each part padded to a word: `[address .] protocol . port`.
fn key(port: &Port) -> ([u8; 12], usize) {
    let protocol = match port.protocol {
        Protocol::Tcp => 6,
        Protocol::Udp => 17,
    };
    let [high, low] = port.host_port.to_be_bytes();
    match port.host_ip {
        None => ([protocol, 0, 0, 0, high, low, 0, 0, 0, 0, 0, 0], 8),
        Some(ip) => {
            let [a, b, c, d] = ip.octets();
            ([a, b, c, d, protocol, 0, 0, 0, high, low, 0, 0], 12)
        }
    }
}

/// Reads a list of elements. Those that are not ours in form (made by hand) are passed over.
fn parse(attrs: &[u8]) -> Vec<Published> {
    let list = find(attrs, 3).unwrap_or_default();
    attributes(list).filter_map(|(_, element)| read(element)).collect()
}

fn read(element: &[u8]) -> Option<Published> {
    let key = find(find(element, 1)?, 1)?;
    let data = find(find(element, 2)?, 1)?;
    let (host_ip, rest) = if key.len() == 12 { (netlink::address(key), &key[4..]) } else { (None, key) };
    let protocol = match rest.first()? {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return None,
    };
    let number = |bytes: &[u8]| Some(u16::from_be_bytes(bytes.get(4..6)?.try_into().ok()?));
    let port = Port { host_ip, host_port: number(rest)?, container_port: number(data)?, protocol };
    Some(Published { port, to: netlink::address(data)? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::netlink::messages;

    fn published(host_ip: Option<[u8; 4]>, host_port: u16) -> Published {
        let port = Port { host_ip: host_ip.map(Ipv4Addr::from), host_port, container_port: 80, protocol: Protocol::Udp };
        Published { port, to: Ipv4Addr::new(10, 1, 2, 3) }
    }

    #[test]
    fn elements_read_back_and_have_the_size_counted_on() {
        for one in [published(None, 8080), published(Some([192, 0, 2, 1]), 443)] {
            let mut batch = Batch::new();
            let first = list(&mut batch, "", NEWSETELEM, 0, "rctr", "set", &[one, one], true);
            assert_eq!(batch.len(), first + 2 * element_size(one.port.host_ip.is_some()));
            let message = messages(batch.bytes()).next().unwrap();
            assert_eq!(parse(&message.body[4..]), [one, one]);
        }
    }

    #[test]
    fn strange_elements_are_passed_over() {
        assert_eq!(parse(&[]), []);
        assert_eq!(parse(&[16, 0, 3, 0, 12, 0, 1, 0, 8, 0, 1, 0, 4, 0, 1, 0]), []);
    }

    #[test]
    fn ten_thousand_ports_are_cut_to_fit() {
        let ports: Vec<_> = (1..=10_000).map(|port| published(None, port)).collect();
        let batches = remove("rctr", &ports);
        assert_eq!(batches.len(), 10);
        assert!(batches.iter().all(|batch| batch.len() < 64 << 10));
    }
}
