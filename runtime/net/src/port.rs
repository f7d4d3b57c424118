//! Published ports.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::set_socket_reuseaddr;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// Transport protocol of a published port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        })
    }
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// The address of the host to publish on; `None` or `0.0.0.0` for any.
    pub host_ip: Option<Ipv4Addr>,
    /// The host's port; 0 for any free one.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// Protocol of both.
    pub protocol: Protocol,
}

impl Port {
    /// The address as a socket wants it: `0.0.0.0` for any.
    fn address(&self) -> Ipv4Addr {
        self.host_ip.unwrap_or(Ipv4Addr::UNSPECIFIED)
    }

    /// This port belongs to somebody else.
    pub(crate) fn in_use(&self) -> Error {
        Error::PortInUse { protocol: self.protocol, ip: self.address(), port: self.host_port }
    }
}

/// A host port that is ours: a socket bound in the host's namespace. It never serves: packets are translated before they
/// reach it. Other programs meet it as `EADDRINUSE`, and `ss -l` shows it.
#[derive(Debug)]
pub(crate) struct Reserved {
    pub(crate) socket: OwnedFd,
    /// The port as it is: with its number, and without an address if that is `0.0.0.0`.
    pub(crate) port: Port,
}

impl Reserved {
    /// Reserves a port. TCP binds with `SO_REUSEADDR`: connections of an earlier server that linger in TIME_WAIT do not matter, while
    /// a listening socket still does (ip(7), tcp(7)). UDP binds without: there the option would let both have the port.
    pub(crate) fn bind(asked: &Port) -> Result<Self> {
        let mut port = Port { host_ip: asked.host_ip.filter(|ip| !ip.is_unspecified()), ..*asked };
        let kind = match port.protocol {
            Protocol::Tcp => SocketType::STREAM,
            Protocol::Udp => SocketType::DGRAM,
        };
        let failed = |call: &str, errno| port.failed(call, errno);
        let socket =
            socket_with(AddressFamily::INET, kind, SocketFlags::CLOEXEC, None).map_err(|errno| failed("socket(AF_INET)", errno))?;
        if port.protocol == Protocol::Tcp {
            set_socket_reuseaddr(&socket, true).map_err(|errno| failed("setsockopt(SO_REUSEADDR)", errno))?;
        }
        let address = SocketAddrV4::new(port.address(), port.host_port);
        bind(&socket, &address).map_err(|errno| failed("bind", errno))?;
        if port.host_port == 0 {
            let found = getsockname(&socket).and_then(SocketAddrV4::try_from).map_err(|errno| failed("getsockname", errno))?;
            port.host_port = found.port();
        }
        Ok(Reserved { socket, port })
    }

    /// Makes a TCP port a listening one: two such sockets cannot be, whatever options they have. Done last, when connections are
    /// translated already, so that none is accepted here and left waiting.
    pub(crate) fn listen(&self) -> Result<()> {
        match self.port.protocol {
            Protocol::Tcp => listen(&self.socket, 0).map_err(|errno| self.port.failed("listen", errno)),
            Protocol::Udp => Ok(()),
        }
    }
}

impl Port {
    fn failed(&self, call: &str, errno: Errno) -> Error {
        let (protocol, ip, port) = (self.protocol, self.address(), self.host_port);
        match errno {
            Errno::ADDRINUSE => self.in_use(),
            Errno::ADDRNOTAVAIL => Error::NoSuchAddress { protocol, ip, port },
            _ => Error::Reserve { protocol, ip, port, source: sys::Error::new(format!("{call}({ip}:{port})"), errno) },
        }
    }
}
