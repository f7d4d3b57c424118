//! Hearing that somebody else has changed the table: `nft flush ruleset`, a firewall that loads its rules anew.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, bind, recv};
use sys::Call;

use crate::error::{Error, Result};
use crate::netlink::{NetlinkError, find, messages, text};

/// `1 << (NFNLGRP_NFTABLES - 1)`.
const GROUP: u32 = 1 << 6;

/// What the kernel says of changes to nf_tables. It never blocks.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    table: String,
}

impl Watch {
    /// Listens from now on.
    ///
    /// # Errors
    /// The kernel has no netfilter.
    pub fn open(table: &str) -> Result<Watch> {
        let open = || {
            let socket = sys::netlink::socket(Some(rustix::net::netlink::NETFILTER))?;
            bind(&socket, &SocketAddrNetlink::new(0, GROUP)).call(|| "bind(netlink, NFNLGRP_NFTABLES)".to_owned())?;
            Ok(socket)
        };
        let socket = open().map_err(|source| Error::Netlink {
            what: "listen for changes of nf_tables".to_owned(),
            source: NetlinkError::new(source),
        })?;
        Ok(Watch { socket, table: table.to_owned() })
    }

    /// Reads what was said since the last time. Whether somebody but `own`, which is [`super::Services::port`], may have changed the table.
    pub fn changed(&mut self, own: u32) -> bool {
        let mut changed = false;
        let mut buffer = vec![0_u8; 64 << 10];
        loop {
            match recv(&self.socket, buffer.as_mut_slice(), RecvFlags::DONTWAIT) {
                Ok((length, _)) => {
                    changed |= messages(&buffer[..length]).any(|message| {
                        // The first attribute of every object but a generation names its table.
                        let table = message.body.get(4..).and_then(|attrs| find(attrs, 1)).map_or("", text);
                        message.port != own && message.kind & 0xff != 15 && table == self.table
                    });
                }
                Err(Errno::INTR) => {}
                // More was said than fits.
                Err(Errno::NOBUFS) => changed = true,
                Err(_) => return changed,
            }
        }
    }
}

impl AsRawFd for Watch {
    fn as_raw_fd(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
