//! Bringing the loopback interface of a new network namespace up.

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};
use sys::Call;

use crate::Failure;
use crate::failure::During;
use crate::netlink::{RTM_NEWLINK, Request};
use crate::network::link;

/// A namespace's loopback interface is made with it and always has the index 1.
const LOOPBACK: u32 = 1;

/// Brings it up.
pub(crate) fn up() -> Result<(), Failure> {
    // Every start does this: no options. NETLINK_ROUTE is protocol 0.
    socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)
        .call(|| "socket(AF_NETLINK)")
        .and_then(|socket| Request::new("RTM_NEWLINK(lo, IFF_UP)", RTM_NEWLINK, 0, &link(LOOPBACK, true)).ask(&socket, |_| {}))
        .during(|| "bring lo up")
}
