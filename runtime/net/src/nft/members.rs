//! The addresses of a cluster's nodes: a set in the network's table.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::{DELSETELEM, Family, GETSETELEM, MEMBERS, NEWSET, NEWSETELEM, Table, batch};
use crate::netlink::{Batch, CREATE, DUMP, EXCL, NetlinkError, Socket, address, attributes, find};

/// Elements of one message.
const PER_MESSAGE: usize = 256;
/// `ipv4_addr`, as nft(8) numbers types.
const ADDRESS: u32 = 7;

/// Makes the set, within the batch that makes the table.
pub(super) fn set(b: &mut Batch, table: Table<'_>) {
    b.message("NFT_MSG_NEWSET nodes", NEWSET, CREATE | EXCL, &table.family.header(), |m| {
        m.text(1, table.name).text(2, MEMBERS).be(3, 0).be(4, ADDRESS).be(5, 4).be(10, 3)
    });
}

/// Who is in it; nobody if there is no such set.
pub(crate) fn list(socket: &Socket, table: &str) -> Result<BTreeSet<Ipv4Addr>, NetlinkError> {
    let mut request = Batch::new();
    request.message("NFT_MSG_GETSETELEM", GETSETELEM, DUMP, &Family::V4.header(), |m| m.text(1, table).text(2, MEMBERS));
    let key = |element: &[u8]| address(find(find(element, 1)?, 1)?);
    let read = |message: crate::netlink::Message<'_>| {
        let list = find(message.body.get(4..)?, 3)?;
        Some(attributes(list).filter_map(|(_, element)| key(element)).collect::<Vec<_>>())
    };
    match socket.dump(&request, read) {
        Ok(lists) => Ok(lists.into_iter().flatten().collect()),
        Err(error) if error.errno() == Errno::NOENT => Ok(BTreeSet::new()),
        Err(error) => Err(error),
    }
}

/// Takes some out and puts others in, all at once.
pub(crate) fn change(socket: &Socket, table: &str, out: &[Ipv4Addr], new: &[Ipv4Addr]) -> Result<(), NetlinkError> {
    if out.is_empty() && new.is_empty() {
        return Ok(());
    }
    let request = batch(None, |b| {
        for (label, kind, flags, addresses) in
            [("NFT_MSG_DELSETELEM", DELSETELEM, 0, out), ("NFT_MSG_NEWSETELEM", NEWSETELEM, CREATE, new)]
        {
            for chunk in addresses.chunks(PER_MESSAGE) {
                b.message(label, kind, flags, &Family::V4.header(), |m| {
                    let element = |m: &mut Batch, address: &Ipv4Addr| {
                        m.nest(1, |m| m.nest(1, |m| m.attr(1, &address.octets())));
                    };
                    m.text(1, table).text(2, MEMBERS).nest(3, |m| {
                        chunk.iter().for_each(|address| element(m, address));
                        m
                    })
                });
            }
        }
    });
    socket.transact(&request)
}
