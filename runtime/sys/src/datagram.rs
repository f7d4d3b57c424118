//! Datagrams that say to which address of this host they came (`IPV6_PKTINFO`: RFC 3542, section 6; ipv6(7)), so that who answers can answer
//! from there. The kernel's own choice goes by route, and whoever has asked one address takes no answer from another.

use std::mem::{MaybeUninit, size_of};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

use rustix::io::Errno;

use crate::{Error, Result};

/// An address of this host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Here {
    /// The address.
    pub address: Ipv6Addr,
    /// The interface's number, if the address is of one interface alone (link-local); otherwise 0.
    pub interface: u32,
}

/// What a socket of IPv6 receives says from now on where it came to.
///
/// # Errors
/// `ENOPROTOOPT` for a socket of another family.
pub fn tell_here(socket: impl AsFd) -> Result<()> {
    let on: libc::c_int = 1;
    let size = size_of_val(&on) as libc::socklen_t;
    let socket = socket.as_fd().as_raw_fd();
    // SAFETY: the option's value is an integer of the size given, and lives through the call.
    let done = unsafe { libc::setsockopt(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, ptr::from_ref(&on).cast(), size) };
    if done == 0 { Ok(()) } else { Err(Error::last("setsockopt(IPPROTO_IPV6, IPV6_RECVPKTINFO)")) }
}

/// Room for the one message that is asked for, aligned as one.
#[repr(C)]
union Control {
    _aligned: libc::cmsghdr,
    bytes: [u8; 64],
}

const EMPTY: Control = Control { bytes: [0; 64] };

/// Receives a datagram without waiting: its length, who sent it, and where it came to, if the socket was told to say so.
///
/// # Errors
/// `EAGAIN` when there is none, `EAFNOSUPPORT` for one of another family than IP, and what happened to one that was sent.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> std::result::Result<(usize, SocketAddr, Option<Here>), Errno> {
    let mut name = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let mut part = libc::iovec { iov_base: buffer.as_mut_ptr().cast(), iov_len: buffer.len() };
    let mut control = EMPTY;
    // SAFETY: a structure of integers and pointers, for which zero is a value.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = name.as_mut_ptr().cast();
    header.msg_namelen = size_of::<libc::sockaddr_storage>() as libc::socklen_t;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = (&raw mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: everything the header points to is ours, of the sizes given, and outlives the call.
    let length = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut header, libc::MSG_DONTWAIT) };
    let length = usize::try_from(length).map_err(|_| last())?;
    // SAFETY: zeros were there before, and the kernel writes bytes: any are a value of this structure of integers.
    let from = address(unsafe { name.assume_init_ref() }).ok_or(Errno::AFNOSUPPORT)?;
    Ok((length, from, here(&header)))
}

/// Sends a datagram without waiting, from the address `from` if there is one. The route is the kernel's choice, unless that has an interface.
///
/// # Errors
/// `EINVAL` when the host has the address `from` no more, `EAGAIN` when there is no room, and those of sendmsg(2).
pub fn send(socket: impl AsFd, bytes: &[u8], to: &SocketAddr, from: Option<Here>) -> std::result::Result<usize, Errno> {
    let (mut name, length) = raw(to);
    let mut part = libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() };
    let mut control = EMPTY;
    // SAFETY: as above.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_name = (&raw mut name).cast();
    header.msg_namelen = length;
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    if let Some(Here { address, interface }) = from {
        let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: address.octets() }, ipi6_ifindex: interface };
        let size = size_of::<libc::in6_pktinfo>() as u32;
        header.msg_control = (&raw mut control).cast();
        // SAFETY: arithmetic.
        header.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as _;
        // SAFETY: the control buffer is aligned as a header, and has room for one with this content (asserted below), so that neither
        // pointer is null or leaves it.
        unsafe {
            let first = libc::CMSG_FIRSTHDR(&raw const header);
            (*first).cmsg_level = libc::IPPROTO_IPV6;
            (*first).cmsg_type = libc::IPV6_PKTINFO;
            (*first).cmsg_len = libc::CMSG_LEN(size) as _;
            libc::CMSG_DATA(first).cast::<libc::in6_pktinfo>().write_unaligned(info);
        }
    }
    let flags = libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL;
    // SAFETY: everything the header points to is ours, of the sizes given, and outlives the call; the kernel only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, flags) };
    usize::try_from(sent).map_err(|_| last())
}

// SAFETY: arithmetic.
const _: () = assert!(unsafe { libc::CMSG_SPACE(size_of::<libc::in6_pktinfo>() as u32) } as usize <= size_of::<Control>());

fn last() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::IO)
}

