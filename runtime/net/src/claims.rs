//! What outlives a process unless it is undone: an address, ports, and the sockets that hold them.

use std::net::Ipv4Addr;
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::{SendFlags, send};

use crate::attach::Undo;
use crate::conntrack;
use crate::error::{Error, Result};
use crate::lease::Lease;
use crate::netlink::Socket;
use crate::nft::{self, Published};
use crate::port::{Port, Protocol, Reserved};

/// How often a port is chosen again that turns out to be a dead container's.
const CHOICES: u32 = 64;

/// One container's claims. Dropping withdraws its ports, then gives its address back: while elements lead to an address, its lease
/// says whose they are.
#[derive(Debug)]
pub(crate) struct Claims {
    table: String,
    /// There until it is handed over.
    netfilter: Option<Socket>,
    published: Vec<Published>,
    reserved: Vec<Reserved>,
    /// There until it is handed over.
    lease: Option<Lease>,
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
    /// Owns `lease` from now on.
    pub(crate) fn new(table: &str, netfilter: Socket, lease: Lease) -> Self {
        let netfilter = Some(netfilter);
        Claims { table: table.to_owned(), netfilter, published: Vec::new(), reserved: Vec::new(), lease: Some(lease) }
    }

    /// The ports, each with the host port that was found.
    pub(crate) fn ports(&self) -> Vec<Port> {
        self.reserved.iter().map(|reserved| reserved.port).collect()
    }

    /// Reserves all ports, then lets them lead to `to`.
    pub(crate) fn publish(&mut self, to: Ipv4Addr, ports: &[Port]) -> Result<()> {
        let Some(netfilter) = self.netfilter.as_ref().filter(|_| !ports.is_empty()) else { return Ok(()) };
        for port in ports {
            self.reserved.push(Reserved::bind(port)?);
        }
        let mut attempts = 0;
        loop {
            let published: Vec<_> = self.reserved.iter().map(|reserved| Published { port: reserved.port, to }).collect();
            match nft::add(netfilter, &self.table, &published) {
                Ok(()) => {
                    self.published = published;
                    break;
                }
                Err((error, Some(taken))) if error.errno() == Errno::EXIST => {
                    attempts += 1;
                    match self.reserved.iter().position(|reserved| reserved.port == taken) {
                        // The new socket is bound before the old one closes: it cannot get the same port again.
                        Some(index) if ports[index].host_port == 0 && attempts < CHOICES => {
                            self.reserved[index] = Reserved::bind(&ports[index])?;
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
        let undo = Undo {
            nftables: nft::remove(&self.table, &std::mem::take(&mut self.published)),
            unlink: self.lease.take().map(Lease::keep).into_iter().collect(),
        };
        let sockets = std::mem::take(&mut self.reserved).into_iter().map(|reserved| reserved.socket).collect();
        (sockets, self.netfilter.take().map(Socket::into_fd), undo)
    }
}
