//! Clients that stay with their endpoints: elements that the rules make.

use std::net::Ipv4Addr;

use rustix::io::Errno;

use super::elements::{PER_MESSAGE, endpoint, full_key, read_endpoint};
use super::steps::CLIENTS;
use super::{Back, Endpoint, Front, RuleSet};
use crate::netlink::{Batch, CREATE, DUMP, NetlinkError, Socket, attributes, find};
use crate::nft::{self, DELSETELEM, GETSETELEM, NEWSETELEM, Table};
use crate::port::Protocol;

/// A client and its endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Client {
    /// `saddr . daddr . proto . port`.
    key: [u8; 16],
    to: Endpoint,
    /// Milliseconds from the last connection on, and those that are left.
    timeout: [u8; 8],
    left: [u8; 8],
}

impl Client {
    /// Whether the client would be sent there still.
    pub(super) fn is_right(&self, set: &RuleSet) -> bool {
        let Some(protocol) = Protocol::numbered(self.key[8]) else { return false };
        let ip = Ipv4Addr::new(self.key[4], self.key[5], self.key[6], self.key[7]);
        let port = u16::from_be_bytes([self.key[12], self.key[13]]);
        let fronts = match ip.is_unspecified() {
            true => vec![Front::Node(protocol, port)],
            false => vec![Front::Cluster(ip, protocol, port), Front::External(ip, protocol, port)],
        };
        debug_assert!(fronts.iter().all(|front| full_key(front) == self.key[4..]));
        let milliseconds = u64::from_be_bytes(self.timeout);
        fronts.iter().filter_map(|front| set.fronts.get(front)).any(|back| match back {
            Back::To(endpoints, Some(seconds)) => endpoints.contains(&self.to) && u64::from(*seconds) * 1000 == milliseconds,
            _ => false,
        })
    }
}

/// Those that are remembered; none where there is no table.
pub(super) fn read(socket: &Socket, table: Table<'_>) -> Result<Vec<Client>, NetlinkError> {
    let mut request = Batch::new();
    let header = table.family.header();
    request.message("NFT_MSG_GETSETELEM", GETSETELEM, DUMP, &header, |m| m.text(1, table.name).text(2, CLIENTS));
    let list = |message: crate::netlink::Message<'_>| {
        let elements = attributes(find(message.body.get(4..)?, 3)?).filter_map(|(_, element)| client(element));
        Some(elements.collect::<Vec<_>>())
    };
    match socket.dump(&request, list) {
        Ok(lists) => Ok(lists.into_iter().flatten().collect()),
        Err(error) if error.errno() == Errno::NOENT => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn client(element: &[u8]) -> Option<Client> {
    let key = find(find(element, 1)?, 1)?.try_into().ok()?;
    let to = read_endpoint(find(find(element, 2)?, 1)?)?;
    // NFTA_SET_ELEM_TIMEOUT and NFTA_SET_ELEM_EXPIRATION.
    Some(Client { key, to, timeout: find(element, 4)?.try_into().ok()?, left: find(element, 5)?.try_into().ok()? })
}

/// Appends clients, with the time that they have left.
pub(super) fn write<'a>(b: &mut Batch, table: Table<'_>, clients: impl Iterator<Item = &'a Client>) {
    let clients: Vec<&Client> = clients.collect();
    for chunk in clients.chunks(PER_MESSAGE) {
        b.message("NFT_MSG_NEWSETELEM", NEWSETELEM, CREATE, &table.family.header(), |m| {
            m.text(1, table.name).text(2, CLIENTS).nest(3, |m| {
                chunk.iter().fold(m, |m, one| {
                    m.nest(1, |m| {
                        m.nest(1, |m| m.attr(1, &one.key)).nest(2, |m| m.attr(1, &endpoint(one.to)));
                        m.attr(4, &one.timeout).attr(5, &one.left)
                    })
                })
            })
        });
    }
}

/// Forgets clients whose endpoint is no longer one of their front's.
pub(super) fn forget(socket: &Socket, table: Table<'_>, set: &RuleSet) -> Result<(), NetlinkError> {
    for client in read(socket, table)?.iter().filter(|client| !client.is_right(set)) {
        let request = nft::batch(None, |b| {
            b.message("NFT_MSG_DELSETELEM", DELSETELEM, 0, &table.family.header(), |m| {
                m.text(1, table.name).text(2, CLIENTS).nest(3, |m| m.nest(1, |m| m.nest(1, |m| m.attr(1, &client.key))))
            });
        });
        match socket.transact(&request) {
            // Its time was over meanwhile.
            Err(error) if error.errno() == Errno::NOENT => {}
            other => other?,
        }
    }
    Ok(())
}
