//! Elements of the maps, as messages.

use std::net::Ipv4Addr;

use super::change::Change;
use super::steps::{ADDRESSES, DISCARD, Door, ENDPOINTS, EXTERNAL, NODES, REFUSE, SERVICES, goto, way};
use super::{Back, Endpoint, Front};
use crate::netlink::{Batch, CREATE};
use crate::nft::{DELSETELEM, NEWSETELEM, Table};
use crate::port::Protocol;

/// Elements of one message. A list is an attribute, whose length is a `u16`.
pub(super) const PER_MESSAGE: usize = 256;

/// An element: its key, and what writes its data.
struct Element {
    set: &'static str,
    key: Vec<u8>,
    data: Data,
}

enum Data {
    None,
    Chain(String),
    Bytes([u8; 8]),
}

/// Appends what makes the change so. Of an element that becomes another the old one goes first.
pub(super) fn write(b: &mut Batch, table: Table<'_>, change: &Change) {
    let front = |front: &Front, data| Element { set: map(front), key: key(front), data };
    let place = |front: &Front, at: u32, data| Element { set: ENDPOINTS, key: place_key(front, at), data };
    let address = |ip: &Ipv4Addr| Element { set: ADDRESSES, key: ip.octets().to_vec(), data: Data::None };
    let gone = change.gone.iter().map(|one| front(one, Data::None));
    let gone_places = change.gone_places.iter().map(|(front, at)| place(front, *at, Data::None));
    list(b, table, false, gone.chain(gone_places).chain(change.gone_addresses.iter().map(address)).collect());
    let places = change.new_places.iter().map(|(front, at, to)| place(front, *at, Data::Bytes(endpoint(*to))));
    let new = change.new.iter().map(|(one, back)| front(one, Data::Chain(chain(one, back))));
    list(b, table, true, places.chain(new).chain(change.new_addresses.iter().map(address)).collect());
}

fn chain(front: &Front, back: &Back) -> String {
    match (way(front, back), back) {
        (Some(way), _) => way.name(),
        (None, Back::Discard) => DISCARD.to_owned(),
        (None, _) => REFUSE.to_owned(),
    }
}

fn map(front: &Front) -> &'static str {
    match front.door() {
        Door::Cluster => SERVICES,
        Door::External => EXTERNAL,
        Door::Node => NODES,
    }
}

fn list(b: &mut Batch, table: Table<'_>, add: bool, mut elements: Vec<Element>) {
    let (label, kind, flags) = if add { ("NFT_MSG_NEWSETELEM", NEWSETELEM, CREATE) } else { ("NFT_MSG_DELSETELEM", DELSETELEM, 0) };
    elements.sort_by_key(|element| element.set);
    for chunk in elements.chunk_by(|a, b| a.set == b.set).flat_map(|same| same.chunks(PER_MESSAGE)) {
        b.message(label, kind, flags, &table.family.header(), |m| {
            m.text(1, table.name).text(2, chunk[0].set).nest(3, |m| chunk.iter().fold(m, |m, one| one.write(m)))
        });
    }
}

impl Element {
    fn write<'a>(&self, m: &'a mut Batch) -> &'a mut Batch {
        m.nest(1, |m| {
            m.nest(1, |m| m.attr(1, &self.key));
            match &self.data {
                Data::None => m,
                Data::Chain(chain) => m.nest(2, |m| goto(m, chain)),
                Data::Bytes(bytes) => m.nest(2, |m| m.attr(1, bytes)),
            }
        })
    }
}

/// `[address .] protocol . port`, each part padded to a word.
fn key(front: &Front) -> Vec<u8> {
    match front {
        Front::Cluster(ip, protocol, port) | Front::External(ip, protocol, port) => full(*ip, *protocol, *port),
        Front::Node(protocol, port) => full(Ipv4Addr::UNSPECIFIED, *protocol, *port)[4..].to_vec(),
    }
}

/// `address . protocol . port`; a port of the node has no address.
pub(super) fn full_key(front: &Front) -> Vec<u8> {
    match front {
        Front::Cluster(ip, protocol, port) | Front::External(ip, protocol, port) => full(*ip, *protocol, *port),
        Front::Node(protocol, port) => full(Ipv4Addr::UNSPECIFIED, *protocol, *port),
    }
}

fn full(ip: Ipv4Addr, protocol: Protocol, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    [&ip.octets()[..], &[protocol.number(), 0, 0, 0], &[high, low, 0, 0]].concat()
}

fn place_key(front: &Front, at: u32) -> Vec<u8> {
    [full_key(front).as_slice(), &at.to_ne_bytes()].concat()
}

/// `address . port`.
pub(super) fn endpoint((ip, port): Endpoint) -> [u8; 8] {
    let ([a, b, c, d], [high, low]) = (ip.octets(), port.to_be_bytes());
    [a, b, c, d, high, low, 0, 0]
}

/// Reads one back.
pub(super) fn read_endpoint(bytes: &[u8]) -> Option<Endpoint> {
    let (ip, rest) = bytes.split_first_chunk::<4>()?;
    let (port, _) = rest.split_first_chunk::<2>()?;
    Some((Ipv4Addr::from(*ip), u16::from_be_bytes(*port)))
}
