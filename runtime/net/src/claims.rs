//! What outlives a process unless it is undone: addresses, names, ports, and the sockets that hold them.

use std::net::IpAddr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::attach::Undo;
use crate::conntrack;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::names::Name;
use crate::netlink::{NetlinkError, Socket};
use crate::nft::{self, Published};
use crate::port::{Port, Protocol, Reserved};

/// How often a port is chosen again that turns out to be a dead container's.
const CHOICES: u32 = 64;

/// One container's claims. Dropping withdraws its ports, then gives its addresses back: while elements lead to an address, its lease
/// says whose they are.
#[derive(Debug)]
pub(crate) struct Claims {
    /// The table of the network whose addresses the ports lead to.
    table: String,
    /// There until it is handed over.
    netfilter: Option<Socket>,
    published: Vec<Published>,
    reserved: Vec<Reserved>,
    names: Vec<Name>,
    leases: Vec<Lease>,
}

impl Drop for Claims {
    fn drop(&mut self) {
        let Some(netfilter) = &self.netfilter else { return };
        for batch in nft::remove(&self.table, &self.published) {
            let _ = send(netfilter, &batch, SendFlags::empty());
        }
    }
}

impl Claims {
    pub(crate) fn new(netfilter: Socket) -> Self {
        Claims {
            table: String::new(),
            netfilter: Some(netfilter),
            published: Vec::new(),
            reserved: Vec::new(),
            names: Vec::new(),
            leases: Vec::new(),
        }
    }

    /// The socket for nf_tables, until it is handed over.
    pub(crate) fn netfilter(&self) -> Result<&Socket> {
        let gone = || NetlinkError::new(sys::Error::new("sendto(netlink)", Errno::BADF));
        self.netfilter.as_ref().ok_or_else(|| Error::Netlink { what: "use nf_tables".into(), source: gone() })
    }

    /// Owns `leases` and `names` from now on.
    pub(crate) fn add(&mut self, leases: impl IntoIterator<Item = Lease>, names: Vec<Name>) {
        self.leases.extend(leases);
        self.names.extend(names);
    }

    /// The ports, each with the host port that was found.
    pub(crate) fn ports(&self) -> Vec<Port> {
        self.reserved.iter().map(|reserved| reserved.port).collect()
    }

    /// Reserves all ports, then lets them lead to the container's address `v4`, and those of IPv6 to `v6`. What is published on any address
    /// is published on those of IPv6, too, if the container has one.
    pub(crate) fn publish(&mut self, table: &str, v4: IpAddr, v6: Option<IpAddr>, ports: &[Port]) -> Result<()> {
        let Some(netfilter) = self.netfilter.as_ref().filter(|_| !ports.is_empty()) else { return Ok(()) };
        table.clone_into(&mut self.table);
        let (mut asked, mut reserved) = (Vec::new(), Vec::new());
        for port in ports {
            let to = if port.is_v6() { v6.ok_or_else(|| port.needs_v6())? } else { v4 };
            reserved.push(Reserved::bind(port)?);
            asked.push((*port, to));
            if let (Some(to), true) = (v6, port.is_any_v4()) {
                let twin = reserved[reserved.len() - 1].port.twin();
                reserved.push(match Reserved::bind(&twin) {
                    // The number was free for IPv4 only.
                    Err(Error::PortInUse { .. }) if port.host_port == 0 => Reserved::bind(&Port { host_port: 0, ..twin })?,
                    other => other?,
                });
                asked.push((Port { host_port: port.host_port, ..twin }, to));
            }
        }
        self.reserved = reserved;
        let mut attempts = 0;
        loop {
            let pairs = self.reserved.iter().zip(&asked);
            let published: Vec<_> = pairs.map(|(reserved, (_, to))| Published { port: reserved.port, to: *to }).collect();
            match nft::add(netfilter, &self.table, &published) {
                Ok(()) => {
                    self.published = published;
                    break;
                }
                Err((error, Some(taken))) if error.errno() == Errno::EXIST => {
                    attempts += 1;
                    match self.reserved.iter().position(|reserved| reserved.port == taken) {
                        // The new socket is bound before the old one closes: it cannot get the same port again.
                        Some(index) if asked[index].0.host_port == 0 && attempts < CHOICES => {
                            self.reserved[index] = Reserved::bind(&asked[index].0)?;
                        }
                        _ => return Err(taken.in_use()),
                    }
                }
                Err((source, _)) => return Err(Error::Netlink { what: "publish ports".into(), source }),
            }
        }
        for published in self.published.iter().filter(|published| published.port.protocol == Protocol::Udp) {
            // A kernel without ctnetlink keeps such flows until they time out: nothing to fail for.
            let _ = conntrack::forget(netfilter, &published.port);
        }
        Ok(())
    }

    /// Shows the reserved ports to others, once they lead to the container.
    pub(crate) fn listen(&self) -> Result<()> {
        self.reserved.iter().try_for_each(Reserved::listen)
    }

    /// Gives up ownership: the sockets to hold, that of nf_tables, and the rest as data.
    pub(crate) fn keep(mut self) -> (Vec<OwnedFd>, Option<OwnedFd>, Undo) {
        let mut undo = Undo { nftables: nft::remove(&self.table, &std::mem::take(&mut self.published)), ..Undo::default() };
        for (path, folder) in std::mem::take(&mut self.names).into_iter().map(Name::keep) {
            undo.unlink.push(path);
            undo.folders.push(folder);
        }
        undo.unlink.extend(std::mem::take(&mut self.leases).into_iter().map(Lease::keep));
        let sockets = std::mem::take(&mut self.reserved).into_iter().filter_map(|reserved| reserved.socket).collect();
        (sockets, self.netfilter.take().map(Socket::into_fd), undo)
    }
}
