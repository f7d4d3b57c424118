//! Ports that rules for packets cannot lead to a container: a program accepts what comes, and passes it on.
//!
//! ```text
//!   host: client ── [::1]:8080 ═ door (the socket that reserves the port) ─┬─ stream ── connect ── 172.29.x.y:80 :container
//!                                                                          └─ flow (UDP) ── connected socket ──┘
//! ```
//!
//! Linux has no `route_localnet` for IPv6: no answer to `::1` comes back from a bridge. And what comes to an IPv6 address of the host cannot be
//! translated to the IPv4 address that is all a container may have. Docker keeps a process for each such port; here one process serves all
//! of a container's, and only while there is something to pass on: until the first client comes, a port costs its socket.
//!
//! [`serve`] is that process's whole work. It needs no privilege, holds a bounded number of connections and flows, keeps nothing of what it
//! passes on but what is in a pipe (so a side that reads slowly makes the other wait), and passes the end of each direction on by itself.
//!
//! | module | holds |
//! |---|---|
//! | `serve` | the loop |
//! | `stream` | a connection: two directions, each through a pipe |
//! | `flows` | UDP: who asks, and for whom answers are |
//! | `slots` | numbered places |

mod flows;
mod serve;
mod slots;
mod stream;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use serde::{Deserialize, Serialize};

use crate::port::{Port, Protocol};

pub use serve::{serve, turn_away};

/// The most ports of a container that are relayed: their sockets travel in one message.
pub const MAX_RELAYS: usize = 100;

/// A port of the host that is relayed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relay {
    /// The port, with its number.
    pub port: Port,
    /// The container's address.
    pub to: IpAddr,
}

impl Relay {
    /// How `port` is relayed to a container with these addresses, if it is. Those of IPv6 are, where no rule can lead there: all, if the
    /// container has no address of IPv6; or else what comes to `::1`. SCTP is not: its associations have many addresses.
    pub fn of(port: &Port, v4: IpAddr, v6: Option<IpAddr>) -> Option<Relay> {
        let Some(IpAddr::V6(ip)) = port.host_ip else { return None };
        let to = match v6 {
            Some(v6) if ip.is_loopback() || ip.is_unspecified() => v6,
            Some(_) => return None,
            None => v4,
        };
        (port.protocol != Protocol::Sctp).then_some(Relay { port: *port, to })
    }

    /// How `port` is relayed where no rule leads to the container at all: to its address of the same kind, if it has one.
    pub fn always(port: &Port, v4: IpAddr, v6: Option<IpAddr>) -> Relay {
        let to = v6.filter(|_| port.host_ip.is_some_and(|ip| ip.is_ipv6())).unwrap_or(v4);
        Relay { port: *port, to }
    }

    /// Where it leads.
    pub(crate) fn target(&self) -> SocketAddr {
        SocketAddr::new(self.to, self.port.container_port)
    }
}