/// The message that says where a datagram came to, if it is there.
fn here(header: &libc::msghdr) -> Option<Here> {
    // SAFETY: the kernel has set the length of the control buffer behind `header`, which lives in the caller, to what it wrote there; these
    // macros stay within that, and the content is read whole only if its header says that it is whole.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            let whole = message.cmsg_len >= libc::CMSG_LEN(size_of::<libc::in6_pktinfo>() as u32) as usize;
            if (message.cmsg_level, message.cmsg_type, whole) == (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, true) {
                let info = libc::CMSG_DATA(next).cast::<libc::in6_pktinfo>().read_unaligned();
                let address = Ipv6Addr::from(info.ipi6_addr.s6_addr);
                let interface = if address.is_unicast_link_local() { info.ipi6_ifindex } else { 0 };
                return Some(Here { address, interface });
            }
            next = libc::CMSG_NXTHDR(header, next);
        }
    }
    None
}

/// An address as the kernel writes it.
fn address(name: &libc::sockaddr_storage) -> Option<SocketAddr> {
    let at = ptr::from_ref(name);
    match libc::c_int::from(name.ss_family) {
        libc::AF_INET => {
            // SAFETY: the family says that this is what the storage holds, which has room and alignment for it.
            let v4 = unsafe { &*at.cast::<libc::sockaddr_in>() };
            Some(SocketAddrV4::new(Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr)), u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 => {
            // SAFETY: as above.
            let v6 = unsafe { &*at.cast::<libc::sockaddr_in6>() };
            let (address, port) = (Ipv6Addr::from(v6.sin6_addr.s6_addr), u16::from_be(v6.sin6_port));
            Some(SocketAddrV6::new(address, port, v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        _ => None,
    }
}

/// An address as the kernel reads it, and its length.
fn raw(address: &SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
    let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
    let length = match address {
        SocketAddr::V4(v4) => {
            let raw = libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
                sin_zero: [0; 8],
            };
            // SAFETY: the storage has room and alignment for every kind of address.
            unsafe { storage.as_mut_ptr().cast::<libc::sockaddr_in>().write(raw) };
            size_of::<libc::sockaddr_in>()
        }
        SocketAddr::V6(v6) => {
            let raw = libc::sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            };
            // SAFETY: as above.
            unsafe { storage.as_mut_ptr().cast::<libc::sockaddr_in6>().write(raw) };
            size_of::<libc::sockaddr_in6>()
        }
    };
    // SAFETY: integers that were zero, and an address over them.
    (unsafe { storage.assume_init() }, length as libc::socklen_t)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn who_is_asked_answers() {
        // All of 127.0.0.0/8 is here; the mapped form of its addresses lets one host have several of IPv6.
        let server = UdpSocket::bind("[::]:0").unwrap();
        tell_here(&server).unwrap();
        let port = server.local_addr().unwrap().port();
        let mut buffer = [0; 16];
        assert_eq!(receive(&server, &mut buffer).unwrap_err(), Errno::AGAIN);
        for (asked, from) in [("::1", "::1"), ("127.0.0.9", "::ffff:127.0.0.9")] {
            let client = UdpSocket::bind(if asked == "::1" { "[::]:0" } else { "0.0.0.0:0" }).unwrap();
            client.connect((asked, port)).unwrap();
            client.send(b"who?").unwrap();
            let (length, who, here) = receive(&server, &mut buffer).unwrap();
            assert_eq!((&buffer[..length], here.unwrap().address), (&b"who?"[..], from.parse().unwrap()));
            assert_eq!(send(&server, b"me", &who, here), Ok(2));
            // It is connected, so it hears only whom it asked.
            client.set_read_timeout(Some(std::time::Duration::from_secs(60))).unwrap();
            assert_eq!((client.recv(&mut buffer).unwrap(), &buffer[..2]), (2, &b"me"[..]));
            let gone = Here { address: "2001:db8::77".parse().unwrap(), interface: 0 };
            if asked == "::1" {
                assert_eq!(send(&server, b"me", &who, Some(gone)).unwrap_err(), Errno::INVAL);
            }
        }
    }

    #[test]
    fn of_the_older_family_too() {
        let (server, client) = (UdpSocket::bind("127.0.0.1:0").unwrap(), UdpSocket::bind("127.0.0.1:0").unwrap());
        client.connect(server.local_addr().unwrap()).unwrap();
        client.send(b"who?").unwrap();
        let mut buffer = [0; 16];
        let (length, who, here) = receive(&server, &mut buffer).unwrap();
        assert_eq!((length, who, here), (4, client.local_addr().unwrap(), None));
        assert_eq!(send(&server, b"me", &who, None), Ok(2));
        assert_eq!(client.recv(&mut buffer).unwrap(), 2);
        assert_eq!(tell_here(&server).unwrap_err().errno(), Errno::NOPROTOOPT);
    }
}
