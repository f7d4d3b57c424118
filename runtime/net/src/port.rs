//! Published ports.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use rustix::io::Errno;
use rustix::net::sockopt::{set_ipv6_v6only, set_socket_reuseaddr};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, ipproto, listen, socket_with};
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
    /// SCTP.
    Sctp,
}

impl Protocol {
    /// As in a packet's header.
    pub(crate) fn number(self) -> u8 {
        match self {
            Protocol::Tcp => 6,
            Protocol::Udp => 17,
            Protocol::Sctp => 132,
        }
    }

    pub(crate) fn numbered(number: u8) -> Option<Protocol> {
        [Protocol::Tcp, Protocol::Udp, Protocol::Sctp].into_iter().find(|protocol| protocol.number() == number)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        })
    }
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Port {
    /// The address of the host to publish on; `None` or `0.0.0.0` for any of IPv4, `::` for any of IPv6.
    pub host_ip: Option<IpAddr>,
    /// The host's port; 0 for any free one.
    pub host_port: u16,
    /// The container's port.
    pub container_port: u16,
    /// Protocol of both.
    pub protocol: Protocol,
}

impl Port {
    /// A port of the container as an image exposes it, such as `8080/tcp`, on any free port of the host.
    pub fn exposed(text: &str) -> Option<Port> {
        let (number, protocol) = text.split_once('/').unwrap_or((text, "tcp"));
        let all = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];
        let protocol = all.into_iter().find(|known| known.to_string() == protocol)?;
        let container_port = number.parse().ok().filter(|port| *port > 0)?;
        Some(Port { host_ip: None, host_port: 0, container_port, protocol })
    }

    /// The address as a socket wants it: `0.0.0.0` for any.
    fn address(&self) -> IpAddr {
        self.host_ip.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }

    /// Where rules for packets lead what comes here, in a container with these addresses.
    pub fn by_rules(&self, v4: IpAddr, v6: Option<IpAddr>) -> Option<IpAddr> {
        match self.host_ip {
            Some(ip) if ip == IpAddr::V6(Ipv6Addr::LOCALHOST) => None,
            Some(IpAddr::V6(_)) => v6,
            _ => Some(v4),
        }
    }

    /// The same for any address of IPv6.
    pub(crate) fn twin(&self) -> Port {
        Port { host_ip: Some(IpAddr::V6(Ipv6Addr::UNSPECIFIED)), ..*self }
    }

    /// Nothing leads from here to a container.
    pub(crate) fn unreachable(&self) -> Error {
        let (protocol, port) = (self.protocol, self.container_port);
        match self.address() {
            IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                let why = match protocol {
                    Protocol::Sctp => "and SCTP is not relayed; use 127.0.0.1",
                    _ => "and nobody relays it here; use 127.0.0.1",
                };
                Error::LoopbackV6 { protocol, port, why }
            }
            ip => Error::NoV6 { protocol, ip, port },
        }
    }

    /// This port belongs to somebody else.
    pub(crate) fn in_use(&self) -> Error {
        Error::PortInUse { protocol: self.protocol, ip: self.address(), port: self.host_port }
    }
}

/// A host port that is ours: a socket bound in the host's namespace. Packets are translated before they reach it, unless the port is relayed.
/// Other programs meet it as `EADDRINUSE`, and `ss -l` shows it.
#[derive(Debug)]
pub(crate) struct Reserved {
    /// None for SCTP where the kernel lacks it: then no program of the host can have the port either.
    pub(crate) socket: Option<OwnedFd>,
    /// The port as it is: with its number, and without an address if that is `0.0.0.0`.
    pub(crate) port: Port,
}

impl Reserved {
    /// Reserves a port. TCP binds with `SO_REUSEADDR`: connections of an earlier server that linger in TIME_WAIT do not matter, while
    /// a listening socket still does (ip(7), tcp(7)). UDP binds without: there the option would let both have the port.
    pub(crate) fn bind(asked: &Port) -> Result<Self> {
        let any = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        let mut port = Port { host_ip: asked.host_ip.filter(|ip| *ip != any), ..*asked };
        let failed = |call: &str, errno| port.failed(call, errno);
        let family = if port.address().is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let (kind, protocol) = match port.protocol {
            Protocol::Tcp => (SocketType::STREAM, None),
            Protocol::Udp => (SocketType::DGRAM, None),
            Protocol::Sctp => (SocketType::STREAM, Some(ipproto::SCTP)),
        };
        let socket = match socket_with(family, kind, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK, protocol) {
            Err(Errno::PROTONOSUPPORT) if port.protocol == Protocol::Sctp && port.host_port != 0 => {
                return Ok(Reserved { socket: None, port });
            }
            other => other.map_err(|errno| failed("socket", errno))?,
        };
        if port.protocol == Protocol::Tcp {
            set_socket_reuseaddr(&socket, true).map_err(|errno| failed("setsockopt(SO_REUSEADDR)", errno))?;
        }
        if family == AddressFamily::INET6 {
            // IPv4 has a socket of its own.
            set_ipv6_v6only(&socket, true).map_err(|errno| failed("setsockopt(IPV6_V6ONLY)", errno))?;
            if port.protocol == Protocol::Udp {
                // Before anything comes: a relay answers from the address that was asked.
                sys::datagram::tell_here(&socket).map_err(|error| failed("setsockopt(IPV6_RECVPKTINFO)", error.errno()))?;
            }
        }
        bind(&socket, &SocketAddr::new(port.address(), port.host_port)).map_err(|errno| failed("bind", errno))?;
        if port.host_port == 0 {
            let found = getsockname(&socket).and_then(SocketAddr::try_from).map_err(|errno| failed("getsockname", errno))?;
            port.host_port = found.port();
        }
        Ok(Reserved { socket: Some(socket), port })
    }

    /// Makes a TCP port a listening one: two such sockets cannot be, whatever options they have. Done last, when connections are
    /// translated already, so that none is accepted here and left waiting; for a relay `backlog` may wait.
    pub(crate) fn listen(&self, backlog: i32) -> Result<()> {
        match &self.socket {
            Some(socket) if self.port.protocol == Protocol::Tcp => {
                listen(socket, backlog).map_err(|errno| self.port.failed("listen", errno))
            }
            _ => Ok(()),
        }
    }
}

/// Reserves again what is published already, such as after the death of whoever held its sockets. Each port is tried: others keep theirs
/// if one cannot be had.
pub fn hold(ports: &[Port]) -> (Vec<OwnedFd>, Vec<Error>) {
    let (mut held, mut failed) = (Vec::new(), Vec::new());
    for port in ports {
        // Whoever only holds ports relays none.
        let bound = match port.host_ip {
            Some(IpAddr::V6(Ipv6Addr::LOCALHOST)) => Err(port.unreachable()),
            _ => Reserved::bind(port),
        };
        match bound.and_then(|reserved| reserved.listen(0).map(|()| reserved)) {
            Ok(reserved) => held.extend(reserved.socket),
            Err(error) => failed.push(error),
        }
    }
    (held, failed)
}

impl Port {
    fn failed(&self, call: &str, errno: Errno) -> Error {
        let (protocol, ip, port) = (self.protocol, self.address(), self.host_port);
        match errno {
            Errno::ADDRINUSE => self.in_use(),
            Errno::ACCESS if call == "bind" => Error::PrivilegedPort { protocol, port },
            Errno::ADDRNOTAVAIL => Error::NoSuchAddress { protocol, ip, port },
            _ => Error::Reserve {
                protocol,
                ip,
                port,
                source: sys::Error::new(format!("{call}({})", SocketAddr::new(ip, port)), errno),
            },
        }
    }
}
