//! A node's side: sockets at the gateway's address, where all pods of the node ask.
//!
//! Port 53 of the address is left alone, as in containers: a name server of the host that listens on all addresses, or a published port 53,
//! would be in the way (podman issues 15452 and 23226). The table of services translates ([`crate::services`]).

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::server::{Resolver, Token};
use super::{PORT, Sockets};
use crate::error::{Error, Result};

/// Opens the sockets of a node.
///
/// # Errors
/// The address is not this host's, or another program has the port.
pub fn open(gateway: Ipv4Addr) -> Result<Sockets> {
    let failed = |call: &str, error: std::io::Error| Error::System {
        what: "make the sockets of the node's resolver".into(),
        source: sys::Error::new(format!("{call}({gateway}:{PORT})"), Errno::from_io_error(&error).unwrap_or(Errno::IO)),
    };
    let datagrams = UdpSocket::bind((gateway, PORT)).map_err(|error| failed("bind", error))?;
    datagrams.set_nonblocking(true).map_err(|error| failed("ioctl", error))?;
    let connections = TcpListener::bind((gateway, PORT)).map_err(|error| failed("listen", error))?;
    connections.set_nonblocking(true).map_err(|error| failed("ioctl", error))?;
    Ok(Sockets { datagrams: datagrams.into(), connections: connections.into() })
}

/// Serves until `stop` can be read. Meant for a thread of its own.
///
/// # Errors
/// Waiting fails.
pub fn serve(mut resolver: Resolver, stop: BorrowedFd<'_>) -> sys::Result<()> {
    loop {
        let now = Instant::now();
        resolver.sweep(now);
        let left = resolver.due().map_or(Duration::from_secs(3600), |due| due.saturating_duration_since(now));
        let mut tokens = Vec::new();
        let ready: Vec<Token> = {
            let mut waits = vec![PollFd::from_borrowed_fd(stop, PollFlags::IN)];
            resolver.watch(|token, fd, writes| {
                tokens.push(token);
                waits.push(PollFd::from_borrowed_fd(fd, if writes { PollFlags::OUT } else { PollFlags::IN }));
            });
            // Past the moment rather than just before it.
            let timeout = Timespec::try_from(left + Duration::from_millis(1)).ok();
            match poll(&mut waits, timeout.as_ref()) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(errno) => return Err(sys::Error::new("poll", errno)),
            }
            if !waits[0].revents().is_empty() {
                return Ok(());
            }
            waits[1..].iter().zip(&tokens).filter(|(wait, _)| !wait.revents().is_empty()).map(|(_, token)| *token).collect()
        };
        let now = Instant::now();
        for token in ready {
            resolver.ready(token, now);
        }
    }
}
