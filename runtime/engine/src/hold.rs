//! Sockets that hold published ports, on their way to the monitor.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use sys::socket;

/// As many go each by itself.
const FEW: usize = 64;
/// As many are in one message, of which a queue then has hundreds.
const PART: usize = 250;

/// One descriptor for many sockets: they wait in the queue of a socket that nobody reads, bound as long as that one is open. A message has room
/// for 253 descriptors (unix(7)), and a container may publish tens of thousands of ports.
///
/// # Errors
/// The queue takes no more.
pub(crate) fn packed(sockets: Vec<OwnedFd>) -> sys::Result<Vec<OwnedFd>> {
    if sockets.len() <= FEW {
        return Ok(sockets);
    }
    let (queue, end) = socket::pair()?;
    for part in sockets.chunks(PART) {
        socket::send(&end, b"ports", &part.iter().map(AsFd::as_fd).collect::<Vec<BorrowedFd<'_>>>())?;
    }
    Ok(vec![queue])
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn ports_are_held_by_one_descriptor() {
        let listeners: Vec<_> = (0..FEW + PART + 1).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let addresses: Vec<_> = listeners.iter().map(|listener| listener.local_addr().unwrap()).collect();
        let held = packed(listeners.into_iter().map(OwnedFd::from).collect()).unwrap();
        assert_eq!(held.len(), 1);
        assert!(addresses.iter().all(|address| TcpListener::bind(address).is_err()), "a port is free");
        assert!(TcpStream::connect(addresses[0]).is_ok() && TcpStream::connect(addresses[FEW + PART]).is_ok());
        drop(held);
        assert!(addresses.iter().any(|address| TcpListener::bind(address).is_ok()), "no port is free");
        assert_eq!(packed(vec![TcpListener::bind("127.0.0.1:0").unwrap().into()]).unwrap().len(), 1);
    }
}
