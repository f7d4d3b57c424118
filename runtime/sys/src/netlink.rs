//! Netlink sockets (netlink(7)). rustix makes, sends and receives; what it lacks are the options of `SOL_NETLINK`.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use rustix::net::{AddressFamily, Protocol, SocketFlags, SocketType, socket_with};

use crate::{Call, Error, Result};

/// A netlink socket in the network namespace of the calling thread, whose error answers carry the kernel's own text and the place
/// of the attribute at fault (`NETLINK_EXT_ACK`, Linux 4.12). No protocol is `NETLINK_ROUTE`, which is 0.
pub fn socket(protocol: Option<Protocol>) -> Result<OwnedFd> {
    let family = AddressFamily::NETLINK;
    let socket = socket_with(family, SocketType::RAW, SocketFlags::CLOEXEC, protocol)
        .call(|| format!("socket(AF_NETLINK, SOCK_RAW, {})", protocol.map_or(0, |protocol| protocol.as_raw().get())))?;
    set(&socket, libc::NETLINK_EXT_ACK, "NETLINK_EXT_ACK")?;
    Ok(socket)
}

fn set(socket: impl AsFd, option: libc::c_int, name: &str) -> Result<()> {
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    // SAFETY: the option's value is an integer of the size given, and lives through the call.
    let done =
        unsafe { libc::setsockopt(socket.as_fd().as_raw_fd(), libc::SOL_NETLINK, option, std::ptr::from_ref(&on).cast(), size) };
    if done == 0 { Ok(()) } else { Err(Error::last(format!("setsockopt(SOL_NETLINK, {name})"))) }
}
