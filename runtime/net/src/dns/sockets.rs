//! The container's side: sockets in its namespace, and the rules that lead there.

use std::net::{TcpListener, UdpSocket};
use std::os::fd::OwnedFd;

use super::{ADDRESS, PORT};
use crate::error::{Error, Result};
use crate::netlink::route;
use crate::netlink::{Batch, NetlinkError, Socket};
use crate::nft;

/// Sockets that a container's queries come to. They do not block.
#[derive(Debug)]
pub struct Sockets {
    /// UDP.
    pub datagrams: OwnedFd,
    /// TCP, listening.
    pub connections: OwnedFd,
}

/// Opens them in the calling thread's namespace, which is new and the container's. `route` is a socket of it.
pub(crate) fn open(route: &Socket) -> Result<Sockets> {
    let failed = |source: NetlinkError| Error::Netlink { what: "make the resolver's sockets".into(), source };
    let mut batch = Batch::new();
    // Its addresses come with it.
    route::up(&mut batch, "RTM_NEWLINK lo up", 1);
    route.transact(batch.acknowledge()).map_err(failed)?;
    let bound = |call: &str, error: std::io::Error| Error::System {
        what: "make the resolver's sockets".into(),
        source: sys::Error::new(
            format!("{call}({ADDRESS}:{PORT})"),
            rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::IO),
        ),
    };
    let datagrams = UdpSocket::bind((ADDRESS, PORT)).map_err(|error| bound("bind", error))?;
    datagrams.set_nonblocking(true).map_err(|error| bound("ioctl", error))?;
    let connections = TcpListener::bind((ADDRESS, PORT)).map_err(|error| bound("listen", error))?;
    connections.set_nonblocking(true).map_err(|error| bound("ioctl", error))?;
    nft::redirect(&nft::open("resolver")?, ADDRESS, PORT).map_err(failed)?;
    Ok(Sockets { datagrams: datagrams.into(), connections: connections.into() })
}
