//! Bringing the loopback interface of a new network namespace up: one rtnetlink message (rtnetlink(7)).

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with};
use sys::{Call, Error};

use crate::Failure;
use crate::failure::During;

const RTM_NEWLINK: u16 = 16;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLMSG_ERROR: u16 = 2;
const IFF_UP: u32 = 1;

/// A namespace's loopback interface is made with it and always has the index 1.
const LOOPBACK: u32 = 1;

/// `nlmsghdr` and `ifinfomsg`: set IFF_UP on the loopback interface, and answer.
fn request() -> [u8; 32] {
    let mut message = [0; 32];
    message[..4].copy_from_slice(&32u32.to_ne_bytes());
    message[4..6].copy_from_slice(&RTM_NEWLINK.to_ne_bytes());
    message[6..8].copy_from_slice(&(NLM_F_REQUEST | NLM_F_ACK).to_ne_bytes());
    message[20..24].copy_from_slice(&LOOPBACK.to_ne_bytes());
    message[24..28].copy_from_slice(&IFF_UP.to_ne_bytes());
    message[28..32].copy_from_slice(&IFF_UP.to_ne_bytes());
    message
}

/// Brings it up.
pub(crate) fn up() -> Result<(), Failure> {
    try_up().during(|| "bring lo up")
}

fn try_up() -> sys::Result<()> {
    // NETLINK_ROUTE is protocol 0.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None).call(|| "socket(AF_NETLINK)")?;
    send(&socket, &request(), SendFlags::empty()).call(|| "send(RTM_NEWLINK)")?;
    let mut answer = [0; 256];
    let (length, _) = recv(&socket, &mut answer[..], RecvFlags::empty()).call(|| "recv(RTM_NEWLINK)")?;
    let (kind, error) = (&answer[4..6], [answer[16], answer[17], answer[18], answer[19]]);
    if length < 20 || kind != NLMSG_ERROR.to_ne_bytes() {
        return Err(Error::new("recv(RTM_NEWLINK)", Errno::BADMSG));
    }
    match i32::from_ne_bytes(error) {
        0 => Ok(()),
        error => Err(Error::new("RTM_NEWLINK(lo, IFF_UP)", Errno::from_raw_os_error(-error))),
    }
}
